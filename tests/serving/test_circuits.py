"""The circuits that a hub serves, and the work of its workers: files, inputs and answers."""

import base64
import json
import logging
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from apps.registry import Outputs, Score
from hub import circuits, proving
from hub.aside import _samples, aside, hear, levels_of
from hub.circuits import Served, find
from hub.proving import Artifact, ArtifactError, Order
from hub.schemas import Input
from models.data import drawing, sound
from tests.inputs import REAL_VOICE
from zk.errors import CircuitError
from zk.files import CACHE, sha256
from zk.layout import Layout
from zk.manifest import Manifest
from zk.proof import answer

STROKE = "0" * 300 + "1" * 12 + "0" * 472
FILES = {"bound", "compiled", "model", "pk", "settings", "srs", "verifier", "vk"}


def given(**fields: object) -> Input:
    return Input.model_validate(fields)


# Files


def test_the_files_of_a_circuit(clan_served, manifest):
    assert set(clan_served.files) == set(clan_served.sha256) == FILES
    for label, path in clan_served.files.items():
        assert path == manifest.file(label).resolve()
        assert clan_served.sha256[label] == sha256(path)
    assert set(clan_served.artifacts) == {"compiled", "pk", "vk", "settings", "srs"}
    for label, artifact in clan_served.artifacts.items():
        assert artifact.path == str(manifest.file(label).resolve())
        assert artifact.sha256 == sha256(manifest.file(label))
        assert artifact.url == f"http://hub/v1/circuits/clan/files/{label}"


def test_the_public_description(clan_served, voice_served, plain_served, manifest):
    state = clan_served.state()
    assert (state.name, state.application, state.takes) == ("clan", "Clan", ["drawing", "input"])
    assert state.shape == list(clan_served.shape)
    assert np.prod(state.shape) == 144
    assert state.files == clan_served.sha256
    assert (state.features, state.labels) == ([], [])
    shown = {"accuracy", "cells", "layout", "logrows", "output_scale", "rows", "run_args"}
    assert set(state.manifest) == shown | {"verifier", "versions"}
    assert state.manifest["logrows"] == manifest["logrows"]
    assert voice_served.state().takes == ["clip", "input"]
    assert (plain_served.application, plain_served.state().application) == (None, None)


def test_a_users_own_circuit_takes_inputs_only(manifest):
    own = Manifest(manifest.folder)
    own.content["circuit"] = "own"
    served = Served(own, "http://hub")
    assert served.state().takes == ["input"]
    with pytest.raises(CircuitError, match="own takes the model's input itself, not drawings"):
        served.read(given(drawing=STROKE))


