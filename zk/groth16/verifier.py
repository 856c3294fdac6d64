"""Solidity verifiers of Groth16 proofs, written from a template."""

import hashlib
from pathlib import Path
from typing import Any

from zk.groth16 import curve
from zk.groth16.curve import BASE, G2, Point
from zk.groth16.keys import VerificationKey
from zk.groth16.prover import evm_words
from zk.layout import FIELD
from zk.verifier import runtime_code, without_metadata

TEMPLATE = """\
// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

/// @title {name}
/// @notice Verifies Groth16 proofs of one circuit. Generated: build the circuit again to change it.
/// A proof is three points of BN254: A, B and C. It is valid if
///
///     e(A, B) = e(alpha, beta) e(shown, gamma) e(C, delta)
///
/// where `shown` is a point of the key, plus another one for each instance, times the instance.
contract {name} {{
    /// The order of the scalar field, to which all instances belong.
    uint256 private constant FIELD = {field};

    /// @notice Returns true if the proof is valid for the instances, and else reverts without data.
    function verifyProof(bytes calldata proof, uint256[] calldata instances)
        external
        view
        returns (bool)
    {{
        if (proof.length != 256 || instances.length != {count}) revert();

        // The sum in the first two words, then a point and its factor.
        uint256[5] memory shown;
        shown[0] = {first[0]};
        shown[1] = {first[1]};
{sums}
        uint256[8] memory points = abi.decode(proof, (uint256[8]));
        // The key's points are negative: all four pairings multiply to 1.
        uint256[24] memory pairs;
        for (uint256 i = 0; i < 6; i++) {{
            pairs[i] = points[i];
        }}
{pairs}
        assembly ("memory-safe") {{
            // The precompiled contract also refuses what is no point of its group.
            let done := staticcall(gas(), 8, pairs, 768, pairs, 32)
            if iszero(and(done, eq(mload(pairs), 1))) {{ revert(0, 0) }}
        }}

        return true;
    }}

    /// @dev Adds an instance's point, times the instance, to the sum.
    function _add(uint256[5] memory shown, uint256 x, uint256 y, uint256 instance) private view {{
        if (instance >= FIELD) revert();

        shown[2] = x;
        shown[3] = y;
        shown[4] = instance;
        assembly ("memory-safe") {{
            let product := add(shown, 64)
            if iszero(staticcall(gas(), 7, product, 96, product, 64)) {{ revert(0, 0) }}
            if iszero(staticcall(gas(), 6, shown, 128, shown, 64)) {{ revert(0, 0) }}
        }}
    }}
}}
"""


def write_verifier(name: str, key: VerificationKey, path: Path) -> dict[str, Any]:
    """Write the verifier of a key; return the hash and size of its code."""
    source = source_of(name, key)
    path.write_text(source)
    code = without_metadata(runtime_code(name, source))
    return {"runtime_sha256": hashlib.sha256(code).hexdigest(), "runtime_bytes": len(code)}


def source_of(name: str, key: VerificationKey) -> str:
    """Return the source of a key's verifier."""
    first, *others = ([f"{word}" for word in curve.coordinates(one)] for one in key.instances)
    sums = "".join(
        f"        _add(shown, {x}, {y}, instances[{place}]);\n"
        for place, (x, y) in enumerate(others)
    )
    words = {
        **_words(6, key.alpha, -key.beta),
        **{12: "shown[0]", 13: "shown[1]"},
        **_words(14, -G2),
        **{18: "points[6]", 19: "points[7]"},
        **_words(20, -key.delta),
    }
    pairs = "".join(f"        pairs[{place}] = {word};\n" for place, word in words.items())
    return TEMPLATE.format(
        name=name, field=FIELD, count=len(others), first=first, sums=sums, pairs=pairs
    )


def _words(place: int, *points: Point) -> dict[int, str]:
    """The words of points as the EVM takes them, from a place on."""
    words: list[int] = []
    for point in points:
        words += curve.coordinates(point) if curve.is_g1(point) else evm_words(point)
    assert max(words) < BASE
    return {place + offset: str(word) for offset, word in enumerate(words)}
