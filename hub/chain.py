"""The contracts that a hub proves for: the keys of proofs, refusals, and calls for the page."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Any

import ape
import requests

from apps.registry import Application, RefusedError, application_of, applications
from chain import deployments
from chain.accounts import account_of, checked_account
from chain.compiler import application_contract
from chain.contracts import NodeError, code_at, first_block
from chain.deployments import MissingError
from chain.network import explorer, is_dev
from hub.circuits import Served
from hub.schemas import Answer, ChainState, Deployment
from zk.errors import CircuitError

if TYPE_CHECKING:
    from ape.contracts import ContractInstance

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
WRITING = ("eth_accounts", "eth_sendTransaction", "eth_signTypedData_v4")


class Chain:
    """The connected chain. Contracts are looked up again when the record of deployments changes."""

    def __init__(self) -> None:
        self._contracts: dict[str, tuple[Application, ContractInstance]] = {}
        self._domains: dict[tuple[str, int | None], int] = {}
        self._read = 0

    def key(self, served: Served, account: str, round_number: int | None) -> tuple[int, int | None]:
        """The key and the round of a new proof; raises if its application would refuse it."""
        application, contract = self._deployed(served)
        round_number = application.choose_round(contract, round_number)
        application.require_open(contract, account, round_number)
        # A domain never changes, so the contract is asked for it only once.
        asked = (str(contract.address), round_number)
        if (domain := self._domains.get(asked)) is None:
            domain = application.key(contract, account, round_number) >> 160
            self._domains[asked] = domain
        return domain << 160 | int(account, 16), round_number

    def submission(
        self, served: Served, key: int, outputs: list[int]
    ) -> tuple[int | None, Answer, str | None]:
        """The round of a valid proof, the answer of its application now, and the reason."""
        round_number = None
        try:
            application, contract = self._deployed(served)
            account = checked_account(account_of(key))
            round_number = application.round_of(contract, account, key)
            application.require_open(contract, account, round_number, outputs)
        except (requests.RequestException, NodeError):
            reason = "The chain's node does not answer: check the proof again later."
            return round_number, "unreachable", reason
        except MissingError as error:
            return round_number, "missing", str(error)
        except CircuitError as error:
            return round_number, "refused", str(error)
        return round_number, "accepted", None

    def _deployed(self, served: Served) -> tuple[Application, ContractInstance]:
        """The application of a circuit and its contract; raises if the chain has none."""
        path = deployments.path()
        changed = path.stat().st_mtime_ns if path.is_file() else 0
        if changed != self._read:
            self._contracts, self._domains, self._read = {}, {}, changed
        if found := self._contracts.get(served.name):
            deployments.require_code(served.name, str(found[1].address))
            return found
        try:
            application = application_of(served.manifest)
            found = application, application.contract_of(served.name, served.manifest)
        except (NodeError, MissingError):
            raise
        except CircuitError as error:
            raise RefusedError(str(error)) from error
        self._contracts[served.name] = found
        return found

    def health(self) -> tuple[str | None, str | None]:
        """The hash of the chain's first block, and in a sentence what is wrong with the chain."""
        genesis = None
        try:
            genesis = first_block()
            recorded = [entry["contract"] for entry in deployments.read().values()]
            if recorded and not any(map(code_at, recorded)):
                network = ape.networks.provider.network.choice
                return genesis, (
                    "The chain was reset: it has none of the recorded contracts. Run `ape run "
                    f"deploy --network {network}` again."
                )
        except (requests.RequestException, NodeError):
            return genesis, "The chain's node does not answer: start it again."
        except CircuitError as error:
            return genesis, str(error)
        return genesis, None

    def described(self, tokens: bool, relayed: Container[str] = ()) -> ChainState:
        """The chain as a page needs it, and which circuits the hub relays."""
        provider = ape.networks.provider
        deployed = {
            circuit: Deployment(
                application=entry["application"],
                contract=entry["contract"],
                verifier=entry["verifier"],
                block=entry["block"],
                srs=entry["srs"]["kind"],
                relays=circuit in relayed,
                action=applications()[entry["application"]].action,
                abi=[
                    item.model_dump(mode="json", exclude_none=True)
                    for item in application_contract(entry["application"]).contract_type.abi
                ],
            )
            for circuit, entry in deployments.read().items()
            if entry["application"] in applications() and code_at(entry["contract"])
        }
        genesis, problem = self.health()
        return ChainState(
            chain_id=provider.chain_id,
            network=provider.network.choice,
            dev=is_dev(),
            tokens=tokens,
            explorer=explorer(),
            genesis=genesis,
            problem=problem,
            applications=deployed,
        )

    def relay(self, method: str, parameters: list[Any]) -> dict[str, Any]:
        """Send a page's call to the node. On a dev chain, the node also signs for test accounts."""
        if method not in READING and not (is_dev() and method in WRITING):
            return {"error": {"code": -32601, "message": f"This hub does not relay {method}."}}
        web3 = ape.networks.provider.web3
        answer = web3.provider.make_request(method, parameters)
        return {name: answer[name] for name in ("result", "error") if name in answer}
