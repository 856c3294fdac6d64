"""The contract and Python decode outputs and choose digits alike."""

import numpy as np
import pytest
from ape.exceptions import ContractLogicError
from eth_utils import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.compiler import contract_in
from tests.inputs import NO_BATCH
from zk.layout import FIELD, LARGEST, signed, unpacked

pytestmark = pytest.mark.plain

LOGIT = st.one_of(
    st.integers(-(2**24), 2**24),
    st.integers(-(LARGEST - 1), LARGEST - 1),
    st.sampled_from([0, 1, -1, LARGEST - 1, 1 - LARGEST]),
)
EXTREMES = [
    [0] * 10,
    [-1] * 10,
    [1 - LARGEST] * 10,
    [LARGEST - 1] * 10,
    [1 - LARGEST] * 9 + [2 - LARGEST],
    [LARGEST - 2] * 9 + [LARGEST - 1],
    [-5, -3, -3, -9, -4, -3, -8, -7, -6, -10],
    [1 - LARGEST, LARGEST - 1] * 5,
]


# Of an instance with eight outputs: each is less than this, or at least its negative.
MIDDLE = 2**28
PACKED = st.integers(-MIDDLE, MIDDLE - 1) | st.sampled_from([0, 1, -1, MIDDLE - 1, -MIDDLE])
PACKED_EXTREMES = [
    [0] * 10,
    [-1] * 10,
    [-MIDDLE] * 10,
    [MIDDLE - 1] * 10,
    [-MIDDLE] * 9 + [1 - MIDDLE],
    [MIDDLE - 2] * 9 + [MIDDLE - 1],
    [-5, -3, -3, -9, -4, -3, -8, -7, -6, -10],
    [-MIDDLE, MIDDLE - 1] * 5,
]


@pytest.fixture(scope="module")
def plain(contracts, verifier, deployer):
    """A Clan whose instances hold one logit each."""
    return deployer.deploy(contracts.Clan, verifier, (11, 24, 18, 1), *NO_BATCH)


def instance(value: int) -> int:
    return value % FIELD


def packed(logits: list[int]) -> list[int]:
    return [
        sum(logit << 29 * lane for lane, logit in enumerate(part)) % FIELD
        for part in (logits[:8], logits[8:])
    ]


@given(logits=st.lists(LOGIT, min_size=10, max_size=10))
@settings(max_examples=150, deadline=None)
def test_contract_chooses_what_python_chooses(plain, logits):
    assert plain.digitOf([instance(v) for v in logits]) == logits.index(max(logits))


@given(logits=st.lists(PACKED, min_size=10, max_size=10))
@settings(max_examples=150, deadline=None)
def test_contract_chooses_from_packed_logits(clan, logits):
    assert clan.digitOf(packed(logits)) == logits.index(max(logits))


@pytest.mark.parametrize("logits", EXTREMES)
def test_extreme_logits(plain, logits):
    assert plain.digitOf([instance(v) for v in logits]) == logits.index(max(logits))


@pytest.mark.parametrize("logits", PACKED_EXTREMES)
def test_extreme_packed_logits(clan, logits):
    assert clan.digitOf(packed(logits)) == logits.index(max(logits))


def test_ties_go_to_the_lowest_digit_everywhere(clan, plain):
    for first in range(10):
        logits = [0] * first + [5] * (10 - first)
        assert plain.digitOf(logits) == int(np.argmax(logits)) == first
        assert clan.digitOf(packed(logits)) == first


@given(first=st.integers(0, 2**256 - 1) | st.integers(-(2**234), 2**234).map(instance))
@settings(max_examples=150, deadline=None)
def test_contract_and_python_accept_the_same_packed_logits(clan, first):
    """An instance is accepted if it packs the logits that are read in it, and else by neither."""
    instances = [first, packed([0] * 10)[1]]
    try:
        logits = [*unpacked(first), *[0] * 2]
    except ValueError:
        refused(clan.digitOf, instances)
        return
    assert packed(logits) == instances
    assert clan.digitOf(instances) == logits.index(max(logits))


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize(
    "value",
    [
        MIDDLE << 203,
        FIELD - (MIDDLE << 203) - sum(MIDDLE << 29 * lane for lane in range(7)) - 1,
        2**232,
        FIELD // 2,
        FIELD - 2**232,
        FIELD,
        FIELD + 5,
        2**256 - 1,
    ],
    ids=["above", "below", "wide", "middle", "deep", "order", "wrapped", "largest"],
)
def test_both_refuse_packed_logits_out_of_range(clan, value, position):
    with pytest.raises(ValueError, match=str(value)):
        unpacked(value)
    instances = [0, 0]
    instances[position] = value
    refused(clan.digitOf, instances)


