"""Fixtures of all tests: one build of each circuit, one deployment and one set of real proofs.

The tests run on a fresh anvil. A fork copies a second anvil, which itself forks the real network
if FORK_RPC is the URL of a node.
"""

import gc
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ape import chain
from ape_ethereum.trace import Trace

from apps.circuits import VERIFIERS, view_of
from apps.voice import score_from
from chain.compiler import application_contract
from chain.contracts import compiled_verifier, deploy, deploy_verifier
from chain.network import NETWORKS, UPSTREAM, free_port
from tests import scale
from tests.builds import beside, built
from tests.hubs import postgres
from tests.inputs import DRAWINGS, REAL_VOICE, SONGS
from tests.nodes import start_anvil
from tests.tiny import ECHO_ARGS, SLIM_ARGS, echo_in, run_in, tiny_in, write_model
from zk.build import build
from zk.circuit import Circuit
from zk.ezkl import make_srs
from zk.files import ROOT, locked, whole
from zk.manifest import Manifest
from zk.proof import Proof, answer, prove
from zk.samples import Samples

# Workers share the cores: torch's threads would wait for each other without giving theirs up.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["APE_FOUNDRY_HOST"] = f"http://127.0.0.1:{free_port()}"
pytest_plugins = ["tests.browsers"]
# Fixtures that start a process or build a second circuit, and folders about the hub.
SLOW = {"bad_manifest", "batch_manifest", "browser", "crowd", "node"}
SLOW |= {"song_manifest", "voice_manifest"}
OF_HUB = {"hub", "serving"}
# The hub's group builds the project's circuits. The others need none of these meanwhile; in their
# long form, the notebook and the containers take minutes.
FIRST = ("hub", "test_notebook", "test_containers", "test_tuner", "test_audit_families")
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")  # Ape compiles the verifiers of all
upstream_of_fork = pytest.StashKey[subprocess.Popen[bytes]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="Run the long form of every test.")
    parser.addoption("--fast", action="store_true", help="Leave out tests that take long.")


def pytest_configure(config: pytest.Config) -> None:
    scale.full = config.getoption("full")
    forked, fork, _ = (config.getoption("network", None) or "").partition("-fork")
    if fork and not hasattr(config, "workerinput"):  # one upstream for all workers of `-n`
        (network,) = (one for one in NETWORKS if one.choice == forked)
        rpc = os.environ.get("FORK_RPC")
        origin = ["--fork-url", rpc] if rpc else ["--chain-id", str(network.chain_id)]
        config.stash[upstream_of_fork] = start_anvil(int(UPSTREAM.rpartition(":")[2]), *origin)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out folders, and files whose tests are all left out: their imports take seconds."""
    if collection_path.suffix != ".py":
        return (config.getoption("fast") and collection_path.name in OF_HUB) or None
    marks = re.findall(r"^pytestmark = .*", collection_path.read_text(), re.M)
    return any(f"pytest.mark.{mark}" in "".join(marks) for mark in left_out(config)) or None


def left_out(config: pytest.Config) -> set[str]:
    """Return the marks of the tests that this run leaves out."""
    full, fast = config.getoption("full"), config.getoption("fast")
    fork = "-fork" in (config.getoption("network", None) or "")
    return {mark for mark, out in (("full", not full), ("slow", fast), ("plain", fork)) if out}


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Choose the tests, and group them for the workers of `-n`.

    Tests of a file share fixtures. Most tests in tests/hub/ share a hub. The files that need proofs
    of songs share those, and those that need batches their circuits. Groups that take longest go
    first.
    """
    out = left_out(config)
    left = [item for item in items if marks_of(item) & out]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if not marks_of(item) & out]
    groups: dict[Path, str] = {item.path: item.path.stem for item in items}
    for item in items:
        used = getattr(item, "fixturenames", [])
        for group, shared in (("hub", "same_chain"), ("songs", "sung"), ("crowd", "crowd")):
            if shared in used:
                groups[item.path] = group
    first = [*FIRST, *(group for path, group in groups.items() if path.parent.name == "hub")]
    items.sort(key=lambda item: [*first, groups[item.path]].index(groups[item.path]))
    for item in items:
        item.add_marker(pytest.mark.xdist_group(groups[item.path]))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for garbage after the collection only, and never among the thousands of modules."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(20_000)
        gc.enable()


def marks_of(item: pytest.Item) -> set[str]:
    """Return the names of a test's marks. It is slow if it starts a chain or a second circuit."""
    marks = {mark.name for mark in item.iter_markers()}
    return marks | ({"slow"} if SLOW & set(getattr(item, "fixturenames", [])) else set())


def pytest_unconfigure(config: pytest.Config) -> None:
    gc.collect()
    gc.freeze()  # pytest collects garbage five times more
    if node := config.stash.get(upstream_of_fork, None):
        node.terminate()


