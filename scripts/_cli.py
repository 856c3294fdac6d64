"""The base of the commands: errors become one sentence, results one JSON document."""

import json
import re
import sys
from contextlib import redirect_stdout
from typing import Any

import ape
import click
from ape.cli import ConnectedProviderCommand
from ape.exceptions import ApeException, ContractLogicError

from chain.network import UPSTREAM
from models.data import DatasetError
from zk.errors import CircuitError, obstacle

JSON = "verdict.json"  # of a context: whether to print JSON
HOME = "ethereum:local"  # the network of commands without --network


def _remember(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    ctx.meta[JSON] = value


# The document is what the command's function returns.
json_option = click.option(
    "--json",
    is_flag=True,
    expose_value=False,
    callback=_remember,
    help="Print the result as one JSON document; all else goes to standard error.",
)
yes_option = click.option(
    "--yes", is_flag=True, help="Answer yes to every question; scripts need it."
)


class UnsoundError(Exception):
    """The command did its work, and this document says what is wrong."""

    def __init__(self, document: Any) -> None:
        self.document = document


class Command(click.Command):
    """A command whose foreseeable failures are one sentence and exit code 1, never a traceback."""

    def invoke(self, ctx: click.Context):
        if not ctx.meta.get(JSON):
            try:
                return self._invoke_in_sentences(ctx)
            except UnsoundError:
                raise SystemExit(1) from None
        failure: BaseException | None = None
        with redirect_stdout(sys.stderr):
            try:
                document = self._invoke_in_sentences(ctx)
            except UnsoundError as found:
                document, failure = found.document, SystemExit(1)
            except click.ClickException as error:
                document, failure = {"error": error.format_message()}, error
        click.echo(json.dumps(document, indent=2))
        if failure:
            raise failure
        return None

    def _invoke_in_sentences(self, ctx: click.Context) -> Any:
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


def suggest(words: str) -> None:
    """Name the command to type next, on the same network."""
    choice = HOME
    # Ape's networks take a second to import: a command without a chain leaves them alone.
    if isinstance(click.get_current_context().command, ChainCommand):
        choice = ape.networks.provider.network_choice
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
