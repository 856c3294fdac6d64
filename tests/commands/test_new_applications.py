"""Applications of users: `ape run new` writes them into a copy of the project."""

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from eth_abi.abi import encode
from eth_utils import keccak
from onnx import TensorProto, helper

from tests.hubs import ADA, until
from tests.nodes import Node
from tests.tiny import write_model
from tests.typed import ape_in, copy_of_project, refused
from tests.warm import APE, Result
from zk.proof import Proof

pytestmark = pytest.mark.slow
WORDS = np.array(['a "quoted" word', "Ürün", "back\\slash"])
NEW_SLOT = 22_100  # gas of a slot of storage that was zero: what an application keeps
FRAMEWORK = 12_000  # gas that checking the key, the outputs and the rule may take
FEATURES = np.array(["length", "width", "height", "weight"])


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    return copy_of_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def gate(project) -> Result:
    """An application with a threshold, whose proofs are those of Groth16."""
    return new(project, "gate", 1, "--threshold", "1.5", "--prover", "groth16")


def samples(project: Path, scores: int, name: str, **more: np.ndarray) -> tuple[str, ...]:
    """The options for a model with this number of outputs."""
    matrix = np.linspace(0.1, 1, 4 * scores).reshape(4, scores)[:, ::-1]
    model = write_model(project / f"{name}.onnx", matrix=matrix)
    x = np.random.default_rng(1).normal(size=(40, 4)).astype(np.float32)
    x[20] = 1  # the first sample that measures: each command proves it
    np.savez(project / f"{name}.npz", x=x, **more)
    return "--onnx", str(model), "--data", str(project / f"{name}.npz")


def new(project: Path, name: str, scores: int, *words: str, **more: np.ndarray) -> Result:
    return ape_in(project, None, "new", name, *samples(project, scores, name, **more), *words)


def written(project: Path) -> set[str]:
    """The files that git does not know, but for models and samples beside the project."""
    words = ["git", "ls-files", "--others", "--exclude-standard", "--directory"]
    if not (project / ".git").exists():
        for step in (["init", "-q"], ["add", "-A"]):
            subprocess.run(["git", *step], cwd=project, check=True)
    listed = subprocess.run(words, cwd=project, capture_output=True, text=True, check=True)
    return {name for name in listed.stdout.split() if "/" in name}


def gas_to_verify(project: Path, node: Node, circuit: str, path: Path) -> int:
    """The gas of a transaction that gives a proof to its verifier, and nothing else."""
    proof = Proof.load(path)
    record = json.loads((project / "deployments" / node.record.name).read_text())
    given = encode(["bytes", "uint256[]"], [proof.proof, proof.instances])
    data = "0x" + (keccak(text="verifyProof(bytes,uint256[])")[:4] + given).hex()
    call = {"from": ADA, "to": record[circuit]["verifier"], "data": data}
    sent = node.rpc("eth_sendTransaction", call)
    receipt = until(lambda: node.rpc("eth_getTransactionReceipt", sent), "the proof is verified")
    assert receipt["status"] == "0x1"
    return int(receipt["gasUsed"], 16)


def test_from_a_model_to_an_audited_contract(project, node: Node):
    """With six commands, and no line of code."""
    before = written(project)
    names = {"target_names": WORDS, "feature_names": FEATURES}
    result = new(project, "my-badge", 3, "--margin", "0.25", **names)
    assert "the rule is in contracts/MyBadge.sol" in result.stdout, result.stderr
    assert re.search(r"\d+% of the samples fulfil it", result.stdout)
    assert written(project) - before == {
        "apps/my_badge.py",
        "contracts/MyBadge.sol",
        "contracts/interfaces/IMyBadge.sol",
        "models/exports/my-badge.npz",
        "models/exports/my-badge.onnx",
        "tests/chain/test_my_badge.py",
    }
    assert len((project / "contracts/MyBadge.sol").read_text().splitlines()) <= 60
    result = ape_in(project, None, "build", "--circuit", "my-badge")
    assert "application  MyBadge" in result.stdout, result.stderr
    result = ape_in(project, node, "deploy", "--only", "my-badge")
    assert f"MyBadge of my-badge on chain {node.chain_id}: 0x" in result.stdout, result.stderr
    given = ("--circuit", "my-badge", "--sample", "0", "--account", "1")
    proof = str(project / "proof.json")
    result = ape_in(project, node, "prove", *given, "--out", proof)
    assert 'the model chooses a "quoted" word, ahead of Ürün by ' in result.stdout, result.stderr
    assert f"Next: `ape run send {proof}`" in result.stdout
    message = refused(ape_in(project, node, "send", proof, "--account", "2"))
    assert "MyBadge__NotTheAccount" in message
    result = ape_in(project, node, "send", proof)
    assert "Minted: account 0x7099" in result.stdout, result.stderr
    assert ", class 0\n" in result.stdout
    (used,) = re.findall(r"\(([\d,]+) gas\)", result.stdout)
    verifying = gas_to_verify(project, node, "my-badge", Path(proof))
    assert 0 < int(used.replace(",", "")) - verifying - NEW_SLOT <= FRAMEWORK
    message = refused(ape_in(project, node, "send", proof))
    assert "has sent a proof already, and each account sends one" in message
    audit = ("audit", "--only", "my-badge", "--network", "ethereum:local")
    result = ape_in(project, node, *audit)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "the code of MyBadge is compiled from contracts/MyBadge.sol" in result.stdout


