"""Facts that several files of the repository state: they agree."""

import re
import shutil
import subprocess

import pytest
import yaml

from apps.registry import applications
from chain.network import NETWORKS
from zk.files import ROOT

FORKED = {one.choice for one in NETWORKS if one.fork_upstream}
MANUALS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]


def test_make_runs_the_tests_on_every_fork():
    makefile = (ROOT / "Makefile").read_text()
    forks = re.search(r"^FORKS := (.+)$", makefile, re.MULTILINE)
    assert forks and set(forks[1].split()) == FORKED
    assert "for network in $(FORKS)" in makefile
    assert "ape test -n 2 tests/chain --network\n" in makefile
    assert "$(TEST_FORK) $$network-fork:foundry" in makefile


def test_ape_knows_every_fork():
    config = yaml.safe_load((ROOT / "ape-config.yaml").read_text())
    upstreams = {
        f"{ecosystem}:{name}": fork["upstream_provider"]
        for ecosystem, forks in config["foundry"]["fork"].items()
        for name, fork in forks.items()
    }
    assert upstreams == {one.choice: one.fork_upstream for one in NETWORKS if one.fork_upstream}
    for ecosystem, name in (one.split(":") for one in FORKED):
        assert config[ecosystem][f"{name}_fork"]["default_provider"] == "foundry"


def test_manuals_name_the_networks_of_the_table():
    choices = {one.choice for one in NETWORKS}
    for path in MANUALS:
        named = re.findall(r"\b((?:ethereum|polygon|optimism):[a-z]+)\b", path.read_text())
        assert set(named) <= choices | {"ethereum:local"}, path
    live = (ROOT / "docs" / "live-networks.md").read_text()
    assert [choice for choice in choices if f"`{choice}`" not in live] == []


def test_chain_ids_and_explorers_are_unique():
    for values in (
        [one.chain_id for one in NETWORKS],
        [one.choice for one in NETWORKS],
        [one.explorer for one in NETWORKS],
    ):
        assert len(set(values)) == len(values)


def test_every_application_has_a_contract():
    assert set(applications()) == {path.stem for path in (ROOT / "contracts").glob("*.sol")}


def test_spec_names_tests_that_exist():
    tests = {path.name: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    rules, file = (ROOT / "docs" / "spec.md").read_text(), ""
    for named, test in re.findall(r"`(test_\w+\.py)?(?:::(\w+))?\*?`", rules):
        file = named or file
        assert file in tests
        assert f"def {test}" in tests[file], f"{file} has no {test}"


def test_threat_model_names_tests_that_exist():
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    for name in re.findall(r"`(test_\w+)`", (ROOT / "docs" / "threat-model.md").read_text()):
        assert f"def {name}(" in tests, name


def test_test_files_have_different_names():
    """The specification names them without their folders."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(set(names)) == len(names)


def test_generated_and_built_files_are_ignored_by_git():
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.fail("these tests run in a clone")
    ignored = ["contracts/verifiers/ClanVerifier.sol", "artifacts/clan/pk.key"]
    ignored += ["deployments/31337.json", "deployments/1.fork.json", "proofs/clan-0x00.json"]
    result = subprocess.run(["git", "check-ignore", *ignored], cwd=ROOT, capture_output=True)
    assert result.stdout.decode().split() == ignored
    for network in NETWORKS:
        record = f"deployments/{network.chain_id}.json"
        assert subprocess.run(["git", "check-ignore", record], cwd=ROOT).returncode == 1
