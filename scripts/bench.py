import click

from chain.network import is_dev
from scripts._cli import ChainCommand
from zk.errors import CircuitError
from zk.solc import require_solc


@click.command(cls=ChainCommand)
@click.option("--quick", is_flag=True, help="Fewer circuits, and one proof per large key.")
def cli(quick: bool) -> None:
    """Measure the circuits, the notebooks and the growth of cost in one run; update docs/.

    \b
    Example:
        ape run bench --quick --network ethereum:local
    """
    from bench.side_by_side import compare

    if not is_dev():
        raise CircuitError("A benchmark runs on a dev network: give --network ethereum:local.")
    require_solc()
    for section in compare(quick, click.echo):
        click.echo(section)
