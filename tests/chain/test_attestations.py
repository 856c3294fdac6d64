"""The base of attested applications: whose signatures it records, and which proofs it believes."""

from dataclasses import replace

import ape
import numpy as np
import pytest
from ape.exceptions import ContractLogicError
from eth_utils import keccak

from apps.attestations import ATTESTATION, attest
from chain.compiler import contract_in
from chain.contracts import NOBODY
from tests.attestations import agreeing
from tests.tiny import write_model
from zk.build import build
from zk.circuit import Circuit, RunArgs
from zk.errors import CircuitError
from zk.manifest import Manifest
from zk.proof import Proof, commitment, prove
from zk.samples import Samples
from zk.verifier import runtime_code

pytestmark = [pytest.mark.plain, pytest.mark.slow]
VERIFIER = "0x00000000000000000000000000000000000A77e5"
SALTED = np.array([0.5, -1.25, 131071.9921875, 0.0078125])  # the last two are salt


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Manifest:
    """A circuit whose proofs show the hash of the input."""
    folder = tmp_path_factory.mktemp("attested")
    matrix = np.array([[1, 2, 3], [3, 2, 1], [0, 0, 0], [0, 0, 0]])
    model = write_model(folder / "model.onnx", matrix=matrix, operator="Identity")
    x = np.random.default_rng(1).normal(size=(8, 4)).astype(np.float32)
    circuit = Circuit.own("attested", model, lambda: Samples(x, x), RunArgs(attested=True))
    return build(circuit, artifacts=folder / "artifacts", verifiers=folder)[0]


@pytest.fixture(scope="module")
def compiled():
    return contract_in("tests/contracts/Attested.sol")


@pytest.fixture(scope="module")
def verifier(manifest, chain) -> str:
    source = manifest.file("verifier")
    chain.provider.set_code(VERIFIER, runtime_code(source.stem, source.read_text()))
    return VERIFIER


@pytest.fixture(scope="module")
def contract(manifest, compiled, verifier, deployer, accounts):
    """A contract that believes the third test account."""
    layout = tuple(manifest.contract_layout.values())
    return deployer.deploy(compiled, verifier, layout, accounts[2])


@pytest.fixture(scope="module")
def proof(manifest, contract, accounts) -> Proof:
    return prove(manifest, contract.keyOf(accounts[0]), SALTED)


@pytest.fixture
def hashed(manifest) -> int:
    return commitment(manifest, SALTED)


@pytest.fixture
def signed(contract, hashed, accounts, chain):
    """The arguments of an attestation, signed by its issuer."""

    def signed(issuer=2, commitment=hashed, time=None):
        claim = (accounts[0].address, commitment, time or chain.blocks.head.timestamp)
        message = ATTESTATION.encode(contract.address, chain.chain_id, claim)
        return *claim, accounts[issuer].sign_message(message).encode_rsv()

    return signed


def require_refused(contract, name: str, account, proof: Proof) -> None:
    """Expect this error of the view, by its selector: Ape does not name errors of this contract."""
    (error,) = (one for one in contract.contract_type.errors if one.name == name)
    with pytest.raises(
        ContractLogicError, match=f"error 0x{keccak(text=error.selector)[:4].hex()}"
    ):
        contract.read(account, proof.proof, proof.instances)


def test_proof_shows_the_commitment(manifest, proof, hashed):
    assert proof.instances[1] == hashed
    assert proof.outputs(manifest.layout) == [-3.25 * 128, -1.5 * 128, 0.25 * 128]
    assert commitment(manifest, SALTED + np.eye(4)[3] / 128) != hashed
    with pytest.raises(CircuitError, match="not finite numbers"):
        commitment(manifest, SALTED + np.nan)


def test_attested_input_is_believed(contract, proof, hashed, accounts):
    receipt = attest(contract, accounts[0].address, hashed)
    (event,) = receipt.events
    assert (event.account, event.commitment) == (accounts[0], hashed)
    assert contract.commitmentOf(accounts[0]) == hashed
    assert contract.attestedAt(accounts[0]) == event.time
    outputs = contract.read(accounts[0], proof.proof, proof.instances)
    assert outputs == [-3.25 * 128, -1.5 * 128, 0.25 * 128]


