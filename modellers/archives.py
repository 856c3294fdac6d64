"""The caches of a modeller: archives that are read into memory, and only as far as expected.

Nothing is written at a path that an archive names, and no code in it runs.
"""

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from models.data import DatasetError
from zk.files import whole

DATA, MODELS = "mnist-train-n-test.tar.gz", "models-pkl.tar.gz"
LARGEST = 100_000_000  # bytes of an archive once it is decompressed; MNIST has 55 million


class Bounded(io.RawIOBase):
    """A stream that raises once more than LARGEST bytes were read from it."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self.stream, self.left = stream, LARGEST

    def read(self, size: int = -1) -> bytes:
        found = self.stream.read(min(size, self.left + 1) if size >= 0 else self.left + 1)
        self.left -= len(found)
        if self.left < 0:
            raise DatasetError(f"it holds more than {LARGEST:,} bytes")
        return found


def pack(path: Path, contents: dict[str, bytes]) -> None:
    """Write an archive of these files. The same files make the same archive."""
    with (
        whole(path) as partial,
        partial.open("wb") as file,
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def unpack(path: Path, suffixes: tuple[str, ...]) -> dict[str, bytes]:
    """Return the files of an archive with these suffixes, by their names without folders."""
    try:
        with gzip.open(path) as unzipped:
            stream = Bounded(unzipped)
            with tarfile.open(mode="r|", fileobj=stream) as archive:
                found = dict(_files(archive, suffixes))
            while stream.read(2**20):
                pass  # the checksum stands at the end
            return found
    except DatasetError as error:
        reason = str(error)
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        reason = f"it is damaged: {str(error) or type(error).__name__}"
    raise DatasetError(
        f"{path} is not a cache that can be used, because {reason}: remove it, and the modeller "
        "makes it again."
    )


def _files(archive: tarfile.TarFile, suffixes: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    for member in archive:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts:
            raise DatasetError(f"it has the path {member.name!r} outside its folder")
        if member.isdir():
            continue
        if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            raise DatasetError(f"{member.name!r} is a link or a device, not a file")
        if path.name.endswith(suffixes) and (file := archive.extractfile(member)):
            yield path.name, file.read()
