"""Audits, as tests make and compare them."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from zk.audit import application, syntax
from zk.audit.findings import Report
from zk.audit.syntax import compiled, parsed
from zk.files import ROOT

PACKAGES = (ROOT / "node_modules").resolve()  # a link, in copies of the project


def named(report: Report) -> list[str]:
    """The names of the findings that are more than notes."""
    return [finding.name for finding in report.wrong]


def planted(source: str, fault: tuple[str, str]) -> str:
    """The source with a fault, an old text and a new one, in it."""
    old, new = fault
    old = old[3:] if old.startswith("re:") else re.escape(old)
    changed, times = re.subn(old, new, source)
    assert times and changed != source, old
    return changed


@contextmanager
def compiled_together(folder: Path, files: list[Path]) -> Iterator[None]:
    """Compile files with one call of solc, which takes two seconds to start.

    Inside the context, audits of these files use this result. No file may import one of another
    subfolder of `folder`.
    """
    index = folder / "All.sol"
    index.write_text("".join(f'import "{file}" as File{i};\n' for i, file in enumerate(files)))

    def together(compiler: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        def of(path: Path, **options: Any) -> dict[str, Any]:
            if path not in files:
                return compiler(path, **options)
            output = compiler(index)
            own = (str(folder / path.relative_to(folder).parts[0]) + "/", str(PACKAGES))
            sources = {
                name: tree for name, tree in output["sources"].items() if name.startswith(own)
            }
            return output | {"sources": sources}

        return of

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(application, "parsed", together(parsed))
        patch.setattr(syntax, "compiled", together(compiled))
        yield
