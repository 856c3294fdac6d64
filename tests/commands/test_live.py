"""deploy to live networks. Nodes of the tests have the networks' chain ids."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import pytest
from eth_account import Account
from web3 import Web3

from chain.network import NETWORKS
from tests.nodes import Node, own_node
from tests.scale import scaled
from tests.warm import Result, ape_run, ape_start
from zk.files import ROOT, read_json

pytestmark = pytest.mark.slow

LIVE = {one.choice: one.chain_id for one in NETWORKS if one.fork_upstream and one.chain_id != 1}
AMOY = 80002
# The networks differ by their chain ids only.
ONE_OF_LIVE = [
    pytest.param(network, marks=[] if chain_id == AMOY else pytest.mark.full)
    for network, chain_id in LIVE.items()
]
ALIAS, PASSPHRASE = "tester", "a passphrase of the tests"
BLOCK_TIME = "0.2"  # seconds; Ape waits for some blocks after each transaction
PATIENCE = 120  # seconds for a deployment to reach a moment
STORIES = scaled(1, 6)  # of a deployment that is killed twice


@pytest.fixture
def folder(copied, manifest, tmp_path) -> Path:
    """A build whose SRS passes for the ceremony's, and a keyfile."""
    shutil.rmtree(copied / "srs" / "ceremony", ignore_errors=True)
    (copied / "srs" / "insecure-dev").rename(copied / "srs" / "ceremony")
    path = copied / "clan" / "manifest.json"
    content = json.loads(path.read_text())
    name = f"k{manifest['logrows']}.srs"
    content["srs"] |= {"kind": "ceremony", "path": f"../srs/ceremony/{name}"}
    path.write_text(json.dumps(content))
    accounts = tmp_path / "ape" / "accounts"
    accounts.mkdir(parents=True)
    key = Account.create()
    keyfile = Account.encrypt(key.key, PASSPHRASE, iterations=1024)
    (accounts / f"{ALIAS}.json").write_text(json.dumps(keyfile | {"address": key.address}))
    return tmp_path


@pytest.fixture
def live() -> Iterator[Callable[[int], Node]]:
    """Start a node with a live network's chain id. It ends with the test."""
    with ExitStack() as stack:
        yield lambda chain_id: stack.enter_context(own_node(chain_id, "--block-time", BLOCK_TIME))


def fund(node: Node, folder: Path, ether: float) -> str:
    """Give the keyfile's account this balance; return its address."""
    keyfile = json.loads((folder / "ape" / "accounts" / f"{ALIAS}.json").read_text())
    node.rpc("anvil_setBalance", keyfile["address"], hex(int(ether * 10**18)))
    return keyfile["address"]


def deploying(node: Node, network: str = "polygon:amoy") -> list[str]:
    """The words of a deployment by the keyfile's account."""
    choice = f"{network}:{node.url}"
    return ["deploy", "--only", "clan", "--account", ALIAS, "--network", choice]


def environment_of(folder: Path) -> dict[str, str]:
    """The environment of a command on the folder's build."""
    return {
        **os.environ,
        "APE_DATA_FOLDER": str(folder / "ape"),
        f"APE_ACCOUNTS_{ALIAS}_PASSPHRASE": PASSPHRASE,
    }


def run(folder: Path, words: list[str], **more: str) -> Result:
    given = (str(folder), *words)
    return ape_run(ROOT, given, environment_of(folder) | more, module="tests.live")


def mined(web3: Web3) -> list[dict[str, Any]]:
    """All transactions on a chain."""
    blocks = range(web3.eth.block_number + 1)
    found = [web3.eth.get_block(number, full_transactions=True) for number in blocks]
    return [cast(dict, one) for block in found for one in block["transactions"]]


def created(node: Node) -> int:
    """The number of contracts that were created on a chain."""
    return sum(one.get("to") is None for one in mined(node.web3))


