from typing import Any

import click

from apps.circuits import ARTIFACTS, circuit, sources
from scripts._cli import Command, suggest
from verdict.commands import json_option
from zk.files import ROOT, read_json

WIDTHS = {"circuit": 18, "application": 12, "built": 12, "model": 0}


@click.command(cls=Command)
@json_option
def cli() -> list[dict]:
    """List the circuits: the project's, and those that you built from models of your own.

    \b
    Example:
        ape run circuits
    """
    own = {path.parent.name for path in ARTIFACTS.glob("*/manifest.json")} - set(sources())
    found = [_facts(name) for name in [*sources(), *sorted(own)]]
    heads = dict(zip(WIDTHS, WIDTHS, strict=True))
    for facts in [heads, *found]:
        cells = [f"{facts[head] or '-':<{width}}" for head, width in WIDTHS.items()]
        click.echo("  ".join(cells).rstrip())
    unbuilt = [one["circuit"] for one in found if not one["built"]]
    suggest(f"build --circuit {unbuilt[0]}" if unbuilt else f"deploy --only {found[0]['circuit']}")
    return found


def _facts(name: str) -> dict[str, Any]:
    """Describe a circuit: its application, its size if it is built, the model if it ships."""
    manifest = read_json(ARTIFACTS / name / "manifest.json")
    shipped = circuit(name) if name in sources() else None
    rows = manifest.get("logrows")
    return {
        "circuit": name,
        "application": shipped.application if shipped else manifest.get("application"),
        "built": f"2**{rows} rows" if rows else None,
        "model": str(shipped.model.relative_to(ROOT)) if shipped else None,
    }