def test_threshold(project, gate, node: Node):
    assert "Next: `ape run build --circuit gate`" in gate.stdout, gate.stderr
    result = ape_in(project, None, "build", "--circuit", "gate")
    assert "ceremony     none: keys for local chains only" in result.stdout, result.stderr
    assert ape_in(project, node, "deploy", "--only", "gate").returncode == 0
    (project / "low.json").write_text("[0.1, 0.1, 0.1, 0.1]")
    (project / "high.csv").write_text("\ufeff1;1;1;1,5\n")
    prove = ("prove", "--circuit", "gate", "--account", "1", "--out", str(project / "gate.json"))
    message = refused(ape_in(project, node, *prove, "--input", str(project / "low.json")))
    assert "A score of 0.2" in message
    assert "is too low: Gate asks for 1.5" in message
    result = ape_in(project, node, *prove, "--input", str(project / "high.csv"))
    assert "the score is 2.7" in result.stdout, result.stderr
    send = ("send", str(project / "gate.json"))
    message = refused(ape_in(project, node, *send, "--call", "keyOf"))
    assert "no function 'keyOf' that takes a proof: give one of unlock" in message
    result = ape_in(project, node, *send, "--call", "unlock", "--account", "2", "--json")
    assert json.loads(result.stdout)["account"].startswith("0x7099"), result.stderr
    result = ape_in(project, node, "audit", "--only", "gate", "--network", "ethereum:local")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "the code of Gate is compiled from contracts/Gate.sol" in result.stdout


@pytest.mark.full
@pytest.mark.parametrize(("name", "scores"), [("my-badge", 3), ("gate", 1)])
def test_its_files_are_tested_and_formatted(project, gate, name, scores):
    limit = "--margin" if scores > 1 else "--threshold"
    new(project, name, scores, limit, "0.25")  # or an earlier test did
    module = name.replace("-", "_")
    sources = [f"apps/{module}.py", f"tests/chain/test_{module}.py"]
    contract = "MyBadge" if name == "my-badge" else "Gate"
    contracts = [f"contracts/{contract}.sol", f"contracts/interfaces/I{contract}.sol"]
    for words in (
        ["ruff", "check", "--no-cache", *sources],
        ["ruff", "format", "--no-cache", "--check", *sources],
        ["forge", "fmt", "--check", *contracts],
        ["ape", "test", sources[1], "-q", "-p", "no:cacheprovider"],
    ):
        program = APE.with_name(words[0])
        result = subprocess.run(
            [program, *words[1:]], cwd=project, capture_output=True, text=True, timeout=300
        )
        assert result.returncode == 0, result.stdout + result.stderr


def test_without_its_files_it_is_gone(project):
    result = new(project, "shortlived", 2, "--margin", "0", "--json")
    for path in json.loads(result.stdout)["files"]:
        Path(path).unlink()
    assert "shortlived" not in ape_in(project, None, "circuits").stdout


@pytest.mark.parametrize(
    ("name", "scores", "words", "reason"),
    [
        ("clan", 2, (), "There is an application Clan already"),
        ("clan_batch", 2, (), "'clan_batch' cannot name an application"),
        ("voicejudge", 2, (), "There is an application VoiceJudge already"),
        ("../up", 2, (), "'../up' cannot name an application"),
        ("Upper", 2, (), "'Upper' cannot name an application"),
        ("registry", 2, ("--margin", "0"), "apps/registry.py exists already"),
        ("fresh", 1, ("--margin", "1"), "has 1 outputs: argmax, with --margin, is for two"),
        ("fresh", 2, ("--threshold", "1"), "has 2 outputs: argmax, with --margin, is for two"),
        ("fresh", 2, ("--rule", "threshold"), "has 2 outputs: argmax, with --margin, is"),
        ("fresh", 2, ("--margin", "-1"), "The margin -1 is negative"),
        ("fresh", 2, ("--margin", "much"), "'much' is not a number"),
        ("fresh", 1, ("--threshold", "NaN"), "is not a number between -1e18 and 1e18"),
        ("fresh", 1, ("--threshold", "1e-19"), "is not a number between -1e18 and 1e18"),
        ("fresh", 2, ("--margin", "1000"), "No sample fulfils the rule: the largest lead is "),
        ("fresh", 1, ("--threshold", "1000"), "No sample fulfils the rule: the largest score is "),
        ("fresh", 1, ("--threshold", "1e18"), "is not a number between -1e18 and 1e18"),
        ("fresh", 1, ("--prover", "groth16", "--issuer", ADA), "Groth16 has no attested inputs"),
    ],
)
def test_new_refuses(project, gate, name, scores, words, reason):
    before = written(project)
    given = samples(project, scores, "given")
    assert reason in refused(ape_in(project, None, "new", name, *given, *words))
    assert written(project) == before


