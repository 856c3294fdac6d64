"""One build, one deployment and one set of real proofs, shared by all tests of a run.

The tests own their chain: a fresh anvil on a free port. On a fork, its upstream is a second anvil,
which is itself a fork of the real network where FORK_RPC gives one.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from ape.exceptions import CustomError

from apps.circuits import ARTIFACTS, VERIFIERS, circuit, view_of
from apps.voice import score_from
from chain.contracts import deploy, deploy_verifier
from chain.network import free_port
from tests.tiny import run_in, tiny_in, write_model
from zk.build import build
from zk.circuit import Circuit
from zk.files import ROOT
from zk.manifest import Manifest
from zk.proof import Proof, answer, prove
from zk.samples import Samples

os.environ["APE_FOUNDRY_HOST"] = f"http://127.0.0.1:{free_port()}"
UPSTREAM_PORT = 8544  # of the forks in ape-config.yaml
CHAINS = {
    "ethereum:mainnet": 1,
    "ethereum:sepolia": 11155111,
    "optimism:sepolia": 11155420,
    "polygon:amoy": 80002,
}

# What needs no chain, or starts one of its own, runs once: with the plain anvil, not on the fork.
OFF_CHAIN = [
    "test_audit.py",
    "test_audit_build.py",
    "test_bench.py",
    "test_build.py",
    "test_commands.py",
    "test_data.py",
    "test_hub.py",
    "test_hub_kills.py",
    "test_hub_limits.py",
    "test_kills.py",
    "test_live.py",
    "test_mutations.py",
    "test_page.py",
    "test_processes.py",
    "test_setup.py",
    "test_sound.py",
    "test_tuner.py",
    "test_voices.py",
]

# Which of MNIST's test images each test account draws: three 7s, two 1s, two 0s, one 4.
DRAWINGS = (0, 17, 26, 2, 5, 3, 10, 4)

# "Unless to be rather cold hearted and rather selfish is to be ill disposed": from Sense and
# Sensibility, read for LibriVox, in the public domain.
REAL_VOICE = ROOT / "tests" / "recorded" / "librivox.ogg"
# What each test account sings: the real voice, or a synthetic voice's emotion and sentence.
SONGS = (REAL_VOICE, ("m4", "happy", 1), ("f4", "calm", 2))


collect_ignore: list[str] = []


def pytest_configure(config: pytest.Config) -> None:
    origin_of_fork, fork, _ = (config.getoption("network", None) or "").partition("-fork")
    if fork:
        collect_ignore.extend(OFF_CHAIN)
        rpc = os.environ.get("FORK_RPC")
        origin = ["--fork-url", rpc] if rpc else ["--chain-id", str(CHAINS[origin_of_fork])]
        config.stash[UPSTREAM] = start_anvil(UPSTREAM_PORT, *origin)


def pytest_unconfigure(config: pytest.Config) -> None:
    if node := config.stash.get(UPSTREAM, None):
        node.terminate()


UPSTREAM = pytest.StashKey[subprocess.Popen]()


def start_anvil(port: int, *options: str) -> subprocess.Popen:
    """An anvil that answers, or a failure that says what it printed."""
    anvil = shutil.which("anvil")
    assert anvil, "anvil is not on the PATH: run `make setup` and `source .venv/bin/activate`"
    node = subprocess.Popen(
        [anvil, "--silent", "--port", str(port), *options], stderr=subprocess.PIPE
    )
    for _ in range(300):
        if node.poll() is not None:
            pytest.exit(f"anvil on port {port} ended: {node.stderr.read().decode()}")  # type: ignore[union-attr]
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return node
        except OSError:
            time.sleep(0.1)
    node.terminate()
    return pytest.exit(f"anvil on port {port} did not answer within 30 s")


@contextmanager
def own_node(chain: int) -> Iterator[dict[str, str]]:
    """A node that goes on between commands; its address is in the environment that this gives.

    What is deployed there is noted for as long as the node lives.
    """
    port = free_port()
    process = start_anvil(port, "--chain-id", str(chain))
    record = ROOT / "deployments" / f"{chain}.json"
    before = record.read_bytes() if record.is_file() else None
    record.unlink(missing_ok=True)
    try:
        yield {"APE_FOUNDRY_HOST": f"http://127.0.0.1:{port}"}
    finally:
        process.terminate()
        record.unlink(missing_ok=True)
        if before is not None:
            record.write_bytes(before)


@contextmanager
def refusal(name: str, **values: object) -> Iterator[None]:
    """Expects the contract's own error of that name, with these values."""
    with pytest.raises(CustomError) as caught:
        yield
    assert type(caught.value).__name__ == name
    assert {key: caught.value.inputs[key] for key in values} == values