@given(value=LOGIT)
@settings(deadline=None)
def test_python_decodes_its_own_instances(value):
    assert signed(instance(value)) == value


@pytest.mark.parametrize("position", [0, 9])
@pytest.mark.parametrize(
    "value",
    [LARGEST, FIELD // 2, FIELD - LARGEST, FIELD, FIELD + 5, 2**256 - 1],
    ids=["first", "middle", "last", "order", "wrapped", "largest"],
)
def test_both_refuse_instances_out_of_range(plain, value, position):
    with pytest.raises(ValueError, match=str(value)):
        signed(value)
    logits = [0] * 10
    logits[position] = value
    refused(plain.digitOf, logits)


@pytest.mark.parametrize("value", [LARGEST - 1, FIELD - LARGEST + 1, FIELD - 1])
def test_both_accept_the_ends_of_the_range(plain, value):
    assert plain.digitOf([value] * 10) == 0
    assert abs(signed(value)) < LARGEST


@pytest.mark.parametrize("count", [0, 1, 3, 9, 10, 11])
def test_wrong_number_of_logits(clan, plain, count):
    for contract in (clan,) if count == 10 else (clan, plain):
        with pytest.raises(Exception) as caught:
            contract.digitOf([0] * count)
        error = selector("BoundApplication__WrongInstanceCount(uint256,uint256)")
        assert error in str(caught.value)


def refused(read, instances: list[int]) -> None:
    with pytest.raises(Exception) as caught:
        read(instances)
    assert selector("BoundApplication__OutputOutOfRange(uint256,uint256)") in str(caught.value)


def selector(signature: str) -> str:
    return keccak(text=signature)[:4].hex()


@pytest.fixture(scope="module")
def reading(deployer):
    return deployer.deploy(contract_in("tests/contracts/Reading.sol"))


@given(logits=st.lists(LOGIT, min_size=1, max_size=10))
@settings(max_examples=50, deadline=None)
def test_all_outputs(reading, logits):
    assert reading.all(len(logits), 1, [instance(v) for v in logits]) == logits


@given(logits=st.lists(PACKED, min_size=10, max_size=10))
@settings(max_examples=50, deadline=None)
def test_all_packed_outputs(reading, logits):
    assert reading.all(10, 8, packed(logits)) == logits


@given(logits=st.lists(st.integers(-(2**24), 2**24 - 1), min_size=11, max_size=11))
@settings(max_examples=50, deadline=None)
def test_all_outputs_in_narrow_lanes(reading, logits):
    words = [
        sum(logit << 25 * lane for lane, logit in enumerate(part)) % FIELD
        for part in (logits[:10], logits[10:])
    ]
    assert [one for word in words for one in unpacked(word, 10)][:11] == logits
    assert reading.all(11, 10, words) == logits
    assert reading.largest(0, 11, 10, words) == logits.index(max(logits))
    assert reading.largest(3, 8, 10, words) == logits[3:].index(max(logits[3:]))


@pytest.mark.parametrize(
    ("lanes", "beyond"),
    [
        *((1, beyond) for beyond in (2**127, FIELD - 2**127, FIELD, 2**256 - 1)),
        *((8, beyond) for beyond in (2**231, FIELD - 2**232, FIELD, 2**256 - 1)),
        *((10, beyond) for beyond in (2**249, FIELD - 2**250, FIELD, 2**256 - 1)),
    ],
)
def test_all_outputs_are_in_range(reading, lanes, beyond):
    error = keccak(text="BoundApplication__OutputOutOfRange(uint256,uint256)")[:4].hex()
    with pytest.raises(ContractLogicError, match=f"custom error 0x{error}"):
        reading.all(2, lanes, [beyond, 0])


@given(outputs=st.lists(LOGIT, min_size=2, max_size=6))
@settings(max_examples=100, deadline=None)
def test_leading(reading, outputs):
    second, most = sorted(outputs)[-2:]
    assert tuple(reading.leading(outputs)) == (outputs.index(most), most - second)
