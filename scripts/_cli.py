"""The base of the commands: foreseeable errors become one sentence."""

import re

import click
from ape.cli import ConnectedProviderCommand
from ape.exceptions import ApeException, ContractLogicError

from chain.network import UPSTREAM
from models.data import DatasetError
from zk.errors import CircuitError, obstacle


class Command(click.Command):
    """A command whose foreseeable failures are one sentence and exit code 1, never a traceback."""

    def invoke(self, ctx: click.Context):
        try:
            return super().invoke(ctx)
        except (CircuitError, DatasetError) as error:
            raise click.ClickException(str(error)) from error
        except ContractLogicError as error:
            raise click.ClickException(f"The contract refuses: {refusal(error)}.") from error
        except OSError as error:
            raise click.ClickException(obstacle(error)) from error
        except ApeException as error:
            raise click.ClickException(sentence(error)) from error


class ChainCommand(Command, ConnectedProviderCommand):
    """A command that uses a chain, ethereum:local unless `--network` names another."""


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
