import os
import time
from collections.abc import Callable

import ape
import click
from ape.logging import logger

from apps import clan, voice
from apps.audit import audit_deployment
from apps.batches import Batch, joined
from apps.circuits import circuit, view_of
from apps.consents import sign
from chain.contracts import deploy
from chain.deployments import entry_for
from chain.network import free_port
from chain.sending import race, send
from scripts._builds import run_build
from scripts._cli import Command
from verdict.reports import show_verdict
from zk.errors import CircuitError
from zk.manifest import Manifest
from zk.proof import Proof, answer, prove, prove_all

# A person, one of MNIST's test images, and the test accounts that own it and send the proof.
DRAWINGS = (("Ada", 0, 1, 1), ("Ben", 2, 2, 2), ("Cleo", 17, 3, 4))
CIRCUITS = ("clan", "clan-batch", "clan-groth16", "voice")
SONG = ("f4", "happy", 1)  # the synthetic voice, its emotion and its sentence
GWEI = 10**9

Step = Callable[[str], None]


@click.command(cls=Command)
def cli() -> None:
    """Tell both stories on a fresh anvil, drawing into a clan and singing, and audit them.

    \b
    Example:
        ape run demo
    """
    # A fresh anvil, beside any other on port 8545.
    os.environ["APE_FOUNDRY_HOST"] = f"http://127.0.0.1:{free_port()}"
    logger.set_level("WARNING")
    started = time.monotonic()
    number = 0

    def step(title: str) -> None:
        nonlocal number
        number += 1
        click.secho(f"\n{number}. {title}  [{time.monotonic() - started:.1f} s]", bold=True)

    step(
        "Build the circuits: the digit reader, for one, for 16 and for Groth16, and the voice judge"
    )
    digits, several, private, voices = (run_build(circuit(name)) for name in CIRCUITS)
    step("Start a fresh anvil, and deploy the verifiers with their applications")
    with ape.networks.parse_network_choice("ethereum:local:foundry"):
        deployer = ape.accounts.test_accounts[0]
        clans, judge = deploy(digits, deployer, batch=several), deploy(voices, deployer)
        _draw(step, digits, clans)
        _draw_together(step, several, clans)
        _compare(step, (digits, clans), (private, deploy(private, deployer)))
        _sing(step, voices, judge)
        _audit(step, (digits, clans, several), (voices, judge, None))
    click.echo(f"\nthe whole story took {time.monotonic() - started:.1f} s")
    click.echo("Next: `make hub` plays both in your browser.")


def _draw(step: Step, manifest: Manifest, contract) -> None:
    """Three drawings, three proofs, three members, and a relayer who needs a consent."""
    from models.data import drawing, mnist

    for name, image, own, sender in DRAWINGS:
        account, relayer = ape.accounts.test_accounts[own], ape.accounts.test_accounts[sender]
        pixels = mnist.drawings("test")[image]
        step(f"{name} draws a {mnist.labels('test')[image]} (test image {image})")
        click.echo(drawing.as_text(pixels[2:26]))
        step(f"{name} proves the model's reading, for the account {account.address}")
        proving = time.monotonic()
        proof = prove(manifest, contract.keyOf(account), view_of("clan", "drawing")(pixels))
        seconds = time.monotonic() - proving
        answered = proof.outputs(manifest.layout)
        lines = clan.application.lines(answered, manifest["output_scale"])
        click.echo("\n".join(lines))
        click.echo(f"a proof of {len(proof.proof):,} bytes, made in {seconds:.1f} s")
        if sender == own:
            step(f"{name} joins")
        else:
            step(f"The relayer {relayer.address} sends it, once without and once with a consent")
            _push(contract, account, proof, relayer)
        receipt = clan.application.submit(contract, str(account.address), None, proof, relayer)
        click.echo(f"in clan {contract.clanOf(account)}, for {receipt.gas_used:,} gas")


def _draw_together(step: Step, manifest: Manifest, contract) -> None:
    """One proof for 16 accounts, a thief among them, and one who has not agreed."""
    from models.data import mnist

    size, relayer, thief = manifest.layout.batch, *(ape.accounts.test_accounts[n] for n in (4, 7))
    members = [ape.accounts.test_accounts.generate_test_account() for _ in range(size)]
    step(f"{size} more draw, and one proof shows all their digits")
    drawings = view_of("clan", "drawing")(mnist.drawings("test")[100 : 100 + size])
    (proof,) = prove_all(manifest, [([contract.keyOf(one) for one in members], drawings)])
    batch = Batch.read(contract, proof)
    step("All but one sign that they join; a thief puts his account in the place of another")
    consents = [sign(contract, one, batch.digits[str(one.address)], 1) for one in members[1:]]
    agreed, missing = batch.consents(relayer, consents)
    stolen = (proof.proof, [int(contract.keyOf(thief)), *proof.instances[1:]], agreed)
    (sent,) = race((contract.joinMany, stolen, thief, GWEI))
    if sent.status:
        raise CircuitError("The contract should have refused the thief's batch.")
    click.echo(f"it fails: the proof is for another account ({sent.gasUsed:,} gas)")
    step(f"The relayer {relayer.address} sends all {size} in one transaction")
    receipt = batch.join(relayer, agreed)
    clans, skipped = joined(batch, receipt)
    if list(skipped) != missing or len(clans) != size - 1:
        raise CircuitError("Each account that has agreed should have joined, and no other.")
    click.echo(f"{len(clans)} join, for {receipt.gas_used // len(clans):,} gas each")
    click.echo(f"{missing[0]} is skipped: it has not agreed")
    step("The clans")
    click.echo(clan.table(contract))


