"""The base of all commands: errors become one sentence, results one JSON document."""

import json
import sys
from contextlib import redirect_stdout
from typing import Any

import click

from zk.errors import CircuitError, obstacle

JSON = "verdict.json"  # of a context: whether to print JSON


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


class UnsoundError(Exception):
    """The command did its work, and this document says what is wrong."""

    def __init__(self, document: Any) -> None:
        self.document = document


class Command(click.Command):
    """A command whose foreseeable failures are one sentence and exit code 1, never a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        if not ctx.meta.get(JSON):
            try:
                return self.invoke_in_sentences(ctx)
            except UnsoundError:
                raise SystemExit(1) from None
        failure: BaseException | None = None
        with redirect_stdout(sys.stderr):
            try:
                document = self.invoke_in_sentences(ctx)
            except UnsoundError as found:
                document, failure = found.document, SystemExit(1)
            except click.ClickException as error:
                document, failure = {"error": error.format_message()}, error
        click.echo(json.dumps(document, indent=2))
        if failure:
            raise failure
        return None

    def invoke_in_sentences(self, ctx: click.Context) -> Any:
        """Run the command; turn foreseeable errors into sentences."""
        try:
            return super().invoke(ctx)
        except CircuitError as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            raise click.ClickException(obstacle(error)) from error
