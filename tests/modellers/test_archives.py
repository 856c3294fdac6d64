"""The caches of the modellers: what they hold, and archives that somebody made to do harm."""

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from modellers import archives
from modellers.archives import pack, unpack
from models.data import DatasetError


def made(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_what_is_packed_is_unpacked(tmp_path):
    contents = {"a.bin": b"first", "b.bin": bytes(70_000)}
    pack(tmp_path / "one", contents)
    pack(tmp_path / "two", contents)
    assert unpack(tmp_path / "one", (".bin",)) == contents
    assert unpack(tmp_path / "one", ("a.bin",)) == {"a.bin": b"first"}
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_folders_and_other_files_are_passed_over(tmp_path):
    """As `tar czf` packs a folder of the data set's usual layout."""
    path = made(
        tmp_path / "cache",
        (member("./MNIST", tarfile.DIRTYPE), b""),
        (member("./MNIST/raw/labels"), b"labels"),
        (member("./MNIST/raw/labels.gz"), b"other"),
    )
    assert unpack(path, ("labels",)) == {"labels": b"labels"}


@pytest.mark.parametrize(
    ("harmful", "reason"),
    [
        (member("../x.pkl"), r"the path '../x.pkl' outside its folder"),
        (member("a/../../x.pkl"), "outside its folder"),
        (member("/etc/x.pkl"), "outside its folder"),
        (member("x.pkl", tarfile.SYMTYPE, "/etc/passwd"), "'x.pkl' is a link or a device"),
        (member("x.pkl", tarfile.LNKTYPE, "y.pkl"), "'x.pkl' is a link or a device"),
        (member("x.pkl", tarfile.CHRTYPE), "'x.pkl' is a link or a device"),
        (member("x.pkl", tarfile.FIFOTYPE), "'x.pkl' is a link or a device"),
    ],
)
def test_harmful_member(tmp_path, harmful, reason):
    path = made(tmp_path / "cache", (member("good.pkl"), b"fine"), (harmful, b""))
    with pytest.raises(DatasetError, match=f"{reason}.*: remove it, and the modeller makes it"):
        unpack(path, (".pkl",))
    assert list(tmp_path.iterdir()) == [path]


def test_bomb(tmp_path, monkeypatch):
    """It is noticed after the allowed bytes, whichever member has the others."""
    monkeypatch.setattr(archives, "LARGEST", 1_000_000)
    for name in ("x.pkl", "ignored"):
        path = made(tmp_path / "cache", (member(name), bytes(50_000_000)))
        assert path.stat().st_size < 100_000
        with pytest.raises(DatasetError, match="it holds more than 1,000,000 bytes"):
            unpack(path, (".pkl",))
    made(tmp_path / "cache", (member("x.pkl"), bytes(900_000)))
    assert len(unpack(path, (".pkl",))["x.pkl"]) == 900_000


def test_header_that_is_a_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "LARGEST", 1_000_000)
    info = member("x.pkl")
    info.pax_headers = {"comment": "x" * 5_000_000}
    path = tmp_path / "cache"
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info)
    with pytest.raises(DatasetError, match="it holds more than 1,000,000 bytes"):
        unpack(path, (".pkl",))


@pytest.mark.parametrize("damage", ["cut", "text", "zipped text", "checksum", "empty"])
def test_damaged_archive(tmp_path, damage):
    pack(tmp_path / "cache", {"x.pkl": bytes(range(256)) * 999})
    content = (tmp_path / "cache").read_bytes()
    (tmp_path / "cache").write_bytes(
        {
            "cut": content[: len(content) // 2],
            "text": b"this is not an archive",
            "zipped text": gzip.compress(b"neither is this" * 99),
            "checksum": content[:-8] + bytes(8),
            "empty": b"",
        }[damage]
    )
    with pytest.raises(DatasetError, match=r"cache .*, because it is damaged: .*: remove it"):
        unpack(tmp_path / "cache", (".pkl",))
