import os
import time

import ape
import click
from ape.logging import logger

from scripts._circuits import circuit, run_build
from scripts._clan import deploy_clan, logits, table
from scripts._cli import Command
from zk.proof import prove

# Whose drawing, which of MNIST's test images, and which test account sends the proof.
STORY = (("Ada", 0, 1, 1), ("Ben", 2, 2, 2), ("Cleo", 17, 3, 4))


@click.command(cls=Command)
def cli() -> None:
    """Tell the whole story on a fresh anvil: build, deploy, draw, prove, join.

    \b
    Example:
        ape run demo
    """
    os.environ["APE_FOUNDRY_HOST"] = "auto"  # a fresh anvil, whatever runs on port 8545
    logger.set_level("WARNING")
    started = time.monotonic()
    number = 0

    def step(title: str) -> None:
        nonlocal number
        number += 1
        click.secho(f"\n{number}. {title}  [{time.monotonic() - started:.1f} s]", bold=True)

    step("Build the circuit of the digit reader")
    manifest = run_build(circuit("clan"))

    from models.data import drawing, mnist

    step("Start a fresh anvil, and deploy the verifier and Clan")
    with ape.networks.parse_network_choice("ethereum:local:foundry"):
        deployer = ape.accounts.test_accounts[0]
        clan = deploy_clan(manifest, deployer)
        for name, image, owner, sender in STORY:
            account, relayer = ape.accounts.test_accounts[owner], ape.accounts.test_accounts[sender]
            pixels = mnist.drawings("test")[image]
            step(f"{name} draws a {mnist.labels('test')[image]} (test image {image})")
            click.echo(drawing.as_text(pixels[2:26]))
            step(f"{name} proves what the model reads, in the name of {account.address}")
            proving = time.monotonic()
            proof = prove(manifest, clan.keyOf(account), drawing.block_sums(pixels))
            seconds = time.monotonic() - proving
            click.echo(logits(manifest, proof))
            click.echo(f"a proof of {len(proof.proof):,} bytes, made in {seconds:.1f} s")
            relayed = f", sent by the relayer {relayer.address}" if sender != owner else ""
            step(f"{name} joins{relayed}")
            receipt = clan.join(account, proof.proof, proof.instances, sender=relayer)
            click.echo(f"in clan {clan.clanOf(account)}, for {receipt.gas_used:,} gas")
        step("The clans")
        click.echo(table(clan))
    click.echo(f"\nthe whole story took {time.monotonic() - started:.1f} s")
