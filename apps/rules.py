"""Applications with one rule, which an account proves once that the model's outputs fulfil."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from apps.attestations import ATTESTATION
from apps.registry import Application, Outputs, RefusedError, bars
from chain.contracts import ask
from zk.proof import Proof

if TYPE_CHECKING:
    from ape.contracts import ContractInstance

ONE = 10**18  # of margins, thresholds and scores


class Rule(Application):
    """The contract has the view `done`, and a constant `limit` in units of 1e-18."""

    done: ClassVar[str]
    limit: ClassVar[str]
    order: ClassVar[Mapping[str, Any]] = {"input": [0.5, 1.0], "account": f"0x{1:040x}"}

    def result(self, answer: list[int], scale: int) -> Outputs:
        return Outputs([output / 2**scale for output in answer], list(self.labels))

    def require_open(
        self,
        contract: ContractInstance,
        account: str,
        round_number: int | None,
        answer: list[int] | None = None,
    ) -> None:
        if ask(contract, self.done, account):
            raise RefusedError(f"{account} has sent a proof already, and each account sends one.")
        if self.issuer and not ask(contract, "attestedAt", account):
            raise RefusedError(
                f"{self.issuer} has not attested an input of {account}: let it type "
                "`ape run attest`."
            )
        if answer is not None:
            limit = _signed(ask(contract, self.limit))
            self.require_rule(answer, ask(contract, "outputScale"), limit)

    def read(
        self, contract: ContractInstance, account: str, round_number: int | None, proof: Proof
    ) -> int:
        found = super().read(contract, account, round_number, proof)
        attested = ask(contract, "commitmentOf", account) if self.issuer else 0
        if attested and proof.instances[1] != attested:
            raise RefusedError(
                f"The proof is about another input of {account} than the one that {self.issuer} "
                "attested last: prove that one."
            )
        return found

    def immutables(self, contract: str, chain_id: int) -> dict[str, int]:
        if self.issuer is None:
            return {}
        return ATTESTATION.immutables(contract, chain_id) | {"issuer": int(self.issuer, 16)}

    @abstractmethod
    def require_rule(self, answer: list[int], scale: int, limit: int) -> None:
        """Raise `RefusedError` unless the outputs fulfil the rule."""


class Argmax(Rule):
    """The class of the largest output, if it leads by a margin."""

    dry_run, action, done, limit = "readClass", "mint", "hasMinted", "margin"

    def lines(self, answer: list[int], scale: int) -> list[str]:
        first, second, lead = _leading(answer)
        last = f"the model chooses {self.labels[first]}, ahead of {self.labels[second]}"
        outputs = self.result(answer, scale).outputs
        return [*bars(self.labels, outputs), f"{last} by {lead / 2**scale:.2f}"]

    def require_rule(self, answer: list[int], scale: int, limit: int) -> None:
        first, _, lead = _leading(answer)
        if lead * ONE < limit << scale:
            raise RefusedError(
                f"{self.labels[first]} leads by {lead / 2**scale:.2f}, less than the margin of "
                f"{limit / ONE:g} that {self.name} asks for: give an input with a clearer answer."
            )


class Threshold(Rule):
    """A score, if it reaches a threshold."""

    dry_run, action, done, limit = "readScore", "unlock", "isUnlocked", "threshold"

    def lines(self, answer: list[int], scale: int) -> list[str]:
        return [f"the {self.labels[0]} is {_score(answer[0], scale) / ONE:.4f}"]

    def require_rule(self, answer: list[int], scale: int, limit: int) -> None:
        if (score := _score(answer[0], scale)) < limit:
            raise RefusedError(
                f"A {self.labels[0]} of {score / ONE:.4f} is too low: {self.name} asks for "
                f"{limit / ONE:g}. Give another input."
            )


def _leading(outputs: list[int]) -> tuple[int, int, int]:
    """The places of the two largest outputs, and by how much the first leads. As `leading`."""
    first, second, *_ = sorted(range(len(outputs)), key=lambda place: -outputs[place])
    return first, second, outputs[first] - outputs[second]


def _score(output: int, scale: int) -> int:
    """An output in units of 1e-18, rounded towards 0 as Solidity does."""
    size = abs(output) * ONE >> scale
    return size if output >= 0 else -size


def _signed(word: int) -> int:
    return word if word < 2**255 else word - 2**256
