"""The contracts that a hub proves for: which key a proof carries, and what they would refuse."""

from typing import Any

import ape

from hub.circuits import Served
from hub.problems import RequestError
from hub.shapes import Application, ChainState
from scripts import _deployments
from scripts._cli import is_dev
from scripts._contracts import APPLICATIONS
from scripts._voice import moment, now
from zk.errors import CircuitError

EXPLORERS = {
    1: "https://etherscan.io",
    137: "https://polygonscan.com",
    80002: "https://amoy.polygonscan.com",
    11155111: "https://sepolia.etherscan.io",
    11155420: "https://sepolia-optimism.etherscan.io",
}
READING = (
    "eth_blockNumber",
    "eth_call",
    "eth_chainId",
    "eth_estimateGas",
    "eth_feeHistory",
    "eth_gasPrice",
    "eth_getBalance",
    "eth_getBlockByNumber",
    "eth_getCode",
    "eth_getLogs",
    "eth_getTransactionByHash",
    "eth_getTransactionCount",
    "eth_getTransactionReceipt",
    "eth_maxPriorityFeePerGas",
)
WRITING = ("eth_accounts", "eth_sendTransaction")


class Chain:
    """The connected chain. Contracts are looked up again when the record of deployments changes."""

    def __init__(self) -> None:
        self._contracts: dict[str, Any] = {}
        self._domains: dict[tuple, int] = {}
        self._read = 0

    def contract(self, served: Served):
        path = _deployments.path()
        changed = path.stat().st_mtime_ns if path.is_file() else 0
        if changed != self._read:
            self._contracts, self._domains, self._read = {}, {}, changed
        if served.name not in self._contracts:
            if not served.application:
                raise RequestError(
                    409,
                    f"{served.name} has {served.manifest['outputs']} outputs, and there is no "
                    f"application for that: {', '.join(APPLICATIONS.values())} take 10 and 1.",
                )
            try:
                contract = _deployments.contract(served.name, served.application, served.manifest)
            except CircuitError as error:
                raise RequestError(409, str(error)) from error
            self._contracts[served.name] = contract
        return self._contracts[served.name]

    def key(self, served: Served, account: str, number: int | None) -> tuple[int, int | None]:
        """The key and the round of a proof, after what would make it worthless was ruled out."""
        contract = self.contract(served)
        if served.application == "Clan":
            if number:
                raise RequestError(422, f"Clan has no rounds: leave round {number} out.")
            if _ask(contract, "isMember", account):
                clan = contract.clanOf(account)
                raise RequestError(409, f"{account} is in clan {clan} already, for good.")
            return self._key(contract, account), None
        number = self._round(contract, account, number)
        return self._key(contract, account, number), number

    def _key(self, contract, account: str, *number: int) -> int:
        """The domain above the account is asked for once: it never changes."""
        asked = (contract.address, *number)
        if asked not in self._domains:
            self._domains[asked] = _ask(contract, "keyOf", account, *number) >> 160
        return self._domains[asked] << 160 | int(account, 16)

    def _round(self, judge, account: str, number: int | None) -> int:
        rounds = judge.rounds()
        if rounds == 0:
            raise RequestError(409, "No round has been opened yet.")
        if number is not None and number >= rounds:
            raise RequestError(409, f"There is no round {number}: the newest is {rounds - 1}.")
        number = rounds - 1 if number is None else number
        offer = judge.roundOf(number)
        if now() > offer.deadline:
            raise RequestError(
                409, f"Round {number} is over: its deadline was {moment(offer.deadline)}."
            )
        if judge.isRewarded(number, account):
            raise RequestError(409, f"{account} has earned the reward of round {number} already.")
        if offer.rewardsLeft == 0:
            raise RequestError(409, f"All rewards of round {number} are won.")
        return number

    def described(self, tokens: bool) -> ChainState:
        """What a page needs to speak with the contracts itself."""
        provider = ape.networks.provider
        applications = {
            circuit: Application(
                application=entry["application"],
                contract=entry["contract"],
                verifier=entry["verifier"],
                block=entry["block"],
                setup=entry["srs"]["kind"],
                abi=[
                    item.model_dump(mode="json", exclude_none=True)
                    for item in getattr(ape.project, entry["application"]).contract_type.abi
                ],
            )
            for circuit, entry in _deployments.read().items()
        }
        return ChainState(
            chain_id=provider.chain_id,
            network=provider.network.choice,
            dev=is_dev(),
            tokens=tokens,
            explorer=EXPLORERS.get(provider.chain_id) if not is_dev() else None,
            applications=applications,
        )

    def relay(self, method: str, parameters: list[Any]) -> dict[str, Any]:
        """Asks the node on behalf of a page, which so needs no node of its own.

        On a dev network the node signs for its test accounts, too.
        """
        if method not in READING and not (is_dev() and method in WRITING):
            return {"error": {"code": -32601, "message": f"{method} is not relayed."}}
        web3 = ape.networks.provider.web3
        answer = web3.provider.make_request(method, parameters)
        return {name: answer[name] for name in ("result", "error") if name in answer}


def _ask(contract, view: str, *arguments: str | int) -> int:
    """The number with which a view answers; past web3, which would ask for the chain, too."""
    data = bytes(getattr(contract, view).encode_input(*arguments))
    call = {"to": contract.address, "data": f"0x{data.hex()}"}
    answer = ape.networks.provider.web3.provider.make_request("eth_call", [call, "latest"])
    if "result" not in answer:
        raise RequestError(503, f"The chain's node has no answer to {view}.", retry_after=5)
    return int(answer["result"], 16)
