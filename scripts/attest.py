from pathlib import Path

import click

from apps.attestations import attest
from apps.circuits import ARTIFACTS, test_sample
from apps.registry import application_of
from chain.accounts import account_named
from scripts._cli import ChainCommand, suggest
from verdict.commands import json_option
from zk.arrays import read_input
from zk.manifest import Manifest
from zk.proof import commitment


@click.command(cls=ChainCommand)
@click.option("--circuit", required=True)
@click.option(
    "--input",
    "given",
    type=click.Path(path_type=Path),
    help="The account's input, which stays here: .npy, .json or one row of .csv.",
)
@click.option("--sample", type=click.IntRange(0), help="Sample of the circuit's own test data.")
@click.option("--account", required=True, help="Account that the input is of.")
@json_option
def cli(circuit, given, sample, account) -> dict:
    """Attest an account's private input: sign its hash, and record it in the contract.

    The contract's issuer signs and sends it; its key must be on this machine.

    \b
    Example:
        ape run attest --circuit credit --input x.json --account 1
    """
    if (given is None) == (sample is None):
        raise click.UsageError("Give one of --input, --sample.")
    manifest = Manifest(ARTIFACTS / circuit)
    contract = application_of(manifest).contract_of(circuit, manifest)
    x = test_sample(circuit, sample) if given is None else read_input(given)
    hashed, who = commitment(manifest, x), account_named(account)
    receipt = attest(contract, who, hashed)
    click.echo(f"{hashed:#x} is attested as the input of {who} ({receipt.gas_used:,} gas)")
    source = f"--sample {sample}" if given is None else f"--input {given}"
    suggest(f"prove --circuit {circuit} {source} --account {account}")
    return {"account": who, "commitment": hex(hashed), "transaction": receipt.txn_hash}
