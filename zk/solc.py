"""Runs the pinned Solidity compiler, which py-solc-x installs and finds."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from zk.errors import CircuitError

SOLC = "0.8.30"
# The settings of ape-config.yaml, so that the code compiled here equals the deployed code.
SETTINGS: dict[str, Any] = {
    "optimizer": {"enabled": True, "runs": 200},
    "evmVersion": "paris",
}


class CompilerEndedError(CircuitError):
    """The compiler ended without an answer."""


def require_solc() -> Path:
    """Return the compiler; raise unless it is installed, before Ape downloads it unasked."""
    from solcx.exceptions import SolcNotInstalled
    from solcx.install import get_executable

    try:
        return Path(get_executable(SOLC))
    except SolcNotInstalled:
        install = f"run `make setup`, or `python -m solcx.install v{SOLC}`"
        raise CircuitError(f"solc {SOLC} is not installed: {install}.") from None


def compiled(name: object, sources: dict[str, str], settings: dict[str, Any]) -> dict[str, Any]:
    """Compile sources, which a refusal calls `name`; return the compiler's output."""
    content = {source: {"content": text} for source, text in sources.items()}
    question = json.dumps({"language": "Solidity", "sources": content, "settings": settings})
    words = [str(require_solc()), "--standard-json"]
    ended = subprocess.run(words, input=question, capture_output=True, text=True)
    if ended.returncode:
        raise CompilerEndedError(
            f"solc {SOLC} ended while it compiled {name}, perhaps for want of memory: compile on "
            "a machine with more memory."
        )
    output: dict[str, Any] = json.loads(ended.stdout)
    for found in output.get("errors", []):
        if found["severity"] == "error":
            said = found["formattedMessage"].strip()
            reason, place = said.split("\n")[0], re.search(r"^ *--> (.+?):?$", said, re.MULTILINE)
            where = f" ({place[1]})" if place else ""
            raise CircuitError(f"solc {SOLC} cannot compile {name}: {reason.rstrip('.')}{where}.")
    return output
