"""The structured reference string (SRS) from which a circuit's keys are made."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

from zk.downloads import fetch
from zk.errors import CircuitError
from zk.ezkl import make_srs
from zk.files import locked, sha256, whole

# ceremony:      the public perpetual powers of tau, whose secret nobody knows.
# insecure-dev:  made on this machine in seconds; its maker can forge any proof.
Kind = Literal["ceremony", "insecure-dev"]
KINDS: tuple[Kind, ...] = get_args(Kind)

CEREMONY_URL = "https://kzg.ezkl.xyz"
# The hashes of the ceremony's SRS, by logrows.
CEREMONY_SHA256 = dict(
    enumerate(
        (
            "cafb2aa72c200ddc4e28aacabb8066e829207e2484b8d17059a566232f8a297b",
            "8194ec51da5d332d2e17283ade34920644774452c2fadf33742e8c739e275d8e",
            "0729e815bce2ac4dfad7819982c6479c3b22c32b71f64dca05e8fdd90e8535ef",
            "2c0785da20217fcafd3b12cc363a95eb2529037cc8a9bddf8fb15025cbc8cdc9",
            "5b950e3b76e7a9923d69f6d6585ce6b5f9458e5ec57a71c9de5005d32d544692",
            "85030b2924111fc60acaf4fb8a7bad89531fbe0271aeab0c21e545f71eee273d",
            "e65f95150519fe01c2bedf8f832f5249822ef84c9c017307419e10374ff9eeb1",
            "446092fd1d6030e5bb2f2a8368267d5ed0fbdb6a766f6c5e4a4841827ad3106f",
            "493d088951882ad81af11e08c791a38a37c0ffff14578cf2c7fb9b7bca654d8b",
            "9705d450e5dfd06adb673705f7bc34418ec86339203198beceb2ae7f1ffefedb",
            "257fa566ed9bc0767d3e63e92b5e966829fa3347d320a32055dc31ee7d33f8a4",
            "28b151069f41abc121baa6d2eaa8f9e4c4d8326ddbefee2bd9c0776b80ac6fad",
            "d5d94bb25bdc024f649213593027d861042ee807cafd94b49b54f1663f8f267d",
            "c09129f064c08ecb07ea3689a2247dcc177de6837e7d2f5f946e30453abbccef",
            "90807800a1c3b248a452e1732c45ee5099f38b737356f5542c0584ec9c3ebb45",
            "2a1a494630e71bc026dd5c0eab4c1b9a5dbc656228c1f0d48f5dbd3909b161d3",
            "41509f380362a8d14401c5ae92073154922fe23e45459ce6f696f58607655db7",
            "d0148475717a2ba269784a178cb0ab617bc77f16c58d4a3cbdfe785b591c7034",
            "d1a1655b4366a766d1578beb257849a92bf91cb1358c1a2c37ab180c5d3a204d",
            "54ef75911da76d7a6b7ea341998aaf66cb06c679c53e0a88a4fe070dd3add963",
            "486e044cf98704e07f41137d2b89698dc03d1fbf34d13b60902fea19a6013b4b",
            "1ee9b4396db3e4e2516ac5016626ab6ba967f091d5d23afbdb7df122a0bb9d0c",
            "748e48b9b6d06f9c82d26bf551d0af43ee2e801e4be56d7ccb20312e267fd1d6",
            "f94fa4afa2f5147680f907d4dd96a8826206c26bd3328cd379feaed614b234de",
            "dec49a69893fbcd66cd06296b2d936a6aceb431c130b2e52675fe4274b504f57",
            "b198a51d48b88181508d8e4ea9dea39db285e4585663b29b7e4ded0c22a94875",
        ),
        start=1,
    )
)

# Of the powers of tau for Groth16, by logrows, in base64.
POWERS_SHA256 = {
    8: "90Hy3e4odZFcJNuKrpDQIfURgVM/HuO1i69ksELpFlQ=",
    9: "g21GmIXnfzYveMaiKF1Gg0prGoiY8OT+RWw6w2GYjFo=",
    10: "U9Dp0aNXZBKto5qCyP+t1/EQwbE95W2JtSpHLOXl7fQ=",
    11: "aIm5ZsnkckjjfHNG9taq2BmAvH7WmqnVXOnjrFrTf5Y=",
    12: "3PTqRzvxS5cc5fe3wdbOHEGo7QQs23W2XKkXjjo8fBc=",
    13: "lXUbUgfyCqgi8BEJkCMVwBwVJQMD/qzqK4qn3J/f7v0=",
    14: "SJvp5axl1ST3sWhbqsihg8bneST9tz0rgQXjNfJ3iV0=",
    15: "PvLsxbddaHBIzy1ZGVEZtC+wfFr2OcXyg9hL+mmCnn8=",
    16: "HEAau1fJzlMTcPMBXD51wIkuDzK4selKzg9mgtlpWSI=",
    17: "a2YqMkhnE5+xogoyTZC2/2GFbfsj9ZMmkJ8UsOJIOuA=",
    18: "6XDvp3dNqAEB4KwzbQg+8zOYVcmBElOTONcGsriaxpQ=",
    19: "P0KNGkB+RwTvkGlg4ACwMInl5uwpv2Wwe7Xj3gBfRwA=",
    20: "FZ0/k42UHgZ2fZnzC5/lmiRUAKSq4TjPjkEXMtei9s0=",
}


def powers_hash(logrows: int) -> str | None:
    """Return the SHA-256 of the ceremony's powers of tau, in hexadecimal."""
    found = POWERS_SHA256.get(logrows)
    return base64.b64decode(found).hex() if found else None


