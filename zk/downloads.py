"""Downloads that resume, and that nobody sees before their hash is checked."""

from pathlib import Path

from tqdm import tqdm

from zk.errors import CircuitError
from zk.files import sha256

CHUNK = 2**16  # bytes
PATIENCE = 30  # seconds without a byte from the server


def fetch(url: str, path: Path, expected: str, remedy: str) -> None:
    """Download a file, or the rest of it after an interruption; `path` then has this SHA-256."""
    import requests

    partial = path.with_name(f"{path.name}.download")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        _download(url, partial)
    except (requests.RequestException, OSError) as error:
        raise CircuitError(
            f"{url} could not be downloaded ({type(error).__name__}): run the command again to "
            f"resume, or {remedy}."
        ) from error
    if (found := sha256(partial)) != expected:
        partial.unlink()
        raise CircuitError(
            f"{url} should have the SHA-256 {expected}, but had {found} and was removed: {remedy}."
        )
    partial.replace(path)


def _download(url: str, partial: Path) -> None:
    import requests

    present = partial.stat().st_size if partial.is_file() else 0
    headers = {"Range": f"bytes={present}-"} if present else {}
    with requests.get(url, headers=headers, stream=True, timeout=PATIENCE) as answer:
        if answer.status_code == requests.codes.requested_range_not_satisfiable:
            return  # it was complete
        answer.raise_for_status()
        resumes = answer.status_code == requests.codes.partial_content
        kept = present if resumes else 0
        size = kept + int(answer.headers.get("Content-Length", 0))
        bar = tqdm(
            desc=partial.stem,
            total=size or None,
            initial=kept,
            unit="B",
            unit_scale=True,
            leave=False,
            disable=None,
        )
        with partial.open("ab" if resumes else "wb") as file, bar:
            for chunk in answer.iter_content(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
