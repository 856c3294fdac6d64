"""The public values of a circuit, and the numbers that it takes: keys, inputs and outputs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from zk.errors import CircuitError, RangeError
from zk.samples import Array

# The order of BN254's scalar field. Instances are below it.
FIELD = 21888242871839275222246405745257275088548364400416034343698204186575808495617
# Outputs are below this bound; the field element of a negative output v is FIELD - |v|.
LARGEST = 2**127

DOMAIN_BITS = 92  # of a key, above the 160 bits of an account
KEY_BITS = DOMAIN_BITS + 160  # every key is below the order of the field
MAX_LIMB_BITS = 24
# The bits of each output, by the number of outputs in an instance. An output in a lane of n bits is
# from -2**(n-1) to 2**(n-1) - 1.
LANE_BITS = {8: 29, 10: 25}
SLIM_LANES, GROTH16_LANES = LANE_BITS


Key = int | Sequence[int]  # the key of all inputs, or of each


@dataclass(frozen=True)
class Layout:
    """The layout of a circuit's instances, and the inputs that it takes.

    A circuit with a `largest_input` takes whole numbers from `smallest_input` up to it, and checks
    each as a sum of bits.
    One for a batch takes several inputs, with a key for each. The keys of all inputs come first,
    then the outputs for each input in turn.
    """

    limbs: int  # of a key, the lowest first
    limb_bits: int
    outputs: int  # for an input
    lanes: int = 1  # outputs in an instance
    largest_input: int | None = None
    batch: int = 1  # inputs
    hashes: int = 0  # instances before the keys: of the key, and of the input
    smallest_input: int = 0

    @classmethod
    def slim(cls, outputs: int, largest_input: int, batch: int = 1) -> "Layout":
        """Return a layout with one limb, and with lanes if there are several outputs."""
        return cls(1, KEY_BITS, outputs, SLIM_LANES if outputs > 1 else 1, largest_input, batch)

    @classmethod
    def groth16(cls, outputs: int, smallest: int, largest: int | None, batch: int = 1) -> "Layout":
        """Return the layout of a circuit for Groth16, which pays for each instance."""
        lanes = GROTH16_LANES if outputs > 1 else 1
        return cls(1, KEY_BITS, outputs, lanes, largest, batch, smallest_input=smallest)

    @classmethod
    def within(cls, value_range: int, outputs: int, hashes: int = 0) -> "Layout":
        """Return the layout whose limbs are the widest that pass a range check on inputs."""
        bits = min(MAX_LIMB_BITS, value_range.bit_length() - 1)
        if bits < 1:
            raise CircuitError(
                f"A circuit with a value range of {value_range} cannot carry a key: "
                "raise decomp_base or decomp_legs until decomp_base**decomp_legs is at least 2."
            )
        return cls(-(-KEY_BITS // bits), bits, outputs, hashes=hashes)

    def as_json(self) -> dict[str, int | None]:
        """Return the layout as a manifest records it."""
        return asdict(self)

    @property
    def bits(self) -> list[int]:
        """The values of the bits whose sums are the inputs of a slim circuit."""
        return [] if self.largest_input is None else bit_values(self.largest_input)

    @property
    def lane_bits(self) -> int:
        """The bits of an output that shares its instance with others."""
        return LANE_BITS[self.lanes]

    @property
    def widest(self) -> int:
        """The largest key, for measuring."""
        return int(2**KEY_BITS - 1)

    def split(self, key: int) -> list[int]:
        """Return the limbs of a key, the lowest first."""
        if not 0 <= key < 2**KEY_BITS:
            raise CircuitError(f"The key {key} is not a whole number from 0 to 2**{KEY_BITS} - 1.")
        return [key >> (i * self.limb_bits) & (2**self.limb_bits - 1) for i in range(self.limbs)]

    def join(self, limbs: list[int]) -> int:
        """Return the key that `split` cut into these limbs."""
        return sum(limb << (i * self.limb_bits) for i, limb in enumerate(limbs))

    @property
    def instances(self) -> int:
        """The number of public values."""
        return self.keys_end - (-self.batch * self.outputs // self.lanes)

    @property
    def keys_end(self) -> int:
        """The place of the first instance after the keys'."""
        return self.hashes + self.batch * self.limbs

    def numbers(self, key: Key, x: Array) -> list[list[Any]]:
        """Return a circuit's inputs as ezkl takes them: the keys, if they have limbs, and `x`."""
        keys = [key] * self.batch if isinstance(key, int) else key
        if len(keys) != self.batch:
            raise CircuitError(f"The circuit takes {self.batch} keys at once, not {len(keys)}.")
        values = np.asarray(x, np.float64).reshape(-1)
        limbs = [limb for key in keys for limb in self.split(key)]
        if self.largest_input is None:
            return [*([limbs] if self.limbs else []), values.tolist()]
        # ezkl takes numbers of 64 bits, or all field elements in hexadecimal.
        whole = [limb.to_bytes(32, "little").hex() for limb in limbs]
        return [whole, _bits(values, self.largest_input).reshape(-1).tolist()]

    def keys(self, instances: list[int]) -> list[int]:
        """Return the key of each input that the instances of a proof hold."""
        ends = [self.hashes + self.limbs * (place + 1) for place in range(self.batch)]
        return [self.join(instances[end - self.limbs : end]) for end in ends]

    def batches(self, inputs: Array) -> Array:
        """Return the inputs in batches, the last one filled with zeros."""
        missing = -len(inputs) % self.batch
        filled: Array = np.concatenate([inputs, np.zeros((missing, *inputs.shape[1:]))])
        return filled.reshape(-1, self.batch, *inputs.shape[1:])

    def read(self, instances: list[int]) -> list[int]:
        """Return the outputs that these instances, those after the keys', hold as whole numbers.

        They are the model's times 2**output_scale, for each input in turn.
        """
        if self.lanes == 1:
            return [signed(instance) for instance in instances]
        outputs = [output for one in instances for output in unpacked(one, self.lanes)]
        return outputs[: self.batch * self.outputs]