@pytest.mark.parametrize("network", ONE_OF_LIVE)
def test_deployment_to_a_live_network(folder, live, network):
    """With a keyfile. A second run finds the contracts of the first."""
    chain_id = LIVE[network]
    node = live(chain_id)
    fund(node, folder, 10)
    words = deploying(node, network)
    result = run(folder, words)
    assert result.returncode == 0, result.stderr
    assert "deploying takes about" in result.stdout
    estimate = int(result.stdout.split("about ")[1].split(" gas")[0].replace(",", ""))
    receipts = [node.web3.eth.get_transaction_receipt(one["hash"]) for one in mined(node.web3)]
    assert sum(one["gasUsed"] for one in receipts) == pytest.approx(estimate, rel=0.1)
    record = json.loads((folder / "deployments" / f"{chain_id}.json").read_text())["clan"]
    assert record["srs"]["kind"] == "ceremony"
    assert PASSPHRASE not in result.stdout + result.stderr
    result = run(folder, words)
    assert f"clan is already deployed on chain {chain_id}" in result.stdout
    assert created(node) == 2
    left = {path.name for path in (folder / "deployments").iterdir()} - {".lock"}
    assert left == {f"{chain_id}.json"}


def test_dev_srs_is_refused_on_a_live_network(folder, live, manifest):
    """Also when the manifest calls it the ceremony's."""
    node = live(AMOY)
    fund(node, folder, 10)
    shutil.rmtree(folder / "artifacts")
    shutil.copytree(manifest.folder, folder / "artifacts" / "clan")
    shutil.copytree(manifest.folder.parent / "srs", folder / "artifacts" / "srs")
    assert "uses a dev SRS" in run(folder, deploying(node)).stderr
    path = folder / "artifacts" / "clan" / "manifest.json"
    content = json.loads(path.read_text())
    content["srs"]["kind"] = "ceremony"
    path.write_text(json.dumps(content))
    assert "uses a dev SRS" in run(folder, deploying(node)).stderr
    assert created(node) == 0


def test_account_that_cannot_pay(folder, live):
    node = live(AMOY)
    sender = fund(node, folder, 0.0001)
    result = run(folder, deploying(node))
    assert result.returncode == 1
    assert f"{sender} has 0.0001 POL, but deploying costs about" in result.stderr
    assert created(node) == 0


def test_wrong_passphrase(folder, live):
    node = live(AMOY)
    fund(node, folder, 10)
    wrong = {f"APE_ACCOUNTS_{ALIAS}_PASSPHRASE": "something else"}
    result = run(folder, deploying(node), **wrong)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "something else" not in result.stdout + result.stderr
    assert created(node) == 0


def test_two_deployments_at_once(folder, live):
    """The second waits, and finds the contracts of the first."""
    node = live(AMOY)
    fund(node, folder, 10)
    words = deploying(node)
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: run(folder, words), range(2)))
    assert [result.returncode for result in both] == [0, 0], both
    assert sum(f"clan is already deployed on chain {AMOY}" in one.stdout for one in both) == 1
    assert created(node) == 2


def kill_when(moment: Callable[[], bool], folder: Path, node: Node) -> None:
    """Start a deployment, and kill it as soon as the moment has come."""
    given, log = (str(folder), *deploying(node)), folder / "killed.log"
    process = ape_start(ROOT, given, environment_of(folder), log, module="tests.live")
    try:
        limit = time.monotonic() + PATIENCE
        while not moment():
            ended = process.poll() is not None and not moment()
            assert not ended, f"the deployment ended before {moment.__name__}: {log.read_text()}"
            assert time.monotonic() < limit, f"no {moment.__name__} within {PATIENCE} s"
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("story", range(STORIES))
def test_killed_deployments_send_nothing_twice(folder, live, story):
    """Killed when each transaction is recorded, or in other stories when it is on chain."""
    node = live(AMOY)
    fund(node, folder, 10)
    sending = folder / "deployments" / f".{AMOY}.clan.sending.json"

    def verifier_recorded() -> bool:
        return "clan" in read_json(sending).get("sent", {})

    def application_recorded() -> bool:
        return "Clan" in read_json(sending).get("sent", {})

    def verifier_created() -> bool:
        return created(node) == 1

    def application_created() -> bool:
        return created(node) == 2

    if story % 2:
        moments = (verifier_created, application_created)
    else:
        moments = (verifier_recorded, application_recorded)
    for moment in moments:
        kill_when(moment, folder, node)
    result = run(folder, deploying(node))
    assert result.returncode == 0, result.stderr
    assert created(node) == 2
    record = json.loads((folder / "deployments" / f"{AMOY}.json").read_text())["clan"]
    assert node.web3.eth.get_code(record["contract"])
    assert not sending.exists()
