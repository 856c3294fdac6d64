"""The record of a build: the steps that are repeated, and the manifests that are refused."""

import json

import pytest

from zk import manifest as module
from zk.errors import CircuitError
from zk.ezkl import VERSION
from zk.files import sha256
from zk.manifest import Manifest, Record


class Project:
    """A build of two steps, the second of which depends on the first."""

    def __init__(self, folder):
        self.folder, self.calls = folder / "artifacts", []

    def build(self, first: str = "1", fail: bool = False) -> list[str]:
        files = {"one": self.folder / "one.txt", "two": self.folder.parent / "else" / "two.txt"}
        record = Record(self.folder, files)
        facts = record.step("first", {"text": first}, ["one"], lambda one: self.make(one, first))
        assert facts == {"text": first}

        def second(two):
            if fail:
                raise KeyError
            return self.make(two, record.path("one").read_text() + "2")

        record.step("second", {"one": record.hash("one")}, ["two"], second)
        assert record.step("third", {}, [], lambda: None) == {}
        record.finish({"circuit": "artifacts", "versions": {"ezkl": VERSION}})
        return record.redone

    def make(self, path, text: str) -> dict[str, str]:
        self.calls.append(text)
        path.write_text(text)
        return {"text": text}

    @property
    def content(self) -> dict:
        return json.loads((self.folder / "manifest.json").read_text())

    @property
    def texts(self) -> list[str]:
        paths = (self.folder / "one.txt", self.folder.parent / "else" / "two.txt")
        return [path.read_text() for path in paths]


@pytest.fixture
def project(tmp_path) -> Project:
    made = Project(tmp_path)
    assert made.build() == ["first", "second", "third"]
    return made


def test_build_is_recorded(project):
    manifest = Manifest(project.folder)
    assert manifest["files"]["two"]["path"] == "../else/two.txt"
    for label, size in (("one", 1), ("two", 2)):
        entry = manifest["files"][label]
        assert entry["sha256"] == sha256(manifest.file(label))
        assert entry["bytes"] == size
    assert [step["facts"] for step in manifest["steps"].values()] == [
        {"text": "1"},
        {"text": "12"},
        {},
    ]
    assert all(0 <= step["seconds"] < 60 for step in manifest["steps"].values())
    assert sorted(p.name for p in project.folder.iterdir()) == ["manifest.json", "one.txt"]


def test_unchanged_build_writes_nothing(project):
    path = project.folder / "manifest.json"
    before = path.stat()
    assert project.build() == []
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.stat().st_ino == before.st_ino
    assert project.calls == ["1", "12"]


def test_changed_input_repeats_what_depends_on_it(project):
    assert project.build("one") == ["first", "second"]
    assert project.texts == ["one", "one2"]


@pytest.mark.parametrize("name", ["one.txt", "../else/two.txt"])
@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_damaged_file_is_refused_and_made_again(project, name, damage):
    path = (project.folder / name).resolve()
    path.unlink() if damage == "missing" else path.write_text("x")
    label = path.stem
    with pytest.raises(CircuitError, match=rf"{path.name} should have the SHA-256 .* but has"):
        Manifest(project.folder).file(label)
    assert len(project.build()) == 1
    assert project.texts == ["1", "12"]


def test_failed_build_leaves_the_old_one_and_goes_on_later(project):
    before = project.content
    with pytest.raises(KeyError):
        project.build("one", fail=True)
    assert project.content == before
    assert project.texts == ["1", "12"]
    assert not list(project.folder.rglob(".*.partial.*"))
    assert project.build("one") == ["first", "second"]
    assert project.calls == ["1", "12", "one", "one2"]  # the first step was not repeated
    assert project.texts == ["one", "one2"]
    assert not (project.folder / ".staging").exists()


@pytest.mark.parametrize("moved", [[], ["one.txt"], ["one.txt", "two.txt"]])
def test_interrupted_move_is_completed(project, moved):
    """A kill can leave a complete build in the staging folder, with some files moved."""
    project.build("one")
    staging = project.folder / ".staging"
    staging.mkdir()
    for path in (project.folder / "one.txt", project.folder.parent / "else" / "two.txt"):
        if path.name not in moved:
            path.replace(staging / path.name)
            path.write_text("old")
    (project.folder / "manifest.json").replace(staging / "manifest.json")
    assert project.build("one") == []
    assert project.texts == ["one", "one2"]
    assert not staging.exists()


def test_damaged_file_in_the_staging_folder_stays_there(project):
    staging = project.folder / ".staging"
    staging.mkdir()
    (staging / "one.txt").write_text("x")
    (project.folder / "manifest.json").replace(staging / "manifest.json")
    assert project.build() == []
    assert project.texts == ["1", "12"]


def test_steps_of_another_format_or_version_are_repeated(project, monkeypatch):
    monkeypatch.setattr(module, "FORMAT", module.FORMAT + 1)
    assert project.build() == ["first", "second", "third"]
    monkeypatch.setattr(module, "VERSION", "0.0.1")
    assert project.build() == ["first", "second", "third"]


def test_builds_of_earlier_versions_of_verdict_are_reused():
    """Another format makes every finished build out of date."""
    assert module.FORMAT == 2


def test_srs_is_checked_as_well(project):
    (project.folder / "k.srs").write_text("srs")
    content = project.content
    content["srs"] = {"path": "k.srs", "sha256": sha256(project.folder / "k.srs")}
    (project.folder / "manifest.json").write_text(json.dumps(content))
    assert Manifest(project.folder).file("srs") == project.folder / "k.srs"
    (project.folder / "k.srs").write_text("other")
    with pytest.raises(CircuitError, match=r"k\.srs should have the SHA-256"):
        Manifest(project.folder).file("srs")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"circuit": "other"}, "is damaged or of another circuit: build artifacts again"),
        ({"versions": None}, "is damaged or of another circuit"),
        ({"versions": {"ezkl": "0.0.1"}}, r"was built with ezkl 0\.0\.1, but .* is installed"),
    ],
)
def test_manifest_that_is_refused(project, change, reason):
    content = {name: value for name, value in {**project.content, **change}.items() if value}
    (project.folder / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(CircuitError, match=reason):
        Manifest(project.folder)
    (project.folder / "manifest.json").unlink()
    with pytest.raises(CircuitError, match="The circuit artifacts has not been built"):
        Manifest(project.folder)


def test_application_of_a_build(project):
    def application(**more):
        content = {**project.content, **more}
        (project.folder / "manifest.json").write_text(json.dumps(content))
        return Manifest(project.folder).application

    with pytest.raises(CircuitError, match="was built by an older version of Verdict"):
        application()
    with pytest.raises(CircuitError, match="was built without an application"):
        application(application=None)
    assert application(application="Clan") == "Clan"
