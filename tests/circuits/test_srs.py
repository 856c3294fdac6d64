"""The SRS: downloaded completely, checked against its hash and audited."""

import hashlib
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context

import pytest
from click.testing import CliRunner

from scripts import srs as command
from zk import downloads, ezkl, srs
from zk.audit.srs import audit_srs
from zk.errors import CircuitError
from zk.files import sha256
from zk.srs import ensure_srs, srs_path

pytestmark = pytest.mark.slow

LOGROWS = 6
POINT = 64  # bytes


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("srs") / "k6.srs"
    ezkl.make_srs(path, LOGROWS)
    return path.read_bytes()


@pytest.fixture
def ceremony(made, monkeypatch) -> bytes:
    """An SRS that passes for the ceremony's during the test."""
    monkeypatch.setitem(srs.CEREMONY_SHA256, LOGROWS, hashlib.sha256(made).hexdigest())
    return made


def test_each_size_of_the_ceremonies_has_a_hash():
    sizes = [(srs.CEREMONY_SHA256, range(1, 27)), (srs.POWERS_SHA256, range(8, 21))]
    for hashes, logrows in sizes:
        assert list(hashes) == list(logrows)
        assert len(set(hashes.values())) == len(logrows)


@contextmanager
def server(content: bytes, *, breaks_after: int | None = None, ranges: bool = True) -> Iterator:
    """Serve one file, perhaps not to its end; yield the address and the ranges of the requests."""
    asked: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            asked.append(wanted)
            start = int(wanted[6:-1]) if wanted and ranges else 0
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            self.wfile.write(content[start:breaks_after])

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()


def fetched(folder, mirror: str) -> bytes:
    return ensure_srs(folder, "ceremony", LOGROWS, mirror=mirror).read_bytes()


def test_ceremony_is_fetched_once(tmp_path, ceremony):
    with server(ceremony) as (mirror, asked):
        assert fetched(tmp_path, mirror) == ceremony
        assert fetched(tmp_path, mirror) == ceremony
    assert asked == [None]
    assert [p.name for p in srs_path(tmp_path, "ceremony", LOGROWS).parent.iterdir()] == ["k6.srs"]


@pytest.mark.parametrize("ranges", [True, False])
def test_download_that_was_cut_off_goes_on(tmp_path, ceremony, monkeypatch, ranges):
    monkeypatch.setattr(downloads, "CHUNK", 1000)
    with (
        server(ceremony, breaks_after=5000) as (mirror, _),
        pytest.raises(CircuitError, match="run the command again to resume"),
    ):
        fetched(tmp_path, mirror)
    assert not srs_path(tmp_path, "ceremony", LOGROWS).exists()
    with server(ceremony, ranges=ranges) as (mirror, asked):
        assert fetched(tmp_path, mirror) == ceremony
    assert asked == ["bytes=5000-"]


def test_what_is_not_the_ceremonys_is_not_kept(tmp_path, ceremony):
    other = ceremony[:-1] + bytes([ceremony[-1] ^ 1])
    with (
        server(other) as (mirror, _),
        pytest.raises(CircuitError, match=r"should have the SHA-256 .* but had .* and was removed"),
    ):
        fetched(tmp_path, mirror)
    assert list(srs_path(tmp_path, "ceremony", LOGROWS).parent.iterdir()) == []


def test_damaged_ceremony_is_refused(tmp_path, ceremony):
    with server(ceremony) as (mirror, _):
        fetched(tmp_path, mirror)
    path = srs_path(tmp_path, "ceremony", LOGROWS)
    path.write_bytes(ceremony[:-1] + bytes([ceremony[-1] ^ 1]))
    with pytest.raises(CircuitError, match="and was removed"):
        ensure_srs(tmp_path, "ceremony", LOGROWS)
    assert not path.exists()


def test_no_server_and_no_such_size(tmp_path):
    with pytest.raises(CircuitError, match="could not be downloaded"):
        ensure_srs(tmp_path, "ceremony", LOGROWS, mirror="http://127.0.0.1:9")
    with pytest.raises(CircuitError, match=r"no SRS for 2\*\*27"):
        ensure_srs(tmp_path, "ceremony", 27)


def test_the_kinds_keep_apart(tmp_path, ceremony):
    dev = ensure_srs(tmp_path, "insecure-dev", LOGROWS)
    before = dev.read_bytes()
    with server(ceremony) as (mirror, _):
        fetched(tmp_path, mirror)
    assert dev.read_bytes() == before != ceremony
    assert ensure_srs(tmp_path, "insecure-dev", LOGROWS) == dev


def test_two_at_once_share_one(tmp_path):
    """Neither of two builds replaces the SRS from which the other makes its keys."""
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        hashes = list(pool.map(made_in, [tmp_path] * 2))
    assert hashes == [sha256(srs_path(tmp_path, "insecure-dev", 11))] * 2


def made_in(folder) -> str:
    return sha256(ensure_srs(folder, "insecure-dev", 11))


def swapped(content: bytes, one: int, other: int, size: int = POINT) -> bytes:
    """Exchange two points of an SRS."""
    a, b = content[one : one + size], content[other : other + size]
    changed = bytearray(content)
    changed[one : one + size], changed[other : other + size] = b, a
    return bytes(changed)


