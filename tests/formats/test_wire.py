"""A message of the wire comes back as it was sent, and any language can read it from its documented layout."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from siamese_core.formats.wire import DTYPES, pack, unpack

no_clock = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

DTYPE_STRATEGY = st.sampled_from(DTYPES).map(np.dtype)
ARRAYS = hnp.arrays(DTYPE_STRATEGY, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
NAMES = st.text(min_size=1, max_size=8).filter(lambda name: name != "meta")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def section(message: bytes) -> tuple[dict[str, Any], bytes]:
    """The header and the bytes after it, by the layout alone."""
    (size,) = struct.unpack("<I", message[:4])
    return json.loads(message[4 : 4 + size].decode("utf-8")), message[4 + size :]


@no_clock
@given(JSON, st.dictionaries(NAMES, ARRAYS, max_size=4))
def test_meta_and_arrays_come_back_as_they_were_sent(meta: Any, arrays: dict[str, np.ndarray]) -> None:
    got_meta, got = unpack(pack(meta, **arrays))
    assert got_meta == meta
    assert list(got) == list(arrays)
    for name, array in arrays.items():
        assert got[name].dtype == array.dtype
        assert got[name].shape == array.shape
        assert got[name].tobytes() == array.tobytes()


@no_clock
@given(JSON, st.dictionaries(NAMES, ARRAYS, max_size=4))
def test_every_array_starts_at_a_multiple_of_8(meta: Any, arrays: dict[str, np.ndarray]) -> None:
    """A typed array of JavaScript refuses any other place."""
    message = pack(meta, **arrays)
    header, body = section(message)
    assert len(message) % 8 == 0
    assert (len(message) - len(body)) % 8 == 0
    assert [offset % 8 for *_, offset in header["arrays"]] == [0] * len(arrays)


def test_the_layout_is_the_documented_one() -> None:
    message = pack({"step": 7}, xy=np.array([[1.5, -2.0, 0.25]], np.float32), label=np.array([3, 250], np.uint8))
    header, body = section(message)
    assert header == {
        "meta": {"step": 7},
        "arrays": [["xy", "float32", [1, 3], 0], ["label", "uint8", [2], 16]],
    }
    assert body == struct.pack("<3f4x", 1.5, -2.0, 0.25) + bytes([3, 250]) + bytes(6)
    assert message[4 : len(message) - len(body)].rstrip(b" ").endswith(b"}")


@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_are_little_endian_whatever_they_were(dtype: str) -> None:
    big_endian = np.array([1, 2], np.dtype(dtype).newbyteorder(">"))
    message = pack({}, a=big_endian)
    _, body = section(message)
    assert body[: big_endian.nbytes] == np.array([1, 2], np.dtype(dtype).newbyteorder("<")).tobytes()
    assert unpack(message)[1]["a"].tolist() == [1, 2]


def test_views_that_are_not_contiguous_are_sent_as_they_read() -> None:
    grid = np.arange(24, dtype=np.int32).reshape(4, 6)
    for view in (grid.T, grid[::2, 1::3], grid[::-1], np.asfortranarray(grid), np.broadcast_to(grid[0], (3, 6))):
        np.testing.assert_array_equal(unpack(pack({}, view=view))[1]["view"], view)


def test_empty_arrays_and_single_numbers_keep_their_shape() -> None:
    arrays = {"none": np.zeros((0, 3), np.float32), "one": np.array(2.5), "after": np.array([9], np.int64)}
    _, got = unpack(pack(None, **arrays))
    assert {name: array.shape for name, array in got.items()} == {"none": (0, 3), "one": (), "after": (1,)}
    assert float(got["one"]) == 2.5
    assert got["after"].tolist() == [9]


def test_what_is_unpacked_cannot_be_written_to() -> None:
    _, got = unpack(pack({}, a=np.zeros(3)))
    assert not got["a"].flags.writeable


@pytest.mark.parametrize("dtype", ["float16", "bool", "complex64", "uint32", "<U3", "object", "datetime64[s]"])
def test_another_kind_of_number_is_refused_by_name(dtype: str) -> None:
    with pytest.raises(
        ValueError, match=r"^weights is .*; a message holds float32, float64, int16, int32, int64, uint8, uint16$"
    ):
        pack({}, weights=np.zeros(2, dtype))


def test_a_meta_that_is_no_json_is_refused() -> None:
    with pytest.raises(TypeError):
        pack({"classes": {1, 2}})
