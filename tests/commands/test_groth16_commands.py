"""The second prover on the command line: own models, ceremonies, and both applications."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from apps.circuits import ARTIFACTS, circuit
from tests.builds import beside, built
from tests.tiny import write_model
from tests.typed import all_refused, ape, open_round, refused
from zk.files import ROOT
from zk.groth16.build import CEREMONY
from zk.manifest import Manifest

pytestmark = pytest.mark.slow

BEACON = "0x" + "5c" * 32
ADA = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A circuit of a user's own model, and the words that build it."""
    folder = tmp_path_factory.mktemp("own")
    model = write_model(folder / "m.onnx", matrix=np.array([[0.5, 1], [-2, 0.25], [1, 1]]))
    x = np.random.default_rng(1).integers(-3, 9, (40, 3)).astype(np.float32)
    np.savez(folder / "x.npz", x=x)
    words = ["build", "--onnx", str(model), "--data", str(folder / "x.npz"), "--name", "mine-g"]
    words += ["--prover", "groth16", "--smallest-input", "-3", "--largest-input", "8"]
    yield words
    shutil.rmtree(ARTIFACTS / "mine-g")


def test_own_model_with_a_ceremony(own, tmp_path):
    """From a model to keys that three people made, each command naming the next."""
    result = ape(None, *own)
    assert "inputs from -3 to 8, each checked" in result.stdout, result.stderr
    assert "none: keys for local chains only" in result.stdout
    file = tmp_path / "c.json"
    assert f"contribute {file}" in ape(None, "ceremony", "start", "mine-g", str(file)).stdout
    for name in ("Ada", "Bob", "Eve"):
        made = ape(None, "ceremony", "contribute", str(file), "--name", name)
        assert f"ceremony verify {file}" in made.stdout, made.stderr
    found = ape(None, "ceremony", "verify", str(file), "--json")
    assert json.loads(found.stdout) == {"contributions": 3, "beacon": False}
    assert f"ceremony beacon {file} --value HEX" in found.stderr
    assert "has no beacon yet" in refused(ape(None, "ceremony", "finish", str(file)))
    ape(None, "ceremony", "beacon", str(file), "--value", BEACON)
    finished = ape(None, "ceremony", "finish", str(file))
    assert "--srs insecure-dev" in finished.stdout, finished.stderr
    again = ape(None, *own)
    assert "3 contributions and a beacon" in again.stdout
    manifest = Manifest(ARTIFACTS / "mine-g")
    assert manifest.enough_contributions
    (manifest.folder / CEREMONY).unlink()


def test_unsound_ceremonies_are_named(own, tmp_path):
    assert ape(None, *own).returncode == 0
    file = tmp_path / "c.json"
    ape(None, "ceremony", "start", "mine-g", str(file))
    ape(None, "ceremony", "contribute", str(file), "--name", "Ada")
    content = json.loads(file.read_text())
    content["contributions"][0]["name"] = "Mallory"
    file.write_text(json.dumps(content))
    result = ape(None, "ceremony", "verify", str(file), "--json")
    assert result.returncode == 1
    (problem,) = json.loads(result.stdout)["problems"]
    assert problem == "contribution 0, of Mallory, proves no knowledge of its factor"
    before = (ARTIFACTS / "mine-g" / "manifest.json").read_text()
    ape(None, "ceremony", "beacon", str(file), "--value", BEACON)
    assert "is not sound" in refused(ape(None, "ceremony", "finish", str(file)))
    assert (ARTIFACTS / "mine-g" / "manifest.json").read_text() == before


def test_words_that_do_not_go_together(own, tmp_path, manifest):
    built("clan-groth16")
    damaged = tmp_path / "damaged.json"
    damaged.write_text("{}")
    all_refused(
        None,
        [
            ("is built with ezkl", "ceremony", "start", "clan", str(tmp_path / "c.json")),
            ("exists already", "ceremony", "start", "clan-groth16", str(damaged)),
            ("has not been built", "ceremony", "start", "nothing", str(tmp_path / "d.json")),
            ("is not the file of a ceremony", "ceremony", "verify", str(damaged)),
            ("is not the file of a ceremony", "ceremony", "verify", str(tmp_path / "none")),
            (
                "--prover groth16 goes with --onnx",
                "build",
                "--circuit",
                "clan",
                "--prover",
                "groth16",
            ),
            ("--smallest-input goes with", "build", "--smallest-input", "3"),
            ("--smallest-input goes with", *own[:7], "--smallest-input", "-3"),
            ("--smallest-input goes with", *own[:11]),
        ],
    )


@pytest.fixture
def pair() -> Iterator[Manifest]:
    """The circuit of `clan-groth16` for two accounts, whose keys are made in seconds."""
    single = circuit("clan-groth16")
    args = replace(single.run_args, batch=2)
    with beside(replace(single, name="pair", verifier_name="PairVerifier", run_args=args)) as made:
        yield made


def test_clan_from_deploying_to_an_audit(node, pair, tmp_path):
    built("clan-groth16")
    deployed = ape(node, "deploy", "--only", "clan-groth16", "--batch", "pair")
    assert deployed.returncode == 0, deployed.stderr
    out = str(tmp_path / "p.json")
    words = ("prove", "--circuit", "clan-groth16", "--test-image", "0", "--account", "1")
    proved = ape(node, *words, "--out", out)
    assert "the model reads a 7" in proved.stdout, proved.stderr
    joined = ape(node, "join", out, "--account", "1")
    assert f"{ADA} joined clan 7" in joined.stdout, joined.stderr
    assert "Next: `ape run clans --circuit clan-groth16`." in joined.stdout
    assert "clan 7       1" in ape(node, "clans", "--circuit", "clan-groth16").stdout
    (members := tmp_path / "members.csv").write_text("account,test-image\n2,1\n3,2\n")
    words = ("prove", "--circuit", "clan-groth16", "--batch", str(members), "--yes")
    proved = ape(node, *words)
    (path,) = re.findall(r"proof for 2 accounts: (.+)", proved.stdout)
    joined = ape(node, "join", "--batch", path, "--account", "9")
    Path(path).unlink()
    assert "2 of 2 accounts joined" in joined.stdout, joined.stderr
    assert "Next: `ape run clans --circuit clan-groth16`." in joined.stdout
    assert re.findall(r"joined clan (\d)", joined.stdout) == ["2", "1"]
    audited = ape(node, "audit", "--only", "clan-groth16")
    assert audited.returncode == 0, audited.stdout
    assert "few-contributions" in audited.stdout
    assert "all 660 constraints do to each of 2 inputs what those of clan-groth16" in audited.stdout
    assert audited.stdout.count("forgeries are refused") == 2
    assert "all " in audited.stdout.splitlines()[-1]


@pytest.mark.full  # test_private_page.py has the same story on the page
def test_voice_judge_pays_for_a_score(node, tmp_path):
    """Inputs below 0, an output that is one signed number, and a ReLU."""
    built("voice-groth16")
    assert ape(node, "deploy", "--only", "voice-groth16").returncode == 0
    assert open_round(node, "--circuit", "voice-groth16", "--threshold", "0.2") == 0
    out = str(tmp_path / "p.json")
    clip = str(ROOT / "tests" / "recorded" / "librivox.ogg")
    words = ("prove", "--circuit", "voice-groth16", "--clip", clip, "--account", "1")
    proved = ape(node, *words, "--out", out)
    assert proved.returncode == 0, proved.stderr
    judged = ape(node, "judge", out, "--account", "2")
    assert f"{ADA}" in judged.stdout, judged.stderr
    assert json.loads(Path(out).read_text())["circuit"] == "voice-groth16"
