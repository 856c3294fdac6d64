"""Measurements of proving, each in a separate process: seconds and peak memory."""

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from zk import ezkl
from zk.build import build
from zk.circuit import Circuit
from zk.errors import CircuitError, InvalidProofError
from zk.files import ROOT
from zk.private import private_folder
from zk.proof import Proof
from zk.tuning.costs import Cost
from zk.witness import loss

PATIENCE = 4.0  # seconds; a longer proof is not repeated on the warm machine

Inputs = list[list[float]]  # the numbers of each input: those of the key, if any, then `x`


@dataclass(frozen=True)
class Measured:
    """A proof, the seconds of its steps and its peak memory."""

    witness: float
    prove: float
    verify: float
    memory: int  # bytes
    proof: Proof

    @property
    def seconds(self) -> float:
        """The seconds from the input to a verified proof."""
        return self.witness + self.prove + self.verify


def measure(name: str, files: dict[str, Path], data: Inputs) -> Measured:
    """Prove `data`. A quick proof is repeated, and the one on the warm machine is measured.

    `files` are the `proving_files` of a manifest. Groth16 takes the key in `data`, and then `x`; it
    reads its proving key once, thus not in the proof that is measured.
    """
    found = _in_child(name, _prove, files, data=data)
    return Measured(**{**found, "proof": Proof.of(found["proof"], name)})


def typical(proofs: list[Measured]) -> Measured:
    """Return the median of each step's seconds and the largest peak of memory."""
    witness, prove, verify = (
        statistics.median(getattr(proof, step) for proof in proofs)
        for step in ("witness", "prove", "verify")
    )
    memory = max(proof.memory for proof in proofs)
    return Measured(witness, prove, verify, memory, proofs[-1].proof)


def measure_setup(name: str, files: dict[str, Path]) -> float:
    """Make the keys `vk` and `pk` of a `compiled` circuit with its `srs`; return the seconds."""
    return float(_in_child(name, _setup, files))


def figures_of(
    circuit: Circuit,
    *,
    artifacts: Path,
    verifiers: Path,
    gas: Callable[[str, Path, Proof], int],
) -> dict[str, Any]:
    """Build a circuit, measure it and remove it; return its figures.

    `gas` returns the gas that a verifier, given by name and source, takes for a proof.
    """
    anyway = replace(circuit, accept_loss=True, any_code=True)
    manifest, _ = build(anyway, artifacts=artifacts, verifiers=verifiers)
    labels = ("compiled", "pk", "vk", "settings", "srs")
    files = {label: manifest.file(label) for label in labels}
    layout = manifest.layout
    data = layout.numbers(layout.widest, circuit.samples().test[: layout.batch])
    found = typical([measure(circuit.name, files, data) for _ in range(3)])
    cost = Cost(
        proving_key=manifest["files"]["pk"]["bytes"],
        proof=len(found.proof.proof),
        code=manifest["verifier"]["runtime_bytes"],
        gas=gas(circuit.verifier_name, manifest.file("verifier"), found.proof),
        seconds=found.seconds,
    )
    figures = {
        "shape": manifest["shape"],
        "cost": asdict(cost),
        "cells": manifest["cells"],
        "prove": found.prove,
        "memory": found.memory,
        "loss": loss(manifest["accuracy"]),
    }
    manifest.file("verifier").unlink()
    shutil.rmtree(manifest.folder)
    return figures


def _in_child(name: str, task: Callable[..., Any], files: dict[str, Path], **more: Any) -> Any:
    paths = {label: os.fspath(path) for label, path in files.items()}
    child = subprocess.run(
        [sys.executable, "-m", "zk.tuning.measure", task.__name__],
        input=json.dumps({"name": name, "files": paths, **more}),
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    if child.returncode:
        reason = child.stderr.strip().split("\n")[-1] or f"exit code {child.returncode}"
        raise CircuitError(f"{name} could not be measured: {reason.removesuffix('.')}.")
    return json.loads(child.stdout)


def _setup(name: str, files: dict[str, str]) -> float:
    started = time.perf_counter()
    ezkl.make_keys(*(Path(files[label]) for label in ("compiled", "srs", "vk", "pk")))
    return time.perf_counter() - started


def _prove_groth16(name: str, files: dict[str, str], data: Inputs) -> dict[str, Any]:
    from zk.groth16 import claims, prover
    from zk.groth16.keys import ProvingKey, VerificationKey
    from zk.r1cs.system import System

    system, pk = System.load(Path(files["constraints"])), Path(files["pk"])
    (key,), x = data
    for _ in range(2):
        moments = [time.perf_counter()]
        witness = claims.witness_of(system, int(key), np.array(x))
        moments.append(time.perf_counter())
        proof = prover.prove(ProvingKey.load(pk), system, witness)
        moments.append(time.perf_counter())
        instances = witness[1 : system.public + 1]
        prover.verify(VerificationKey.load(Path(files["vk"])), proof, instances)
        moments.append(time.perf_counter())
    seconds = [after - before for before, after in pairwise(moments)]
    return _found(seconds, Proof(name, proof, instances))


def _prove(name: str, files: dict[str, str], data: Inputs) -> dict[str, Any]:
    if "constraints" in files:
        return _prove_groth16(name, files, data)
    with private_folder() as folder, ezkl.sentences(f"prove {name}"):
        proof = folder / "proof.json"
        seconds = _steps(name, files, data, proof)
        if sum(seconds) < PATIENCE:
            seconds = _steps(name, files, data, proof)
        made = Proof(name, *ezkl.read_proof(proof))
    return _found(seconds, made)


def _found(seconds: list[float], made: Proof) -> dict[str, Any]:
    return {
        **dict(zip(("witness", "prove", "verify"), seconds, strict=True)),
        "memory": _most_memory(),
        "proof": made.content(),
    }


def _steps(name: str, files: dict[str, str], data: Inputs, proof: Path) -> list[float]:
    """Make a proof; return the seconds of the witness, the proof and its verification."""
    path = {label: Path(file) for label, file in files.items()}
    witness = proof.with_name("witness.json")
    moments = [time.perf_counter()]
    ezkl.run_witness(path["compiled"], data, witness)
    moments.append(time.perf_counter())
    ezkl.prove(witness, path["compiled"], path["pk"], path["srs"], proof)
    moments.append(time.perf_counter())
    if not ezkl.verify(proof, path["settings"], path["vk"], path["srs"]):
        raise InvalidProofError(f"A proof of {name} is not valid.")
    moments.append(time.perf_counter())
    return [after - before for before, after in pairwise(moments)]


def _most_memory() -> int:
    """Return the peak memory in bytes. Linux includes the parent's memory in `ru_maxrss`."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) * 1024


if __name__ == "__main__":
    try:
        json.dump(globals()[sys.argv[1]](**json.load(sys.stdin)), sys.stdout)
    except CircuitError as error:
        sys.exit(str(error))