def signed(instance: int) -> int:
    """Return the output, as a whole number, of an instance."""
    if instance < LARGEST:
        return instance
    if FIELD - LARGEST < instance < FIELD:
        return instance - FIELD
    raise ValueError(f"The instance {instance} is not an output: its absolute value is too large.")


def unpacked(instance: int, lanes: int = SLIM_LANES) -> list[int]:
    """Return the outputs in the lanes of an instance, the lowest first."""
    bits = LANE_BITS[lanes]
    middle, places = 2 ** (bits - 1), range(0, bits * lanes, bits)
    lifted = (instance + sum(middle << place for place in places)) % FIELD
    if not 0 <= instance < FIELD or lifted >> (lanes * bits):
        raise ValueError(f"The instance {instance} does not hold {lanes} outputs.")
    return [(lifted >> place & (2**bits - 1)) - middle for place in places]


def bit_values(largest: int) -> list[int]:
    """Return values of bits whose sums are the whole numbers from 0 to `largest`."""
    powers = [2**bit for bit in range((largest + 1).bit_length() - 1)]
    rest = largest - sum(powers)
    return [*powers, rest] if rest else powers


def _bits(values: Array, largest: int) -> Array:
    """Return the bits of each number, in the order of `bit_values`."""
    if not ((values >= 0) & (values <= largest) & (values == np.rint(values))).all():
        # The numbers may be private.
        raise RangeError(
            f"The circuit takes whole numbers from 0 to {largest}, and the input has others: give "
            "it the model's inputs themselves."
        )
    bits, rest = [], values
    for value in reversed(bit_values(largest)):
        bits.append(rest >= value)
        rest = rest - value * bits[-1]
    return np.stack(bits[::-1], axis=1)
