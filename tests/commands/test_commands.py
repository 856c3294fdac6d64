"""The commands as people type them, against a node of their own."""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from click.testing import CliRunner
from web3 import HTTPProvider, Web3

from apps.circuits import RUN_ARGS
from apps.voice import exactly
from chain.contracts import deploy, runtime_sha256
from chain.network import free_port
from tests.inputs import REAL_VOICE
from tests.nodes import own_node, start_anvil
from tests.tiny import write_model
from zk.circuit import RunArgs
from zk.errors import CircuitError
from zk.files import ROOT
from zk.manifest import Manifest
from zk.proof import Proof, prove, verify

CHAIN_ID = 1337  # keeps the record of 31337, which is the user's, as it is
APE = Path(sys.executable).with_name("ape")


def run(*words: str | Path, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        words,
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


def ape(*words: str, **environment: str) -> subprocess.CompletedProcess:
    return run(APE, "run", *words, **environment)


def ape_on(folder: Path, disk: str, *words: str, **environment: str) -> subprocess.CompletedProcess:
    """A command that finds another disk at a folder; nobody else sees that disk."""
    mount = f'mount -t tmpfs -o {disk} none "$0" && exec "$@"'
    alone = ("unshare", "--map-root-user", "--mount", "sh", "-c", mount, folder)
    return run(*alone, APE, "run", *words, **environment)


def refused(result: subprocess.CompletedProcess) -> str:
    """The one sentence of a command that failed in a foreseeable way."""
    assert result.returncode != 0, result.stdout
    assert "Traceback" not in result.stderr + result.stdout
    return result.stderr.strip().splitlines()[-1]


def all_refused(cases, node: dict[str, str]) -> None:
    """Each case is a reason, then the words of a command that is refused for it."""
    with ThreadPoolExecutor(2) as pool:
        results = pool.map(lambda case: refused(ape(*case[1:], **node)), cases)
        for case, message in zip(cases, results, strict=True):
            assert case[0] in message


@pytest.fixture(scope="module")
def node(manifest, voice_manifest):
    with own_node(CHAIN_ID) as reached:
        yield reached


def test_deploy_prove_join_clans(node, tmp_path, manifest):
    # Before anything is deployed, every command says so.
    deploy = "run `ape run deploy"
    prove_first = ("prove", "--test-image", "0", "--account", "1")
    all_refused([(deploy, "clans"), (deploy, "rounds"), (deploy, *prove_first)], node)

    result = ape("deploy", "--network", "ethereum:local", **node)
    assert result.returncode == 0, result.stderr
    entry = json.loads((ROOT / "deployments" / f"{CHAIN_ID}.json").read_text())["clan"]
    assert entry["contract"] in result.stdout
    assert entry["srs"]["kind"] == "insecure-dev"
    assert entry["vk_sha256"] == manifest["files"]["vk"]["sha256"]

    # A second deployment leaves the first as it is.
    assert "stands on chain 1337 already" in ape("deploy", **node).stdout

    proof = tmp_path / "proof.json"
    result = ape("prove", "--test-image", "0", "--account", "1", "--out", str(proof), **node)
    assert "the model reads a 7" in result.stdout

    # The failures come first, while the account is still free to join.
    content = json.loads(proof.read_text())
    cases = []
    for reason, damage in (
        ("not a proof file", {"proof": "hello"}),
        ("not a proof file", {"instances": "hello"}),
        ("not a proof file", {"circuit": "../../elsewhere"}),
        ("not a proof file", {"circuit": 5}),
        ("not a proof file", {"instances": [*content["instances"][:-1], "-0x1"]}),
        ("not a proof file", {"instances": [*content["instances"][:-1], "0x1" + "0" * 64]}),
        ("refuses: BoundApplication__InvalidProof", {"proof": content["proof"][:-2] + "00"}),
        ("refuses: BoundApplication__WrongInstanceCount", {"instances": content["instances"][:-1]}),
        ("has no deployment of nothing", {"circuit": "nothing"}),
    ):
        spoilt = tmp_path / f"spoilt-{len(cases)}.json"
        spoilt.write_text(json.dumps({**content, **damage}))
        cases.append((reason, "join", str(spoilt)))
    all_refused(cases, node)

    result = ape("join", str(proof), "--account", "2", **node)
    assert "joined clan 7, relayed by" in result.stdout, result.stderr
    assert "is in clan 7 already" in refused(ape("join", str(proof), **node))
    result = ape("clans", **node)
    assert "clan 7       1  █" in result.stdout
    assert "clan 7 leads with 1 member" in result.stdout

    # A contract of another build, a damaged record, and another contract.
    record = ROOT / "deployments" / f"{CHAIN_ID}.json"
    record.write_text(json.dumps({"clan": {**entry, "vk_sha256": "other"}}))
    assert "deployed from another build of clan" in refused(ape(*prove_first, **node))
    record.write_text("{")
    assert "is damaged" in refused(ape("clans", **node))
    record.unlink()
    assert ape("deploy", "--only", "clan", **node).returncode == 0
    assert "made for another chain or contract" in refused(ape("join", str(proof), **node))


FULL, READ_ONLY = "the disk is full; free some space", "read-only disk; make that writable"


@pytest.mark.parametrize("disk, why", [("size=64k", FULL), ("size=2m", FULL), ("ro", READ_ONLY)])
def test_build_without_room(manifest, disk, why):
    message = refused(ape_on(ROOT / "artifacts", disk, "build"))
    assert why in message
    assert Manifest(manifest.folder).content == manifest.content


@pytest.mark.parametrize("disk, why", [("nr_inodes=1", FULL), ("ro", READ_ONLY)])
def test_deploy_without_room(node, disk, why):
    """Nothing is sent that could not be noted."""
    record = ROOT / "deployments"
    record.mkdir(exist_ok=True)
    chain = Web3(HTTPProvider(node["APE_FOUNDRY_HOST"]))
    before = chain.eth.block_number
    assert why in refused(ape_on(record, disk, "deploy", **node))
    assert chain.eth.block_number == before


def test_prove_without_room(node, tmp_path):
    assert ape("deploy", "--only", "clan", **node).returncode == 0
    out = tmp_path / "proofs" / "proof.json"
    out.parent.mkdir()
    prove = ("prove", "--test-image", "0", "--account", "1", "--out", str(out))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    node = {**node, "TMPDIR": str(temporary)}
    for folder, disk, why in (
        (out.parent, "size=4k", FULL),
        (out.parent, "ro", READ_ONLY),
        (temporary, "size=16k", FULL),
    ):
        assert why in refused(ape_on(folder, disk, *prove, **node))


def test_open_round_prove_judge_rounds_withdraw(node, tmp_path, scores):
    """The singer has account 1, the sponsor 0, the relayer 2. The song is the real voice."""
    walk = (ROOT / "README.md").read_text().split("anvil &")[1]
    threshold = re.search(r"open-round --threshold (\S+)", walk)[1]  # for the same song
    assert scores[0] >= Decimal(threshold) * 10**18
    song, proof = str(REAL_VOICE), tmp_path / "proof.json"
    sing = ["prove", "--circuit", "voice", "--clip", song, "--account", "1", "--out", str(proof)]
    assert ape("deploy", "--only", "voice", **node).returncode == 0
    assert "no round has been opened" in ape("rounds", **node).stdout
    assert "ape run open-round" in refused(ape(*sing, **node))

    offer = ["open-round", "--reward", "0.01", "--rewards", "2"]
    low = [*offer, "--threshold", "0.1"]
    all_refused(
        [
            ("VoiceJudge__ThresholdTooHigh", *offer, "--threshold", "1.1"),
            ("'high' is no decimal number", *offer, "--threshold", "high"),
            ("'1e999999' is no decimal", *offer, "--threshold", "1e999999"),
            ("'nan' is no decimal", *offer, "--threshold", "nan"),
            ("is not in the range", *low, "--hours", "0"),
            ("VoiceJudge__BrokenRewards", *low, "--reward", "0"),
            ("at most 18 decimals", *low, "--reward", "0.0000000000000000001"),
            ("'-1' is no decimal", *low, "--reward", "-1"),
        ],
        node,
    )
    result = ape(*offer, "--threshold", "0.9999", **node)
    assert "round 0 is open until" in result.stdout, result.stderr
    result = ape(*offer, "--threshold", exactly(scores[0]), "--hours", "1", **node)
    assert "round 1 is open until" in result.stdout, result.stderr

    result = ape(*sing, "--round", "0", **node)
    written = f"{scores[0] / 10**18:.4f}"
    assert f"the judge's score is {written}; round 0 pays 0.01 ether for 0.9999" in result.stdout
    assert f"A score of {exactly(scores[0])} will not pass: round 0 asks for 0.9999" in refused(
        result
    )
    assert "There is no round 2" in refused(ape(*sing, "--round", "2", **node))
    assert not proof.exists()
    result = ape(*sing, **node)
    assert result.returncode == 0, result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["proof.json"]
    result = ape(*sing, "--keep", **node)
    assert result.returncode == 0, result.stderr
    for name in ("librivox.private.png", "proof.private.json"):
        assert str(tmp_path / name) in result.stdout
        assert (tmp_path / name).stat().st_size > 1000
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600

    content = json.loads(proof.read_text())
    cases = [("is not deployed as a Clan", "join", str(proof))]
    for reason, damage in (
        ("refuses: BoundApplication__InvalidProof", {"proof": content["proof"][:-2] + "00"}),
        ("refuses: BoundApplication__WrongInstanceCount", {"instances": content["instances"][:-1]}),
        (
            "made for no round",
            {"instances": [*content["instances"][:9], "0x00", content["instances"][10]]},
        ),
    ):
        spoilt = tmp_path / f"spoilt-{len(cases)}.json"
        spoilt.write_text(json.dumps({**content, **damage}))
        cases.append((reason, "judge", str(spoilt)))
    all_refused(cases, node)

    result = ape("judge", str(proof), "--account", "2", **node)
    assert f"scored {written} in round 1 and has a credit of 0.01 ether" in result.stdout
    assert "relayed by" in result.stdout
    assert "has earned the reward of round 1 already" in refused(ape("judge", str(proof), **node))
    result = ape("rounds", **node)
    assert re.search(rf"1 +{written} +0\.01 +1 .* UTC +{written} 0x7099", result.stdout)

    assert "owes" in refused(ape("withdraw", "--account", "2", **node))
    result = ape("withdraw", "--account", "1", **node)
    assert "0.01 ether for 0x7099" in result.stdout
    withdraw = ["withdraw", "--round", "1"]
    all_refused(
        [
            ("VoiceJudge__NotTheSponsor", *withdraw, "--account", "1"),
            ("VoiceJudge__RoundNotOver", *withdraw),
            ("VoiceJudge__NoSuchRound", "withdraw", "--round", "9"),
        ],
        node,
    )
    rpc(node, "evm_increaseTime", 3700)
    rpc(node, "evm_mine")
    assert "Round 1 is over" in refused(ape(*sing, **node))
    assert "0.01 ether for 0xf39F" in ape(*withdraw, **node).stdout
    assert "(over)" in ape("rounds", **node).stdout


def test_round_that_never_ends_is_shown(node, accounts):
    """Anybody may open a round, also one whose deadline no calendar has."""
    assert ape("deploy", "--only", "voice", **node).returncode == 0
    entry = json.loads((ROOT / "deployments" / f"{CHAIN_ID}.json").read_text())["voice"]
    from eth_abi import encode
    from eth_utils import keccak

    selector = keccak(text="openRound(uint256,uint256,uint64)")[:4]
    data = selector + encode(["uint256", "uint256", "uint64"], [0, 1, 2**64 - 1])
    sent = {"from": accounts[0].address, "to": entry["contract"], "data": "0x" + data.hex()}
    rpc(node, "eth_sendTransaction", {**sent, "value": "0x1"})
    result = ape("rounds", **node)
    assert result.returncode == 0
    assert "0.000000000000000001" in result.stdout
    assert "after the year 9999" in result.stdout


def test_demo_tells_both_stories():
    result = ape("demo")
    assert result.returncode == 0, result.stderr
    assert "clan 7 leads with 2 members" in result.stdout
    assert re.search(r"0\. the thief's +succeeds", result.stdout)
    assert "the thief's credit  0 ether" in result.stdout


def test_prove_a_batch(node, tmp_path):
    assert ape("deploy", "--only", "clan", **node).returncode == 0
    batch = tmp_path / "members.csv"
    batch.write_text("account,test-image\n3,1\n4,2\n5,3\n6,4\n")
    result = ape("prove", "--batch", str(batch), **node)
    assert result.returncode == 0, result.stderr
    proofs = [Path(path) for path in re.findall(r"proof for \w+: (.+)", result.stdout)]
    try:
        assert [proof.parent for proof in proofs] == [ROOT / "proofs"] * 4
        for proof, clan in zip(proofs[::3], (2, 4), strict=True):
            assert f"joined clan {clan}" in ape("join", str(proof), **node).stdout
    finally:
        for proof in proofs:
            proof.unlink()


def test_prove_refuses_a_bad_batch(node, tmp_path):
    cases = [
        ("cannot be read as a .csv file", None),
        ("has no line below its head", "account,test-image\n"),
        ("Line 2 of", "account,test-image\n,0\n"),
        ("Line 3 of", "account,test-image,image\n1,0,\n2,0,x.png\n"),
        ("Line 2 of", "account,picture\n1,0\n"),
        ("has test-image '10000'", "account,test-image\n1,10000\n"),
        ("twice", "account,test-image\n1,0\n1,1\n"),
        ("There is no drawing", "account,image\n1,nothing.png\n"),
        ("clan hears no recordings", "account,clip\n1,song.wav\n"),
    ]
    assert ape("deploy", "--only", "clan", **node).returncode == 0
    commands = []
    for number, (reason, content) in enumerate(cases):
        batch = tmp_path / f"{number}.csv"
        if content is not None:
            batch.write_text(content)
        commands.append((reason, "prove", "--batch", str(batch)))
    both = ("goes without --account", "prove", "--batch", "x.csv", "--account", "1")
    all_refused([*commands, both, ("Say with --account", "prove", "--test-image", "0")], node)


def rpc(node: dict[str, str], method: str, *params: object) -> None:
    from web3 import HTTPProvider
    from web3.types import RPCEndpoint

    HTTPProvider(node["APE_FOUNDRY_HOST"]).make_request(RPCEndpoint(method), list(params))


def test_prove_refuses_bad_recordings(node, tmp_path):
    import soundfile

    (tmp_path / "text.wav").write_text("la la la")
    soundfile.write(tmp_path / "silent.wav", np.zeros(22050), 22050)
    sing = ["prove", "--circuit", "voice", "--account", "1"]
    draw = ["prove", "--circuit", "clan", "--account", "1"]
    all_refused(
        [
            ("is no recording in wav, flac or ogg", *sing, "--clip", str(tmp_path / "text.wav")),
            ("is silent", *sing, "--clip", str(tmp_path / "silent.wav")),
            ("There is no recording", *sing, "--clip", str(tmp_path / "nothing.wav")),
            ("voice is no digit reader", *sing, "--test-image", "0"),
            ("clan hears no recordings", *draw, "--clip", str(REAL_VOICE)),
            ("Clan has no rounds", *draw, "--test-image", "0", "--round", "1"),
        ],
        node,
    )


def test_voices_reports_and_draws(tmp_path):
    result = ape("voices", "--synthetic", "--out", str(tmp_path / "voices.png"))
    assert "192 clips of 8 speakers: Andrea 24" in result.stdout, result.stderr
    assert "f4* 24" in result.stdout
    assert (tmp_path / "voices.png").stat().st_size > 10_000
    (tmp_path / "OA_bite_neutral.wav").write_text("no audio either")
    shutil.copy(REAL_VOICE, tmp_path / "1001_DFA_ANG_XX.ogg")
    result = ape("voices", "--data", str(tmp_path), "--out", str(tmp_path / "voices.png"))
    assert "1 clips of 1 speakers: 1001 1" in result.stdout
    assert "OA_bite_neutral.wav: its name fits no corpus" in result.stdout
    for words in ([], ["--data", str(tmp_path / "nothing")]):
        assert "Download RAVDESS" in refused(ape("voices", *words, VOICE_DATA_DIR=""))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["voice", "--bad"], "--bad is of the digit readers"),
        (["swift", "--data", "."], "--data is of the voice judges"),
        (["voice", "--data", "nothing"], "nothing is no folder of voices"),
        (["nothing"], "'nothing' is not one of"),
    ],
)
def test_train_refuses(words, reason):
    assert reason in refused(ape("train", *words))


