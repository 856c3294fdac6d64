"""The automatic modeller and the notebook's server as people start them, and their page."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import psutil
import pytest
import requests
from click.testing import CliRunner

from chain.network import free_port
from modellers.archives import MODELS
from modellers.server import ATTEMPTS
from tests.hubs import line_of, until
from tests.typed import ape
from verdict.builds import fetched
from zk.errors import CircuitError
from zk.files import ROOT

NETWORK = "dense-25"
KILLS = ATTEMPTS - 1  # of a training
SHOTS = ROOT / "out" / "screenshots"
NAMES = [f"{NETWORK}.onnx", f"{NETWORK}-bad.onnx", "calibration.npz"]
# A modeller of a small network, at the given port.
SERVER = """
import asyncio, sys
from pathlib import Path
from chain.network import listen
from modellers.server import Modeller, serve
folder, port, *words = sys.argv[1:]
door = listen("127.0.0.1", int(port), "The modeller")
modeller = Modeller(Path(folder), ["--network", "dense-25", *words])
asyncio.run(serve(modeller, door, ["127.0.0.1"], lambda line: print(line, flush=True)))
"""


def answers(process: subprocess.Popen, url: str) -> bool:
    assert process.poll() is None
    with suppress(requests.RequestException):
        return requests.get(url, timeout=5).ok
    return False


@contextmanager
def modeller(folder: Path, *words: str) -> Iterator[tuple[str, psutil.Process]]:
    """A modeller's URL and process."""
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(folder), str(port), *words], cwd=ROOT
    ) as process:
        url = f"http://127.0.0.1:{port}"
        until(partial(answers, process, f"{url}/healthz"), f"the modeller at {url} answers")
        try:
            yield url, psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(30)


def states(url: str) -> Iterator[dict]:
    """The states that a modeller reports, until its work is over."""
    with requests.get(f"{url}/events", stream=True, timeout=90) as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        for line in stream.iter_lines(decode_unicode=True):
            if line.startswith("data: "):
                yield (state := json.loads(line.removeprefix("data: ")))
                if state["state"] != "working":
                    return


def state_of(url: str) -> str:
    return requests.get(f"{url}/healthz", timeout=5).json()["state"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("modeller")


@pytest.fixture(scope="module")
def served(folder) -> Iterator[tuple[str, list[dict]]]:
    """A modeller that has trained, and the states that it reported on its way."""
    with modeller(folder, "--epochs", "2") as (url, _):
        yield url, list(states(url))


@pytest.mark.slow
def test_progress(served):
    reported = [state for state in served[1] if state["state"] == "working"]
    epochs = [
        (state["doing"], state["epoch"]) for state in reported if state.get("accuracy") is not None
    ]
    assert epochs == [
        (f"training {NETWORK}", 1),
        (f"training {NETWORK}", 2),
        (f"training {NETWORK}-bad", 1),
    ]
    assert all(state["files"] == [] for state in reported)
    assert served[1][-1]["state"] == "ready"


@pytest.mark.slow
def test_files_and_their_hashes(served):
    url, reported = served
    listed = requests.get(f"{url}/files", timeout=5).json()
    assert listed == reported[-1]["files"]
    assert [file["name"] for file in listed] == NAMES
    for file in listed:
        content = requests.get(f"{url}/files/{file['name']}", timeout=5).content
        assert len(content) == file["bytes"]
        assert hashlib.sha256(content).hexdigest() == file["sha256"]


@pytest.mark.slow
def test_download_resumes_on_the_same_file_only(served):
    url = f"{served[0]}/files/{NAMES[0]}"
    whole = requests.get(url, timeout=5)
    tag = whole.headers["ETag"]
    rest = requests.get(url, headers={"Range": "bytes=100-", "If-Range": tag}, timeout=5)
    assert (rest.status_code, rest.content) == (206, whole.content[100:])
    other = requests.get(url, headers={"Range": "bytes=100-", "If-Range": '"other"'}, timeout=5)
    assert (other.status_code, other.content) == (200, whole.content)


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", ["/files/index.json", "/files/..%2f..%2fetc%2fpasswd", "/files/.lock", "/../server.py"]
)
def test_other_files_are_not_served(served, path):
    assert requests.get(served[0] + path, timeout=5).status_code == 404


@pytest.mark.slow
def test_page_keeps_to_itself(served):
    """Its policy, and no answer to a name that somebody points at this machine."""
    page = requests.get(served[0], timeout=5)
    assert page.ok and "<title>Verdict modeller</title>" in page.text
    assert page.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    rebound = requests.get(served[0], headers={"Host": "evil.example"}, timeout=5)
    assert rebound.status_code == 400


@pytest.mark.slow
def test_page_lists_the_files(served, browser):
    def read(chromium):
        page = chromium.new_page()
        page.goto(served[0])
        page.wait_for_selector("#files tbody tr:nth-child(3)")
        shown = (
            page.locator("#state").inner_text(),
            page.locator("#files tbody tr").all_inner_texts(),
            page.locator("#command").inner_text(),
        )
        SHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SHOTS / "modeller.png", full_page=True)
        page.close()
        return shown

    state, rows, command = browser(read)
    assert state == "The files are ready."
    files = served[1][-1]["files"]
    for row, file in zip(rows, files, strict=True):
        assert row.startswith(file["name"]) and row.endswith(file["sha256"])
        assert f"{file['bytes']:,}" in row
    assert f"--onnx '{served[0]}/files/{NAMES[0]}#sha256={files[0]['sha256']}'" in command
    assert f"--data '{served[0]}/files/{NAMES[2]}#sha256={files[2]['sha256']}'" in command


