"""The errors of the library. Each message is one sentence that names the fix."""

import errno

# The reasons why a file cannot be written or read, each with its fix.
FULL = "the disk is full; free some space, then run the command again"
READ_ONLY = "it is on a read-only disk; make that writable, then run the command again"
NOT_ALLOWED = "permission denied; give this user access, then run the command again"
OBSTACLES = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EROFS: READ_ONLY,
    errno.EACCES: NOT_ALLOWED,
    errno.EPERM: NOT_ALLOWED,
}


class CircuitError(Exception):
    """A step failed. The message says why, and how to fix it."""


class InvalidProofError(CircuitError):
    """The verification key rejects the proof."""


class RangeError(CircuitError):
    """An input leads to a value outside the circuit's range."""


class KilledError(CircuitError):
    """A process was killed from outside, perhaps for lack of memory. Another try may succeed."""


class TimeLimitError(CircuitError):
    """A process was stopped because it did not end in time."""


def obstacle(error: OSError) -> str:
    """Return one sentence about why a file could not be written or read, and the fix."""
    if error.errno not in OBSTACLES:
        return str(error)
    return f"{error.filename or 'A file'} could not be written or read: {OBSTACLES[error.errno]}."
