"""Refusals of contracts, as tests expect them."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from ape.exceptions import CustomError


@contextmanager
def refusal(name: str, **values: object) -> Iterator[None]:
    """Expect the contract's own error of that name, with these values."""
    with pytest.raises(CustomError) as caught:
        yield
    assert type(caught.value).__name__ == name
    assert {key: caught.value.inputs[key] for key in values} == values
