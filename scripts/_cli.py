"""The base of the commands under Ape: its errors become sentences, too."""

import re
import sys
from typing import Any

import ape
import click
from ape.cli import ConnectedProviderCommand
from ape.exceptions import ApeException, ContractLogicError

from chain.network import UPSTREAM
from models.data import DatasetError
from verdict.commands import Command as Base
from zk.errors import CircuitError

TRAINING = ("matplotlib", "onnxscript", "torch")  # packages that only some commands need
HOME = "ethereum:local"  # the network of commands without --network


yes_option = click.option(
    "--yes", is_flag=True, help="Answer yes to every question; scripts need it."
)


class Command(Base):
    """A command that Ape runs."""

    def invoke_in_sentences(self, ctx: click.Context) -> Any:
        try:
            return super().invoke_in_sentences(ctx)
        except DatasetError as error:
            raise click.ClickException(str(error)) from error
        except ContractLogicError as error:
            raise click.ClickException(f"The contract refuses: {refusal(error)}.") from error
        except ModuleNotFoundError as error:
            if error.name not in TRAINING:
                raise
            lacking = f"This command needs {error.name}, which only training and charts do"
            raise click.ClickException(f"{lacking}: run `make .venv/train`.") from error
        except ApeException as error:
            raise click.ClickException(sentence(error)) from error


class ChainCommand(Command, ConnectedProviderCommand):
    """A command that uses a chain, ethereum:local unless `--network` names another."""


def suggest(words: str) -> None:
    """Name the command to type next, on the same network."""
    choice = HOME
    # Ape's networks take a second to import: a command without a chain leaves them alone.
    if isinstance(click.get_current_context().command, ChainCommand):
        chain = ape.networks.provider
        choice = HOME if chain.network.choice == HOME else chain.network_choice
    network = "" if choice.startswith(HOME) else f" --network {choice}"
    click.echo(f"Next: `ape run {words}{network}`.")


def require_yes(yes: bool, problem: str, question: str, remedy: str) -> None:
    """Go on only if the user agrees: with --yes, or on the terminal."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CircuitError(f"{problem}: {remedy}.")
    click.confirm(f"{problem}. {question}", abort=True, err=True)


# Errors of Ape and of nodes, and what they mean to the user.
MEANINGS = {
    "[Nn]once .*too low|already (known|imported)|underpriced": "The account sent another "
    "transaction meanwhile: run the command again.",
    "insufficient funds": "The account cannot pay for this transaction: send it ether, or name "
    "another one with --account.",
    f"node found on '{UPSTREAM}'": f"The node at {UPSTREAM}, which a fork copies, does not answer: "
    f"start one with `anvil --silent --port {UPSTREAM.rpartition(':')[2]} --fork-url URL &`.",
}


def sentence(error: ApeException) -> str:
    """The error of Ape or of a node in one sentence."""
    # Compared by name, because importing ape_foundry would slow every command down.
    if type(error).__name__ == "FoundryNotInstalledError":
        return "anvil is not installed: run `make setup`, `source .venv/bin/activate`."
    text = str(error)
    for pattern, meaning in MEANINGS.items():
        if re.search(pattern, text):
            return meaning
    answered = re.search(r"""'message': (['"])(.*?)\1""", text)  # a JSON-RPC error
    return answered[2] if answered else text


def refusal(error: ContractLogicError) -> str:
    """A revert under the name of the contract's interface, with its values."""
    name = type(error).__name__ if type(error) is not ContractLogicError else error.revert_message
    values = getattr(error, "inputs", None) or {}
    return f"{name}({', '.join(f'{k}={v}' for k, v in values.items())})" if values else name
