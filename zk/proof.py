"""Proofs: made from a private input, and verified under the verification key of a circuit."""

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from zk import ezkl
from zk.errors import CircuitError, InvalidProofError, RangeError
from zk.files import whole, write_json
from zk.layout import FIELD, Key, Layout
from zk.manifest import Manifest
from zk.private import private_folder
from zk.processes import answer_all
from zk.samples import Array
from zk.witness import witness

FEW = 2  # the fewest claims that are worth a process
LARGE_KEY = 1e8  # bytes; proving takes up to five times as much memory

Numbers = list[list[Any]]


@dataclass(frozen=True)
class Proof:
    """A proof and its public instances: the keys' limbs, then the model's outputs."""

    circuit: str
    proof: bytes
    instances: list[int]

    def key(self, layout: Layout) -> int:
        """Return the key of the only input."""
        (key,) = self.keys(layout)
        return key

    def keys(self, layout: Layout) -> list[int]:
        return layout.keys(self.instances)

    def outputs(self, layout: Layout) -> list[int]:
        """Return the outputs as whole numbers: those of the model times 2**output_scale."""
        return layout.read(self.instances[layout.keys_end :])

    def answers(self, layout: Layout) -> list[list[int]]:
        """Return the outputs for each input of a batch."""
        outputs, count = self.outputs(layout), layout.outputs
        return [outputs[place * count : (place + 1) * count] for place in range(layout.batch)]

    def content(self) -> dict[str, Any]:
        """Return the proof as its file holds it, in JSON's types."""
        return {
            "circuit": self.circuit,
            "proof": "0x" + self.proof.hex(),
            "instances": [f"0x{instance:064x}" for instance in self.instances],
        }

    def save(self, path: Path) -> None:
        write_json(path, self.content())

    @classmethod
    def load(cls, path: Path) -> "Proof":
        try:
            return cls.of(json.loads(path.read_text()), str(path))
        except FileNotFoundError:
            raise CircuitError(
                f"No proof found at {path}: make one with `ape run prove`."
            ) from None
        except ValueError as error:
            raise CircuitError(f"{path} is not a proof file ({error!r}).") from error

    @classmethod
    def of(cls, content: Any, source: str) -> "Proof":
        """Read `content`; `source` names it in errors."""
        try:
            if not re.fullmatch(r"[a-z0-9_-]+", content["circuit"]):
                raise ValueError("the name of its circuit is invalid")
            instances = [int(instance, 16) for instance in content["instances"]]
            if not all(0 <= instance < 2**256 for instance in instances):
                raise ValueError("an instance is not a number of 256 bits")
            return cls(
                circuit=content["circuit"],
                proof=bytes.fromhex(content["proof"].removeprefix("0x")),
                instances=instances,
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CircuitError(f"{source} is not a proof file ({error!r}).") from error


def answer(manifest: Manifest, x: Array) -> Array:
    """Return the quantised model's outputs for `x` as whole numbers, without a proof."""
    name, layout = manifest["circuit"], manifest.layout
    _check(name, x)
    if manifest.prover == "groth16":
        from zk.groth16 import claims

        return np.array(claims.outputs_of(manifest.file("constraints"), layout, x))
    with ezkl.sentences(f"run the input through {name}"):
        outputs, lookups = witness(manifest.file("compiled"), layout, layout.widest, x)
    if manifest["shape"]["tables"] and not _in_table(manifest, lookups):
        raise RangeError(
            f"The input leads to a value outside the lookup table of {name}: build it again with "
            "calibration samples like this input."
        )
    return outputs


def commitment(manifest: Manifest, x: Array) -> int:
    """Return the hash of the input `x` that a proof of an attested circuit shows."""
    name, layout = manifest["circuit"], manifest.layout
    if not layout.hashes:
        raise CircuitError(f"{name} is not attested: its proofs show no hash of the input.")
    _check(name, x)
    with ezkl.sentences(f"run the input through {name}"):
        run = ezkl.run_witness(manifest.file("compiled"), layout.numbers(layout.widest, x))
    return int(run["hashes"][1])


def _in_table(manifest: Manifest, lookups: tuple[int, int]) -> bool:
    """Return whether a table may hold these values. ezkl fills its last column with more values."""
    smallest, largest = map(int, manifest["lookup_range"])
    rows = ezkl.usable_rows(manifest["logrows"])
    columns = -((smallest - largest - 1) // rows)
    return smallest <= lookups[0] and lookups[1] < smallest + columns * rows


def prove(manifest: Manifest, key: Key, x: Array) -> Proof:
    """Prove the circuit's outputs for `x`, under `key`."""
    return prove_all(manifest, [(key, x)])[0]


def prove_all(
    manifest: Manifest,
    claims: Sequence[tuple[Key, Array]],
    witnesses: Sequence[Path] | None = None,
) -> list[Proof]:
    """Prove claims, each a key and an input, or a batch of them: keys, and inputs.

    The hashes of the artifacts are checked once.

    Claims of a small circuit are proved in parallel. A large circuit takes all cores and memory.
    A proof that hangs is stopped with a `TimeLimitError`.
    The private witnesses are removed, or kept at one path for each claim in `witnesses`.
    """
    name, files = manifest["circuit"], _files(manifest, *manifest.proving_files)
    for _, x in claims:
        _check(name, x)
    kept: Sequence[Path | None] = witnesses or [None] * len(claims)
    if manifest.prover == "groth16":
        pairs = zip(claims, kept, strict=True)
        return [_prove_groth16(name, files, key, x, path) for (key, x), path in pairs]
    small = manifest["files"]["pk"]["bytes"] < LARGE_KEY
    layout = manifest.layout
    inputs = [(layout.numbers(key, x), path) for (key, x), path in zip(claims, kept, strict=True)]
    processes = len(claims) // FEW if small else 1
    doing, limit = f"prove {name}", manifest.time_limit
    return answer_all(partial(_prove, name, files), inputs, doing, processes, limit)


def _prove(name: str, files: dict[str, Path], claim: tuple[Numbers, Path | None]) -> Proof:
    numbers, kept = claim
    with private_folder() as folder:
        run, out = folder / "witness.json", folder / "proof.json"
        ezkl.run_witness(files["compiled"], numbers, run)
        if kept:
            with whole(kept, mode=0o600) as beside:
                shutil.copyfile(run, beside)
        ezkl.prove(run, files["compiled"], files["pk"], files["srs"], out)
        _verify(out, files, name)  # ezkl.prove also writes invalid proofs
        return Proof(name, *ezkl.read_proof(out))


def _prove_groth16(
    name: str, files: dict[str, Path], key: Key, x: Array, kept: Path | None = None
) -> Proof:
    """Prove in this process: Groth16 takes little time and memory, and cannot hang."""
    from zk.groth16 import claims

    return Proof(name, *claims.prove(files, key, x, kept))


def prove_claim(
    name: str, files: dict[str, str], layout: Layout, key: Key, x: Array, limit: float
) -> Proof:
    """Prove with the files at these paths, whose hashes the caller has checked."""
    if "constraints" in files:
        paths = {label: Path(file) for label, file in files.items()}
        return _prove_groth16(name, paths, key, x)
    return prove_with(name, files, layout.numbers(key, x), limit)


def prove_with(name: str, files: dict[str, str], numbers: Numbers, limit: float) -> Proof:
    """Prove by ezkl with the files at these paths, whose hashes the caller has checked.

    `numbers` are those of `Layout.numbers`.
    """
    paths = {label: Path(file) for label, file in files.items()}
    task = partial(_prove, name, paths)
    (proof,) = answer_all(task, [(numbers, None)], f"prove {name}", 1, limit)
    return proof


def _check(name: str, x: Array) -> None:
    if not np.issubdtype(x.dtype, np.number) or not np.isfinite(x).all():
        raise CircuitError(f"The input of {name} contains values that are not finite numbers.")


def verify(manifest: Manifest, proof: Proof) -> None:
    """Raise a `CircuitError` unless the proof is valid under the circuit's verification key."""
    name = manifest["circuit"]
    expected = manifest.layout.instances
    if len(proof.instances) != expected:
        raise CircuitError(
            f"The proof has {len(proof.instances)} instances, but {name} has {expected}: make it "
            "with `ape run prove`."
        )
    for index, instance in enumerate(proof.instances):
        if not 0 <= instance < FIELD:
            raise CircuitError(
                f"Instance {index} is {instance}, but a field element is below {FIELD}."
            )
    if manifest.prover == "groth16":
        from zk.groth16 import claims

        claims.verify(manifest.file("vk"), proof.proof, proof.instances)
        return
    files = _files(manifest, "vk", "settings", "srs")
    with private_folder() as folder:
        path = folder / "proof.json"
        ezkl.write_proof(path, proof.proof, proof.instances)
        with ezkl.sentences(
            f"accept the proof under the verification key of {name}", InvalidProofError
        ):
            _verify(path, files, name)


def _verify(path: Path, files: dict[str, Path], name: str) -> None:
    if not ezkl.verify(path, files["settings"], files["vk"], files["srs"]):
        raise InvalidProofError(f"The proof is not valid under the verification key of {name}.")


def _files(manifest: Manifest, *labels: str) -> dict[str, Path]:
    return {label: manifest.file(label) for label in labels}