def test_prove_refuses_bad_drawings_and_accounts(node, tmp_path):
    assert ape("deploy", "--only", "clan", **node).returncode == 0
    np.save(tmp_path / "empty.npy", np.zeros((28, 28)))
    lower = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8"
    cases = (
        ("The drawing is empty", ["--image", str(tmp_path / "empty.npy"), "--account", "1"]),
        ("There is no drawing", ["--image", str(tmp_path / "nothing.png"), "--account", "1"]),
        ("Give one of", ["--account", "1"]),
        ("is not in the range", ["--test-image", "10000", "--account", "1"]),
        ("no 12", ["--test-image", "1", "--account", "12"]),
        ("no account 'nobody'", ["--test-image", "1", "--account", "nobody"]),
        ("valid checksum", ["--test-image", "1", "--account", lower.replace("c5", "C5")]),
        ("valid checksum", ["--test-image", "1", "--account", "0x1234"]),
        ("has not been built", ["--test-image", "1", "--account", "1", "--circuit", "nothing"]),
    )
    all_refused([(reason, "prove", *words) for reason, words in cases], node)


def test_chain_without_the_contract(node):
    """A record that names addresses of another chain, as when an anvil was started anew."""
    record = ROOT / "deployments" / f"{CHAIN_ID}.json"
    entry = {"contract": "0x" + "11" * 20, "verifier": "0x" + "22" * 20, "vk_sha256": ""}
    record.write_text(json.dumps({"clan": {**entry, "application": "Clan"}}))
    assert "has not this contract at 0x1111" in refused(ape("clans", **node))
    assert "clan is not deployed as a VoiceJudge" in refused(
        ape("rounds", "--circuit", "clan", **node)
    )
    record.unlink()


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
        message = refused(ape("clans", APE_FOUNDRY_HOST=host))
    finally:
        server.shutdown()
    assert f"Port '{server.server_port}' already in use" in message