def srs_path(folder: Path, kind: Kind, logrows: int) -> Path:
    """Return the path of an SRS. Each kind has its folder, so none replaces the other."""
    return folder / kind / f"k{logrows}.srs"


def ensure_srs(
    folder: Path,
    kind: Kind,
    logrows: int,
    report: Callable[[str], None] = lambda step: None,
    mirror: str = CEREMONY_URL,
) -> Path:
    """Return the path of an SRS; make it or download it from `mirror` if it is missing."""
    return ensure_file(
        srs_path(folder, kind, logrows),
        CEREMONY_SHA256.get(logrows) if kind == "ceremony" else None,
        make=lambda partial: make_srs(partial, logrows),
        download=(lambda path: _fetch(path, logrows, mirror)) if kind == "ceremony" else None,
        announce=lambda: report("srs"),
        again=f"`ape run srs --fetch {logrows}`",
    )


def ensure_file(
    path: Path,
    expected: str | None,
    *,
    make: Callable[[Path], None],
    download: Callable[[Path], None] | None,
    announce: Callable[[], None],
    again: str,
) -> Path:
    """Return the path of a file of a set-up; make it, or download it, if it is missing.

    A file that is there is removed unless it has the `expected` hash; `download` checks a new one.
    """
    with locked(path.parents[1]):  # builds in parallel share one file
        if not (present := path.is_file()):
            announce()
            path.parent.mkdir(exist_ok=True)
            if download:
                download(path)
            else:
                with whole(path) as partial:
                    make(partial)
    if present and download and (found := sha256(path)) != expected:
        path.unlink()
        raise CircuitError(
            f"{path} should have the SHA-256 {expected} of the ceremony's file, but had {found} "
            f"and was removed: run {again}."
        )
    return path


def _fetch(path: Path, logrows: int, mirror: str) -> None:
    if logrows not in CEREMONY_SHA256:
        raise CircuitError(
            f"The ceremony has no SRS for 2**{logrows} rows: choose knobs of a circuit with "
            f"2**{min(CEREMONY_SHA256)} to 2**{max(CEREMONY_SHA256)} rows."
        )
    remedy = "choose another server with `ape run srs --mirror`"
    fetch(f"{mirror}/kzg{logrows}.srs", path, CEREMONY_SHA256[logrows], remedy)
