from pathlib import Path

import click

from scripts import _deployments
from scripts._cli import ChainCommand, signer
from scripts._contracts import key_of
from scripts._voice import exactly, read_score, require_winnable, written
from zk.errors import CircuitError
from zk.proof import Proof


@click.command(cls=ChainCommand)
@click.argument("path", metavar="PROOF", type=click.Path(path_type=Path))
@click.option("--account", help="Who sends and pays, the singer or a relayer; dev default: test 0.")
def cli(path: Path, account: str | None) -> None:
    """Have a proof judged. Whoever sends it, the singer inside the proof earns the reward.

    \b
    Example:
        ape run judge proofs/voice-0-0x7099….json --account 2 --network ethereum:local
    """
    proof = Proof.load(path)
    judge = _deployments.contract(proof.circuit, "VoiceJudge")
    key, singer = key_of(judge, proof)
    # The proof holds a hash of its round: the newest are tried first.
    rounds = reversed(range(judge.rounds()))
    number = next((n for n in rounds if judge.keyOf(singer, n) == key), None)
    if number is None:
        raise CircuitError(
            f"{path} was made for no round of {judge.address} on chain "
            f"{judge.provider.chain_id}: run `ape run prove --circuit {proof.circuit}` again."
        )
    # Refused now is what would be refused after paying for gas.
    require_winnable(judge, number, singer, read_score(judge, number, singer, proof))
    sender = signer(account)
    receipt = judge.judge(number, singer, proof.proof, proof.instances, sender=sender)
    relayed = "" if sender.address == singer else f", relayed by {sender.address}"
    click.echo(
        f"{singer} scored {written(judge.scoreOf(number, singer))} in round {number} and has a "
        f"credit of {exactly(judge.creditOf(singer))} ether{relayed} ({receipt.gas_used:,} gas)"
    )