def test_no_anvil():
    assert "make setup" in refused(ape("clans", PATH="/nowhere", APE_FOUNDRY_HOST="auto"))


def test_no_solc(copied, tmp_path, node):
    """The verifier cannot be compiled, and the last build stays as it was."""
    before = (copied / "clan" / "manifest.json").read_bytes()
    (copied.parent / "contracts" / "verifiers" / "ClanVerifier.sol").unlink()
    script = f"""
from pathlib import Path
from apps.circuits import circuit
from zk.build import build
here = Path({str(copied.parent)!r})
build(circuit("clan"), artifacts=here / "artifacts", verifiers=here / "contracts" / "verifiers")
"""
    (tmp_path / "empty").mkdir()
    nowhere = {"SOLCX_BINARY_PATH": str(tmp_path / "empty")}
    assert "solc 0.8.30 is not installed" in refused(ape("deploy", **node, **nowhere))
    result = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, **nowhere},
        capture_output=True,
        text=True,
    )
    assert "solc 0.8.30 is not installed: run `make setup`" in result.stderr
    assert (copied / "clan" / "manifest.json").read_bytes() == before


def test_build_says_up_to_date_and_its_figures(manifest):
    result = ape("build", "--circuit", "clan")
    assert "clan is up to date" in result.stdout
    assert f"{manifest['accuracy']['quantised']:.2%} quantised" in result.stdout
    assert "SRS          insecure-dev" in result.stdout


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--onnx", "m.onnx"], "--onnx goes with --data and --name"),
        (["--name", "mine"], "--data and --name go with --onnx"),
        (["--onnx", "m.onnx", "--data", "d.npz", "--name", "clan"], "--name 'clan' should be"),
        (["--onnx", "m.onnx", "--data", "d.npz", "--name", "../up"], "--name '../up' should be"),
        (["--onnx", "m.onnx", "--data", "d.npz", "--name", "i"], "--name 'i' should be"),
        (["--onnx", "m.onnx", "--data", "d.npz", "--name", "mine"], "There is no file at d.npz"),
        (["--circuit", "nothing"], "'nothing' is not one of"),
    ],
)
def test_build_refuses(words, reason):
    assert reason in refused(ape("build", *words))
    assert not (ROOT / "artifacts" / "mine").exists()


