"""Forgeries for a verifier: a genuine proof with every known manipulation."""

from collections.abc import Iterator

from zk.audit.calldata import SELECTOR, WORD, Call, Shape
from zk.audit.halo2 import forge
from zk.layout import FIELD
from zk.proof import Proof


def genuine(proof: Proof) -> Call:
    """Split a proof into words."""
    words = [
        int.from_bytes(proof.proof[place : place + WORD])
        for place in range(0, len(proof.proof), WORD)
    ]
    return Call(words, proof.instances)


def attacks(code: bytes, shape: Shape, call: Call) -> Iterator[tuple[str, bytes]]:
    """Descriptions and calldata of forgeries that a verifier must refuse."""
    for place, word in enumerate(call.proof):
        yield f"word {place} of the proof changed", call.with_word(place, word ^ 1).usual()
    for place in shape.points:
        x, y = call.proof[place : place + 2]
        yield f"the point at word {place} at infinity", call.with_word(place, 0, 0).usual()
        yield f"the point at word {place} off the curve", call.with_word(place, x, y + 1).usual()
    for place, instance in enumerate(call.instances):
        yield f"instance {place} plus 1", call.with_instance(place, instance + 1).usual()
        yield (
            f"instance {place} plus the order",
            call.with_instance(place, instance + FIELD).usual(),
        )
    yield "no proof", Call([], call.instances).usual()
    yield "no instances", Call(call.proof, []).usual()
    yield "a proof that is too short", Call(call.proof[:-1], call.instances).usual()
    yield "a proof that is too long", Call([*call.proof, 0], call.instances).usual()
    yield "one instance too few", Call(call.proof, call.instances[:-1]).usual()
    yield "one instance too many", Call(call.proof, [*call.instances, 0]).usual()
    yield "calldata of the selector only", SELECTOR
    yield "a truncated proof", call.usual()[: -WORD * (len(call.instances) + 3)]
    yield from _unusually_laid_out(code, shape, call)


def _unusually_laid_out(code: bytes, shape: Shape, call: Call) -> Iterator[tuple[str, bytes]]:
    other = call.with_instance(len(call.instances) - 1, call.instances[-1] + 1)
    blank = Call([0] * shape.words, [0] * shape.instances)
    if shape.scalars:  # verifiers of Groth16 decode any layout as Solidity does
        yield "the proof behind a blank one", call.behind(blank)
    yield "a blank proof behind the proof", blank.behind(call)
    yield "other instances behind the proof's instances", other.instances_behind(call)
    if shape.scalars and (forged := forge(code, shape)):
        yield "a forged proof behind its challenges", forged
