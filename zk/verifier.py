"""The Solidity verifier that ezkl generates, with a name and a check of its own, and its size.

ezkl's verifier draws its challenges from the proof where the calldata says that it lies, but
computes with what lies where a compiler would have put it. Whoever writes calldata by hand could
so choose the proof after its challenges, and prove anything. The check makes both places one.
"""

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any

from zk import ezkl
from zk.errors import CircuitError

SOLC = "0.8.30"
LARGEST_CODE = 24_576  # bytes of a contract on chain, by EIP-170
# Where a compiler puts the bytes of the proof, the first argument of two.
PROOF_OFFSET = "0x64"
LENGTH_CHECK = re.compile(r"( *)success := and\(success, eq\(0x[0-9a-f]+, proof\.length\)\)\n")
# The settings of ape-config.yaml, so that the code measured here is the code that is deployed.
SETTINGS = {
    "optimizer": {"enabled": True, "runs": 200},
    "evmVersion": "paris",
    "outputSelection": {"*": {"*": ["evm.deployedBytecode.object"]}},
}


def write_verifier(
    verifier_name: str, verification_key: Path, settings: Path, srs: Path, path: Path
) -> dict[str, Any]:
    """Write the verifier of a verification key; return the hash and size of its code."""
    ezkl.write_verifier(verifier_name, verification_key, settings, srs, path)
    source = _own(verifier_name, path.read_text())
    path.write_text(source)
    code = without_metadata(runtime_code(verifier_name, source))
    return {"runtime_sha256": hashlib.sha256(code).hexdigest(), "runtime_bytes": len(code)}


def _own(verifier_name: str, source: str) -> str:
    """The generated source with a name of its own, and a check of where the proof lies."""
    source, renamed = re.subn(r"\bHalo2Verifier\b", verifier_name, source)
    check = (
        r"\g<0>\1// The code below reads the proof from its usual place: see that it is there\n"
        rf"\1success := and(success, eq({PROOF_OFFSET}, proof.offset))\n"
    )
    source, checked = LENGTH_CHECK.subn(check, source)
    if not renamed or checked != 1:
        raise CircuitError(f"ezkl's verifier for {verifier_name} does not look as it used to.")
    return source


def require_solc() -> None:
    """Refuses to go on without the compiler, rather than look for it on the internet."""
    from solcx.exceptions import SolcNotInstalled
    from solcx.install import get_executable

    try:
        get_executable(SOLC)
    except SolcNotInstalled:
        raise CircuitError(f"solc {SOLC} is not installed: run `make setup`.") from None


@cache
def runtime_code(verifier_name: str, source: str) -> bytes:
    """The code of a verifier on chain."""
    import solcx
    from solcx.exceptions import SolcError

    require_solc()
    sources = {f"{verifier_name}.sol": {"content": source}}
    try:
        compiled = solcx.compile_standard(
            {"language": "Solidity", "sources": sources, "settings": SETTINGS}, solc_version=SOLC
        )
    except SolcError as error:
        raise CircuitError(f"solc could not compile {verifier_name}: {error.message}") from error
    deployed = compiled["contracts"][f"{verifier_name}.sol"][verifier_name]["evm"]["deployedBytecode"]
    return bytes.fromhex(deployed["object"])


def without_metadata(code: bytes) -> bytes:
    """Runtime code without the hash of its sources, which is no part of what it does.

    solc appends it, and its length in the last two bytes.
    """
    return code[: -2 - int.from_bytes(code[-2:])]