@pytest.fixture(scope="session", autouse=True)
def no_traces() -> Iterator[None]:
    """Keep Ape from printing all calls of what reverts, which takes seconds for a verifier."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trace, "show", lambda *_, **__: None)
        yield


@pytest.fixture(autouse=True)
def _function_isolation(request: pytest.FixtureRequest) -> Iterator[None]:
    """Undo the transactions of a test that has accounts or lies in tests/chain.

    It replaces Ape's fixture of this name, which takes a snapshot for every test and asks the node
    about each of its fixtures.
    """
    if request.path.parent.name == "chain" or "accounts" in request.fixturenames:
        with chain.isolate():
            yield
    else:
        yield


@pytest.fixture(scope="session", autouse=True)
def one_srs() -> Iterator[None]:
    """Make the SRS of each size once: the same circuits in other folders then have the same keys,
    whose verifiers are compiled once.
    """

    def shared(path: Path, logrows: int) -> None:
        kept = ROOT / ".cache" / "srs" / f"k{logrows}.srs"
        with locked(kept.parent):
            if not kept.is_file():
                with whole(kept) as partial:
                    make_srs(partial, logrows)
        shutil.copy(kept, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zk.srs.make_srs", shared)
        yield


@pytest.fixture(scope="session")
def manifest() -> Manifest:
    return built("clan")


@pytest.fixture(scope="session")
def bad_manifest() -> Manifest:
    return built("clan-bad")


@pytest.fixture(scope="session")
def batch_manifest() -> Manifest:
    """The circuit of 16 drawings, which takes half a minute to build."""
    return built("clan-batch")


@pytest.fixture(scope="session")
def crowd(tmp_path_factory) -> Iterator[tuple[Manifest, Manifest]]:
    """Small circuits of Clan, of one input and of 16 at once. Their logits are their input."""
    folder, name = tmp_path_factory.mktemp("crowd"), f"crowd{WORKER}"
    several = replace(SLIM_ARGS, batch=16)
    with (
        beside(echo_in(folder, name, 10, SLIM_ARGS, "Clan")) as one,
        beside(echo_in(folder, f"{name}-batch", 10, several, "Clan")) as many,
    ):
        yield one, many


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
def contracts() -> SimpleNamespace:
    """The compiled contracts of both applications."""
    return SimpleNamespace(**{name: application_contract(name) for name in ("Clan", "VoiceJudge")})


@pytest.fixture(scope="session")
def verifier(manifest, clan):
    return compiled_verifier(manifest).at(clan.verifier())


@pytest.fixture(scope="session")
def bad_verifier(bad_manifest, deployer):
    return deploy_verifier(bad_manifest, deployer)


@pytest.fixture(scope="session")
def views():
    """MNIST's test images as the circuit takes them."""
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
    """The proof of the first test account, which draws a 7."""
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
def real_voice() -> np.ndarray:
    """The recorded voice as the circuit `voice` takes it."""
    from models.data import sound

    return view_of("voice", "clip")(sound.read(REAL_VOICE))


@pytest.fixture(scope="session")
def real_score(voice_manifest, real_voice) -> int:
    """The score of the recorded voice, in units of 1e-18."""
    (output,) = answer(voice_manifest, real_voice)
    return score_from(int(output), voice_manifest["output_scale"])


@pytest.fixture(scope="session")
def voice_judge(voice_manifest, deployer):
    return deploy(voice_manifest, deployer)


@pytest.fixture(scope="session")
def voice_proof(voice_manifest, voice_judge, real_voice, accounts) -> Proof:
    """The proof of the recorded voice, for the first test account in round 0."""
    return prove(voice_manifest, voice_judge.keyOf(accounts[0], 0), real_voice)


@pytest.fixture(scope="session")
def song_manifest(tmp_path_factory) -> Manifest:
    """A small circuit of VoiceJudge, with a key of limbs like the voice's. It answers its input."""
    folder = tmp_path_factory.mktemp("song")
    song = echo_in(folder, f"song{WORKER}", 1, ECHO_ARGS, "VoiceJudge")
    return build(song, artifacts=folder / "artifacts", verifiers=VERIFIERS)[0]


@pytest.fixture(scope="session")
def judge(song_manifest, deployer):
    return deploy(song_manifest, deployer)


@pytest.fixture(scope="session")
def scores(song_manifest) -> list[int]:
    """The score of each song, in units of 1e-18."""
    scale = song_manifest["output_scale"]
    return [score_from(int(answer(song_manifest, x)[0]), scale) for x in SONGS]


@pytest.fixture(scope="session")
def sung(song_manifest, judge, accounts) -> Callable[[int, int], Proof]:
    """The proof of a test account's song for a round, made once."""
    made = {}

    def sung(number: int, round_number: int = 0) -> Proof:
        if (number, round_number) not in made:
            key = judge.keyOf(accounts[number], round_number)
            made[number, round_number] = prove(song_manifest, key, SONGS[number])
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


@pytest.fixture(scope="session")
def hanging(tmp_path_factory, samples) -> tuple[Manifest, np.ndarray]:
    """A circuit with a lookup table, and an input beyond the table, on which ezkl hangs."""
    folder = tmp_path_factory.mktemp("hanging")
    write_model(folder / "tiny.onnx", operator="Sigmoid")
    circuit = replace(tiny_in(folder, samples), accept_loss=True)
    return run_in(folder, circuit)[0], 200 * samples.test[0]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL server."""
    with postgres() as url:
        yield url