def test_new_refuses_operators_that_have_no_constraints(project, gate):
    given = samples(project, 2, "given")
    write_model(project / "given.onnx", operator="Sigmoid")
    np.savez(project / "given.npz", x=np.ones((4, 4)))
    message = refused(ape_in(project, None, "new", "fresh", *given, "--prover", "groth16"))
    assert "The Sigmoid 'scores' has no form as rank-one constraints here" in message
    assert not (project / "apps" / "fresh.py").exists()


def test_new_refuses_names_that_do_not_fit(project, gate):
    for more, reason in (
        ({"target_names": WORDS}, "target_names of the samples holds 3 names: give 2 printable"),
        ({"feature_names": WORDS}, "feature_names of the samples holds 3 names: give 4 printable"),
        (
            {"target_names": np.array(["one", "line\nbreak"])},
            "holds 2 names: give 2 printable ones",
        ),
        ({"x": np.ones((4, 3))}, "takes one or more samples of shape (1, 4)"),
    ):
        given = samples(project, 2, "given")
        np.savez(project / "given.npz", **({"x": np.ones((4, 4))} | more))
        assert reason in refused(ape_in(project, None, "new", "fresh", *given))
    assert not (project / "apps" / "fresh.py").exists()


def test_a_circuit_of_its_own_needs_an_application(project, gate, node: Node):
    """`build --onnx` makes circuits that an existing application can take."""
    given = (*samples(project, 1, "mine"), "--name", "mine")
    choices = "'Tribe' is not one of 'Clan', 'Gate', 'MyBadge', 'VoiceJudge'"
    new(project, "my-badge", 3, "--margin", "0.25")
    assert choices in refused(ape_in(project, None, "build", *given, "--app", "Tribe"))
    result = ape_in(project, None, "build", *given)
    assert "--name mine --app APPLICATION`" in result.stdout, result.stderr
    message = refused(ape_in(project, node, "deploy", "--only", "mine"))
    assert "mine was built without an application: build it again with" in message
    result = ape_in(project, None, "build", *given, "--app", "Gate")
    assert "mine is up to date" in result.stdout, result.stderr
    result = ape_in(project, node, "deploy", "--only", "mine")
    assert f"Gate of mine on chain {node.chain_id}: 0x" in result.stdout, result.stderr


def test_wrong_number_of_outputs_is_refused_before_building(project, gate):
    given = (*samples(project, 3, "wide"), "--name", "wide", "--app", "Gate")
    message = refused(ape_in(project, None, "build", *given))
    assert "wide has 3 outputs, but Gate takes 1" in message
    assert not (project / "artifacts" / "wide").exists()


def test_manifest_of_an_earlier_version(project, gate):
    """It names no application; the next build records it in seconds."""
    given = (*samples(project, 1, "older"), "--name", "older", "--app", "Gate")
    assert ape_in(project, None, "build", *given).returncode == 0
    path = project / "artifacts" / "older" / "manifest.json"
    content = json.loads(path.read_text())
    del content["application"]
    path.write_text(json.dumps(content))
    message = refused(ape_in(project, None, "deploy", "--only", "older"))
    assert "older was built by an older version of Verdict: run `ape run build" in message
    assert "older is up to date" in ape_in(project, None, "build", *given).stdout
    assert json.loads(path.read_text())["application"] == "Gate"


def test_a_model_with_a_label_and_scores(project):
    """As scikit-learn's exporter writes a classifier. The scores are proved."""
    line = {"coefficients": np.linspace(-1, 1, 12).tolist(), "intercepts": [0.0, 0.5, 1.0]}
    domain = "ai.onnx.ml"
    outputs = ["label", "scores"]
    node = helper.make_node(
        "LinearClassifier", ["x"], outputs, domain=domain, classlabels_ints=[0, 1, 2], **line
    )
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, 3]),
        ],
    )
    imports = [helper.make_opsetid("", 18), helper.make_opsetid(domain, 1)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=9), project / "l.onnx")
    x = np.random.default_rng(1).normal(size=(40, 4)).astype(np.float32)
    np.savez(project / "l.npz", x=x, labels=np.zeros((40, 1)))
    given = ("--onnx", str(project / "l.onnx"), "--data", str(project / "l.npz"))
    result = ape_in(project, None, "new", "linear", *given, "--margin", "0")
    assert "the model's output scores has 3 numbers" in result.stdout, result.stderr
    result = ape_in(project, None, "build", "--circuit", "linear")
    assert "application  Linear" in result.stdout, result.stderr
    message = refused(ape_in(project, None, "new", "other", *given, "--output", "label"))
    assert "has 2 outputs, of float32: scores. Choose one of these with --output" in message