def built(name: str) -> Manifest:
    """Build one of the project's circuits, unless it is up to date."""
    return build(circuit(name), artifacts=ARTIFACTS, verifiers=VERIFIERS)[0]


@pytest.fixture(scope="session")
def manifest() -> Manifest:
    return built("clan")


@pytest.fixture(scope="session")
def bad_manifest() -> Manifest:
    return built("clan-bad")


@pytest.fixture(scope="session")
def deployer(accounts):
    return accounts[9]


@pytest.fixture(scope="session")
def relayer(accounts):
    return accounts[8]


@pytest.fixture(scope="session")
def clan(manifest, deployer):
    return deploy(manifest, deployer)


@pytest.fixture(scope="session")
def verifier(project, clan):
    return project.ClanVerifier.at(clan.verifier())


@pytest.fixture(scope="session")
def bad_verifier(bad_manifest, deployer):
    return deploy_verifier(bad_manifest, deployer)


@pytest.fixture(scope="session")
def views():
    """What the circuit sees of MNIST's test images."""
    from models.data import mnist

    return view_of("clan", "drawing")(mnist.drawings("test"))


@pytest.fixture(scope="session")
def proof_of(manifest, clan, views, accounts) -> Callable[[int], Proof]:
    """The proof of a test account's drawing, made once."""
    made = {}

    def proof_of(number: int) -> Proof:
        if number not in made:
            key = clan.keyOf(accounts[number])
            made[number] = prove(manifest, key, views[DRAWINGS[number]])
        return made[number]

    return proof_of


@pytest.fixture(scope="session")
def proof(proof_of) -> Proof:
    """The proof of the first test account, which drew a 7."""
    return proof_of(0)


@pytest.fixture
def copied(manifest, tmp_path) -> Path:
    """A copy of the built artifacts that a test may damage."""
    folder = tmp_path / "artifacts"
    shutil.copytree(manifest.folder, folder / "clan")
    shutil.copytree(manifest.folder.parent / "srs", folder / "srs")
    (tmp_path / "contracts").mkdir()
    shutil.copytree(manifest.file("verifier").parent, tmp_path / "contracts" / "verifiers")
    return folder


@pytest.fixture(scope="session")
def voice_manifest() -> Manifest:
    return built("voice")


@pytest.fixture(scope="session")
def judge(voice_manifest, deployer):
    return deploy(voice_manifest, deployer)


@pytest.fixture(scope="session")
def heard() -> list[np.ndarray]:
    """What the judge hears of each test account's song."""
    from models.data import sound, voices

    paths = [
        song if isinstance(song, Path) else voices.synthetic_clip(*song).path for song in SONGS
    ]
    return [view_of("voice", "clip")(sound.read(path)) for path in paths]


@pytest.fixture(scope="session")
def scores(voice_manifest, heard) -> list[int]:
    """The score of each song, in units of 1e-18."""
    scale = voice_manifest["output_scale"]
    return [score_from(int(answer(voice_manifest, x)[0]), scale) for x in heard]


@pytest.fixture(scope="session")
def sung(voice_manifest, judge, heard, accounts) -> Callable[[int, int], Proof]:
    """The proof of a test account's song for a round, made once."""
    made = {}

    def sung(number: int, round_number: int = 0) -> Proof:
        if (number, round_number) not in made:
            key = judge.keyOf(accounts[number], round_number)
            made[number, round_number] = prove(voice_manifest, key, heard[number])
        return made[number, round_number]

    return sung


@pytest.fixture(scope="session")
def samples() -> Samples:
    numbers = np.random.default_rng(0).normal(size=(24, 4)).astype(np.float32)
    return Samples(calibration=numbers[:8], test=numbers[8:])


@pytest.fixture(scope="session")
def first_build(tmp_path_factory, samples) -> tuple[Path, list[str]]:
    """A folder with a finished build, and the steps that it took."""
    folder = tmp_path_factory.mktemp("tiny")
    write_model(folder / "tiny.onnx")
    return folder, run_in(folder, tiny_in(folder, samples))[1]


@pytest.fixture
def tiny(tmp_path, samples, first_build) -> Circuit:
    """The same model and its finished build, in a folder that a test may damage."""
    shutil.copytree(first_build[0], tmp_path, dirs_exist_ok=True)
    return tiny_in(tmp_path, samples)


@pytest.fixture
def run(tmp_path):
    return lambda circuit: run_in(tmp_path, circuit)
