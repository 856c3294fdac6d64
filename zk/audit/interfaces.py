"""The functions by which verifiers are called, found by their selectors in the code."""

from dataclasses import dataclass
from functools import cache

from zk.audit.code import selectors

HALO2, GROTH16, PLONK, FFLONK = "halo2", "Groth16", "PLONK", "fflonk"
NO_EQUATION, KEY_FROM_CALLER = "a known tool", "a key from the caller"

GROTH16_WORDS = 8  # of a proof: two points of G1 and one of G2
# Each function, with {} for the number of instances: its tools and the words of a proof.
SNARKJS_GROTH16 = "verifyProof(uint256[2],uint256[2][2],uint256[2],uint256[{}])"
ZOKRATES = "verifyTx(((uint256,uint256),(uint256[2],uint256[2]),(uint256,uint256)),uint256[{}])"
FORMS = (
    (GROTH16, SNARKJS_GROTH16, 8),
    (GROTH16, ZOKRATES, 8),
    (GROTH16, "verifyProof(uint256[8],uint256[{}])", 8),  # gnark
    (GROTH16, "Verify(uint256[8],uint256[{}])", 8),  # SP1
    (GROTH16, "verifyProof(uint256[8],uint256[2],uint256[2],uint256[{}])", 12),  # a commitment
    (GROTH16, "verifyCompressedProof(uint256[4],uint256[{}])", 4),  # gnark
    (PLONK, "verifyProof(uint256[24],uint256[{}])", 24),  # snarkjs
    (FFLONK, "verifyProof(bytes32[24],uint256[{}])", 24),  # snarkjs
)
MOST_INSTANCES = 256
# Functions whose arguments are dynamic, or that take the verification key as well.
DYNAMIC = {
    "verifyProof(bytes,uint256[])": HALO2,
    "verify(bytes,bytes32[])": NO_EQUATION,  # Noir
    "Verify(bytes,uint256[])": NO_EQUATION,  # PLONK of gnark, SP1
    "verifyProof(address,bytes,uint256[])": KEY_FROM_CALLER,
    "verifyProof(bytes,uint256[],bytes32[])": KEY_FROM_CALLER,
}
# Functions that compute the instances of a proof and then call one of the functions above.
WRAPPERS = {
    "verify(bytes,bytes32,bytes32)": "RISC Zero",
    "verifyProof(bytes32,bytes,bytes)": "SP1",
}


@dataclass(frozen=True)
class Interface:
    """A function that verifies proofs."""

    family: str
    signature: str
    selector: bytes
    words: int = 0  # of the proof, 0 if the calldata says how many
    instances: int = 0


def interfaces_of(code: bytes) -> list[Interface]:
    """The known functions of verifiers whose selectors the code has."""
    found = selectors(code)
    return [interface for selector, interface in _known().items() if selector in found]


def wrappers_of(code: bytes) -> dict[str, str]:
    """The functions of the code that wrap a verifier's, and their tools."""
    found = selectors(code)
    return {form: tool for form, tool in WRAPPERS.items() if _selector(form) in found}


@cache
def _known() -> dict[bytes, Interface]:
    made = [_interface(family, signature) for signature, family in DYNAMIC.items()]
    for family, form, words in FORMS:
        for instances in range(1, MOST_INSTANCES + 1):
            made.append(_interface(family, form.format(instances), words, instances))
    return {interface.selector: interface for interface in made}


def _interface(family: str, signature: str, words: int = 0, instances: int = 0) -> Interface:
    return Interface(family, signature, _selector(signature), words, instances)


def _selector(signature: str) -> bytes:
    from eth_utils.abi import function_signature_to_4byte_selector

    return function_signature_to_4byte_selector(signature)
