"""Help of every command, the demo, missing tools, and the commands about models and voices."""

import importlib
import json
import os
import re
import shutil
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from ape.exceptions import ApeException
from click.testing import CliRunner

from apps.circuits import sources
from scripts._cli import TRAINING, sentence
from tests.inputs import REAL_VOICE
from tests.typed import ape, new_process, refused
from tests.warm import APE
from verdict.builds import accuracy_in_words
from zk.files import ROOT


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("{'code': -32003, 'message': 'nonce too low'}", "sent another transaction meanwhile"),
        ("insufficient funds for gas * price + value", "cannot pay for this transaction"),
        ("No (supported) node found on 'http://127.0.0.1:8544'.", "which a fork copies"),
        ("{'code': -32000, 'message': 'header not found'}", "header not found"),
        ("anything else", "anything else"),
    ],
)
def test_errors_of_nodes_are_sentences(message, shown):
    assert shown in sentence(ApeException(message))
    assert "{" not in sentence(ApeException(message))


@pytest.mark.parametrize(("error", "worse"), [(0.81, False), (1.0, True), (1.29, True)])
def test_a_judge_worse_than_the_mean_is_called_so(error, worse):
    """As `ape run build` and the demo print it."""
    figures = {kind: {"quantised": error, "float": 0.9} for kind in ("correlation", "error")}
    shown = accuracy_in_words({"samples": 240, "source": "clips"} | figures)
    assert f"{error:.3f} quantised" in shown
    assert ("WORSE than always answering the mean" in shown) == worse


def test_circuits():
    listed = ape(None, "circuits").stdout
    assert re.search(r"clan-lenet +Clan +\S+.* +models/exports/lenet.onnx", listed)
    found = {one["circuit"]: one for one in json.loads(ape(None, "circuits", "--json").stdout)}
    assert set(sources()) <= set(found)
    assert found["voice"]["application"] == "VoiceJudge"


@pytest.mark.parametrize("name", sorted(p.stem for p in (ROOT / "scripts").glob("[a-z]*.py")))
def test_every_command_has_help_with_an_example(name):
    command = importlib.import_module(f"scripts.{name}").cli
    result = CliRunner().invoke(command, ["--help"])
    assert result.exit_code == 0
    assert f"ape run {name}" in result.output.split("Example:")[1]


@pytest.fixture
def untrained(tmp_path) -> dict[str, str]:
    """An environment without the packages of requirements-train.txt."""
    for name in TRAINING:
        (tmp_path / f"{name}.py").write_text(f"raise ModuleNotFoundError({name!r}, name={name!r})")
    return {**os.environ, "PYTHONPATH": str(tmp_path)}


def test_training_names_what_to_install(untrained):
    result = new_process(untrained, str(APE), "run", "train", "swift")
    assert "needs torch, which only training" in refused(result)
    assert "run `make .venv/train`" in refused(result)


@pytest.mark.full  # other tests have each of its steps
def test_demo_tells_both_stories(untrained):
    result = new_process(untrained, str(APE), "run", "demo")
    assert result.returncode == 0, result.stderr
    assert "it fails: the proof is for another account" in result.stdout
    assert re.search(r"15 join, for 7\d,\d{3} gas each", result.stdout)
    assert "is skipped: it has not agreed" in result.stdout
    assert "clan 7 leads with 4 members" in result.stdout
    assert re.search(r"0\. the thief's +succeeds", result.stdout)
    assert "the thief's credit  0 ether" in result.stdout


@pytest.mark.slow
def test_port_taken_by_something_else():
    class Other(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"jsonrpc":"2.0","id":0,"result":"other/1.0"}')

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Other)
    Thread(target=server.serve_forever, daemon=True).start()
    host = f"http://127.0.0.1:{server.server_port}"
    try:
        message = refused(ape(None, "clans", APE_FOUNDRY_HOST=host))
    finally:
        server.shutdown()
    assert f"Port '{server.server_port}' already in use" in message


@pytest.mark.slow
def test_no_anvil():
    assert "make setup" in refused(ape(None, "clans", PATH="/nowhere", APE_FOUNDRY_HOST="auto"))


def test_voices_reports_and_draws(tmp_path):
    picture = str(tmp_path / "voices.png")
    result = ape(None, "voices", "--synthetic", "--out", picture)
    assert "192 clips of 8 speakers: Andrea 24" in result.stdout, result.stderr
    assert "f4* 24" in result.stdout
    assert (tmp_path / "voices.png").stat().st_size > 10_000
    (tmp_path / "OA_bite_neutral.wav").write_text("no audio either")
    shutil.copy(REAL_VOICE, tmp_path / "1001_DFA_ANG_XX.ogg")
    result = ape(None, "voices", "--data", str(tmp_path), "--out", picture)
    assert "1 clips of 1 speakers: 1001 1" in result.stdout, result.stderr
    assert "OA_bite_neutral.wav: " in result.stdout
    for words in ([], ["--data", str(tmp_path / "nothing")]):
        assert "ownload RAVDESS" in refused(ape(None, "voices", *words, VOICE_DATA_DIR=""))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["voice", "--bad"], "--bad applies to digit readers only"),
        (["swift", "--data", "."], "--data applies to voice judges"),
        (["voice", "--data", "nothing"], "nothing"),
        (["nothing"], "'nothing' is not one of"),
    ],
)
def test_train_refuses(words, reason):
    assert reason in refused(ape(None, "train", *words))
