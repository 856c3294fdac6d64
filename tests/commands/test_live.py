"""Live networks, by nodes of the tests that have their chain ids: what is sent, and what is not."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from eth_account import Account
from web3 import HTTPProvider, Web3

from chain.network import NETWORKS, free_port
from tests.nodes import start_anvil
from zk.files import ROOT

LIVE = {one.choice: one.chain_id for one in NETWORKS if one.fork_upstream and one.chain_id != 1}
ALIAS, PASSPHRASE = "tester", "a passphrase of the tests"
BLOCK_TIME = "0.2"  # seconds; Ape waits for some blocks after each transaction
KILLS, LONGEST = 12, 9.0  # seconds, about what deploying takes


@pytest.fixture
def folder(copied, manifest, tmp_path):
    """A build whose SRS is taken for the ceremony's, and a keyfile."""
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
def node():
    """Starts nodes that end with the test; gives how to reach one."""
    nodes = []

    def start(chain: int) -> Web3:
        port = free_port()
        nodes.append(start_anvil(port, "--chain-id", str(chain), "--block-time", BLOCK_TIME))
        return Web3(HTTPProvider(f"http://127.0.0.1:{port}"))

    yield start
    for each in nodes:
        each.terminate()


def address(node: Web3) -> str:
    return node.provider.endpoint_uri  # type: ignore[attr-defined]


def fund(node: Web3, folder, ether: float) -> str:
    keyfile = json.loads((folder / "ape" / "accounts" / f"{ALIAS}.json").read_text())
    amount = hex(int(ether * 10**18))
    node.provider.make_request("anvil_setBalance", [keyfile["address"], amount])  # type: ignore
    return keyfile["address"]


def words_for(folder, command: str, *words: str) -> tuple[list[str], dict[str, str]]:
    environment = {
        **os.environ,
        "APE_DATA_FOLDER": str(folder / "ape"),
        f"APE_ACCOUNTS_{ALIAS}_PASSPHRASE": PASSPHRASE,
    }
    return [sys.executable, "-m", "tests.live", str(folder), command, *words], environment


def run(folder, command: str, *words: str, **more: str) -> subprocess.CompletedProcess:
    given, environment = words_for(folder, command, *words)
    return subprocess.run(
        given, cwd=ROOT, env=environment | more, capture_output=True, text=True, timeout=180
    )


def created(node: Web3) -> list[str]:
    """The code of every contract that was ever created on a node."""
    found = []
    for number in range(node.eth.block_number + 1):
        for transaction in node.eth.get_block(number, full_transactions=True)["transactions"]:
            if transaction.get("to") is None:  # type: ignore[union-attr]
                receipt = node.eth.get_transaction_receipt(transaction["hash"])  # type: ignore
                found.append(node.eth.get_code(receipt["contractAddress"]).hex())  # type: ignore
    return found


@pytest.mark.parametrize("network", LIVE)
def test_deployment_to_a_live_network(folder, node, network):
    """With a keyfile; a second run finds what is there; the audit is content."""
    chain = LIVE[network]
    live = node(chain)
    fund(live, folder, 10)
    choice = f"{network}:{address(live)}"
    words = ["deploy", "--only", "clan", "--account", ALIAS, "--network", choice]
    result = run(folder, *words)
    assert result.returncode == 0, result.stderr
    assert "deploying takes about" in result.stdout
    estimate = int(result.stdout.split("about ")[1].split(" gas")[0].replace(",", ""))
    used = sum(
        live.eth.get_transaction_receipt(t)["gasUsed"]
        for number in range(live.eth.block_number + 1)
        for t in live.eth.get_block(number)["transactions"]
    )
    assert used == pytest.approx(estimate, rel=0.1)
    record = json.loads((folder / "deployments" / f"{chain}.json").read_text())["clan"]
    assert record["srs"]["kind"] == "ceremony"
    assert PASSPHRASE not in result.stdout + result.stderr
    result = run(folder, *words)
    assert f"clan stands on chain {chain} already" in result.stdout
    assert len(created(live)) == 2
    left = {path.name for path in (folder / "deployments").iterdir()} - {".lock"}
    assert left == {f"{chain}.json"}


def test_dev_setup_is_refused_on_a_live_network(folder, node, manifest):
    live = node(80002)
    fund(live, folder, 10)
    words = ["--account", ALIAS, "--network", f"polygon:amoy:{address(live)}"]
    shutil.rmtree(folder / "artifacts")
    shutil.copytree(manifest.folder, folder / "artifacts" / "clan")
    shutil.copytree(manifest.folder.parent / "srs", folder / "artifacts" / "srs")
    result = run(folder, "deploy", "--only", "clan", *words)
    assert "stands on a dev SRS" in result.stderr
    path = folder / "artifacts" / "clan" / "manifest.json"
    content = json.loads(path.read_text())
    content["srs"]["kind"] = "ceremony"  # which it is not
    path.write_text(json.dumps(content))
    result = run(folder, "deploy", "--only", "clan", *words)
    assert "stands on a dev SRS" in result.stderr
    assert created(live) == []


def test_account_that_cannot_pay(folder, node):
    live = node(80002)
    sender = fund(live, folder, 0.0001)
    choice = f"polygon:amoy:{address(live)}"
    result = run(folder, "deploy", "--only", "clan", "--account", ALIAS, "--network", choice)
    assert result.returncode == 1
    assert f"{sender} has 0.0001 POL, and deploying takes about" in result.stderr
    assert created(live) == []


def test_wrong_passphrase(folder, node):
    live = node(80002)
    fund(live, folder, 10)
    words = ["--account", ALIAS, "--network", f"polygon:amoy:{address(live)}"]
    secret = {f"APE_ACCOUNTS_{ALIAS}_PASSPHRASE": "something else"}
    result = run(folder, "deploy", "--only", "clan", *words, **secret)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "something else" not in result.stdout + result.stderr
    assert created(live) == []


def test_two_deployments_at_once(folder, node):
    """The second waits, and finds what the first one sent."""
    live = node(80002)
    fund(live, folder, 10)
    words = ["--only", "clan", "--account", ALIAS, "--network", f"polygon:amoy:{address(live)}"]
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: run(folder, "deploy", *words), range(2)))
    assert [result.returncode for result in both] == [0, 0], both
    assert sum("stands on chain 80002 already" in result.stdout for result in both) == 1
    assert len(created(live)) == 2


def test_killed_deployments_send_nothing_twice(folder, node):
    live = node(80002)
    fund(live, folder, 10)
    words = ["--only", "clan", "--account", ALIAS, "--network", f"polygon:amoy:{address(live)}"]
    given, environment = words_for(folder, "deploy", *words)
    numbers = random.Random(3)
    record = folder / "deployments" / "80002.json"
    for _ in range(KILLS):
        with subprocess.Popen(given, cwd=ROOT, env=environment, stdout=subprocess.PIPE) as process:
            time.sleep(numbers.uniform(0.3, 1) * LONGEST)
            process.send_signal(signal.SIGKILL)
        assert len(created(live)) <= 2
        if record.exists():
            entry = json.loads(record.read_text())["clan"]
            assert live.eth.get_code(entry["contract"])
            record.unlink()  # and from the start, with what is there
            shutil.rmtree(folder / "deployments")
            live = node(80002)
            fund(live, folder, 10)
            words[-1] = f"polygon:amoy:{address(live)}"
            given, environment = words_for(folder, "deploy", *words)
    result = run(folder, "deploy", *words)
    assert result.returncode == 0, result.stderr
    assert len(created(live)) == 2
