import os
import time
from collections.abc import Callable

import ape
import click
from ape.logging import logger

from scripts import _clan, _deployments, _voice
from scripts._audits import audit_deployment
from scripts._circuits import HEARS, READS, circuit, run_build
from scripts._cli import Command, free_port
from scripts._contracts import deploy
from scripts._reports import show_verdict
from zk.errors import CircuitError
from zk.manifest import Manifest
from zk.proof import answer, prove

# Whose drawing, which of MNIST's test images, and which test account sends the proof.
DRAWINGS = (("Ada", 0, 1, 1), ("Ben", 2, 2, 2), ("Cleo", 17, 3, 4))
# Which synthetic voice sings what, and what the sponsor asks for.
SONG = ("f4", "happy", 1)
THRESHOLD, REWARD, REWARDS = 55 * 10**16, 10**16, 3
GWEI = 10**9

Step = Callable[[str], None]


@click.command(cls=Command)
def cli() -> None:
    """Tell both stories on a fresh anvil, drawing into a clan and singing, and audit them.

    \b
    Example:
        ape run demo
    """
    # A fresh anvil, whatever runs on port 8545.
    os.environ["APE_FOUNDRY_HOST"] = f"http://127.0.0.1:{free_port()}"
    logger.set_level("WARNING")
    started = time.monotonic()
    number = 0

    def step(title: str) -> None:
        nonlocal number
        number += 1
        click.secho(f"\n{number}. {title}  [{time.monotonic() - started:.1f} s]", bold=True)

    step("Build the circuits of the digit reader and of the voice judge")
    digits, voice = run_build(circuit("clan")), run_build(circuit("voice"))
    step("Start a fresh anvil, and deploy both verifiers, Clan and VoiceJudge")
    with ape.networks.parse_network_choice("ethereum:local:foundry"):
        deployer = ape.accounts.test_accounts[0]
        clan, judge = deploy(digits, deployer), deploy(voice, deployer)
        _draw(step, digits, clan)
        _sing(step, voice, judge)
        _audit(step, (digits, clan), (voice, judge))
    click.echo(f"\nthe whole story took {time.monotonic() - started:.1f} s")


def _draw(step: Step, manifest: Manifest, clan) -> None:
    """Three drawings, three proofs, three members."""
    from models.data import drawing, mnist

    for name, image, owner, sender in DRAWINGS:
        account, relayer = ape.accounts.test_accounts[owner], ape.accounts.test_accounts[sender]
        pixels = mnist.drawings("test")[image]
        step(f"{name} draws a {mnist.labels('test')[image]} (test image {image})")
        click.echo(drawing.as_text(pixels[2:26]))
        step(f"{name} proves what the model reads, in the name of {account.address}")
        proving = time.monotonic()
        proof = prove(manifest, clan.keyOf(account), READS["clan"](pixels))
        seconds = time.monotonic() - proving
        click.echo(_clan.logits(manifest, proof))
        click.echo(f"a proof of {len(proof.proof):,} bytes, made in {seconds:.1f} s")
        relayed = f", sent by the relayer {relayer.address}" if sender != owner else ""
        step(f"{name} joins{relayed}")
        receipt = clan.join(account, proof.proof, proof.instances, sender=relayer)
        click.echo(f"in clan {clan.clanOf(account)}, for {receipt.gas_used:,} gas")
    step("The clans")
    click.echo(_clan.table(clan))


def _sing(step: Step, manifest: Manifest, judge) -> None:
    """A round, a song, a proof, and a thief who pays for the singer's reward."""
    from models.data import sound, voices

    sponsor, singer, thief = (ape.accounts.test_accounts[number] for number in (5, 6, 7))
    step("A sponsor opens a round of VoiceJudge")
    deadline = ape.chain.blocks.head.timestamp + 3600
    judge.openRound(THRESHOLD, REWARD, deadline, value=REWARD * REWARDS, sender=sponsor)
    click.echo(_voice.table(judge, 0))

    voice, emotion, sentence = SONG
    clip = voices.synthetic_clip(voice, emotion, sentence)
    step(f"Dora, {singer.address}, sings: a synthetic voice, {emotion}")
    x = HEARS["voice"](sound.read(clip.path))
    score = _voice.score_from(int(answer(manifest, x)[0]), manifest["output_scale"])
    click.echo(f"{clip.path.name}: the judge's score is {_voice.written(score)}")
    step("Dora proves her score, for this round and in her own name")
    proving = time.monotonic()
    proof = prove(manifest, judge.keyOf(singer, 0), x)
    click.echo(f"a proof of {len(proof.proof):,} bytes, {time.monotonic() - proving:.1f} s")

    step("Dora sends it; a thief copies the transaction, with ten times the tip")
    wealth, owned = thief.balance, singer.balance
    song = (0, singer, proof.proof, proof.instances)
    late, first = race((judge.judge, song, singer, GWEI), (judge.judge, song, thief, 10 * GWEI))
    if (first.status, late.status) != (1, 0) or judge.creditOf(singer) != REWARD:
        raise CircuitError("The thief should have paid for Dora's reward, and has not.")
    for name, receipt in sorted(
        (("Dora's", late), ("the thief's", first)), key=lambda pair: pair[1].transactionIndex
    ):
        outcome = "succeeds" if receipt.status else "fails, its reward is credited already"
        click.echo(f"  {receipt.transactionIndex}. {name:11}  {outcome} ({receipt.gasUsed:,} gas)")
    click.echo(f"  Dora's credit       {_voice.exactly(judge.creditOf(singer))} ether")
    click.echo(f"  the thief's credit  {_voice.exactly(judge.creditOf(thief))} ether")
    step("Dora withdraws")
    judge.withdraw(sender=singer)
    click.echo(f"  Dora       {(singer.balance - owned) / 1e18:+.4f} ether, gas included")
    click.echo(f"  the thief  {(thief.balance - wealth) / 1e18:+.4f} ether")
    step("The rounds")
    click.echo(_voice.table(judge, 0))


def _audit(step: Step, *deployed) -> None:
    """Everything on chain, derived again from the models, and attacked."""
    step("Audit both: the builds, the setups, the code on chain, and what forgeries it refuses")
    reports = [
        report
        for manifest, contract in deployed
        for report in audit_deployment(manifest, _deployments.entry_for(manifest, contract))
    ]
    for report in reports:
        checks = len(report.passed)
        click.echo(f"  {report.subject}: {checks} check{'s' * (checks != 1)} passed")
    show_verdict(reports)
    if wrong := [finding.what for report in reports for finding in report.wrong]:
        raise CircuitError(f"The audit found: {' '.join(wrong)}")


def race(*waiting) -> list:
    """Sends transactions into one block, each with its function, arguments, sender and tip in wei;
    gives their receipts."""
    provider = ape.chain.provider
    provider.auto_mine = False
    sent = [
        function(
            *arguments,
            sender=sender,
            gas_limit=1_000_000,
            max_fee=100 * tip,
            max_priority_fee=tip,
            required_confirmations=0,
            raise_on_revert=False,
        )
        for function, arguments, sender, tip in waiting
    ]
    ape.chain.mine()
    provider.auto_mine = True
    # What Ape has of them was fetched while they waited.
    return [provider.web3.eth.get_transaction_receipt(transaction.txn_hash) for transaction in sent]
