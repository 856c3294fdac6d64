"""`make mutants` draws the same mutants again, and each is one changed line that could run."""

import ast
from itertools import zip_longest

import pytest

from tests.changes import compiles
from tests.mutants import TESTS, draw, mutants_of, sources, suite_of
from zk.files import ROOT

pytestmark = pytest.mark.full


def test_same_seed_draws_the_same_mutants():
    drawn = draw(1, 30, ["zk/"])
    assert len(set(drawn)) == 30
    assert draw(1, 30, ["zk/"]) == drawn != draw(2, 30, ["zk/"])
    assert {mutant.file for mutant in draw(1, 5, ["zk/proof.py"])} == {"zk/proof.py"}


def test_mutant_is_one_changed_line_that_parses():
    for mutant in draw(1, 200, ["zk/", "hub/", "apps/"]):
        lines = (ROOT / mutant.file).read_text().split("\n")
        changed = [
            number
            for number, (old, new) in enumerate(
                zip_longest(lines, mutant.content.split("\n")), start=1
            )
            if old != new
        ]
        assert changed == [mutant.line]
        ast.parse(mutant.content)


def test_contracts_have_mutants_that_compile():
    contracts = ["contracts/Clan.sol", "contracts/base/BoundApplication.sol"]
    assert [mutant.file for mutant in draw(1, 2, contracts)] == contracts
    assert not compiles("contracts/Clan.sol", "contract Clan {")


def test_known_faults_are_among_the_mutants():
    """One of each kind, as lines before and after."""
    found = {
        (mutant.before.strip(), mutant.after.strip())
        for file in ("zk/proof.py", "contracts/base/BoundApplication.sol", "hub/gate.py")
        for mutant in mutants_of(file)
    }
    verified = "_verify(out, files, name)  # ezkl.prove also writes invalid proofs"
    assert (verified, f"if 0: {verified}") in found
    invalid = "if (!valid) revert BoundApplication__InvalidProof();"
    assert (invalid, "") in found and (invalid, invalid.replace("!", "")) in found
    field = "if not 0 <= instance < FIELD:"
    changes = {after for before, after in found if before == field}
    assert changes == {
        "if False:",
        "if 0 <= instance < FIELD:",
        "if not 0 < instance < FIELD:",
        "if not 0 <= instance <= FIELD:",
        "if not 1 <= instance < FIELD:",
        "if not -1 <= instance < FIELD:",
    }


def test_the_table_names_tests_that_exist():
    missing = [
        test
        for tests in TESTS.values()
        for test in tests.split()
        if not (ROOT / "tests" / test).exists()
    ]
    assert missing == []


def test_the_table_has_tests_of_every_file():
    assert all(suite_of(file) for file in sources() if mutants_of(file))
    assert suite_of("zk/witness.py") == ["tests/circuits/test_witness.py"]
