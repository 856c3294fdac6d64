"""The interface of an application, and the applications that exist, by name."""

from __future__ import annotations

import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from chain.contracts import ask
from chain.deployments import contract_of
from chain.sending import send
from zk.circuit import Prover
from zk.errors import CircuitError
from zk.manifest import Manifest
from zk.proof import Proof
from zk.samples import Array

if TYPE_CHECKING:
    from ape.api import AccountAPI, ReceiptAPI
    from ape.contracts import ContractInstance

Medium = Literal["drawing", "clip", "input"]


def unchanged(x: Array) -> Array:
    """The view of a model that takes its input as it is."""
    return x


@dataclass(frozen=True)
class Source:
    """A circuit of an application, by name.

    The samples of one that takes the model's input itself are in models/exports/<model>.npz.
    """

    model: str  # models/exports/<model>.onnx
    verifier_name: str
    medium: Medium = "input"
    view: Callable[[Array], Array] = unchanged  # turns the medium into the model's input
    tests: int = 1000  # drawings that a build measures accuracy on; clips are all heard
    tuned_as: str | None = None  # the circuit whose knobs it shares
    batch: int = 1  # inputs of a proof
    accept_loss: bool = False  # it answers otherwise than its model
    features: Sequence[str] = ()  # names of the input's numbers, if people know them
    prover: Prover = "ezkl"


@dataclass(frozen=True)
class Digit:
    """The answer of a digit reader, and its logits."""

    digit: int
    logits: list[float]
    kind: Literal["digit"] = "digit"


@dataclass(frozen=True)
class Score:
    """The answer of a judge, in units of 1e-18 and rounded for people."""

    score: str
    written: str
    voice: bool  # false if the judge takes the recording for another sound
    kind: Literal["score"] = "score"


@dataclass(frozen=True)
class Outputs:
    """The answer of any other model, with the names of its outputs, if they have any."""

    outputs: list[float]
    names: list[str] = field(default_factory=list)
    kind: Literal["outputs"] = "outputs"


Result = Digit | Score | Outputs


def bars(names: Sequence[object], outputs: Sequence[float]) -> list[str]:
    """Outputs for a terminal."""
    lowest, wide = min(outputs), max(len(str(name)) for name in names)
    width = max(max(outputs) - lowest, 1e-9)
    return [
        f"  {name!s:{wide}}  {output:8.2f}  {'█' * round(30 * (output - lowest) / width)}"
        for name, output in zip(names, outputs, strict=True)
    ]


class RefusedError(CircuitError):
    """The application would refuse the proof at this moment."""


