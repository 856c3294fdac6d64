"""Drafts of applications: the files of one with a single rule, made of templates."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from string import Template
from typing import Literal

import numpy as np

from apps.circuits import EXPORTS, is_free
from apps.registry import applications
from zk.binding import Model
from zk.circuit import Prover, RunArgs, contract_name
from zk.errors import CircuitError
from zk.files import ROOT, write_whole
from zk.r1cs.lowering import lower
from zk.samples import Array

TEMPLATES = Path(__file__).with_name("templates")
ONE = 10**18

RuleName = Literal["argmax", "threshold"]
USUAL: dict[RuleName, Decimal] = {"argmax": Decimal(1), "threshold": Decimal("0.5")}

BY_ACCOUNT = """def test_another_sender(contract, proof, accounts):
    with ape.reverts(contract.{name}__NotTheAccount):
        send(contract, accounts[0], proof, accounts[1])"""
BY_ANYONE = """def test_another_sender(contract, proof, accounts):
    send(contract, accounts[0], proof, accounts[1])
    assert contract.isUnlocked(accounts[0])
    assert not contract.isUnlocked(accounts[1])"""
ATTESTED_TESTS = """

def test_input_that_nobody_attested(contract, proof, accounts):
    with ape.reverts(contract.AttestedApplication__NotAttested):
        contract.{action}(accounts[0], proof.proof, proof.instances, sender=accounts[0])


def test_another_input_than_the_attested_one(contract, proof, accounts):
    attest(contract, accounts[0], proof.instances[1] + 1)
    with ape.reverts(contract.AttestedApplication__OtherInput):
        contract.{action}(accounts[0], proof.proof, proof.instances, sender=accounts[0])
