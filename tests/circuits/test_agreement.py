"""Torch, onnxruntime, the circuit's witness and the instances on chain agree."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from apps.circuits import EXPORTS, view_of
from apps.clan import application as clan_application
from apps.voice import application as voice_application
from apps.voice import score_from
from models import digits
from models import voices as judges
from models.data import drawing, mnist, sound, voices
from tests.inputs import DRAWINGS
from zk.ezkl import felt, satisfied
from zk.layout import FIELD
from zk.proof import answer
from zk.witness import answers, witness

# A digit reader's logits may move by this share of what they span, by quantising.
QUANTISATION = 1 / 30
VOICE_QUANTISATION = 0.02  # to 2**-11; scores span 1
DIGITS = {name: recipe.network for name, recipe in digits.RECIPES.items()}
JUDGES = {name: recipe.network for name, recipe in judges.RECIPES.items()}


def load(name: str) -> torch.nn.Module:
    """The torch network with the weights of its ONNX export."""
    network = (DIGITS | JUDGES)[name]()
    weights = {
        tensor.name: torch.tensor(numpy_helper.to_array(tensor))
        for tensor in onnx.load(EXPORTS / f"{name}.onnx").graph.initializer
    }
    # `idol.onnx` is older than the names of the judges' linear layers.
    keys = network.state_dict()
    names = {key: key if key in weights else key.replace(".1.", ".") for key in keys}
    network.load_state_dict({key: weights[name] for key, name in names.items()})
    return network.eval()


KEY = 0xBEEF << 160 | 0xFACE


@pytest.mark.parametrize("name", DIGITS)
def test_torch_is_onnxruntime(name):
    session = onnxruntime.InferenceSession(EXPORTS / f"{name}.onnx")
    network = load(name)
    for x in drawing.VIEWS[name](mnist.drawings("test")[:50]):
        with torch.no_grad():
            expected = network(torch.from_numpy(x[None])).numpy()
        assert np.allclose(session.run(None, {"x": x[None]})[0], expected, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", DIGITS)
def test_exports_are_as_accurate_as_their_recipes_demand(name):
    assert digits.test(load(name), drawing.VIEWS[name]) >= digits.RECIPES[name].floor


def test_onnxruntime_is_the_witness(manifest, views):
    session = onnxruntime.InferenceSession(manifest.file("model"))
    floats = np.stack([session.run(None, {"x": x[None]})[0].reshape(-1) for x in views[:50]])
    outputs, _ = answers(manifest.file("compiled"), manifest.layout, views[:50])
    quantised = outputs / 2.0 ** manifest["output_scale"]
    assert np.abs(quantised - floats).max() < QUANTISATION * np.ptp(floats)


def test_whole_numbers_stay_exact(manifest, views):
    """The circuit is integer arithmetic on the rounded weights, to the last unit."""
    scale = 2.0 ** manifest["run_args"]["param_scale"]
    model = {
        t.name: numpy_helper.to_array(t).astype(float)
        for t in onnx.load(manifest.file("model")).graph.initializer
    }

    def rounded(name: str, power: int = 1) -> np.ndarray:
        return np.sign(model[name]) * np.floor(np.abs(model[name]) * scale**power + 0.5)

    kernel = model["0.weight"].shape[2:]
    windows = np.lib.stride_tricks.sliding_window_view(views[0][0], kernel)[::2, ::2]
    hidden = np.einsum("ijkl,ckl->cij", windows, rounded("0.weight")[:, 0])
    hidden = (hidden + rounded("0.bias")[:, None, None]).reshape(-1) ** 2
    expected = rounded("3.weight") @ hidden + rounded("3.bias", 3)
    outputs, _ = witness(manifest.file("compiled"), manifest.layout, KEY, views[0])
    assert (outputs == expected).all()


def test_the_witness_is_the_instances_on_chain(manifest, clan, proof_of, accounts, views):
    for number in (0, 3):
        x, proof = views[DRAWINGS[number]], proof_of(number)
        key = clan.keyOf(accounts[number])
        outputs, _ = witness(manifest.file("compiled"), manifest.layout, key, x)
        assert proof.key(manifest.layout) == key
        assert proof.outputs(manifest.layout) == outputs.tolist()
        assert clan_application.read(clan, accounts[number], None, proof) == outputs.argmax()
        assert clan.digitOf(proof.instances[manifest.layout.limbs :]) == outputs.argmax()


@pytest.mark.parametrize("key", [0, 1, 2**160 - 1, 2**252 - 1, 0x0123456789ABCDEF << 160 | 0xFACE])
def test_the_key_passes_through_unchanged(manifest, views, key, tmp_path):
    path = tmp_path / "witness.json"
    witness(manifest.file("compiled"), manifest.layout, key, views[0], path)
    limbs = json.loads(path.read_text())["outputs"][0]
    assert manifest.layout.join([felt(limb) for limb in limbs]) == key


def test_the_constraints_hold(manifest, views, tmp_path):
    path = tmp_path / "witness.json"
    witness(manifest.file("compiled"), manifest.layout, KEY, views[0], path)
    assert satisfied(path, manifest.file("compiled"))


def test_scores_agree_to_the_last_unit(
    voice_manifest, voice_judge, voice_proof, real_voice, accounts
):
    """torch and onnxruntime to the last bits, the witness within its quantisation, then exactly."""
    session = onnxruntime.InferenceSession(voice_manifest.file("model"))
    network, view = load("voice"), view_of("voice", "clip")
    scale = voice_manifest["output_scale"]
    synthetic = [
        voices.synthetic_clip(*clip).path for clip in (("m4", "happy", 1), ("f4", "calm", 2))
    ]
    for x in (real_voice, *(view(sound.read(path)) for path in synthetic)):
        y = float(session.run(None, {"x": x[None]})[0].item())
        with torch.no_grad():
            assert network(torch.from_numpy(x[None])).item() == pytest.approx(y, abs=1e-4)
        answered = int(answer(voice_manifest, x)[0])
        assert answered / 2**scale == pytest.approx(y, abs=VOICE_QUANTISATION)
        assert voice_judge.scoreFrom(answered % FIELD) == score_from(answered, scale)
    (output,) = voice_proof.outputs(voice_manifest.layout)
    assert output == answer(voice_manifest, real_voice)[0]
    assert voice_application.read(voice_judge, accounts[0], 0, voice_proof) == score_from(
        output, scale
    )


@given(output=st.integers(-(2**127) + 1, 2**127 - 1) | st.integers(-(2**21), 2**21))
@settings(deadline=None, max_examples=60)
def test_any_score_agrees_to_the_last_unit(voice_manifest, voice_judge, output):
    expected = score_from(output, voice_manifest["output_scale"])
    assert voice_judge.scoreFrom(output % FIELD) == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", JUDGES)
def test_torch_judge_is_onnxruntime(name):
    session = onnxruntime.InferenceSession(EXPORTS / f"{name}.onnx")
    network = load(name)
    for clip in voices.synthetic().clips[:20]:
        x = sound.VIEWS[name](sound.read(clip.path))[None]
        with torch.no_grad():
            expected = network(torch.from_numpy(x)).numpy()
        assert np.allclose(session.run(None, {"x": x})[0], expected, atol=1e-4)


def test_voice_constraints_hold(voice_manifest, real_voice, tmp_path):
    path = tmp_path / "witness.json"
    witness(voice_manifest.file("compiled"), voice_manifest.layout, KEY, real_voice, path)
    assert satisfied(path, voice_manifest.file("compiled"))
