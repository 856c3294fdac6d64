"""Run a command of `scripts/` as if a folder's SRS were the ceremony's.

The real one has to be downloaded.

Usage: live.py FOLDER COMMAND WORDS…

FOLDER has the artifacts, and gets the record of deployments.
"""

import sys
from importlib import import_module
from pathlib import Path

from apps import circuits
from chain import deployments
from zk import srs
from zk.files import sha256

if __name__ == "__main__":
    folder, command, *words = sys.argv[1:]
    circuits.ARTIFACTS = Path(folder, "artifacts")
    deployments.FOLDER = Path(folder, "deployments")
    for path in Path(folder).glob("artifacts/srs/ceremony/k*.srs"):
        srs.CEREMONY_SHA256[int(path.stem[1:])] = sha256(path)
    import_module(f"scripts.{command}").cli(words)
