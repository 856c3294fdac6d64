"""The second phase of a set-up: contributions to the key of one circuit, which anyone can verify.

Each contribution multiplies delta by a secret. Only someone who knows all secrets can forge proofs:
one participant who forgets theirs makes the key sound. The last contribution is a beacon, a public
number that nobody could know before, such as the hash of a later block.
"""

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from zk.errors import CircuitError
from zk.files import digest, read_json, sha256, write_json
from zk.groth16 import curve
from zk.groth16.curve import G1, G2, SIZE1, SIZE2, Point
from zk.groth16.keys import ProvingKey, VerificationKey, first_key
from zk.groth16.powers import Powers
from zk.layout import FIELD
from zk.manifest import FEWEST_CONTRIBUTIONS, Manifest
from zk.r1cs.system import System

NAME = r"[\w .,'@+-]{1,60}"  # of a participant
BEACON_ROUNDS = 2**20  # of SHA-256, which keep anyone from trying many beacons in time


@dataclass(frozen=True)
class Contribution:
    """A factor of delta, with the proof that somebody knew it, or the beacon that it follows from.

    The proof is Schnorr's: `response` times the old delta is the `commitment`, plus the new delta
    times a hash.
    """

    name: str
    delta1: bytes
    delta2: bytes
    commitment: bytes = b""
    response: int = 0
    beacon: str | None = None

    def challenge(self, before: str) -> int:
        """The number that nobody can choose, which binds the proof to all that came before."""
        content = before.encode() + self.name.encode() + self.delta1 + self.delta2 + self.commitment
        return int.from_bytes(hashlib.sha512(content).digest()) % FIELD

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "delta1": self.delta1.hex(),
            "delta2": self.delta2.hex(),
            "commitment": self.commitment.hex(),
            "response": f"{self.response:064x}",
            "beacon": self.beacon,
        }

    @classmethod
    def of(cls, content: dict[str, Any]) -> "Contribution":
        if not re.fullmatch(NAME, str(content["name"])):
            raise ValueError("the name of a participant is not printable")
        return cls(
            name=str(content["name"]),
            delta1=bytes.fromhex(content["delta1"]),
            delta2=bytes.fromhex(content["delta2"]),
            commitment=bytes.fromhex(content["commitment"]),
            response=int(content["response"], 16),
            beacon=content["beacon"],
        )


