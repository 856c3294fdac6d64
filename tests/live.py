"""Runs a command of `scripts/` on a stand-in for a live network, as test_live.py asks for it.

Usage: live.py FOLDER COMMAND WORDS…

FOLDER has the artifacts, and takes the record of deployments. Its SRS is taken for the ceremony's:
the real one has to be fetched from the internet.
"""

import sys
from importlib import import_module
from pathlib import Path

import scripts._circuits
from zk import srs
from zk.manifest import sha256

if __name__ == "__main__":
    folder, command, *words = sys.argv[1:]
    scripts._circuits.ARTIFACTS = Path(folder, "artifacts")
    for path in Path(folder).glob("artifacts/srs/ceremony/k*.srs"):
        srs.CEREMONY_SHA256[int(path.stem[1:])] = sha256(path)
    from scripts import _deployments

    _deployments.FOLDER = Path(folder, "deployments")
    import_module(f"scripts.{command}").cli(words)
