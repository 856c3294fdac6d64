"""The contract and Python decode outputs and choose digits alike."""

import numpy as np
import pytest
from eth_utils import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from zk.witness import FIELD, LARGEST, signed

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


def instance(value: int) -> int:
    return value % FIELD


@given(logits=st.lists(LOGIT, min_size=10, max_size=10))
@settings(max_examples=150, deadline=None)
def test_contract_chooses_what_python_chooses(clan, logits):
    assert clan.digitOf([instance(v) for v in logits]) == logits.index(max(logits))


@pytest.mark.parametrize("logits", EXTREMES)
def test_extreme_logits(clan, logits):
    assert clan.digitOf([instance(v) for v in logits]) == logits.index(max(logits))


def test_ties_go_to_the_lowest_digit_everywhere(clan):
    for first in range(10):
        logits = [0] * first + [5] * (10 - first)
        assert clan.digitOf(logits) == int(np.argmax(logits)) == first


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
def test_both_refuse_instances_out_of_range(clan, value, position):
    with pytest.raises(ValueError, match=str(value)):
        signed(value)
    logits = [0] * 10
    logits[position] = value
    with pytest.raises(Exception) as caught:
        clan.digitOf(logits)
    assert selector("BoundApplication__OutputOutOfRange(uint256,uint256)") in str(caught.value)


@pytest.mark.parametrize("value", [LARGEST - 1, FIELD - LARGEST + 1, FIELD - 1])
def test_both_accept_the_ends_of_the_range(clan, value):
    assert clan.digitOf([value] * 10) == 0
    assert abs(signed(value)) < LARGEST


@pytest.mark.parametrize("count", [0, 9, 11])
def test_wrong_number_of_logits(clan, count):
    with pytest.raises(Exception) as caught:
        clan.digitOf([0] * count)
    assert selector("BoundApplication__WrongInstanceCount(uint256,uint256)") in str(caught.value)


def selector(signature: str) -> str:
    return keccak(text=signature)[:4].hex()
