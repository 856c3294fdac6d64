"""deploy: what is on chain, and what is never sent."""

import json

import pytest

from chain.contracts import deploy, runtime_sha256
from chain.network import free_port
from tests.nodes import own_node
from tests.typed import FULL, READ_ONLY, ape, ape_on, refused
from zk.errors import CircuitError
from zk.files import ROOT


@pytest.mark.slow
def test_deployment_on_a_node_that_ends_is_not_recorded(manifest):
    record = ROOT / "deployments" / "31337.json"
    before = record.read_bytes() if record.is_file() else None
    host = f"http://127.0.0.1:{free_port()}"
    result = ape(None, "deploy", "--only", "clan", APE_FOUNDRY_HOST=host)
    assert result.returncode == 0, result.stderr
    assert "Nothing is recorded: this anvil ends with this command" in result.stdout
    assert (record.read_bytes() if record.is_file() else None) == before


@pytest.mark.parametrize("disk, reason", [("nr_inodes=1", FULL), ("ro", READ_ONLY)])
def test_deploy_without_room(node, disk, reason):
    """Nothing is sent that cannot be recorded."""
    before = node.web3.eth.block_number
    (ROOT / "deployments").mkdir(exist_ok=True)
    assert reason in refused(ape_on(ROOT / "deployments", disk, node, "deploy"))
    assert node.web3.eth.block_number == before


def test_live_network_never_gets_a_dev_srs(networks, manifest, accounts):
    """A node has the chain id of a live network; all commands deploy by this function."""
    with own_node(11155111) as node:
        with networks.parse_network_choice(f"ethereum:sepolia:{node.url}") as provider:
            assert not provider.network.is_dev
            with pytest.raises(CircuitError, match="run `ape run build --srs ceremony` first"):
                deploy(manifest, accounts[0])
        assert node.web3.eth.block_number == 0


def test_deployed_code_is_the_built_code(manifest, clan, bad_manifest, bad_verifier):
    assert runtime_sha256(clan.verifier()) == manifest["verifier"]["runtime_sha256"]
    assert runtime_sha256(bad_verifier.address) == bad_manifest["verifier"]["runtime_sha256"]
    assert runtime_sha256(clan.verifier()) != bad_manifest["verifier"]["runtime_sha256"]


def test_record_of_an_earlier_version_is_read(node, record):
    """These are the names that version 0.1 recorded."""
    names = "application contract block verifier limbs limb_bits output_scale srs vk_sha256"
    names += " onnx_sha256 verifier_runtime_sha256"
    old = {"clan": {name: record["clan"][name] for name in names.split()}}
    node.record.write_text(json.dumps(old))
    assert "no clan has members yet" in ape(node, "clans").stdout
    result = ape(node, "deploy", "--only", "clan")
    assert "clan is already deployed" in result.stdout, result.stderr
    assert json.loads(node.record.read_text()) == old
