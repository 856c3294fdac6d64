"""The modeller in a notebook: a JupyterLab whose first page is `notebooks/mnist.ipynb`."""

import os
import secrets
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from zk.files import ROOT, write_whole

SOURCE = ROOT / "notebooks" / "mnist.py"  # in git; the notebook is made of it
NOTEBOOK = "notebooks/mnist.ipynb"
# JupyterLab would otherwise ask the internet for news and new versions.
QUIET = (
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.news_url=None",
    "--ServerApp.log_level=WARN",
)


@dataclass
class Lab:
    """A running JupyterLab."""

    process: subprocess.Popen[bytes]
    url: str

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def write_notebook(path: Path) -> None:
    """Make the notebook of its source if it is missing or older."""
    import jupytext

    if not path.is_file() or path.stat().st_mtime < SOURCE.stat().st_mtime:
        write_whole(path, jupytext.writes(jupytext.read(SOURCE), fmt="ipynb"))


def start(host: str, port: int) -> Lab:
    """Start a JupyterLab that only the token in its URL opens: it can run any code."""
    write_notebook(ROOT / NOTEBOOK)
    # In the environment, where other users of this machine cannot read it.
    token = os.environ.get("JUPYTER_TOKEN") or secrets.token_urlsafe(24)
    words = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", *QUIET),
        *(f"--ServerApp.ip={host}", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"),
        *(f"--ServerApp.root_dir={ROOT}", f"--LabApp.default_url=/lab/tree/{NOTEBOOK}"),
        *(["--allow-root"] if os.getuid() == 0 else []),
    ]
    process = subprocess.Popen(
        words,
        cwd=ROOT,
        env={**os.environ, "JUPYTER_TOKEN": token},
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C reaches it through `stop`
    )
    shown = "127.0.0.1" if host == "0.0.0.0" else host
    return Lab(process, f"http://{shown}:{port}/lab/tree/{NOTEBOOK}?token={token}")