class Application(ABC):
    """A contract that believes the proofs of a circuit.

    A module of this package that defines `application` adds one.
    """

    name: ClassVar[str]  # of its contract
    outputs: ClassVar[int]  # of the circuits that it believes
    labels: ClassVar[Sequence[str]] = ()  # of the outputs, if people know them
    circuits: ClassVar[Mapping[str, Source]] = {}  # the first is its default
    has_rounds: ClassVar[bool] = False  # a key is for one round
    dry_run: ClassVar[str]  # the view that checks a proof and returns its result
    action: ClassVar[str]  # the function that acts on a proof
    order: ClassVar[Mapping[str, Any]]  # an example of an order to a hub
    issuer: ClassVar[str | None] = None  # whose attestations of inputs it believes

    # Keys

    def choose_round(self, contract: ContractInstance, round_number: int | None) -> int | None:
        """The round that a new proof is for; `round_number` is the user's choice."""
        if round_number:
            raise CircuitError(f"{self.name} has no rounds: leave out round {round_number}.")
        return None

    def key(self, contract: ContractInstance, account: str, round_number: int | None) -> int:
        """The key that a proof must carry."""
        return ask(contract, "keyOf", account, *([] if round_number is None else [round_number]))

    def round_of(self, contract: ContractInstance, account: str, key: int) -> int | None:
        """The round that a key is for; raises if it is for another chain or contract."""
        if self.key(contract, account, None) != key:
            raise self._elsewhere(contract)
        return None

    def _elsewhere(self, contract: ContractInstance) -> RefusedError:
        where = f"{contract.address} on chain {contract.provider.chain_id}"
        return RefusedError(
            f"The proof was made for another chain, contract or round than those of {where}: "
            "run `ape run prove` again."
        )

    # Refusals, once for the command line, the hub and the page

    @abstractmethod
    def require_open(
        self,
        contract: ContractInstance,
        account: str,
        round_number: int | None,
        answer: list[int] | None = None,
    ) -> None:
        """Raise `RefusedError` if the contract would refuse the account's proof now.

        `answer` holds the circuit's outputs, if they are known.
        """

    # Results

    @abstractmethod
    def result(self, answer: list[int], scale: int) -> Result:
        """The meaning of a circuit's outputs."""

    @abstractmethod
    def lines(self, answer: list[int], scale: int) -> list[str]:
        """The outputs for a terminal; the last line is the summary."""

    def doubt(self, answer: list[int], scale: int) -> str | None:
        """The reason, if there is one, to look at an answer twice before it is proved."""
        return None

    def terms(self, contract: ContractInstance, round_number: int | None) -> str | None:
        """The offer that a proof is made for, in one line."""
        return None

    # The contract

    def contract_of(self, circuit: str, manifest: Manifest | None = None) -> ContractInstance:
        """The contract of a circuit on the connected chain, deployed from this build if given."""
        return contract_of(circuit, self.name, manifest)

    def prepare(self, contract: ContractInstance, sender: AccountAPI, proofs: int = 10) -> None:
        """Make a fresh contract on a dev chain accept this number of proofs, or more."""
        return

    def read(
        self, contract: ContractInstance, account: str, round_number: int | None, proof: Proof
    ) -> int:
        """The result that the contract reads in a proof; raises the contract's own error."""
        return ask(contract, self.dry_run, *claim_of(account, round_number, proof))

    def submit(
        self,
        contract: ContractInstance,
        account: str,
        round_number: int | None,
        proof: Proof,
        sender: AccountAPI,
    ) -> ReceiptAPI:
        """Send a proof for its account."""
        return act(contract, self.action, claim_of(account, round_number, proof), sender)

    # The audit

    def immutables(self, contract: str, chain_id: int) -> dict[str, int]:
        """The immutable values of a contract beside its verifier and its layout, by name."""
        return {}

    def encode(
        self, contract: ContractInstance, account: str, round_number: int | None, proof: Proof
    ) -> bytes:
        """The calldata of the dry run."""
        view = getattr(contract, self.dry_run)
        return bytes(view.encode_input(*claim_of(account, round_number, proof)))

    def encode_batch(self, contract: ContractInstance, proof: Proof) -> bytes:
        """The calldata of a batch to which nobody consents."""
        raise CircuitError(f"{self.name} takes no batches: deploy its circuit without one.")

    def forgeries(
        self, contract: ContractInstance, proofs: dict[str, Proof]
    ) -> Iterator[tuple[str, bytes]]:
        """False claims that the contract must refuse, made of two accounts' genuine proofs."""
        round_number = 0 if self.has_rounds else None
        (account, one), (thief, other) = proofs.items()
        yield "the proof of another account", self.encode(contract, thief, round_number, one)
        mixed = replace(one, instances=other.instances)
        yield "a proof with another's key", self.encode(contract, thief, round_number, mixed)
        raised = replace(one, instances=[*one.instances[:-1], one.instances[-1] + 1])
        yield "a proof with another answer", self.encode(contract, account, round_number, raised)
        empty = replace(one, proof=b"")
        yield "an empty proof", self.encode(contract, account, round_number, empty)
        if self.has_rounds:
            yield "the proof of another round", self.encode(contract, account, 1, one)


def claim_of(account: str, round_number: int | None, proof: Proof) -> tuple[Any, ...]:
    """The arguments of the functions that take a proof."""
    rounds = () if round_number is None else (round_number,)
    return (*rounds, account, proof.proof, proof.instances)


def act(
    contract: ContractInstance, function: str, claim: tuple[Any, ...], sender: AccountAPI
) -> ReceiptAPI:
    """Send a proof to a function that takes one."""
    return send(getattr(contract, function), *claim, sender=sender)


@cache
def applications() -> dict[str, Application]:
    """Every application, by name."""
    modules = [
        import_module(f"apps.{module.name}")
        for module in pkgutil.iter_modules([str(Path(__file__).parent)])
    ]
    found = [module.application for module in modules if hasattr(module, "application")]
    return {application.name: application for application in found}


def application_of(manifest: Manifest) -> Application:
    """The application that a build was made for; raise if the build is for batches."""
    application, circuit = named(manifest.application), manifest["circuit"]
    if (batch := manifest.layout.batch) > 1:
        raise CircuitError(
            f"{circuit} takes {batch} inputs at once: deploy it beside its single circuit, with "
            f"`ape run deploy --only CIRCUIT --batch {circuit}`."
        )
    require_outputs(application, circuit, manifest.layout.outputs)
    return application


def named(name: str) -> Application:
    if name not in applications():
        raise CircuitError(
            f"There is no application {name!r}: there are {', '.join(applications())}."
        )
    return applications()[name]


def require_outputs(application: Application, circuit: str, outputs: int) -> None:
    if outputs != application.outputs:
        raise CircuitError(
            f"{circuit} has {outputs} outputs, but {application.name} takes {application.outputs}: "
            "choose another application with `ape run build --app`."
        )
