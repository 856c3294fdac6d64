"""Layouts: keys in limbs, inputs in bits and outputs in lanes, each exact and in one way only."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zk.errors import CircuitError, RangeError
from zk.layout import FIELD, KEY_BITS, LARGEST, Layout, signed, unpacked

WIDE = Layout(11, 24, outputs=3)
SLIM = Layout.slim(outputs=10, largest_input=4)
LARGEST_KEY = 2**252 - 1
MIDDLE = 2**28
LANE = st.integers(-MIDDLE, MIDDLE - 1)


def packed(outputs: list[int]) -> int:
    return sum(output * 2 ** (29 * lane) for lane, output in enumerate(outputs)) % FIELD


# Keys


@pytest.mark.parametrize(
    ("value_range", "limbs", "bits"),
    [
        (2, 252, 1),
        (3, 252, 1),
        (4, 126, 2),
        (2**14 - 1, 20, 13),
        (2**14, 18, 14),
        (2**16, 16, 16),
        (2**24 - 1, 11, 23),
        (2**24, 11, 24),
        (2**30, 11, 24),
    ],
)
def test_layout_is_the_widest_within_the_range(value_range, limbs, bits):
    layout = Layout.within(value_range, 3)
    assert (layout.limbs, layout.limb_bits, layout.lanes) == (limbs, bits, 1)
    assert max(layout.split(layout.widest)) == 2**bits - 1 < value_range
    assert layout.instances == limbs + 3


@pytest.mark.parametrize("value_range", [0, 1])
def test_range_without_room_for_a_bit(value_range):
    with pytest.raises(CircuitError, match="cannot carry a key: raise decomp_base or decomp_legs"):
        Layout.within(value_range, 3)


@pytest.mark.parametrize("layout", [WIDE, SLIM, Layout(18, 14, 1), Layout(252, 1, 1)])
@pytest.mark.parametrize("key", [0, 1, 2**160, 0xBEEF << 160 | 0xFACE, LARGEST_KEY])
def test_limbs_carry_the_whole_key(layout, key):
    limbs = layout.split(key)
    assert len(limbs) == layout.limbs
    assert all(0 <= limb < 2**layout.limb_bits for limb in limbs)
    assert layout.join(limbs) == key < FIELD


def test_the_lowest_limb_is_first():
    assert WIDE.split(1 + (2 << 24) + (3 << 240)) == [1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 3]
    assert WIDE.split(WIDE.widest) == [2**24 - 1] * 10 + [2**12 - 1]


@pytest.mark.parametrize("key", [-1, LARGEST_KEY + 1])
def test_number_that_is_no_key(key):
    assert KEY_BITS == 92 + 160
    for layout in (WIDE, SLIM):
        with pytest.raises(CircuitError, match=r"not a whole number from 0 to 2\*\*252 - 1"):
            layout.split(key)


def test_hashes_come_before_the_keys():
    layout = Layout.within(2**20, 3, hashes=2)
    key = 2**200 + 7
    instances = [11, 22, *layout.split(key), FIELD - 5, 0, 4]
    assert len(instances) == layout.instances
    assert layout.keys(instances) == [key]
    assert layout.read(instances[layout.keys_end :]) == [-5, 0, 4]


def test_layout_in_a_manifest():
    kept = {"limbs": 1, "limb_bits": 252, "outputs": 10, "lanes": 8, "largest_input": 4}
    assert SLIM.as_json() == {**kept, "batch": 1, "hashes": 0, "smallest_input": 0}
    assert Layout(**kept) == SLIM
    assert (SLIM.instances, Layout.slim(17, 4).instances, Layout.slim(1, 4).instances) == (3, 4, 2)


# Inputs


def test_inputs_of_a_circuit_with_limbs():
    assert WIDE.numbers(2**24 + 7, np.array([[0.5], [-1]])) == [[7, 1, *[0] * 9], [0.5, -1.0]]
    assert Layout(0, 0, 1).numbers(7, np.array([0.5])) == [[0.5]]


def test_last_batch_is_filled_with_zeros():
    x = np.arange(1, 13).reshape(3, 2, 2)
    full, rest = replace(SLIM, batch=2).batches(x)
    assert np.array_equal(full, x[:2])
    assert np.array_equal(rest, [x[2], np.zeros((2, 2))])


@pytest.mark.parametrize("largest", range(1, 41))
def test_bits_add_up_to_each_whole_number(largest):
    layout = Layout.slim(1, largest)
    (key,), bits = layout.numbers(7, np.arange(largest + 1))
    assert int.from_bytes(bytes.fromhex(key), "little") == 7
    assert {type(bit) for bit in bits} == {bool}
    rows = np.array(bits).reshape(largest + 1, -1)
    assert (rows @ layout.bits).tolist() == list(range(largest + 1))
    assert sum(layout.bits) == largest  # thus no bits have a larger sum


@pytest.mark.parametrize("value", [-1, 5, 0.5, 1e300, -1e-9])
def test_input_that_is_no_whole_number_in_the_range(value):
    with pytest.raises(RangeError, match="takes whole numbers from 0 to 4, and the input") as info:
        SLIM.numbers(0, np.array([1, value]))
    assert str(value) not in str(info.value)


# Outputs


@pytest.mark.parametrize("value", [0, 1, -1, LARGEST - 1, 1 - LARGEST])
def test_outputs_are_signed(value):
    assert LARGEST == 2**127
    assert signed(value % FIELD) == value
    assert WIDE.read([value % FIELD] * 3) == [value] * 3


@pytest.mark.parametrize("instance", [LARGEST, FIELD // 2, FIELD - LARGEST, FIELD, FIELD + 1])
def test_instance_that_is_no_output(instance):
    with pytest.raises(ValueError, match=f"The instance {instance} is not an output"):
        signed(instance)


@given(outputs=st.lists(LANE, min_size=8, max_size=8))
def test_lanes_hold_eight_outputs(outputs):
    assert unpacked(packed(outputs)) == outputs


@given(outputs=st.lists(LANE, min_size=10, max_size=10))
def test_two_instances_hold_ten_outputs(outputs):
    assert SLIM.read([packed(outputs[:8]), packed(outputs[8:])]) == outputs


@given(outputs=st.lists(st.integers(-(2**24), 2**24 - 1), min_size=10, max_size=10))
def test_narrow_lanes_hold_ten_outputs(outputs):
    instance = sum(output << (25 * lane) for lane, output in enumerate(outputs)) % FIELD
    assert unpacked(instance, 10) == outputs
    assert Layout.groth16(10, 0, 4).read([instance]) == outputs


@pytest.mark.parametrize("instance", [2**250, FIELD - 2**250, FIELD // 2, FIELD, -1])
def test_instance_that_holds_no_ten_outputs(instance):
    with pytest.raises(ValueError, match="does not hold 10 outputs"):
        unpacked(instance, 10)


@given(instance=st.integers(0, FIELD - 1) | st.integers(-(2**234), 2**234).map(lambda n: n % FIELD))
def test_an_instance_holds_at_most_one_list_of_outputs(instance):
    """An instance that unpacks is the one that packs the result."""
    try:
        outputs = unpacked(instance)
    except ValueError:
        return
    assert packed(outputs) == instance


@pytest.mark.parametrize(
    "outputs",
    [[0] * 8, [-1] * 8, [-MIDDLE] * 8, [MIDDLE - 1] * 8, [-1, *[0] * 7], [0, -1, 1, -1] * 2],
)
def test_ends_of_the_lanes(outputs):
    assert unpacked(packed(outputs)) == outputs


@pytest.mark.parametrize("outputs", [[*[0] * 7, MIDDLE], [-MIDDLE - 1, *[-MIDDLE] * 7]])
def test_one_beyond_the_ends(outputs):
    with pytest.raises(ValueError, match="does not hold 8 outputs"):
        unpacked(packed(outputs))


@pytest.mark.parametrize("instance", [FIELD, FIELD + 1, -1, FIELD // 2, 2**232, FIELD - 2**232])
def test_instance_that_holds_no_outputs(instance):
    with pytest.raises(ValueError, match="does not hold 8 outputs"):
        unpacked(instance)
