"""The Cairo compiler, which the first test installs for the user."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cairo import compiler
from cairo.machine import Machine
from cairo.network import read_network
from cairo.project import write_project
from zk.files import ROOT, locked


@pytest.fixture(scope="session")
def machine(tmp_path_factory) -> Callable[..., Callable[[], Machine]]:
    """Transpile a model and compile it; return what starts machines with its program."""
    with locked(ROOT / ".cache" / "cairo"):
        if not compiler.is_installed():
            compiler.install()

    def machine(path: Path, x=None) -> Callable[[], Machine]:
        folder = tmp_path_factory.mktemp("cairo") / "project"
        write_project(folder, "model", read_network(path), x)
        program = compiler.compiled(folder, "model")
        return lambda: Machine(program)

    return machine
