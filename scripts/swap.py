from collections.abc import Callable

import click
import numpy as np
from ape.exceptions import ContractLogicError
from ape.logging import logger

from apps.circuits import circuit, view_of
from apps.clan import application, digit_of
from chain.accounts import signer
from chain.contracts import compiled_verifier, deploy, deploy_verifier
from scripts._builds import run_build
from scripts._cli import ChainCommand, refusal, suggest
from zk.errors import CircuitError, InvalidProofError
from zk.manifest import Manifest
from zk.proof import Proof, answer, prove, verify

CHECKS = (
    "the model reads a",
    "its own key, on this machine",
    "its own verifier, on chain",
    "the good model's key, on this machine",
    "the good model's application, on chain",
)


@click.command(cls=ChainCommand)
@click.option("--account", help="Account that deploys and joins; on a dev network test account 0.")
def cli(account: str | None) -> None:
    """Show that a bad model's proof holds under its own key, and not under the good model's.

    \b
    Example:
        ape run swap --network ethereum:local
    """
    from models.data import drawing, mnist

    logger.set_level("WARNING")
    good, bad = run_build(circuit("clan")), run_build(circuit("clan-bad"))
    sender = signer(account)
    contract, bad_verifier = deploy(good, sender), deploy_verifier(bad, sender)
    good_verifier = compiled_verifier(good).at(contract.verifier())
    views = view_of("clan", "drawing")(mnist.drawings("test"))
    chosen = next(i for i, x in enumerate(views) if _reading(good, x) != _reading(bad, x))
    click.echo(f"\n{drawing.as_text(mnist.drawings('test')[chosen])}")
    click.echo(f"test image {chosen}, labelled {mnist.labels('test')[chosen]}\n")

    def checks(manifest: Manifest, verifier, proof: Proof) -> list[str]:
        said = (proof.proof, proof.instances)
        return [
            str(_reading(manifest, views[chosen])),
            _outcome(lambda: verify(manifest, proof)),
            _outcome(lambda: verifier.verifyProof.call(*said)),
            _outcome(lambda: verify(good, proof)),
            _outcome(lambda: application.read(contract, sender.address, None, proof)),
        ]

    key = application.key(contract, sender.address, None)
    impostor = checks(bad, bad_verifier, prove(bad, key, views[chosen]))
    genuine = checks(good, good_verifier, prove(good, key, views[chosen]))
    click.echo(f"\n  {'':38} {'good model':12} bad model")
    for name, left, right in zip(CHECKS, genuine, impostor, strict=True):
        click.echo(f"  {name:38} {left:12} {right}")
    own, others = impostor[1:3], impostor[3:]
    if {*genuine[1:], *own} != {"accepted"} or "accepted" in others:
        raise CircuitError("The two models were not told apart: build both again.")
    suggest("deploy --only clan")


def _reading(manifest: Manifest, x: np.ndarray) -> int:
    """The digit that the quantised model reads."""
    return digit_of(answer(manifest, x).tolist())


def _outcome(action: Callable[[], object]) -> str:
    try:
        action()
    except ContractLogicError as error:
        return f"refused ({refusal(error)})"
    except InvalidProofError:
        return "refused"
    return "accepted"
