"""The page's modules compute what Python computes, to the last bit, and each believes the other."""

import base64
import json
import subprocess
from typing import Any

import numpy as np
import pytest

from models.data import drawing, mnist, sound, voices
from tests.builds import built
from tests.groth16 import OUTSIDE, moved_out
from tests.inputs import REAL_VOICE
from tests.scale import scaled
from zk.audit.attacks import genuine
from zk.audit.calldata import Call
from zk.errors import InvalidProofError
from zk.files import ROOT
from zk.groth16 import prover
from zk.groth16.keys import VerificationKey
from zk.layout import FIELD
from zk.manifest import Manifest
from zk.proof import Proof, prove, verify
from zk.r1cs.system import System

pytestmark = pytest.mark.slow

SEED, KEY = 24, (2**91 + 7) << 160 | 0xDEAD
DRAWINGS, INPUTS, PHRASES = scaled(300, 3000), scaled(40, 1000), scaled(4, 80)


def in_node(name: str, *args: object) -> Any:
    """Call a function of tests/page.ts."""
    question = json.dumps({"name": name, "args": args})
    words = ["node", "tests/page.mjs"]
    done = subprocess.run(words, input=question, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module", params=["clan-groth16", "voice-groth16"])
def build(request) -> Manifest:
    return built(request.param)


def inputs_of(build: Manifest, count: int) -> np.ndarray:
    """Random inputs, and both ends of the range."""
    args = build["run_args"]
    low, high = args["smallest_input"], args["largest_input"]
    system = System.load(build.file("constraints"))
    return np.random.default_rng(SEED).integers(low, high + 1, (count, len(system.inputs)))


def content(build: Manifest, label: str) -> str:
    return base64.b64encode(build.file(label).read_bytes()).decode()


def test_page_normalises_drawings_as_python_does():
    """MNIST's digits, and scribbles of all sizes."""
    drawn = [*mnist.drawings("test", DRAWINGS // 2).reshape(-1, 28, 28), *scribbles(DRAWINGS // 2)]
    texts = ["".join(map(str, one.astype(int).flat)) for one in drawn]
    for one, (normal, sums) in zip(drawn, in_node("drawings", texts), strict=True):
        expected = drawing.normalised(one.astype(np.float32))
        assert normal == "".join(map(str, expected.flat))
        assert sums == drawing.middle_sums(expected[None]).reshape(-1).tolist()


def scribbles(count: int) -> list[np.ndarray]:
    numbers, found = np.random.default_rng(SEED), list[np.ndarray]()
    while len(found) < count:
        one, at = np.zeros((28, 28), np.uint8), numbers.integers(2, 26, 2)
        for _ in range(numbers.integers(3, 60)):
            at = np.clip(at + numbers.integers(-2, 3, 2), 0, 27)
            height, width = numbers.integers(1, 4, 2)
            one[at[0] : at[0] + height, at[1] : at[1] + width] = 1
        if one.mean() <= drawing.MOST_INK:
            found.append(one)
    return found


def test_page_hears_what_python_hears():
    """Synthetic voices and a real one: the same levels, but for rounding at the edge of a step."""
    paths = [REAL_VOICE, *(clip.path for clip in voices.synthetic().clips[:: 240 // PHRASES])]
    heard = [sound.read(path).astype(np.float32) for path in paths]
    texts = [base64.b64encode(one.tobytes()).decode() for one in heard]
    found = np.array(in_node("phrases", texts))
    expected = np.array([sound.phrase(one).reshape(-1) for one in heard])
    assert np.abs(found - expected).max() <= 1
    assert np.mean(found != expected) <= 1e-5


def test_page_makes_the_same_witness(build):
    """Every wire of every input."""
    system = System.load(build.file("constraints"))
    count = INPUTS if build["circuit"].startswith("clan") else 2
    inputs = inputs_of(build, count).tolist()
    found = in_node("witnesses", content(build, "constraints"), str(KEY), inputs)
    for x, (wires, holds) in zip(inputs, found, strict=True):
        expected = system.witness(KEY, x)
        assert list(map(int, wires)) == expected
        assert holds == (not any(True for _ in system.broken(expected)))


def test_python_believes_the_proof_of_the_page(build):
    x = np.zeros(len(System.load(build.file("constraints")).inputs))
    given = content(build, "constraints"), content(build, "pk"), str(KEY), x.tolist()
    proof = bytes.fromhex(in_node("proof", *given).removeprefix("0x"))
    instances = prove(build, KEY, x).instances
    verify(build, Proof(build["circuit"], proof, instances))


def test_page_believes_what_python_believes(build):
    """Proofs, changed instances and words, wrapped numbers, points that are none."""
    proof = prove(build, KEY, np.zeros(len(System.load(build.file("constraints")).inputs)))
    call, vk = genuine(proof), build.file("vk")
    first, *others = call.instances
    tried = [
        call,
        *(Call(call.proof, [one, *others]) for one in (first + 1, first + FIELD)),
        *(Call(call.proof, some) for some in (call.instances[:-1], [*call.instances, 0])),
        Call(call.proof[:-1], call.instances),
        *(call.with_word(place, word ^ 1) for place, word in enumerate(call.proof)),
        *(call.with_word(0, *point) for point in ((1, 3), (0, 0))),
        *(call.with_word(2, *point) for point in (OUTSIDE, (0, 0, 0, 0))),
        call.with_word(2, *moved_out(call.proof[2:6])),
        Call([0] * 8, call.instances),
    ]
    texts = [
        (f"0x{b''.join(word.to_bytes(32) for word in one.proof).hex()}", [*map(str, one.instances)])
        for one in tried
    ]
    found = in_node("valid", json.loads(vk.read_text()), texts)
    key = VerificationKey.load(vk)
    assert found == [_valid(key, one) for one in tried]
    assert found == [True] + [False] * (len(tried) - 1)


def _valid(key: VerificationKey, call: Call) -> bool:
    try:
        prover.verify(key, b"".join(word.to_bytes(32) for word in call.proof), call.instances)
    except InvalidProofError:
        return False
    return True
