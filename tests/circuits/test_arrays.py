"""Arrays from files of users: two kinds, and none that is damaged or runs code."""

import numpy as np
import pytest

from zk import arrays
from zk.errors import CircuitError


def test_arrays_of_both_kinds_of_files(tmp_path):
    np.save(tmp_path / "one.npy", np.arange(3))
    assert {k: v.tolist() for k, v in arrays.read(tmp_path / "one.npy").items()} == {"x": [0, 1, 2]}
    np.savez(tmp_path / "two.npz", x=np.ones(2), labels=np.array([True, False]))
    read = arrays.read(tmp_path / "two.npz")
    assert {name: array.tolist() for name, array in read.items()} == {
        "x": [1.0, 1.0],
        "labels": [True, False],
    }
    np.savez(tmp_path / "bad.npz", x=np.ones(2), words=np.array(["one"]))
    with pytest.raises(CircuitError, match=r"The array words of .* holds <U3, not numbers"):
        arrays.read(tmp_path / "bad.npz")


def test_array_files_that_are_missing_or_damaged(tmp_path):
    with pytest.raises(CircuitError, match=r"There is no file at .*nothing\.npz\."):
        arrays.read(tmp_path / "nothing.npz")
    (tmp_path / "damaged.npz").write_bytes(b"PK\x03\x04 damaged")
    with pytest.raises(CircuitError, match=r"is neither an \.npy nor an \.npz file"):
        arrays.read(tmp_path / "damaged.npz")


def test_objects_are_never_unpickled(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(CircuitError, match=r"neither an \.npy nor an \.npz file: Object arrays"):
        arrays.read(tmp_path / "objects.npy")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 damaged", b"hello"])
@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_not_an_array(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CircuitError, match=r"is neither an \.npy nor an \.npz file"):
        arrays.read(tmp_path / name)
    np.save(tmp_path / "words.npy", np.array(["hello"]))
    with pytest.raises(CircuitError, match="holds <U5, not numbers"):
        arrays.read(tmp_path / "words.npy")
    with pytest.raises(CircuitError, match="There is no file"):
        arrays.read(tmp_path / "nothing.npy")
