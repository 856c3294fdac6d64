"""The project's circuits and users' own ones by name, and their samples."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from apps import circuits
from apps.circuits import circuit, digit_samples, for_search, own_circuit, view_of, voice_samples
from models.data import DatasetError, drawing, mnist, sound
from zk.circuit import RunArgs
from zk.errors import CircuitError


def test_circuits_of_the_applications():
    assert circuits.defaults() == ["clan", "voice"]
    assert {name: source.tests for name, source in circuits.sources().items()} == {
        "clan": 1000,
        "clan-bad": 1000,
        "clan-dash": 1000,
        "clan-batch": 1000,
        "clan-batch-32": 1000,
        "clan-batch-groth16": 1000,
        "clan-batch-32-groth16": 1000,
        "clan-lenet": 500,
        "clan-dense": 1000,
        "clan-dense-56": 1000,
        "clan-dense-25": 1000,
        "clan-dense-24-14": 1000,
        "clan-conv-6-16": 500,
        "voice": 1000,
        "clan-groth16": 1000,
        "voice-groth16": 1000,
    }
    assert circuits.of_groth16() == ["clan-groth16", "voice-groth16"]
    for name, (model, verifier_name, application) in {
        "clan": ("swift.onnx", "ClanVerifier", "Clan"),
        "clan-bad": ("swift-bad.onnx", "ClanBadVerifier", "Clan"),
        "clan-dash": ("dash.onnx", "ClanDashVerifier", "Clan"),
        "voice": ("voice.onnx", "VoiceJudgeVerifier", "VoiceJudge"),
    }.items():
        one = circuit(name)
        assert (one.model.name, one.verifier_name, one.application) == (
            (model, verifier_name, application)
        )
        assert one.model.is_file()
    assert circuit("clan").run_args == circuit("clan-bad").run_args != circuit("voice").run_args
    for name, size in (("clan-batch", 16), ("clan-batch-32", 32)):
        assert circuit(name).run_args == replace(circuit("clan").run_args, batch=size)
        assert circuits.deploying(name) == f"clan --batch {name}"
        by_groth16 = circuit(f"{name}-groth16").run_args
        assert by_groth16 == replace(circuit("clan-groth16").run_args, batch=size)
        assert circuits.deploying(f"{name}-groth16") == f"clan-groth16 --batch {name}-groth16"
    assert circuits.deploying("clan") == "clan"


def test_knobs_are_kept_by_name(monkeypatch, tmp_path):
    """Those of users' models stay out of the file that is in git."""
    monkeypatch.setattr(circuits, "RUN_ARGS", tmp_path / "run_args.json")
    monkeypatch.setattr(circuits, "OWN_RUN_ARGS", tmp_path / "artifacts" / "run_args.json")
    for name, scale in (("clan", 5), ("mine", 6), ("clan", 7), ("voice", 8)):
        circuits.keep(name, RunArgs(param_scale=scale))
    for name, scale in (("clan", 7), ("voice", 8), ("mine", 6), ("other", RunArgs.param_scale)):
        assert circuits.tuned(name) == RunArgs(param_scale=scale)
    assert list(json.loads(circuits.RUN_ARGS.read_text())) == ["clan", "voice"]
    assert list(json.loads(circuits.OWN_RUN_ARGS.read_text())) == ["mine"]


def test_view_of_a_circuit_for_its_medium():
    assert view_of("clan", "drawing") is drawing.VIEWS["swift"]
    assert view_of("voice", "clip") is sound.VIEWS["voice"]
    for name, medium, reason in (
        ("clan", "clip", "clan takes drawings, not recordings"),
        ("voice", "drawing", "voice takes recordings, not drawings"),
        ("mine", "clip", "mine takes the model's input itself, not recordings"),
    ):
        with pytest.raises(CircuitError, match=reason):
            view_of(name, medium)


def test_samples_of_a_digit_reader():
    samples = digit_samples(drawing.whole, 40)
    assert (samples.calibration[:, 0] == mnist.drawings("train", 32)).all()
    assert (samples.test[:, 0] == mnist.drawings("test", 40)).all()
    assert samples.labels.tolist() == mnist.labels("test")[:40].tolist()
    assert samples.source == "MNIST test images"
    made = circuit("clan-lenet").samples()
    assert (len(made.calibration), len(made.test), len(made.labels)) == (32, 500, 500)


def first_number(samples: np.ndarray) -> np.ndarray:
    return samples[:1]


