"""The base of the commands: foreseeable errors become one sentence."""

import click
from ape.cli import ConnectedProviderCommand
from ape.exceptions import ApeException, ContractLogicError

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
            message = str(error)
            # Compared by name, because importing ape_foundry would slow every command down.
            if type(error).__name__ == "FoundryNotInstalledError":
                message = "anvil is not installed: run `make setup`, `source .venv/bin/activate`."
            raise click.ClickException(message) from error


class ChainCommand(Command, ConnectedProviderCommand):
    """A command that uses a chain, ethereum:local unless `--network` names another."""


def refusal(error: ContractLogicError) -> str:
    """A revert under the name of the contract's interface, with its values."""
    name = type(error).__name__ if type(error) is not ContractLogicError else error.revert_message
    values = getattr(error, "inputs", None) or {}
    return f"{name}({', '.join(f'{k}={v}' for k, v in values.items())})" if values else name