def test_finished_builds_are_served(manifest, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(circuits, "ARTIFACTS", tmp_path)
    with pytest.raises(CircuitError, match=r"^No circuit is built: run `ape run build` first\.$"):
        find("http://hub")
    for name in ("other", "clan", "old"):
        content = {**manifest.content, "circuit": name}
        if name == "old":
            content["versions"] = {**content["versions"], "ezkl": "1.0"}
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text(json.dumps(content))
    (tmp_path / "unfinished").mkdir()
    with caplog.at_level(logging.WARNING, "hub"):
        found = find("http://hub")
    assert list(found) == ["clan", "other"]
    assert found["clan"].name == "clan"
    assert found["clan"].artifacts["pk"].url == "http://hub/v1/circuits/clan/files/pk"
    assert "not served: The circuit old was built with ezkl 1.0" in caplog.text


# Inputs


def test_a_drawing_is_read_as_the_model_sees_it(clan_served):
    pixels = np.array([int(bit) for bit in STROKE], np.uint8).reshape(28, 28)
    seen = drawing.VIEWS["swift"](drawing.check(pixels))
    assert np.array_equal(clan_served.read(given(drawing=STROKE)), seen)
    with pytest.raises(CircuitError, match="clan takes drawings, not recordings"):
        clan_served.read(given(clip="AAAA"))


def test_an_input_has_the_models_size_and_finite_numbers(clan_served, voice_served):
    numbers = [float(number) for number in range(144)]
    x = clan_served.read(given(input=numbers))
    assert (x.dtype, x.tolist()) == (np.float32, numbers)
    for wrong in (numbers[1:], [*numbers, 1.0], [1e39, *numbers[1:]], [*numbers[1:], -1e39]):
        with pytest.raises(CircuitError) as refusal:
            clan_served.read(given(input=wrong))
        assert str(refusal.value) == f"clan takes 144 finite numbers, not {len(wrong)}."
    with pytest.raises(CircuitError, match="voice takes 1152 finite numbers, not 144"):
        voice_served.read(given(input=numbers))


def test_a_recording_is_read_as_the_model_hears_it(voice_manifest):
    clip = base64.b64encode(REAL_VOICE.read_bytes()).decode()
    view = sound.VIEWS["voice"]
    samples = sound.read(REAL_VOICE)
    assert np.array_equal(hear(view, clip), view(samples))
    picture = circuits._picture(levels_of(clip))
    level = sound.onset_window(samples)
    assert (picture.height, picture.width) == level.shape
    points = np.frombuffer(base64.b64decode(picture.levels), np.uint8).reshape(level.shape)
    assert (points[level <= sound.QUIET] == 0).all()
    assert points.max() == round(255 * float(1 - level.max() / sound.QUIET))
    assert points.flat[level.argmax()] == points.max() > 128


@pytest.mark.parametrize(
    "clip, reason",
    [
        ("no!", "The clip is not valid base64."),
        ("AAA", "The clip is not valid base64."),
        ("AAAA\n", "The clip is not valid base64."),
        ("é", "The clip is not valid base64."),
        ("AAAA", "The clip is"),
    ],
)
def test_a_bad_recording_is_refused_without_its_path(clip, reason):
    with pytest.raises(CircuitError) as refusal:
        _samples(clip)
    assert str(refusal.value).startswith(reason)
    assert "/" not in str(refusal.value).split(":")[0]


# Answers


def test_predictions_are_the_answers_of_the_circuit(clan_served, plain_served, manifest, views):
    x = views[3].reshape(-1)
    outputs = [int(value) for value in answer(manifest, x)]
    predicted = clan_served.predict(given(input=x.tolist()))
    exact = [value / 2 ** manifest["output_scale"] for value in outputs]
    assert predicted.result.logits == exact
    assert predicted.result.digit == exact.index(max(exact))
    assert predicted.picture is None
    assert plain_served.result(outputs) == Outputs(exact)


def test_a_recording_is_predicted_with_its_picture(voice_served, monkeypatch):
    monkeypatch.setattr(circuits, "aside", lambda task, *words: task(*words))
    clip = base64.b64encode(REAL_VOICE.read_bytes()).decode()
    predicted = voice_served.predict(given(clip=clip))
    assert isinstance(predicted.result, Score)
    assert predicted.picture == circuits._picture(levels_of(clip))


def test_a_proof_is_checked_under_the_circuits_key(clan_served, manifest, proof):
    assert clan_served.flaw(proof) is None
    assert clan_served.result_of(proof) == clan_served.result(proof.outputs(manifest.layout))
    changed = replace(proof, instances=[*proof.instances[:-1], 1])
    assert clan_served.flaw(changed)
    short = replace(proof, instances=proof.instances[1:])
    assert "instances, but clan has" in clan_served.flaw(short)


def test_a_killed_process_is_replaced_once(tmp_path):
    marker = tmp_path / "killed"
    assert aside(_die_once, marker) == "alive"
    with pytest.raises(CircuitError, match="The process that runs models was killed"):
        aside(os._exit, 1)
    assert aside(abs, -3) == 3
    assert aside(os.getpid) == aside(os.getpid) != os.getpid()
    with pytest.raises(ZeroDivisionError):
        aside(divmod, 1, 0)


def _die_once(marker: Path) -> str:
    if not marker.exists():
        marker.touch()
        os._exit(1)
    return "alive"


# Workers


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setattr(proving, "CACHE", folder)
    return folder


@pytest.fixture
def artifact(tmp_path, cache) -> Artifact:
    """A file that only its URL has."""
    far = tmp_path / "far"
    far.write_bytes(b"content")
    return Artifact(str(tmp_path / "near"), sha256(far), far.as_uri())


def test_a_file_of_this_machine_is_used_as_it_is(artifact, cache, tmp_path):
    shutil.copy(tmp_path / "far", artifact.path)
    assert proving._local(artifact) == artifact.path
    assert not cache.exists()


def test_a_missing_file_is_fetched_once(artifact, cache, tmp_path):
    kept = cache / artifact.sha256
    assert proving._local(artifact) == str(kept)
    assert kept.read_bytes() == b"content"
    (tmp_path / "far").unlink()
    assert proving._local(artifact) == str(kept)


def test_a_file_that_was_changed_is_fetched(artifact, cache):
    near, kept = Path(artifact.path), cache / artifact.sha256
    near.write_bytes(b"content")
    assert proving._local(artifact) == artifact.path
    near.write_bytes(b"changed")
    os.utime(near, (1, 1))
    assert proving._local(artifact) == str(kept)
    kept.write_bytes(b"damaged")
    os.utime(kept, (1, 1))
    assert proving._local(artifact) == str(kept)
    assert kept.read_bytes() == b"content"


def test_a_fetched_file_with_another_hash_is_not_kept(artifact, cache, tmp_path):
    (tmp_path / "far").write_bytes(b"replaced")
    with pytest.raises(ArtifactError) as error:
        proving._local(artifact)
    found = sha256(tmp_path / "far")
    assert str(error.value) == (
        f"{artifact.url} has the SHA-256 {found}, not {artifact.sha256}: build the circuit again, "
        "and restart the hub."
    )
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("url", ["file:///nowhere/at/all", "http://127.0.0.1:9/file"])
def test_a_file_that_cannot_be_fetched(artifact, cache, url):
    with pytest.raises(ArtifactError, match=f"A worker could not fetch {url}: "):
        proving._local(replace(artifact, url=url))


def test_an_order_shows_nothing_private(artifact):
    x = np.array([0.123456], np.float32)
    shown = repr(Order("job", "clan", {"pk": artifact}, Layout(11, 24, 1), 12, x, 9))
    assert shown == "Order(job='job', circuit='clan', key=12, limit=9)"


def test_artifacts_are_cached_for_the_user():
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    assert Path(home) / "verdict" == CACHE
