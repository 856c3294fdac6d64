"""Clan: draw a digit, prove the reading, join that digit's clan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from apps.consents import NO_CONSENT, Consent, consent_for, immutables
from apps.registry import Application, Digit, RefusedError, Source, bars
from chain.contracts import ask, layout_of
from chain.sending import send
from models.data import drawing
from zk.proof import Proof

if TYPE_CHECKING:
    from ape.api import AccountAPI, ReceiptAPI
    from ape.contracts import ContractInstance


def _source(model: str, verifier_name: str, tests: int = 1000) -> Source:
    return Source(model, verifier_name, "drawing", drawing.VIEWS[model.removesuffix("-bad")], tests)


def _like_clan(model: str, verifier_name: str, batch: int = 1) -> Source:
    """A circuit with the knobs of `clan`."""
    return replace(_source(model, verifier_name), tuned_as="clan", batch=batch)


def _by_groth16(verifier_name: str, batch: int = 1) -> Source:
    tuned_as = "clan-groth16" if batch > 1 else None
    single = _source("swift", verifier_name)
    return replace(single, prover="groth16", tuned_as=tuned_as, batch=batch)


# Between the two largest logits. Of MNIST's 10,000 test images, the quantised model of `clan` reads
# 349 with a smaller margin, and 115 of these, a third, wrongly: 58 % of all its 199 errors.
SMALL_MARGIN = 1.5


class Clan(Application):
    name = "Clan"
    outputs = 10  # one logit for each digit
    circuits: ClassVar[Mapping[str, Source]] = {
        "clan": _source("swift", "ClanVerifier"),
        # The impostor of `ape run swap`, with the knobs of the circuit that it imitates.
        "clan-bad": replace(_like_clan("swift-bad", "ClanBadVerifier"), accept_loss=True),
        "clan-groth16": _by_groth16("ClanGroth16Verifier"),
        "clan-dash": _source("dash", "ClanDashVerifier"),
        # The same model for several accounts at once.
        "clan-batch": _like_clan("swift", "ClanBatchVerifier", batch=16),
        "clan-batch-32": _like_clan("swift", "ClanBatch32Verifier", batch=32),
        "clan-batch-groth16": _by_groth16("ClanBatchGroth16Verifier", batch=16),
        "clan-batch-32-groth16": _by_groth16("ClanBatch32Groth16Verifier", batch=32),
        # A witness of LeNet, or of conv-6-16, takes ten times as long as one of the others.
        "clan-lenet": _source("lenet", "ClanLenetVerifier", tests=500),
        "clan-dense": _source("dense", "ClanDenseVerifier"),
        "clan-dense-56": _source("dense-56", "ClanDense56Verifier"),
        "clan-dense-25": _source("dense-25", "ClanDense25Verifier"),
        "clan-dense-24-14": _source("dense-24-14", "ClanDense2414Verifier"),
        "clan-conv-6-16": _source("conv-6-16", "ClanConv616Verifier", tests=500),
    }
    dry_run = "readDigit"
    action = "join"
    order: ClassVar[Mapping[str, Any]] = {
        "drawing": "0" * 300 + "1" * 12 + "0" * 472,
        "account": f"0x{1:040x}",
    }

    def require_open(
        self,
        contract: ContractInstance,
        account: str,
        round_number: int | None,
        answer: list[int] | None = None,
    ) -> None:
        if ask(contract, "isMember", account):
            clan = ask(contract, "clanOf", account)
            raise RefusedError(f"{account} is already in clan {clan} and cannot change clans.")

    def submit(
        self,
        contract: ContractInstance,
        account: str,
        round_number: int | None,
        proof: Proof,
        sender: AccountAPI,
        consent: Consent | None = None,
    ) -> ReceiptAPI:
        """Send a proof for its account; another sender needs the account's consent."""
        if sender.address == account:
            return super().submit(contract, account, round_number, proof, sender)
        layout = layout_of(contract, self.outputs)
        agreed = consent_for(contract, account, digit_of(proof.outputs(layout)), consent)
        claim = (account, proof.proof, proof.instances, agreed)
        return send(contract.joinFor, *claim, sender=sender)

    def encode_batch(self, contract: ContractInstance, proof: Proof) -> bytes:
        consents = [NO_CONSENT] * contract.batchSize()
        return bytes(contract.joinMany.encode_input(proof.proof, proof.instances, consents))

    def forgeries(
        self, contract: ContractInstance, proofs: dict[str, Proof]
    ) -> Iterator[tuple[str, bytes]]:
        yield from super().forgeries(contract, proofs)
        account, proof = next(iter(proofs.items()))
        never, made_up = 2**256 - 1, bytes([*[1] * 64, 27])
        for what, consent in (
            ("without a signature", (never, b"")),
            ("with a made-up signature", (never, made_up)),
            ("with an expired consent", (0, made_up)),
        ):
            claim = (account, proof.proof, proof.instances, consent)
            yield f"a join {what}", bytes(contract.joinFor.encode_input(*claim))

    def immutables(self, contract: str, chain_id: int) -> dict[str, int]:
        return immutables(contract, chain_id)

    def result(self, answer: list[int], scale: int) -> Digit:
        return Digit(digit_of(answer), [logit / 2**scale for logit in answer])

    def lines(self, answer: list[int], scale: int) -> list[str]:
        """The logits as bars, and the digit."""
        found = self.result(answer, scale)
        second, margin = _second(found)
        last = f"the model reads a {found.digit}, ahead of a {second} by {margin:.2f}"
        return [*bars(range(10), found.logits), last]

    def doubt(self, answer: list[int], scale: int) -> str | None:
        found = self.result(answer, scale)
        second, margin = _second(found)
        if margin >= SMALL_MARGIN:
            return None
        return (
            f"This may be a {second} as well as a {found.digit}: a third of the readings with a "
            f"margin below {SMALL_MARGIN} are wrong"
        )


application = Clan()


def digit_of(logits: list[int]) -> int:
    """The digit of the largest logit; of equal ones, the lowest digit. As `Clan.digitOf`."""
    return logits.index(max(logits))


def _second(found: Digit) -> tuple[int, float]:
    """The digit that comes second, and by how much its logit is smaller."""
    others = [digit for digit in range(len(found.logits)) if digit != found.digit]
    second = max(others, key=lambda digit: found.logits[digit])
    return second, found.logits[found.digit] - found.logits[second]


def table(contract: ContractInstance) -> str:
    """The members of each clan as bars, and the leader."""
    counts = contract.counts()
    leader, most = contract.leader()
    scale = 40 / max(most, 40)  # a block for each member, until the largest clan fills the line
    rows = [
        f"  clan {digit}  {count:6,}  {'█' * max(round(count * scale), count > 0)}"
        for digit, count in enumerate(counts)
    ]
    members = "1 member" if most == 1 else f"{most:,} members"
    last = f"clan {leader} leads with {members}" if most else "no clan has members yet"
    return "\n".join([*rows, last])
