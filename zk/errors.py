"""The one error that the pipeline raises, and how ezkl's own failures become it."""

import errno
import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

# How ezkl and tract, which reads ONNX for it, name an operator that they lack.
UNSUPPORTED = re.compile(r"(?:Unimplemented\(|Unknown op: |analyse for node #\d+ \"[^\"]*\" )(\w+)")
SYSTEM = re.compile(r"\(os error (\d+)\)")
TOO_LARGE = re.compile(r"too large to be represented by (base \d+ and n \d+)")

# What keeps a file from being written, and the way on.
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
    """A step of the pipeline could not be done; the message says what was wrong and the way on."""


class InvalidProofError(CircuitError):
    """A proof that the verification key does not accept."""


class RangeError(CircuitError):
    """An input of which a circuit makes larger numbers than it can hold."""


@contextmanager
def sentences(doing: str, kind: type[CircuitError] = CircuitError) -> Iterator[None]:
    """Turns an ezkl error, or a panic of the Rust code under it, into one `CircuitError`.

    What ezkl prints meanwhile is held back. Not for several threads at once.
    """
    with tempfile.TemporaryFile() as sink, _printing_into(sink.fileno()):
        try:
            yield
        # A Rust panic arrives as a PanicException, which is no Exception but a BaseException.
        except BaseException as error:
            panicked = type(error).__name__ == "PanicException"
            if not panicked and not isinstance(error, RuntimeError | OSError):
                raise
            sink.seek(0)
            printed = sink.read().decode(errors="replace")
            message, failure = str(error), f"ezkl could not {doing}"
            if limit := TOO_LARGE.search(f"{printed} {message}"):
                # The value itself may be private.
                reason = f"a value leaves the circuit's range, {limit.group(1)}"
                raise RangeError(f"{failure}: {reason}.") from error
            raise kind(f"{failure}: {_reason(message, printed)}.") from error


def obstacle(error: OSError) -> str:
    """Why a file could not be written or read, in one sentence."""
    if error.errno not in OBSTACLES:
        return str(error)
    return f"{error.filename or 'A file'} could not be written or read: {OBSTACLES[error.errno]}."


def _reason(message: str, printed: str) -> str:
    system = SYSTEM.search(message)
    if system and int(system.group(1)) in OBSTACLES:
        return OBSTACLES[int(system.group(1))]
    unsupported = UNSUPPORTED.search(printed) or UNSUPPORTED.search(message)
    if unsupported:
        return f"the operator {unsupported.group(1)} is not supported"
    return re.sub(r"\s+", " ", re.sub(r"^Failed to [\w ]+: ", "", message)).strip(" .")


@contextmanager
def _printing_into(descriptor: int) -> Iterator[None]:
    """Sends what compiled code and its logger print into a file until the block ends."""
    logger = logging.getLogger("ezkl")
    with os.fdopen(os.dup(descriptor), "w") as log:
        handler = logging.StreamHandler(log)
        propagate, logger.propagate = logger.propagate, False
        logger.addHandler(handler)
        sys.stdout.flush()
        sys.stderr.flush()
        originals = {stream: os.dup(stream) for stream in (1, 2)}
        try:
            for stream in originals:
                os.dup2(descriptor, stream)
            yield
        finally:
            for stream, original in originals.items():
                os.dup2(original, stream)
                os.close(original)
            logger.removeHandler(handler)
            logger.propagate = propagate