@dataclass(frozen=True)
class Ceremony:
    """The contributions so far, and the key that they lead to."""

    circuit: str
    constraints: str  # SHA-256
    powers: str
    key: ProvingKey
    contributions: list[Contribution] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path, key: ProvingKey | None = None) -> "Ceremony":
        """Read the file of a ceremony, or a transcript, whose key is elsewhere."""
        content = read_json(path)
        try:
            return cls(
                circuit=str(content["circuit"]),
                constraints=str(content["constraints"]),
                powers=str(content["powers"]),
                key=key or ProvingKey.of(base64.b64decode(content["key"])),
                contributions=[Contribution.of(one) for one in content["contributions"]],
            )
        except (KeyError, ValueError, TypeError, AttributeError, CircuitError) as error:
            raise CircuitError(
                f"{path} is not the file of a ceremony ({error!r}): begin one with "
                "`ape run ceremony start`."
            ) from None

    def save(self, path: Path) -> None:
        """Write everything that the next participant needs."""
        key = base64.b64encode(self.key.content).decode()
        write_json(path, {**self._about, "key": key})

    def save_transcript(self, path: Path) -> None:
        """Write what a verifier needs beside the key."""
        write_json(path, self._about)

    @property
    def finished(self) -> bool:
        return bool(self.contributions) and self.contributions[-1].beacon is not None

    @property
    def participants(self) -> int:
        return sum(one.beacon is None for one in self.contributions)

    @property
    def facts(self) -> dict[str, Any]:
        """The properties that a manifest records."""
        return {"contributions": self.participants, "beacon": self.finished}

    @property
    def transcript(self) -> str:
        """The hash of all that comes before the next contribution."""
        return digest(self._about)

    @property
    def _about(self) -> dict[str, Any]:
        return {
            "circuit": self.circuit,
            "constraints": self.constraints,
            "powers": self.powers,
            "contributions": [one.as_json() for one in self.contributions],
        }

    def contributed(self, name: str) -> "Ceremony":
        """Return the ceremony after a contribution, whose secret is forgotten."""
        if not re.fullmatch(NAME, name):
            raise CircuitError(f"{name!r} is no name: give up to 60 letters, digits or spaces.")
        secret, nonce = (1 + secrets.randbelow(FIELD - 1) for _ in range(2))
        key = self._multiplied(secret)
        (commitment,) = curve.times([self.key.delta1], [nonce])
        draft = _contribution(name, key, curve.to_bytes([commitment]))
        response = (nonce + draft.challenge(self.transcript) * secret) % FIELD
        return self._with(replace(draft, response=response), key)

    def with_beacon(self, beacon: str) -> "Ceremony":
        """Return the ceremony after its last contribution, which follows from a public number."""
        if self.participants < 1:
            raise CircuitError(
                "A beacon follows at least one contribution: `ape run ceremony contribute`."
            )
        key = self._multiplied(beacon_secret(beacon))
        return self._with(replace(_contribution("beacon", key), beacon=beacon), key)

    def problems(self, constraints: Path, powers: Path) -> list[str]:
        """Return what is wrong with the contributions, or with the key that they should lead to."""
        files = {"constraints": (constraints, self.constraints), "powers": (powers, self.powers)}
        found = [
            f"it began with other {name} than {path}"
            for name, (path, expected) in files.items()
            if sha256(path) != expected
        ]
        before = replace(self, contributions=[])
        delta1, delta2 = G1, G2
        for place, one in enumerate(self.contributions):
            if one.beacon is not None and place < len(self.contributions) - 1:
                found.append(f"contribution {place} follows a beacon")
            try:
                found += _flaws(one, delta1, before.transcript, place)
                (delta1,) = curve.from_bytes(one.delta1, SIZE1)
                (delta2,) = curve.from_bytes(one.delta2, SIZE2)
            except CircuitError as error:
                return [*found, f"contribution {place}: {error}"]
            before = replace(before, contributions=[*before.contributions, one])
        if (self.key.delta1, self.key.verification.delta) != (delta1, delta2):
            found.append("the key has another delta than the last contribution")
        first = first_key(System.load(constraints), Powers(powers))
        return found + key_problems(self.key, first)

    def _multiplied(self, secret: int) -> ProvingKey:
        if self.finished:
            raise CircuitError("The ceremony is over: its beacon was drawn.")
        return self.key.contributed(secret)

    def _with(self, one: Contribution, key: ProvingKey) -> "Ceremony":
        return replace(self, key=key, contributions=[*self.contributions, one])


def begun(circuit: str, constraints: Path, powers: Path) -> Ceremony:
    """Return the ceremony of a circuit before any contribution."""
    key = first_key(System.load(constraints), Powers(powers))
    return Ceremony(circuit, sha256(constraints), sha256(powers), key)


def require_sound(held: Ceremony, constraints: Path, powers: Path, source: Path) -> None:
    """Raise unless every contribution holds, and the key is the one that they lead to."""
    if problems := held.problems(constraints, powers):
        raise CircuitError(
            f"The ceremony in {source} is not sound: {'; '.join(problems)}. Ask its participants "
            "for the last sound file."
        )