def replaced(process: psutil.Process, child: int) -> bool:
    """Return whether another child of the process has replaced this one."""
    return any(one.pid != child for one in process.children())


@pytest.mark.full
def test_killed_training_starts_anew(folder, served, tmp_path):
    """No file is served before all are complete; the result is that of a whole training."""
    with modeller(tmp_path, "--epochs", "2") as (url, process):
        kills, last = 0, {}
        for state in states(url):
            last = state
            assert (state["files"] != []) == (state["state"] == "ready")
            if state.get("epoch") == 1 and kills < KILLS:
                (training,) = process.children()
                training.kill()
                kills += 1
                until(partial(replaced, process, training.pid), "another training takes its place")
        assert last["state"] == "ready"
        for file, other in zip(last["files"], served[1][-1]["files"], strict=True):
            assert file["name"] == other["name"]
            assert file["accuracy"] == pytest.approx(other["accuracy"], abs=0.01)
    assert kills == KILLS


@pytest.mark.full
def test_training_that_is_killed_each_time(tmp_path):
    with modeller(tmp_path) as (url, process):
        problems = []
        for state in states(url):
            if "problem" in state:
                problems.append(state["problem"])
            elif state.get("epoch") == 0:
                for child in process.children():
                    child.kill()
        assert problems == ["The training was killed by SIGKILL: it starts anew."] * (
            ATTEMPTS - 1
        ) + ["The training was killed by SIGKILL: start the modeller again."]
        assert state_of(url) == "failed"
        assert requests.get(f"{url}/files", timeout=5).json() == []


@pytest.mark.slow
def test_cache_that_is_refused_is_a_sentence(tmp_path):
    (tmp_path / MODELS).write_text("not an archive")
    with modeller(tmp_path) as (url, _):
        *_, last = states(url)
    assert last["state"] == "failed"
    assert str(tmp_path / MODELS) in last["problem"] and "it is damaged" in last["problem"]


@pytest.mark.slow
def test_build_from_urls(served, tmp_path):
    """The hash in a URL decides; a file that has it is not downloaded again."""
    file = served[1][-1]["files"][0]
    url = f"{served[0]}/files/{file['name']}"
    path = fetched(f"{url}#sha256={file['sha256']}")
    assert path.name == file["name"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == file["sha256"]
    with pytest.raises(CircuitError, match=r"should have the SHA-256 0000.*, but had"):
        fetched(f"{url}#sha256={'0' * 64}")
    with pytest.raises(CircuitError, match=r"has no hash: append #sha256=HASH"):
        fetched(url)
    with pytest.raises(CircuitError, match="could not be downloaded"):
        fetched(f"http://127.0.0.1:9/x.onnx#sha256={'1' * 64}")


@pytest.mark.slow
def test_build_command_takes_urls(served):
    """The command of the page, with a hash that is wrong: nothing is built."""
    url = f"{served[0]}/files/{NAMES[0]}#sha256={'0' * 64}"
    done = ape(None, "build", "--onnx", url, "--data", url, "--name", "mnist")
    assert done.returncode == 1
    assert "should have the SHA-256 000" in done.stderr
    assert not (ROOT / "artifacts" / "mnist").exists()


@pytest.mark.slow
def test_taken_port(monkeypatch):
    from scripts import modellers

    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(modellers, "NOTEBOOK", taken.getsockname()[1])
        monkeypatch.setattr(modellers, "AUTO", free_port())
        result = CliRunner().invoke(modellers.cli, [])
    assert result.exit_code == 1
    assert "The modeller 'notebook' cannot listen at 127.0.0.1" in result.output
    assert "Address already in use" in result.output


@pytest.mark.slow
def test_both_modellers_start_and_stop(folder, tmp_path):
    """`ape run modellers`: JupyterLab asks for its token, and SIGTERM ends all processes."""
    ports = {"AUTO": free_port(), "NOTEBOOK": free_port()}
    setup = "; ".join(f"modellers.{name} = {port}" for name, port in ports.items())
    program = f"from scripts import modellers; {setup}; modellers.cli()"
    with (
        (tmp_path / "log").open("w+") as log,
        subprocess.Popen(
            [sys.executable, "-c", program, "--folder", str(tmp_path / "work")],
            cwd=ROOT,
            stdout=log,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        ) as process,
        ExitStack() as stack,
    ):
        stack.callback(process.terminate)  # also where an assertion fails
        lab = f"http://127.0.0.1:{ports['NOTEBOOK']}"
        until(partial(answers, process, f"{lab}/api"), "JupyterLab answers")
        url = next(
            line.removeprefix("notebook: open ").strip()
            for line in (tmp_path / "log").read_text().splitlines()
            if line.startswith("notebook: open ")
        )
        assert requests.get(f"{lab}/api/contents", timeout=9).status_code == 403
        token = url.partition("token=")[2]
        headers = {"Authorization": f"token {token}"}
        found = requests.get(
            f"{lab}/api/contents/notebooks/mnist.ipynb", headers=headers, timeout=9
        )
        assert found.json()["content"]["cells"][0]["source"].startswith("# A good model")
        assert requests.get(f"http://127.0.0.1:{ports['AUTO']}/healthz", timeout=5).ok
        below = psutil.Process(process.pid).children(recursive=True)
        assert len(below) >= 2
        (jupyter,) = (one for one in below if "jupyterlab" in line_of(one))
        assert os.getpgid(jupyter.pid) == jupyter.pid  # Ctrl-C in a terminal signals a group
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        _, alive = psutil.wait_procs(below, timeout=20)
        assert not alive
