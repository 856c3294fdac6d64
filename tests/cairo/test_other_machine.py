"""Cairo programs in this project's machine and in StarkWare's own: each cell of memory is equal.

StarkWare's machine is the Python one of their package cairo-lang, which has the compiler, too. Its
licence is for non-commercial use only and forbids distribution. As with the compiler, nothing of it
is in this project, which does not depend on it: the test installs what it needs for the user.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cairo import compiler
from cairo.arithmetic import Integers, quantised
from cairo.machine import COSTS, GAS, PRIME, Machine
from cairo.network import read_network
from cairo.project import write_project
from models.data import drawing, mnist
from models.export import EXPORTS
from tests.networks import MODELS, write_onnx
from zk.errors import CircuitError
from zk.files import CACHE, ROOT, locked, sha256

pytestmark = pytest.mark.full
OTHER = Path(__file__).with_name("other_machine.py")
NEEDS = OTHER.with_suffix(".txt")
PYTHON_HINTS = {"starknet-sierra-compile": ["--add-pythonic-hints"]}

Program = dict[str, Any]


@pytest.fixture(scope="module")
def compiled(machine, tmp_path_factory) -> Callable[[Path], Program]:
    """Compile a model; the program has its hints in Python, too, for StarkWare's machine."""
    honest = compiler._compile

    def with_hints(program: str, *words: str) -> None:
        honest(program, *words, *PYTHON_HINTS.get(program, []))

    def compiled(path: Path) -> Program:
        folder = tmp_path_factory.mktemp("cairo") / "project"
        write_project(folder, "model", read_network(path))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compiler, "_compile", with_hints)
            return compiler.compiled(folder, "model")

    return compiled


@pytest.fixture(scope="module")
def packages() -> Path:
    """A folder of the user's cache with what StarkWare's machine imports."""
    folder = CACHE / f"{compiler.FOLDER.name}-machine-{sha256(NEEDS)[:12]}"
    with locked(ROOT / ".cache" / "cairo"):
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=CACHE) as temporary:
                made = Path(temporary, "made")
                words = ["install", "--quiet", "--no-deps", "--require-hashes", "-r", str(NEEDS)]
                pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", *words]
                subprocess.run([*pip, "--target", str(made)], check=True)
                made.rename(folder)
    return folder


@pytest.fixture(scope="module")
def other(packages) -> Callable[[Program, list[int]], dict[str, Any]]:
    """Run a program in StarkWare's machine."""

    def other(program: Program, data: list[int]) -> dict[str, Any]:
        given = {"program": program, "data": data, "gas": GAS, "prices": COSTS}
        done = subprocess.run(
            [sys.executable, str(OTHER)],
            input=json.dumps(given),
            env=os.environ | {"PYTHONPATH": f"{packages}{os.pathsep}{compiler.FOLDER}"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return other


def arguments(x: Integers) -> list[int]:
    return [x.size, *(int(value) % PRIME for value in x.flat)]


def digest(machine: Machine) -> str:
    return hashlib.sha256(repr(sorted(machine.memory.items())).encode()).hexdigest()


def compare(program: Program, x: Integers, other: Callable[..., dict[str, Any]]) -> None:
    """Require the same output, steps, gas and memory."""
    machine, theirs = Machine(program), other(program, arguments(x))
    ours = machine.run("infer", arguments(x))
    assert theirs["failed"] == 0
    assert theirs["output"] == ours.output
    assert (theirs["steps"], theirs["gas"]) == (ours.steps, ours.gas)
    assert (theirs["cells"], theirs["memory"]) == (len(machine.memory), digest(machine))


def test_the_tutorials_network(compiled, other):
    """196-10-10, with one of MNIST's images."""
    x = drawing.VIEWS["dense-10"](mnist.drawings("test", 1))[0]
    compare(compiled(EXPORTS / "dense-10.onnx"), quantised(x), other)


@pytest.mark.parametrize("name", MODELS)
def test_operators(name, tmp_path, compiled, other):
    nodes, (shape, output), constants = MODELS[name]
    path = write_onnx(tmp_path / "model.onnx", nodes, shape, output, **constants)
    x = np.random.default_rng(3).uniform(-2, 2, read_network(path).shape)
    compare(compiled(path), quantised(x), other)


def test_errors(tmp_path, compiled, other):
    """Numbers beyond the format end both runs with the same reason and memory."""
    two = np.array([2], np.float32)
    nodes = [("Mul", "x two", "y", {})]
    program = compiled(write_onnx(tmp_path / "model.onnx", nodes, (1, 2), (1, 2), two=two))
    data = arguments(np.array([2**31 - 1, 0]))
    machine, theirs = Machine(program), other(program, data)
    with pytest.raises(CircuitError, match="ended with an error: beyond FP16x16"):
        machine.run("infer", data)
    assert theirs["failed"] == 1
    assert theirs["output"] == [int.from_bytes(b"beyond FP16x16")]
    assert (theirs["steps"], theirs["memory"]) == (machine.steps, digest(machine))