"""
# The words of applications that believe any input, and of those that believe an issuer's.
ANY_INPUT = {
    "base": "BoundApplication",
    "issuer": "",
    "signed_by": "",
    "attested": "",
    "origin": "It does not show where the input comes from.",
    "from_issuer": "",
    "attesting": "",
    "agreeing": "    return deploy(build, deployer)",
    "importing": "",
    "attested_tests": "",
}
ATTESTED = {
    "base": "AttestedApplication",
    "issuer": "    address internal constant ISSUER = {issuer};\n",
    "signed_by": ", ISSUER",
    "attested": "        _requireAttested(account, instances);\n",
    "origin": "The issuer has attested the input.",
    "from_issuer": '    issuer = "{issuer}"\n',
    "attesting": "    attest(contract, account, proof.instances[1])\n",
    "agreeing": "    with agreeing(deploy(build, deployer)) as made:\n        yield made",
    "importing": "from tests.attestations import agreeing, attest\n",
    "attested_tests": ATTESTED_TESTS,
}
# The words of each rule in the templates.
WORDS: dict[RuleName, dict[str, str]] = {
    "argmax": {
        "purpose": "prove the class that a model chooses, mint it.",
        "rule": "Argmax",
        "action": "mint",
        "event": "Minted",
        "done": "hasMinted",
        "which": "margin",
        "already": "AlreadyMinted",
        "broken": "TooClose",
        "sender": BY_ACCOUNT,
    },
    "threshold": {
        "purpose": "prove a score that reaches a threshold, unlock the account.",
        "rule": "Threshold",
        "action": "unlock",
        "event": "Unlocked",
        "done": "isUnlocked",
        "which": "threshold",
        "already": "AlreadyUnlocked",
        "broken": "ScoreTooLow",
        "sender": BY_ANYONE,
    },
}


@dataclass(frozen=True)
class Draft:
    """An application that is about to be written."""

    circuit: str
    rule: RuleName
    limit: Decimal  # the margin or the threshold
    labels: Sequence[str]  # of the outputs
    features: Sequence[str]  # of the input's numbers, or none
    prover: Prover = "ezkl"
    issuer: str | None = None  # who attests inputs

    @property
    def name(self) -> str:
        return contract_name(self.circuit)

    @property
    def module(self) -> str:
        return self.circuit.replace("-", "_")

    def files(self) -> dict[Path, str]:
        """The sources to write, by path."""
        words = WORDS[self.rule]
        source = ATTESTED if self.issuer else ANY_INPUT
        values = {
            **words,
            **{
                name: text.format(issuer=self.issuer, action=words["action"])
                for name, text in source.items()
            },
            "sender": words["sender"].format(name=self.name),
            "name": self.name,
            "circuit": self.circuit,
            "prover": self.prover,
            "outputs": f"{len(self.labels)}",
            "limit": in_solidity(self.limit),
            "labels": _tuple(self.labels, "    "),
            "features": _tuple(self.features),
        }
        rule = TEMPLATES / self.rule
        return {
            ROOT / path: Template(template.read_text()).substitute(values)
            for path, template in (
                (f"apps/{self.module}.py", TEMPLATES / "application.py.txt"),
                (f"contracts/{self.name}.sol", rule / "contract.sol.txt"),
                (f"contracts/interfaces/I{self.name}.sol", rule / "interface.sol.txt"),
                (f"tests/chain/test_{self.module}.py", TEMPLATES / "test.py.txt"),
            )
        }


def draft(
    circuit: str,
    model: Model,
    names: Mapping[str, Array],
    rule: RuleName | None,
    margin: Decimal | None,
    threshold: Decimal | None,
    prover: Prover | None = None,
    issuer: str | None = None,
) -> Draft:
    """The draft for a model, with the arrays of its samples and the limits that the user gave."""
    own, size = model.outputs, math.prod(model.input_shape)
    fits: RuleName = "threshold" if own == 1 else "argmax"
    limit, other = (margin, threshold) if fits == "argmax" else (threshold, margin)
    if rule not in (None, fits) or other is not None:
        raise CircuitError(
            f"{model.path} has {own} outputs: argmax, with --margin, is for two or more, and "
            "threshold, with --threshold, for one."
        )
    limit = USUAL[fits] if limit is None else limit
    in_solidity(limit)
    if fits == "argmax" and limit < 0:
        raise CircuitError(f"The margin {limit} is negative: give 0 or more.")
    usual = ["score"] if own == 1 else [str(place) for place in range(own)]
    labels = _names(names, "target_names", own) or usual
    features = _names(names, "feature_names", size)
    prover = prover or "ezkl"
    if prover == "groth16":
        args = RunArgs(prover=prover, attested=issuer is not None)
        lower(model.proto, args.layout(own), args)  # refuses what has no constraints
    return Draft(circuit, fits, limit, labels, features, prover, issuer)


def share(draft: Draft, outputs: Array) -> float:
    """The share of samples whose outputs fulfil the rule; raise if there is none."""
    ordered = np.sort(outputs, axis=1)
    margins = draft.rule == "argmax"
    values = ordered[:, -1] - ordered[:, -2] if margins else ordered[:, 0]
    found = float(np.mean(values >= float(draft.limit)))
    if found == 0:
        what, option = ("lead", "--margin") if margins else ("score", "--threshold")
        raise CircuitError(
            f"No sample fulfils the rule: the largest {what} is {values.max():.4g}, and the rule "
            f"asks for {draft.limit}. Lower {option}."
        )
    return found


def _names(arrays: Mapping[str, Array], which: str, count: int) -> list[str]:
    """The names in one of the arrays, if it is there."""
    found = [str(name) for name in arrays.get(which, [])]
    if found and not (len(found) == count and all(name.isprintable() for name in found)):
        raise CircuitError(
            f"{which} of the samples holds {len(found)} names: give {count} printable ones."
        )
    return found


def write(draft: Draft, model: Model, data: Path) -> list[Path]:
    """Write an application with its model and samples; return the files. Replaces none."""
    files: dict[Path, bytes] = {path: text.encode() for path, text in draft.files().items()}
    files[EXPORTS / f"{draft.circuit}.onnx"] = model.content
    files[EXPORTS / f"{draft.circuit}.npz"] = data.read_bytes()
    if present := [path for path in files if path.exists()]:
        raise CircuitError(
            f"{present[0].relative_to(ROOT)} exists already: choose another name, or delete it."
        )
    try:
        for path, content in files.items():
            write_whole(path, content)
    except OSError:
        for path in files:  # none was there before
            path.unlink(missing_ok=True)
        raise
    return list(files)


def require_new(name: str) -> None:
    """Raise unless an application can have this name."""
    same = [other for other in applications() if other.lower() == contract_name(name).lower()]
    if same:
        raise CircuitError(f"There is an application {same[0]} already: choose another name.")
    if not is_free(name):
        raise CircuitError(
            f"{name!r} cannot name an application: give two or more small letters and digits, a "
            "letter first and - or _ between words, that no circuit has."
        )


def in_solidity(limit: Decimal) -> str:
    """A limit in units of 1e-18, as Solidity writes it."""
    if not limit.is_finite() or abs(limit) >= ONE or int(limit * ONE) != limit * ONE:
        raise CircuitError(
            f"The limit {limit} is not a number between -1e18 and 1e18 with 18 decimals: round it."
        )
    return f"{limit.normalize():f}e18" if limit else "0"


def _tuple(names: Sequence[str], indent: str = "") -> str:
    """A tuple of strings in Python, as ruff formats it."""
    quoted = [repr(name) if '"' in name else json.dumps(name, ensure_ascii=False) for name in names]
    if len(quoted) < 2:
        return f"({quoted[0]},)" if quoted else "()"
    return "".join(["(\n", *(f"{indent}    {one},\n" for one in quoted), f"{indent})"])