POWERS, LAGRANGE, SECOND = 4, 4 + 2**LOGROWS * POINT, 4 + 2 * 2**LOGROWS * POINT
BROKEN = {
    "srs-powers": lambda whole: swapped(whole, POWERS + 5 * POINT, POWERS + 9 * POINT),
    "srs-lagrange": lambda whole: swapped(whole, LAGRANGE, LAGRANGE + POINT),
    "srs-points": lambda whole: whole[:200] + bytes([whole[200] ^ 1]) + whole[201:],
    "srs-second-group": lambda whole: swapped(whole, SECOND, SECOND + 2 * POINT, 2 * POINT),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_srs_is_found(tmp_path, made, name):
    path = tmp_path / "k6.srs"
    path.write_bytes(BROKEN[name](made))
    assert audit_srs(path, "insecure-dev", LOGROWS).findings[0].name == name


def test_srs_of_another_kind_or_size(tmp_path, made):
    path = tmp_path / "k6.srs"
    path.write_bytes(made)
    assert audit_srs(path, "insecure-dev", LOGROWS).sound
    found = audit_srs(path, "ceremony", LOGROWS).findings
    assert [f.name for f in found] == ["srs-hash", "srs-secret"]
    assert [f.name for f in audit_srs(path, "insecure-dev", 7).findings] == ["srs-size"]
    path.write_bytes(made[:-1])
    with pytest.raises(CircuitError, match="is not an SRS"):
        audit_srs(path, "insecure-dev", LOGROWS)


def test_verified_srs_as_a_document(tmp_path, made, monkeypatch):
    monkeypatch.setattr(command, "FOLDER", tmp_path)
    monkeypatch.setattr(command, "ROOT", tmp_path)
    path = srs_path(tmp_path, "insecure-dev", LOGROWS)
    path.parent.mkdir(parents=True)
    for content, findings in ((made, []), (BROKEN["srs-powers"](made), ["srs-powers"])):
        path.write_bytes(content)
        shown = CliRunner(mix_stderr=False).invoke(command.cli, ["--verify", "--json"])
        assert shown.exit_code == (1 if findings else 0)
        (one,) = json.loads(shown.stdout)
        assert (one["kind"], one["logrows"]) == ("insecure-dev", LOGROWS)
        assert [finding["name"] for finding in one["report"]["findings"]][:1] == findings


def verified(*words: str) -> tuple[int, dict | list]:
    shown = CliRunner(mix_stderr=False).invoke(command.cli, ["--verify", "--json", *words])
    return shown.exit_code, json.loads(shown.stdout)


def test_verified_file(tmp_path, made):
    path = tmp_path / "handed-out.srs"
    path.write_bytes(made)
    code, (one,) = verified(str(path))
    assert code == 0
    assert (one["kind"], one["logrows"], one["path"]) == ("insecure-dev", LOGROWS, str(path))
    assert one["report"]["sound"]


@pytest.mark.parametrize("name", [*BROKEN, "srs-size"])
def test_damaged_file(tmp_path, made, name):
    path = tmp_path / "k6.srs"
    path.write_bytes(BROKEN.get(name, lambda whole: whole[:-1])(made))
    code, (one,) = verified(str(path))
    assert code == 1
    assert [finding["name"] for finding in one["report"]["findings"]][:1] == [name]


def test_file_of_the_ceremony(tmp_path, ceremony):
    """A file is the ceremony's by its folder or its hash."""
    path = tmp_path / "public.srs"
    path.write_bytes(ceremony)
    assert verified(str(path))[1][0]["kind"] == "ceremony"
    path = srs_path(tmp_path, "ceremony", LOGROWS)
    path.parent.mkdir()
    path.write_bytes(BROKEN["srs-powers"](ceremony))
    (one,) = verified(str(path))[1]
    assert one["report"]["findings"][0]["name"] == "srs-hash"


def test_missing_file(tmp_path):
    path = tmp_path / "k6.srs"
    code, document = verified(str(path))
    assert (code, document) == (
        1,
        {"error": f"{path} is no file: give the path of an SRS, such as k13.srs."},
    )


@pytest.mark.parametrize("words", [[], ["--dev", "6"], ["--verify", "--fetch", "6"]])
def test_file_with_other_options(tmp_path, words):
    shown = CliRunner().invoke(command.cli, [*words, str(tmp_path / "k6.srs")])
    assert shown.exit_code == 2
    assert "only --verify takes" in shown.output


def test_damaged_file_among_others(tmp_path, made, monkeypatch):
    """Each SRS has a report, also after one that is cut off."""
    monkeypatch.setattr(command, "FOLDER", tmp_path)
    monkeypatch.setattr(command, "ROOT", tmp_path)
    for logrows in (5, LOGROWS):
        path = srs_path(tmp_path, "insecure-dev", logrows)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(made if logrows == LOGROWS else made[:1000])
    code, documents = verified()
    assert code == 1
    assert [one["report"]["sound"] for one in documents] == [False, True]
