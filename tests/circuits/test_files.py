"""Files that are whole or absent, hashes, locks, journals, and the sentences of failures."""

import errno
import hashlib
import json
import os
import threading

import pytest

from zk import processes
from zk.errors import CircuitError, obstacle
from zk.files import ROOT, digest, locked, read_json, sha256, whole, write_json, write_whole
from zk.journal import Journal
from zk.processes import answer_all


def test_root_is_the_project():
    assert (ROOT / "zk" / "files.py").is_file()


def test_file_appears_when_the_block_succeeds(tmp_path):
    path = tmp_path / "new" / "folder" / "key.json"
    with whole(path) as partial:
        assert partial.parent == path.parent
        assert partial.suffix == ".json" and partial.name.startswith(".")
        partial.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "key"
    path.write_text("old")
    with pytest.raises(KeyError), whole(path) as partial:
        partial.write_text("half")
        raise KeyError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_permissions_are_set_before_the_content(tmp_path):
    with whole(tmp_path / "key", mode=0o600) as partial:
        assert partial.stat().st_mode & 0o777 == 0o600
        assert partial.read_bytes() == b""
    with whole(tmp_path / "other") as partial:
        assert not partial.exists()
        partial.touch()


def test_content_is_written(tmp_path):
    path = tmp_path / "file"
    write_whole(path, "ä")
    assert path.read_bytes() == "ä".encode()
    write_whole(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    write_json(path, {"a": [1, None]})
    assert path.read_text() == '{\n  "a": [\n    1,\n    null\n  ]\n}\n'
    assert read_json(path) == {"a": [1, None]}


def test_file_that_cannot_be_written_is_named(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        write_whole(folder, "text")
    assert caught.value.filename == str(folder)
    assert caught.value.errno == errno.EISDIR
    assert caught.value.strerror == os.strerror(errno.EISDIR)
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "5", '"text"'])
def test_file_without_an_object_reads_as_empty(tmp_path, text):
    path = tmp_path / "file.json"
    path.write_text(text)
    assert read_json(path) == {}
    assert read_json(tmp_path / "missing.json") == {}


def test_hashes(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    assert sha256(tmp_path / "file") == hashlib.sha256(b"content").hexdigest()
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 2, "b": 1})
    assert digest([1, 2]) == hashlib.sha256(b"[1, 2]").hexdigest()


def test_busy_folder_is_refused_or_waited_for(tmp_path):
    folder, entered = tmp_path / "new" / "folder", threading.Event()

    def wait() -> None:
        with locked(folder):
            entered.set()

    waiting = threading.Thread(target=wait)
    with locked(folder):
        with pytest.raises(CircuitError, match="someone is in"), locked(folder, "someone is in"):
            pass
        waiting.start()
        assert not entered.wait(0.2)  # the shortest time that shows waiting
    waiting.join(10)  # seconds, for a thread that only locks a free folder
    assert entered.is_set()
    with locked(folder, "someone is in"):
        pass


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "the disk is full; free some space"),
        (errno.EDQUOT, "the disk is full; free some space"),
        (errno.EROFS, "it is on a read-only disk; make that writable"),
        (errno.EACCES, "permission denied; give this user access"),
        (errno.EPERM, "permission denied; give this user access"),
    ],
)
def test_obstacle_is_a_sentence_with_the_fix(number, reason):
    said = f"could not be written or read: {reason}, then run the command again."
    assert obstacle(OSError(number, "short", "/some/file")) == f"/some/file {said}"
    assert obstacle(OSError(number, "short")) == f"A file {said}"


def test_other_errors_of_the_system_say_what_they_say():
    error = OSError(errno.EISDIR, "Is a directory", "/some/file")
    assert obstacle(error) == str(error)


def test_journal_asks_once(tmp_path):
    path, asked = tmp_path / "journal.json", []

    def answer(value):
        return lambda: asked.append(value) or {"value": value}

    journal = Journal(path, ["model", 1])
    assert ["a", 1] not in journal
    assert journal.once(["a", 1], answer(1)) == {"value": 1}
    assert journal.once(["a", 1], answer(2)) == {"value": 1}
    again = Journal(path, ["model", 1])
    assert ["a", 1] in again and ["a", 2] not in again
    assert again.once(["a", 1], answer(3)) == {"value": 1}
    assert again.once(["a", 2], answer(4)) == {"value": 4}
    again.forget(["a", 1])
    again.forget(["nothing", 0])
    assert ["a", 1] not in again and ["a", 2] in again
    assert asked == [1, 4]
    assert set(json.loads(path.read_text())) == {"about", "known"}
    other = Journal(path, ["model", 2])
    assert ["a", 2] not in other
    path.write_text("{")
    assert ["a", 2] not in Journal(path, ["model", 1])


def double(number: int) -> int:
    if number < 0:
        raise RuntimeError("below 0")
    return 2 * number


@pytest.mark.parametrize(
    ("wanted", "cores", "used"),
    [(0, 4, []), (1, 4, []), (2, 1, []), (2, 4, [2, 2]), (9, 2, [1, 1])],
)
def test_work_is_shared_by_as_many_processes_as_wanted(monkeypatch, wanted, cores, used):
    made, child = [], processes._child
    monkeypatch.setattr(processes, "CORES", cores)
    monkeypatch.setattr(processes, "_child", lambda threads: made.append(threads) or child(threads))
    items = list(range(40))
    assert answer_all(double, items, "double", wanted) == [2 * item for item in items]
    assert made == used


@pytest.mark.parametrize("wanted", [1, 2])
def test_failure_says_what_was_done(monkeypatch, wanted):
    monkeypatch.setattr(processes, "CORES", 2)
    with pytest.raises(CircuitError, match=r"^ezkl could not double: below 0\.$"):
        answer_all(double, [1, -1, 2], "double", wanted)


def threads(_: int) -> str:
    return os.environ["RAYON_NUM_THREADS"]


def test_processes_share_the_cores(monkeypatch):
    monkeypatch.setattr(processes, "CORES", 5)
    assert answer_all(threads, [1, 2], "count", 2) == ["2", "2"]
