"""The record of deployments: what it holds, when a build is deployed again, and refusals."""

import copy
import json

import pytest

from chain import deployments
from chain.deployments import (
    contract_of,
    deploy_once,
    entry_for,
    entry_of,
    exists,
    read,
    require_code,
)
from zk.errors import CircuitError
from zk.files import write_json

NOWHERE = "0x" + "1" * 40


@pytest.fixture
def entry(manifest, clan, monkeypatch, tmp_path) -> dict:
    """The entry of the deployed clan, alone in a record."""
    monkeypatch.setattr(deployments, "FOLDER", tmp_path)
    entry = entry_for(manifest, clan)
    write_json(deployments.path(), {"clan": entry})
    return entry


def test_entry_names_the_contract_and_its_build(entry, manifest, clan, chain):
    fork = ".fork" if chain.provider.network.is_fork else ""
    assert deployments.path().name == f"{chain.chain_id}{fork}.json"
    assert entry["block"] <= chain.blocks.height
    assert {name: entry[name] for name in ("contract", "verifier", "limbs", "limb_bits")} == {
        "contract": clan.address,
        "verifier": clan.verifier(),
        "limbs": clan.limbs(),
        "limb_bits": clan.limbBits(),
    }
    hashes = (entry["vk_sha256"], entry["onnx_sha256"])
    assert hashes == tuple(manifest["files"][name]["sha256"] for name in ("vk", "model"))
    assert entry_of("clan") == entry
    assert contract_of("clan", "Clan", manifest).address == clan.address


def test_build_is_deployed_once(entry, manifest, deployer, chain):
    said: list[str] = []
    write_json(deployments.path(), {"other": {}, "clan": entry})
    assert deploy_once(manifest, deployer, said.append).address == entry["contract"]
    assert said == [f"clan is already deployed on chain {chain.chain_id}: {entry['contract']}"]
    assert read() == {"other": {}, "clan": entry}


@pytest.mark.plain
def test_build_with_a_batch_is_deployed_once(entry, crowd, deployer):
    said: list[str] = []
    single, several = crowd
    alone = deploy_once(single, deployer, said.append).address
    one, other = (deploy_once(single, deployer, said.append, several).address for _ in range(2))
    assert one == other != alone
    assert deploy_once(single, deployer, said.append).address == one
    assert sum("already deployed" in line for line in said) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "changed",
    [{"vk_sha256": "0"}, {"application": "Poll"}, {"contract": NOWHERE}, {"verifier": NOWHERE}],
)
def test_other_build_is_deployed_again(entry, manifest, deployer, changed):
    write_json(deployments.path(), {"other": {}, "clan": entry | changed})
    said: list[str] = []
    made = deploy_once(manifest, deployer, said.append)
    assert made.address not in (entry["contract"], NOWHERE)
    assert said[-1].startswith("Clan of clan on chain ") and said[-1].endswith(made.address)
    assert read() == {
        "other": {},
        "clan": entry_for(manifest, made) | {"block": read()["clan"]["block"]},
    }
    left = {path.name for path in deployments.FOLDER.iterdir()}
    assert left == {".lock", deployments.path().name}


def test_contract_that_exists(entry, verifier, judge, bad_verifier):
    assert exists(entry)
    for changed in (
        {"contract": NOWHERE},
        {"contract": verifier.address},  # has no function of this name
        {"verifier": NOWHERE},
        {"verifier": bad_verifier.address},
        {"verifier_runtime_sha256": "0" * 64},
    ):
        assert not exists(entry | changed), changed


def test_code_of_both_contracts_is_required(entry):
    contracts = {name: entry[name] for name in ("contract", "verifier")}
    require_code("clan", *contracts.values())
    for name in contracts:
        with pytest.raises(
            CircuitError, match=r"^Contract 0x\w{40} not found on chain \d+.*--only"
        ):
            require_code("clan", *(contracts | {name: NOWHERE}).values())


def test_refused_entries(entry, manifest):
    other = copy.copy(manifest)
    files = manifest["files"] | {"vk": {"sha256": "0" * 64}}
    other.content = manifest.content | {"files": files}
    with pytest.raises(CircuitError, match="deployed from another build of clan and refuses"):
        contract_of("clan", "Clan", other)
    with pytest.raises(CircuitError, match="clan is deployed as Clan, not as VoiceJudge"):
        contract_of("clan", "VoiceJudge")
    with pytest.raises(CircuitError, match=r"voice is not deployed according to .*: run `ape run"):
        entry_of("voice")
    write_json(deployments.path(), {"clan": entry | {"contract": NOWHERE}})
    with pytest.raises(CircuitError, match=f"Contract {NOWHERE} not found on chain"):
        contract_of("clan", "Clan")
    old = {name: value for name, value in entry.items() if name != "application"}
    write_json(deployments.path(), {"clan": old})
    with pytest.raises(CircuitError, match="clan is deployed as another contract, not as Clan"):
        contract_of("clan", "Clan")


def test_damaged_record(entry):
    deployments.path().write_text(json.dumps({"clan": entry})[:-5])
    with pytest.raises(CircuitError, match=r"is damaged .*: remove it and deploy again"):
        read()
    deployments.path().unlink()
    assert read() == {}
