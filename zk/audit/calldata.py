"""Calldata for a verifier, well formed or not."""

import random
from dataclasses import dataclass, replace

from zk.audit import curve

SELECTOR = bytes.fromhex("1e8e1e13")  # verifyProof(bytes,uint256[])
WORD = 32
FIRST_WORD = 4 + 3 * WORD  # of the proof: after the selector, two offsets and its length


@dataclass(frozen=True)
class Call:
    """A proof, as words, and its public instances."""

    proof: list[int]
    instances: list[int]
    selector: bytes = SELECTOR

    def with_word(self, place: int, *values: int) -> "Call":
        return replace(self, proof=_with(self.proof, place, values))

    def with_instance(self, place: int, value: int) -> "Call":
        return replace(self, instances=_with(self.instances, place, (value,)))

    def with_other(self, other: "Call", part: str) -> "Call":
        """This call with the proof or the instances of another one."""
        return replace(self, **{part: getattr(other, part)})

    def satisfying(self, equal: set[tuple[int, int]]) -> "Call":
        """This call with each word replaced by a number that it is compared with."""
        wanted = {a: b for pair in equal for a, b in (pair, pair[::-1]) if a != b}
        return replace(
            self,
            proof=[wanted.get(word, word) for word in self.proof],
            instances=[wanted.get(word, word) for word in self.instances],
        )

    def raised(self) -> "Call":
        """This call with 1 added to each word."""
        return replace(
            self,
            proof=[word + 1 for word in self.proof],
            instances=[instance + 1 for instance in self.instances],
        )

    @property
    def usual_places(self) -> range:
        """The calldata offsets of the proof, the instances and their lengths in `usual`."""
        size = len(self.proof) + 1 + len(self.instances)
        return range(FIRST_WORD - WORD, FIRST_WORD + size * WORD)

    def usual(self) -> bytes:
        """The calldata that a compiler generates for this call."""
        return self._encoded(2, 3 + len(self.proof), self._arguments())

    def behind(self, decoy: "Call") -> bytes:
        """Calldata with the decoy in the usual place and offsets that point to this call."""
        before = decoy._arguments()
        proof = 2 + len(before)
        instances = proof + 1 + len(self.proof)
        return self._encoded(proof, instances, [*before, *self._arguments()])

    def instances_behind(self, decoy: "Call") -> bytes:
        """Calldata like that of `behind`, for the instances only."""
        before = Call(self.proof, decoy.instances)._arguments()
        words = [*before, len(self.instances), *self.instances]
        return self._encoded(2, 2 + len(before), words)

    def _arguments(self) -> list[int]:
        proof, instances = self.proof, self.instances
        return [len(proof) * WORD, *proof, len(instances), *instances]

    def _encoded(self, proof: int, instances: int, words: list[int]) -> bytes:
        """Calldata with arguments that begin at these word offsets after the selector."""
        head = [proof * WORD, instances * WORD]
        return self.selector + b"".join(word.to_bytes(WORD) for word in [*head, *words])


@dataclass(frozen=True)
class FlatCall(Call):
    """A call of a function whose arguments have fixed sizes."""

    def usual(self) -> bytes:
        words = [*self.proof, *self.instances]
        return self.selector + b"".join(word.to_bytes(WORD) for word in words)


def _with(words: list[int], place: int, values: tuple[int, ...]) -> list[int]:
    return [*words[:place], *values, *words[place + len(values) :]]


def random_call(words: int, instances: int, seed: int = 0) -> Call:
    """A call of meaningless numbers, each of which is recognisable in a trace."""
    numbers = random.Random(seed)
    return Call(
        [numbers.randrange(2**200, 2**250) for _ in range(words)],
        [numbers.randrange(2**100, 2**127) for _ in range(instances)],
    )


@dataclass(frozen=True)
class Accumulator:
    """The instances with the two points of other proofs, each coordinate in limbs."""

    first: int
    limbs: int
    bits: int

    @property
    def places(self) -> range:
        return range(self.first, self.first + 4 * self.limbs)

    def points_in(self, instances: list[int]) -> list[curve.Point1]:
        coordinates = [
            sum(instances[place + i] << i * self.bits for i in range(self.limbs)) % 2**256
            for place in self.places[:: self.limbs]
        ]
        return [(coordinates[0], coordinates[1]), (coordinates[2], coordinates[3])]

    def holding(self, points: list[curve.Point1]) -> list[int]:
        """The instances for two points."""
        return [
            coordinate >> i * self.bits & 2**self.bits - 1
            for point in points
            for coordinate in point
            for i in range(self.limbs)
        ]


@dataclass(frozen=True)
class Shape:
    """The form of the proofs that a verifier takes."""

    words: int
    instances: int
    points: list[int]  # the words at which points of the curve begin
    scalars: list[int]
    accumulator: Accumulator | None = None

    def call(self, seed: int) -> Call:
        """A well-formed call; each seed makes other numbers."""
        made = random_call(self.words, self.instances, seed)
        *points, left, right = curve.multiples(2 + 1000 * seed, len(self.points) + 2)
        for place, point in zip(self.points, points, strict=True):
            made = made.with_word(place, *point)
        if held := self.accumulator:
            for place, limb in zip(held.places, held.holding([left, right]), strict=True):
                made = made.with_instance(place, limb)
        return made
