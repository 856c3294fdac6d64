"""Proofs of claims by a built circuit: a key, and an input of the model."""

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from zk.errors import CircuitError, RangeError
from zk.files import write_whole
from zk.groth16 import prover
from zk.groth16.keys import ProvingKey, VerificationKey
from zk.layout import Key, Layout
from zk.r1cs.system import System
from zk.samples import Array


def outputs_of(constraints: Path, layout: Layout, x: Array) -> list[int]:
    """Return the model's outputs for an input as whole numbers, without a proof."""
    witness = witness_of(_system(constraints), 0, x)
    return layout.read(witness[1 + layout.keys_end : 1 + layout.instances])


def prove(
    files: dict[str, Path], key: Key, x: Array, kept: Path | None = None
) -> tuple[bytes, list[int]]:
    """Return a proof and its instances. The private witness is written to `kept`, if given."""
    system = _system(files["constraints"])
    witness = witness_of(system, key, x)
    if kept:
        write_whole(kept, json.dumps(witness), mode=0o600)
    instances = witness[1 : system.public + 1]
    proof = prover.prove(ProvingKey.load(files["pk"]), system, witness)
    prover.verify(VerificationKey.load(files["vk"]), proof, instances)
    return proof, instances


def verify(vk: Path, proof: bytes, instances: Sequence[int]) -> None:
    """Raise an `InvalidProofError` unless a proof holds for these instances."""
    prover.verify(VerificationKey.load(vk), proof, instances)


def witness_of(system: System, key: Key, x: Array) -> list[int]:
    """Return the value of every wire for a key and an input; raise if an output is too large."""
    if x.size != len(system.inputs):
        raise CircuitError(f"The circuit takes {len(system.inputs)} numbers, not {x.size}.")
    numbers = [int(number[0]) for number in system.numbers(x)]
    witness = system.witness(key, numbers)
    if any(True for _ in system.broken(witness)):
        raise RangeError(
            "The input leads to an output outside the circuit's range: give it an input like those "
            "of the model's samples."
        )
    return witness


def _system(path: Path) -> System:
    return _loaded(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _loaded(path: Path, changed: int) -> System:
    return System.load(path)
