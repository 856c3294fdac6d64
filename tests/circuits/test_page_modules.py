"""The page's modules compute what Python computes, to the last bit, and each believes the other."""

import base64
import json
import subprocess
from pathlib import Path
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
from zk.groth16.ceremony import Ceremony, begun
from zk.groth16.keys import VerificationKey, logrows_of
from zk.groth16.powers import write_dev_powers
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


# test_private_page.py also proves with the second circuit.
@pytest.fixture(
    scope="module", params=["clan-groth16", pytest.param("voice-groth16", marks=pytest.mark.full)]
)
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


# Ceremonies


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> tuple[Path, Path]:
    """The constraints of a tiny circuit with a wire that none uses, and powers of tau for it."""
    folder = tmp_path_factory.mktemp("ceremony")
    system = System.taking(1, 2, [1, 2], 0, 0)
    system.publish([system.product(*system.input_sums())])
    system._wire()  # its point is 0
    system.save(folder / "constraints")
    write_dev_powers(folder / "powers", logrows_of(system))
    return folder / "constraints", folder / "powers"


def text_of(held: Ceremony, folder: Path) -> str:
    held.save(folder / "c.json")
    return (folder / "c.json").read_text()


def test_page_contributes_as_python_does(files, tmp_path):
    """In turns, with names of all alphabets, which the next participant hashes."""
    held = begun("tiny", *files)
    text = text_of(held, tmp_path)
    for name in ("Zoë 李", "Ada_9 O'Neill, 𝔸+1@x.example"):
        one, other = in_node("contributions", [[text, name]] * 2)
        first, second = (json.loads(text)["contributions"][-1] for text in (one, other))
        assert first["delta1"] != second["delta1"]  # each draws another secret
        (tmp_path / "c.json").write_text(one)
        held = Ceremony.load(tmp_path / "c.json").contributed("Python")
        text = text_of(held, tmp_path)
    assert [one.name for one in held.contributions][::2] == ["Zoë 李", name]
    assert held.with_beacon("5c" * 32).problems(*files) == []


def test_page_refuses_what_is_no_ceremony(files, tmp_path):
    held = begun("tiny", *files).contributed("Ada")
    text = text_of(held, tmp_path)
    content, key = json.loads(text), held.key.content
    header = 4 + int.from_bytes(key[:4])
    divided = header + 64 * (3 + len(held.key.verification.instances))
    divided += 64 * (len(held.key.a) + len(held.key.b1))
    second = divided + 64 * (len(held.key.private) + len(held.key.quotient))
    outside = b"".join(word.to_bytes(32) for word in OUTSIDE)

    def with_key(changed: bytes) -> str:
        return json.dumps(content | {"key": base64.b64encode(changed).decode()})

    def with_bytes(place: int, new: bytes) -> str:
        return with_key(key[:place] + new + key[place + len(new) :])

    def with_one(**changed: object) -> str:
        return json.dumps(content | {"contributions": [content["contributions"][0] | changed]})

    no_file, no_point = "This is not the file of a ceremony", "has points outside BN254"
    tried = [
        *((one, "Bob", no_file) for one in ("", "{}", "[]", "null", "7", text[:-9])),
        *((json.dumps(content | {name: None}), "Bob", no_file) for name in content),
        (json.dumps(content | {"circuit": "../up"}), "Bob", no_file),
        (json.dumps(content | {"key": "***"}), "Bob", no_file),
        *((with_key(one), "Bob", no_file) for one in (b"", key[:3], key[:-1], key + b"0")),
        (with_bytes(5, b"}"), "Bob", no_file),
        (with_one(delta1=content["contributions"][0]["delta1"].upper()), "Bob", no_file),
        (with_one(name="a\nb"), "Bob", no_file),
        (with_one(response="0"), "Bob", no_file),
        (with_bytes(header + 128, bytes(64)), "Bob", no_file),
        (with_bytes(second + 128, bytes(128)), "Bob", no_file),
        *(
            (with_bytes(at, bytes([*[0] * 31, 3])), "Bob", no_point)
            for at in (header + 128, divided)
        ),
        (with_bytes(divided, b"\xff" * 64), "Bob", no_point),
        (with_bytes(second - 1, b"\x99"), "Bob", no_point),
        (with_bytes(second + 128, outside), "Bob", no_point),
        *((text, name, "is no name") for name in ("", "a\nb", "a" * 61, "<b>", "\ud800")),
        (text_of(held.with_beacon("5c" * 32), tmp_path), "Bob", "The ceremony is over"),
    ]
    found = in_node("contributions", [one[:2] for one in tried])
    for answer, (_, _, reason) in zip(found, tried, strict=True):
        assert answer.startswith("Error: ") and reason in answer, (answer[:99], reason)


def _valid(key: VerificationKey, call: Call) -> bool:
    try:
        prover.verify(key, b"".join(word.to_bytes(32) for word in call.proof), call.instances)
    except InvalidProofError:
        return False
    return True