def require_enough(manifest: Manifest, network: str) -> None:
    """Raise unless a live network can have the key of a build, by its transcript."""
    key = ProvingKey.load(manifest.file("pk"))
    held = Ceremony.load(manifest.file("transcript"), key)
    count, beacon = held.participants, "a beacon" if held.finished else "no beacon"
    if not held.finished or count < FEWEST_CONTRIBUTIONS:
        raise CircuitError(
            f"The key of {manifest['circuit']} has {count} contribution{'s' * (count != 1)} and "
            f"{beacon}, and {network} needs {FEWEST_CONTRIBUTIONS} or more and a beacon: hold a "
            "ceremony with `ape run ceremony`."
        )
    files = (manifest.file("constraints"), manifest.file("srs"), manifest.file("transcript"))
    require_sound(held, *files)
    if VerificationKey.load(manifest.file("vk")) != key.verification:
        raise CircuitError(
            f"{manifest['circuit']} has another verification key than its ceremony: build it again."
        )


def key_problems(key: ProvingKey, first: ProvingKey) -> list[str]:
    """Return how a key differs from a circuit's first key, apart from the factor of delta.

    `first` is made of the powers and the constraints alone.
    """
    mine, other = key.verification, first.verification
    parts = {
        "the number of rows": (key.logrows, first.logrows),
        "alpha": (mine.alpha, other.alpha),
        "beta": ((mine.beta, key.beta1), (other.beta, first.beta1)),
        "the points of instances": (mine.instances, other.instances),
        "the points of A": (key.a, first.a),
        "the points of B": ((key.b1, key.b2), (first.b1, first.b2)),
        "the number of points": (
            [len(key.private), len(key.quotient)],
            [len(first.private), len(first.quotient)],
        ),
    }
    found = [f"{name} are not the circuit's" for name, (one, two) in parts.items() if one != two]
    if found:
        return found
    if not curve.pairing_holds([(key.delta1, G2), (-G1, mine.delta)]):
        found.append("the two forms of delta differ")
    if any(point.is_zero() for point in (key.delta1, mine.delta)):
        found.append("delta is 0")
    weights = [secrets.randbelow(2**128) for _ in [*key.private, *key.quotient]]
    ours = curve.weighted([*key.private, *key.quotient], weights, G1)
    theirs = curve.weighted([*first.private, *first.quotient], weights, G1)
    if not curve.pairing_holds([(ours, mine.delta), (-theirs, G2)]):
        found.append("the points of C are not the circuit's divided by delta")
    return found


@lru_cache(maxsize=4)
def beacon_secret(beacon: str) -> int:
    """Return the factor that follows from a beacon, in hexadecimal."""
    try:
        state = bytes.fromhex(beacon.removeprefix("0x"))
        if len(state) < 16:
            raise ValueError
    except ValueError:
        raise CircuitError(
            f"The beacon {beacon!r} is not a number of 16 bytes or more in hexadecimal: give the "
            "hash of a block that was made after the last contribution."
        ) from None
    for _ in range(BEACON_ROUNDS):
        state = hashlib.sha256(state).digest()
    return 1 + int.from_bytes(state) % (FIELD - 1)


def _contribution(name: str, key: ProvingKey, commitment: bytes = b"") -> Contribution:
    delta1, delta2 = curve.to_bytes([key.delta1]), curve.to_bytes([key.verification.delta])
    return Contribution(name, delta1, delta2, commitment)


def _flaws(one: Contribution, before: Point, transcript: str, place: int) -> list[str]:
    """Return what is wrong with a contribution."""
    (after,) = curve.from_bytes(one.delta1, SIZE1)
    if after.is_zero():
        return [f"contribution {place} makes delta 0"]
    if one.beacon is not None:
        (expected,) = curve.times([before], [beacon_secret(one.beacon)])
        return (
            [] if after == expected else [f"contribution {place} does not follow from its beacon"]
        )
    (commitment,) = curve.from_bytes(one.commitment, SIZE1)
    challenge = one.challenge(transcript)
    if curve.weighted([before, after], [one.response, -challenge], G1) != commitment:
        return [f"contribution {place}, of {one.name}, proves no knowledge of its factor"]
    return []