@pytest.mark.parametrize("name", sorted(p.stem for p in (ROOT / "scripts").glob("[a-z]*.py")))
def test_every_command_has_help_with_an_example(name):
    command = importlib.import_module(f"scripts.{name}").cli
    result = CliRunner().invoke(command, ["--help"])
    assert result.exit_code == 0
    assert f"ape run {name}" in result.output.split("Example:")[1]


def test_live_network_never_gets_a_dev_srs(networks, manifest, accounts):
    """A node with the chain id of a live network, and the function that every script calls."""
    port = free_port()
    process = start_anvil(port, "--chain-id", "11155111")
    try:
        with networks.parse_network_choice(f"ethereum:sepolia:http://127.0.0.1:{port}") as provider:
            assert not provider.network.is_dev
            with pytest.raises(CircuitError, match="run `ape run build --srs ceremony` first"):
                deploy(manifest, accounts[0])
            assert provider.web3.eth.block_number == 0
    finally:
        process.terminate()


def test_deployed_code_is_the_built_code(manifest, clan, bad_manifest, bad_verifier):
    assert runtime_sha256(clan.verifier()) == manifest["verifier"]["runtime_sha256"]
    assert runtime_sha256(bad_verifier.address) == bad_manifest["verifier"]["runtime_sha256"]
    assert runtime_sha256(clan.verifier()) != bad_manifest["verifier"]["runtime_sha256"]


