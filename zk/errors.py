"""The errors that the pipeline raises, each one sentence that names the fix."""

import errno

# The reasons why a file cannot be written, each with its fix.
FULL = "the disk is full; free some space, then run this again"
READ_ONLY = "it is on a read-only disk; make that writable, then run this again"
NOT_ALLOWED = (
    "this user may not do that; give the folder the right permissions, then run this again"
)
OBSTACLES = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EROFS: READ_ONLY,
    errno.EACCES: NOT_ALLOWED,
    errno.EPERM: NOT_ALLOWED,
}


class CircuitError(Exception):
    """A step failed; the message says what was wrong and how to fix it."""


class InvalidProofError(CircuitError):
    """The verification key rejects the proof."""


class RangeError(CircuitError):
    """A value that an input leads to does not fit the circuit's range."""


def obstacle(error: OSError) -> str:
    """Explain in one sentence why a file could not be written or read."""
    if error.errno not in OBSTACLES:
        return str(error)
    return f"{error.filename or 'A file'} could not be written or read: {OBSTACLES[error.errno]}."