def test_another_input_is_not_believed(contract, manifest, signed, proof, accounts):
    require_refused(contract, "AttestedApplication__NotAttested", accounts[0], proof)
    contract.attest(*signed(), sender=accounts[5])  # anyone sends it
    other = prove(manifest, contract.keyOf(accounts[0]), SALTED / 2)
    require_refused(contract, "AttestedApplication__OtherInput", accounts[0], other)
    require_refused(contract, "AttestedApplication__NotAttested", accounts[1], proof)


@pytest.mark.parametrize("place", [0, 1, 2, -1])
def test_changed_instance(contract, signed, proof, accounts, place):
    """The hash of the key, that of the input, a limb of the key, and an output."""
    changed = list(proof.instances)
    changed[place] += 1
    contract.attest(*signed(commitment=changed[1]), sender=accounts[0])
    error = "BoundApplication__WrongKey" if place == 2 else "BoundApplication__InvalidProof"
    require_refused(contract, error, accounts[0], replace(proof, instances=changed))


def test_too_few_instances(contract, signed, proof, accounts):
    contract.attest(*signed(), sender=accounts[0])
    for count in (0, 1, 2, len(proof.instances) - 1):
        fewer = replace(proof, instances=proof.instances[:count])
        require_refused(contract, "BoundApplication__WrongInstanceCount", accounts[0], fewer)


def test_attestation_of_another_account_or_of_changed_values(contract, signed, accounts):
    with ape.reverts(contract.AttestedApplication__NotSigned):
        contract.attest(*signed(issuer=3), sender=accounts[2])
    account, commitment, time, signature = signed()
    for claim in (
        (accounts[1], commitment, time),
        (account, commitment + 1, time),
        (account, commitment, time - 1),
    ):
        with ape.reverts(contract.AttestedApplication__NotSigned):
            contract.attest(*claim, signature, sender=accounts[2])
    assert contract.attestedAt(accounts[0]) == 0


def test_older_attestations_stay_void(contract, signed, hashed, accounts, chain):
    """Nobody brings an earlier commitment back, nor one of the future."""
    now = chain.blocks.head.timestamp
    earlier = signed(time=now - 1)
    contract.attest(*signed(commitment=hashed + 1), sender=accounts[0])
    for claim in (earlier, signed(time=now), signed(time=now + 10**6)):
        with ape.reverts(contract.AttestedApplication__NotNewer):
            contract.attest(*claim, sender=accounts[0])
    assert contract.commitmentOf(accounts[0]) == hashed + 1


def test_issuer_that_is_a_contract(contract, hashed, accounts, chain):
    claim = (accounts[0], hashed, chain.blocks.head.timestamp)
    with agreeing(contract):
        contract.attest(*claim, b"", sender=accounts[0])
    assert contract.commitmentOf(accounts[0]) == hashed


def test_no_issuer(manifest, compiled, verifier, deployer):
    layout = tuple(manifest.contract_layout.values())
    with ape.reverts(compiled.AttestedApplication__NoIssuer):
        deployer.deploy(compiled, verifier, layout, NOBODY)


def test_key_of_the_issuer_is_elsewhere(manifest, compiled, verifier, deployer, accounts):
    layout = tuple(manifest.contract_layout.values())
    contract = deployer.deploy(compiled, verifier, layout, verifier)
    with pytest.raises(CircuitError, match=f"The key of {verifier} is not here"):
        attest(contract, accounts[0].address, 1)


def test_slim_circuits_are_not_attested(manifest):
    with pytest.raises(CircuitError, match="An attested circuit is not slim"):
        RunArgs(attested=True, largest_input=255).layout(3)


def test_issuer_who_declines_to_sign(contract, accounts, monkeypatch):
    monkeypatch.setattr(type(accounts[2]), "sign_message", lambda *_, **__: None)
    with pytest.raises(CircuitError, match=f"{accounts[2]} did not sign: nothing was sent"):
        attest(contract, accounts[0].address, 1)
