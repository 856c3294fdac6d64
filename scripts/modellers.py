import asyncio
import signal
from importlib.util import find_spec
from pathlib import Path

import click

from chain.network import listen
from hub import LOOPBACK
from modellers import jupyter
from scripts._cli import Command
from zk.errors import CircuitError
from zk.files import ROOT

FOLDER = ROOT / ".modellers"
AUTO, NOTEBOOK = 8081, 8888  # ports


@click.command(cls=Command)
@click.option("--only", type=click.Choice(["auto", "notebook"]), help="Default: both.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--folder",
    default=FOLDER,
    type=click.Path(path_type=Path, file_okay=False),
    help="Caches and exports of the automatic modeller. Default: .modellers/.",
)
def cli(only: str | None, host: str, folder: Path) -> None:
    """Train digit readers in a notebook (port 8888), and automatically (port 8081).

    \b
    Example:
        ape run modellers
        ape run modellers --only auto --host 0.0.0.0 --folder caches
    """
    if not find_spec("jupyterlab"):
        raise CircuitError("The modellers' packages are not installed: run `make modellers`.")
    # SIGTERM ends like Ctrl-C, which stops JupyterLab, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    doors = {
        name: listen(host, port, f"The modeller {name!r}")
        for name, port in (("auto", AUTO), ("notebook", NOTEBOOK))
        if only in (None, name)
    }
    lab = None
    if notebook := doors.pop("notebook", None):
        notebook.close()  # it was free: JupyterLab opens it itself
        lab = jupyter.start(host, NOTEBOOK)
        click.echo(f"notebook: open {lab.url}")
    try:
        if auto := doors.get("auto"):
            _serve(auto, folder, host)
        elif lab and lab.process.wait():
            raise CircuitError("JupyterLab ended: its reason is above.")
    finally:
        if lab:
            lab.stop()


def _serve(door, folder: Path, host: str) -> None:
    from modellers.server import Modeller, serve

    hosts = [*LOOPBACK, "[::1]"] if host in LOOPBACK else ["*"]
    click.echo(f"automatic modeller: open http://127.0.0.1:{AUTO}, and stop with Ctrl-C")
    asyncio.run(serve(Modeller(folder.resolve(), []), door, hosts, click.echo))