def test_own_model_is_built_and_proved(tmp_path):
    """A model of the user's, from ONNX to a proof under its own key."""
    write_model(tmp_path / "own.onnx", operator="Sigmoid")
    numbers = np.random.default_rng(1).normal(size=(40, 4)).astype(np.float32)
    np.savez(tmp_path / "own.npz", x=numbers)
    try:
        model = ["--onnx", str(tmp_path / "own.onnx"), "--data", str(tmp_path / "own.npz")]
        result = ape("build", *model, "--name", "ownmodel")
        assert "ownmodel built in" in result.stdout, result.stderr
        assert "agrees with the float model" in result.stdout
        assert "ownmodel is up to date" in ape("build", *model, "--name", "ownmodel").stdout
        manifest = Manifest(ROOT / "artifacts" / "ownmodel")
        verify(manifest, prove(manifest, 5, numbers[0]))
    finally:
        shutil.rmtree(ROOT / "artifacts" / "ownmodel", ignore_errors=True)
        (ROOT / "contracts" / "verifiers" / "OwnmodelVerifier.sol").unlink(missing_ok=True)


def test_own_model_is_tuned(tmp_path):
    """What `tune` finds for a model of the user's is what `build` builds."""
    write_model(tmp_path / "own.onnx")
    numbers = np.random.default_rng(1).normal(size=(40, 4)).astype(np.float32)
    np.savez(tmp_path / "own.npz", x=numbers)
    model = ["--onnx", str(tmp_path / "own.onnx"), "--data", str(tmp_path / "own.npz")]
    model += ["--name", "tunedmodel"]
    before = RUN_ARGS.read_bytes()
    try:
        limits = ["--for", "gas", "--measure", "1", "--tolerance", "0.1"]
        assert "needs a proving key of" in refused(ape("tune", *model, "--max-key", "0.001"))
        assert RUN_ARGS.read_bytes() == before
        result = ape("tune", *model, *limits)
        assert "tunedmodel is tuned" in result.stdout, result.stderr
        assert "the predictions were off by at most" in result.stdout
        assert (ROOT / "artifacts" / "tune" / "tunedmodel" / "gas.png").stat().st_size > 10_000
        assert ape("build", *model).returncode == 0
        found = json.loads(RUN_ARGS.read_text())["tunedmodel"]
        assert Manifest(ROOT / "artifacts" / "tunedmodel")["run_args"] == found
        assert found != asdict(RunArgs())
    finally:
        RUN_ARGS.write_bytes(before)
        for folder in ("tunedmodel", "tune/tunedmodel"):
            shutil.rmtree(ROOT / "artifacts" / folder, ignore_errors=True)
        (ROOT / "contracts" / "verifiers" / "TunedmodelVerifier.sol").unlink(missing_ok=True)


