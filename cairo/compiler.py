"""The Cairo compiler, which users install on demand, because its licence forbids distribution."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from zk.errors import CircuitError
from zk.files import CACHE

CAIRO_LANG = "0.12.3"  # the last version with a whole core library; its compiler is Cairo 2.1.0
SHA256 = "651abdaa5f911d1d8f5605749e3540e7fc4efb7fb625925e5a499c4ca04fcc85"
LICENCE = (
    f"StarkWare's cairo-lang {CAIRO_LANG} is licensed for non-commercial use only and may not be "
    "distributed (https://github.com/starkware-libs/cairo-lang/blob/v0.12.3/LICENSE.txt)"
)
FOLDER = CACHE / f"cairo-lang-{CAIRO_LANG}"
BINARIES = "starkware/starknet/compiler/v1/sierra-compiler-major-1/bin"
PATIENCE = 900  # seconds for a compilation


def is_installed() -> bool:
    return (FOLDER / BINARIES).is_dir()


def install() -> None:
    """Install the compiler into a folder of the user's cache, without what it depends on."""
    FOLDER.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER.parent) as temporary:
        pinned, made = Path(temporary, "requirements.txt"), Path(temporary, "made")
        pinned.write_text(f"cairo-lang=={CAIRO_LANG} --hash=sha256:{SHA256}\n")
        words = ["install", "--quiet", "--no-deps", "--target", str(made), "-r", str(pinned)]
        done = _run([sys.executable, "-m", "pip", "--disable-pip-version-check", *words])
        if done.returncode:
            lines = done.stderr.splitlines()
            reason = next((line for line in lines if "ERROR" in line), "it gave no reason")
            raise CircuitError(
                f"pip could not install cairo-lang {CAIRO_LANG} "
                f"({reason.removeprefix('ERROR: ').rstrip('.')}): connect to a package index, and "
                "run the command again."
            )
        shutil.rmtree(FOLDER, ignore_errors=True)
        made.rename(FOLDER)


def compiled(project: Path, name: str) -> dict[str, Any]:
    """Compile a project; return its program for the virtual machine."""
    with tempfile.TemporaryDirectory() as temporary:
        sierra, casm = Path(temporary, "sierra.json"), Path(temporary, "casm.json")
        contract = ["--contract-path", f"{name}::runner::runner"]
        _compile("starknet-compile", str(project), str(sierra), *contract)
        _compile("starknet-sierra-compile", str(sierra), str(casm))
        program: dict[str, Any] = json.loads(casm.read_text())
        return program


def _compile(program: str, *words: str) -> None:
    done = _run([str(FOLDER / BINARIES / program), *words])
    if done.returncode:
        lines = (done.stderr + done.stdout).splitlines()
        reason = next((line for line in lines if "error" in line or "panicked" in line), "killed")
        raise CircuitError(f"{words[0]} does not compile with Cairo 2.1.0: {reason}.")


def _run(words: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired as error:
        raise CircuitError(f"{words[0]} did not end within {PATIENCE} s.") from error
