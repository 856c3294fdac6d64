"""Gate: prove a score, enter. A test adds it to `apps/` of a copy of the project."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from apps.registry import Application, Outputs, RefusedError
from chain.contracts import ask

if TYPE_CHECKING:
    from ape.contracts import ContractInstance


class Gate(Application):
    name = "Gate"
    outputs = 1
    dry_run = "readScore"
    action = "enter"
    order: ClassVar[Mapping[str, Any]] = {"input": [0.0] * 4, "account": f"0x{1:040x}"}

    def require_open(
        self,
        contract: ContractInstance,
        account: str,
        round_number: int | None,
        answer: list[int] | None = None,
    ) -> None:
        if ask(contract, "entered", account):
            raise RefusedError(f"{account} is already inside.")

    def result(self, answer: list[int], scale: int) -> Outputs:
        return Outputs([output / 2**scale for output in answer])

    def lines(self, answer: list[int], scale: int) -> list[str]:
        return [f"the gate reads {answer[0] / 2**scale:.3f}"]


application = Gate()