def test_spec_names_tests_that_exist():
    tests = {path.name: path.read_text() for path in (ROOT / "tests").glob("test_*.py")}
    rules, file = (ROOT / "docs" / "spec.md").read_text(), ""
    for named, test in re.findall(r"`(test_\w+\.py)?(?:::(\w+))?\*?`", rules):
        file = named or file
        assert file in tests
        assert f"def {test}" in tests[file], f"{file} has no {test}"


def test_proof_file_holds_nothing_private(proof: Proof, tmp_path):
    proof.save(tmp_path / "proof.json")
    content = json.loads((tmp_path / "proof.json").read_text())
    assert set(content) == {"circuit", "proof", "instances"}
    assert Proof.load(tmp_path / "proof.json") == proof


def test_generated_and_built_files_are_ignored_by_git():
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.fail("these tests run in a clone")
    ignored = ["contracts/verifiers/ClanVerifier.sol", "artifacts/clan/pk.key"]
    ignored += ["deployments/31337.json", "deployments/1.fork.json", "proofs/clan-0x00.json"]
    result = subprocess.run(["git", "check-ignore", *ignored], cwd=ROOT, capture_output=True)
    assert result.stdout.decode().split() == ignored
    live = subprocess.run(["git", "check-ignore", "deployments/11155111.json"], cwd=ROOT)
    assert live.returncode == 1