def _compare(step: Step, *deployed) -> None:
    """One drawing, proved by ezkl and by Groth16: what each takes."""
    from models.data import mnist

    account = ape.accounts.test_accounts[8]
    x = view_of("clan", "drawing")(mnist.drawings("test")[1])
    step("Finn joins twice, with a proof by each prover: in the clans above, and in others")
    for manifest, contract in deployed:
        key = contract.keyOf(account)
        prove(manifest, key, x)  # reads the proving key, on a warm machine
        proving = time.monotonic()
        proof = prove(manifest, key, x)
        made = f"{len(proof.proof):,} bytes, made in {time.monotonic() - proving:.2f} s"
        receipt = clan.application.submit(contract, str(account.address), None, proof, account)
        click.echo(f"{manifest.prover:7}  a proof of {made}; joined for {receipt.gas_used:,} gas")
    click.echo("Groth16 needs a ceremony for each model, and also proves in browsers.")


def _push(contract, account, proof: Proof, relayer) -> None:
    """Show that nobody makes an account join that has not agreed."""
    claim = (account, proof.proof, proof.instances)
    (sent,) = race((contract.join, claim, relayer, GWEI))
    if sent.status:
        raise CircuitError("The contract should have refused a join without a consent.")
    click.echo(f"without: fails, its account has not agreed ({sent.gasUsed:,} gas)")


def _sing(step: Step, manifest: Manifest, contract) -> None:
    """A round, a song, a proof, and a thief who pays for Dora's reward."""
    from models.data import sound, voices

    sponsor, dora, thief = (ape.accounts.test_accounts[number] for number in (5, 6, 7))
    step("A sponsor opens a round")
    voice.application.prepare(contract, sponsor, proofs=3)
    click.echo(voice.table(voice.rounds(contract, 0)))

    singing, emotion, sentence = SONG
    clip = voices.synthetic_clip(singing, emotion, sentence)
    step(f"Dora, {dora.address}, sings: a synthetic voice, {emotion}")
    x = view_of("voice", "clip")(sound.read(clip.path))
    answered = [int(output) for output in answer(manifest, x)]
    (score,) = voice.application.lines(answered, manifest["output_scale"])
    click.echo(f"{clip.path.name}: {score}")
    step("Dora proves her score, for this round and her account")
    proving = time.monotonic()
    proof = prove(manifest, contract.keyOf(dora, 0), x)
    click.echo(f"a proof of {len(proof.proof):,} bytes, {time.monotonic() - proving:.1f} s")
    wealth, owned = thief.balance, dora.balance
    step("Dora sends it; a thief copies the transaction, with ten times the tip")
    _steal(contract, proof, dora, thief)
    step("Dora withdraws")
    send(contract.withdraw, sender=dora)
    click.echo(f"  Dora       {(dora.balance - owned) / 1e18:+.4f} ether, gas included")
    click.echo(f"  the thief  {(thief.balance - wealth) / 1e18:+.4f} ether")
    step("The rounds")
    click.echo(voice.table(voice.rounds(contract, 0)))


def _steal(contract, proof: Proof, dora, thief) -> None:
    """Two copies of one transaction in one block, the thief's first."""
    song = (0, dora, proof.proof, proof.instances)
    late, first = race((contract.judge, song, dora, GWEI), (contract.judge, song, thief, 10 * GWEI))
    if (first.status, late.status) != (1, 0) or (
        contract.creditOf(dora) != contract.roundOf(0).reward
    ):
        raise CircuitError("The thief should have paid for Dora's reward, but has not.")
    for name, receipt in sorted(
        (("Dora's", late), ("the thief's", first)), key=lambda pair: pair[1].transactionIndex
    ):
        outcome = "succeeds" if receipt.status else "fails, its reward is credited already"
        click.echo(f"  {receipt.transactionIndex}. {name:11}  {outcome} ({receipt.gasUsed:,} gas)")
    click.echo(f"  Dora's credit       {voice.exactly(contract.creditOf(dora))} ether")
    click.echo(f"  the thief's credit  {voice.exactly(contract.creditOf(thief))} ether")


def _audit(step: Step, *deployed) -> None:
    """Derive both deployments again from their models, and attack them."""
    step("Audit both: builds, SRS, code on chain, and forgeries that it must refuse")
    reports = [
        report
        for manifest, contract, batch in deployed
        for report in audit_deployment(manifest, entry_for(manifest, contract, batch))
    ]
    for report in reports:
        checks = len(report.passed)
        click.echo(f"  {report.subject}: {checks} check{'s' * (checks != 1)} passed")
    show_verdict(reports)
    if wrong := [finding.what for report in reports for finding in report.wrong]:
        raise CircuitError(f"The audit found: {' '.join(wrong)}")