@pytest.mark.slow
def test_samples_of_a_judge(monkeypatch, tmp_path):
    """Calibration is spread over the training clips; tests are the clips of two speakers."""
    monkeypatch.delenv("VOICE_DATA_DIR", raising=False)
    samples = voice_samples(lambda samples: samples[5000:5003])
    assert samples.calibration.shape == (32, 3)
    clips = circuits.voices.synthetic().only(held_out=False).clips
    assert len(clips) == 144
    for place in (0, 1, 31):
        heard = sound.read(clips[4 * place].path)[5000:5003]
        assert (samples.calibration[place] == heard).all()
    assert samples.test.shape == (48, 3)
    assert sorted(set(np.round(samples.labels * 7).astype(int))) == list(range(8))
    assert samples.source == (
        "clips of unheard speakers (synthetic; real ones where VOICE_DATA_DIR names a folder)"
    )
    import soundfile

    monkeypatch.setenv("VOICE_DATA_DIR", str(tmp_path))
    soundfile.write(tmp_path / "1001_DFA_HAP_XX.wav", np.full(sound.RATE, 0.5), sound.RATE)
    with pytest.raises(DatasetError, match="VOICE_DATA_DIR has no test speaker"):
        voice_samples(first_number)
    soundfile.write(tmp_path / "1076_DFA_HAP_XX.wav", np.full(sound.RATE, 0.5), sound.RATE)
    samples = voice_samples(first_number)
    assert samples.source == "clips of unheard speakers (CREMA-D)"
    assert (samples.labels * 7).tolist() == pytest.approx([6])
    searched = for_search(circuit("voice"), None, 0)[1]
    assert len(searched.test) == 1


@pytest.mark.parametrize("name", ["a", "1a", "aB", "Ab", "a_b", "a-b", "ab ", "", "clan", "srs"])
def test_names_that_are_not_free(name):
    with pytest.raises(CircuitError, match="is not a free circuit name: give two or more small"):
        own_circuit(name, Path("m.onnx"), Path("d.npz"), None)


@pytest.mark.parametrize("name", ["tune", "search", "bench", "voice", "clan-bad"])
def test_names_of_folders_and_circuits_are_not_free(name):
    with pytest.raises(CircuitError, match=f"--name '{name}' .* other than clan, .*, bench"):
        own_circuit(name, Path("m.onnx"), Path("d.npz"), None)


def numbers(folder: Path, count: int, **more: np.ndarray) -> Path:
    np.savez(folder / "data.npz", x=np.arange(count), **more)
    return folder / "data.npz"


@pytest.mark.parametrize(("count", "split"), [(2, 1), (5, 2), (64, 32), (65, 32), (100, 32)])
def test_half_of_the_own_samples_calibrate(tmp_path, count, split):
    data = numbers(tmp_path, count, labels=np.arange(count) + 7)
    own = own_circuit("ab", Path("m.onnx"), data, "Clan")
    assert (own.name, own.verifier_name, own.application) == ("ab", "AbVerifier", "Clan")
    assert (own.model, own.run_args) == (Path("m.onnx"), RunArgs())
    samples = own.samples()
    assert samples.calibration.tolist() == list(range(split))
    assert samples.test.tolist() == list(range(split, count))
    assert samples.labels.tolist() == [x + 7 for x in range(split, count)]
    assert own_circuit("ab", Path("m"), numbers(tmp_path, 2), None).samples().labels is None


def test_own_samples_that_are_missing(tmp_path):
    np.savez(tmp_path / "none.npz", y=np.arange(4))
    for data in (tmp_path / "none.npz", numbers(tmp_path, 1)):
        with pytest.raises(CircuitError, match="should have an array `x` of two or more samples"):
            own_circuit("ab", Path("m.onnx"), data, None).samples()


def test_search_and_build_see_different_halves(tmp_path):
    own = own_circuit("ab", Path("m.onnx"), tmp_path / "data.npz", None)
    data = numbers(tmp_path, 101, labels=np.arange(101) * 2)
    chosen, searched = for_search(own, data, 3)
    built = chosen.samples()
    assert searched.calibration.tolist() == searched.test.tolist()
    assert sorted([*searched.test, *built.test]) == list(range(101))
    assert (len(searched.test), len(built.calibration)) == (51, 32)
    assert built.calibration.tolist() == searched.test[:32].tolist()
    for samples in (searched, built):
        assert samples.labels.tolist() == [2 * x for x in samples.test]
    assert searched.test.tolist() != for_search(own, data, 4)[1].test.tolist()
    chosen, searched = for_search(own, numbers(tmp_path, 9), 3)
    assert searched.labels is chosen.samples().labels is None


def test_search_of_a_digit_reader_sees_training_images():
    chosen, searched = for_search(circuit("clan-dense"), None, 1)
    some = np.random.default_rng(1).permutation(60_000)[:500]
    assert chosen.name == "clan-dense"
    assert (searched.test[:, 0] == mnist.drawings("train")[some]).all()
    assert searched.calibration is searched.test
    assert searched.labels.tolist() == mnist.labels("train")[some].tolist()


@pytest.mark.slow
def test_search_of_a_judge_sees_training_speakers(monkeypatch):
    monkeypatch.delenv("VOICE_DATA_DIR", raising=False)
    _, searched = for_search(circuit("voice"), None, 1)
    clips = circuits.voices.synthetic().only(held_out=False).clips
    order = np.random.default_rng(1).permutation(len(clips))
    assert searched.labels.tolist() == [clips[i].score for i in order]
    assert (searched.test[0] == sound.phrase(sound.read(clips[order[0]].path))).all()
