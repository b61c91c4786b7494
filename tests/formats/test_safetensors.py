"""The files of a run: read as they were written, or `Damaged`; never another error, never memory beyond the file."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import tracemalloc
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from safetensors.numpy import load

from siamese_core.formats.safetensors import DTYPES, Damaged, packed, unpacked
from tests.support.fuzzing import fuzzed

FEW = 30 * 2**20
"""A header of a million bytes can be some 300,000 small objects."""

META: dict[str, Any] = {
    "classes": ["α", "b"],
    "step": 3,
    "scores": [[1, {"map_at_r": {"seen": 0.5, "held_out": None}}]],
}
ARRAYS: dict[str, np.ndarray] = {
    "bytes": np.arange(3, dtype=np.uint8),
    "numbers": np.array([[1.5, -2], [np.nan, np.inf]], np.float32),
    "halves": np.array([1, 65504], np.float16),
    "doubles": np.array([1e-300]),
    "one": np.array(7, np.int64),
    "none": np.zeros((0, 3), np.int32),
    "shorts": np.array([65535], np.uint16),
    "signed": np.array([-32768, 32767], np.int16),
}


def forged(header: Mapping[str, Any], data: bytes, table: str = "{}") -> bytes:
    """A file by somebody who knows how to make a SHA-256."""
    digest = hashlib.sha256(json.dumps([header, table]).encode() + data).hexdigest()
    text = json.dumps({**header, "__metadata__": {"run": table, "sha256": digest}}).encode()
    return len(text).to_bytes(8, "little") + text + data


def read_or_damaged(content: bytes) -> bool:
    """Whether it was read; any other exception is a bug."""
    try:
        meta, arrays = unpacked(content)
    except Damaged:
        return False
    assert isinstance(meta, dict)
    assert sum(array.nbytes for array in arrays.values()) <= len(content)
    return True


def test_what_is_unpacked_is_what_was_packed() -> None:
    meta, arrays = unpacked(packed(META, ARRAYS))
    assert meta == META
    assert arrays.keys() == ARRAYS.keys()
    for name, array in arrays.items():
        assert (array.dtype, array.shape) == (ARRAYS[name].dtype, ARRAYS[name].shape)
        np.testing.assert_array_equal(array, ARRAYS[name])
        assert array.flags.aligned, "also behind three bytes"


def test_what_is_read_cannot_be_written_to() -> None:
    _, arrays = unpacked(packed({}, ARRAYS))
    assert not any(array.flags.writeable for array in arrays.values())


def test_the_same_contents_give_the_same_bytes() -> None:
    assert packed(META, ARRAYS) == packed(dict(META), {name: array.copy() for name, array in ARRAYS.items()})
    column = np.arange(6, dtype=np.float32).reshape(2, 3).T
    assert packed({}, {"a": column}) == packed({}, {"a": np.ascontiguousarray(column)})
    assert packed({}, {"a": column}) == packed({}, {"a": column.astype(">f4")}), "whatever the order of the bytes"


def test_numbers_that_are_wider_come_first_so_each_is_read_where_it_lies() -> None:
    content = packed(META, ARRAYS)
    for array in unpacked(content)[1].values():
        assert array.size == 0 or np.shares_memory(array, np.frombuffer(content, np.uint8))


OLD_FILE = (
    "AAEAAAAAAAB7Im9kZCI6eyJkdHlwZSI6IlU4Iiwic2hhcGUiOlszXSwiZGF0YV9vZmZzZXRzIjpbMCwzXX0sImxvc3MiOnsiZHR5cGUiOiJGMzIiLCJz"
    "aGFwZSI6WzJdLCJkYXRhX29mZnNldHMiOlszLDExXX0sIl9fbWV0YWRhdGFfXyI6eyJydW4iOiJ7XCJjbGFzc2VzXCI6IFtcIlxcdTAzYjFcIl0sIFwi"
    "c3RlcFwiOiAzfSIsInNoYTI1NiI6IjlhZDczOTIwNzhkOTJiMjVjZmM3NzUxODFkMjdjY2Y1MWQyZjVhZTYwODYwYmVkNmU4ZjhhOTg3OWExMmYzNjIi"
    "fX0gAAECAADAPwAAAMA="
)
"""As the first versions wrote: arrays in any order, so that numbers may follow three bytes."""


def test_a_file_of_the_first_versions_is_read() -> None:
    meta, arrays = unpacked(base64.b64decode(OLD_FILE))
    assert meta == {"classes": ["α"], "step": 3}
    assert {name: array.tolist() for name, array in arrays.items()} == {"odd": [0, 1, 2], "loss": [1.5, -2]}
    assert all(array.flags.aligned and not array.flags.writeable for array in arrays.values())


def test_the_library_of_the_format_reads_the_same() -> None:
    for name, array in load(packed(META, ARRAYS)).items():
        np.testing.assert_array_equal(array, ARRAYS[name])


@pytest.mark.parametrize("dtype", [np.bool_, np.complex64, np.int8, np.uint64, object])
def test_other_kinds_of_numbers_are_not_written(dtype: Any) -> None:
    with pytest.raises(KeyError):
        packed({}, {"a": np.zeros(2, dtype)})


def test_what_json_does_not_know_is_not_written() -> None:
    with pytest.raises(ValueError, match="JSON"):
        packed({"score": float("nan")}, {})


# Bytes that nobody should trust


def test_a_file_that_is_cut_short_anywhere_is_damaged() -> None:
    whole = packed(META, ARRAYS)
    assert len(whole) > 300
    assert not any(read_or_damaged(whole[:length]) for length in range(len(whole)))
    assert not read_or_damaged(whole + b"\0")


def test_a_flipped_bit_anywhere_is_damaged() -> None:
    whole = packed(META, ARRAYS)
    meta, arrays = unpacked(whole)
    for place in range(len(whole)):
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << bit
            with suppress(Damaged):
                found, others = unpacked(bytes(flipped))
                # The same, spelt otherwise: an escape in capitals.
                assert found == meta and flipped.decode("latin-1").lower() == whole.decode("latin-1").lower()
                assert [(name, a.shape, a.tobytes()) for name, a in others.items()] == [
                    (name, a.shape, a.tobytes()) for name, a in arrays.items()
                ]


HEADERS: dict[str, Callable[[], bytes]] = {
    "no header": lambda: b"",
    "zeros": lambda: bytes(100),
    "a header of 2**63 bytes": lambda: (2**63).to_bytes(8, "little") + b"{}",
    "a header just too long": lambda: (1_000_001).to_bytes(8, "little") + b"{}".ljust(1_000_001),
    "a list": lambda: (2).to_bytes(8, "little") + b"[]",
    "no metadata": lambda: (2).to_bytes(8, "little") + b"{}",
    "nested lists": lambda: (900_000).to_bytes(8, "little") + b"[" * 900_000,
    "metadata that are a list": lambda: _with_metadata(["run", "sha256"]),
    "metadata that are text": lambda: _with_metadata("run"),
    "no table": lambda: _with_metadata({"sha256": hashlib.sha256(b"").hexdigest()}),
    "a table of numbers": lambda: _with_metadata({"run": 3, "sha256": ""}),
    "a table that is a table": lambda: _with_metadata({"run": {}, "sha256": ""}),
    "no digest": lambda: _with_metadata({"run": "{}"}),
    "a digest of nothing": lambda: _with_metadata({"run": "{}", "sha256": None}),
    "half a pair of surrogates": lambda: _with_metadata({"run": "\ud800", "sha256": ""}),
    "another digest": lambda: _with_metadata({"run": "{}", "sha256": "0" * 64}),
    "a table that is no table": lambda: forged({}, b"", "[]"),
    "a table that is no JSON": lambda: forged({}, b"", "{'a': 1}"),
    "a table with NaN": lambda: forged({}, b"", '{"a": NaN}'),
    "a table that says a thing twice": lambda: forged({}, b"", '{"a": 1, "a": 2}'),
    "a table nested too deeply": lambda: forged({}, b"", '{"a":' * 100_000),
    "a table of many lists": lambda: forged({}, b"x", '{"a": [' + "[]," * 300_000 + "1]}"),
    "an endless number": lambda: forged({}, b"", '{"a": ' + "9" * 5_000 + "}"),
    "a shape of a tebi squared": lambda: forged({"a": _entry("F32", [2**30, 2**30], 0, 8)}, bytes(8)),
    "nothing, too large for an address": lambda: forged({"a": _entry("F32", [0, *[2**31 - 1] * 3], 0, 0)}, b""),
    "a negative shape": lambda: forged({"a": _entry("F32", [-2, -1], 0, 8)}, bytes(8)),
    "a bool in a shape": lambda: forged({"a": _entry("F32", [True, 2], 0, 8)}, bytes(8)),
    "five axes": lambda: forged({"a": _entry("F32", [1, 1, 1, 1, 2], 0, 8)}, bytes(8)),
    "an unknown dtype": lambda: forged({"a": _entry("BF16", [4], 0, 8)}, bytes(8)),
    "objects": lambda: forged({"a": _entry("O", [1], 0, 8)}, bytes(8)),
    "overlapping": lambda: forged({"a": _entry("F32", [2], 0, 8), "b": _entry("F32", [1], 4, 8)}, bytes(8)),
    "a first byte before the first": lambda: forged({"a": _entry("F32", [2], -1, 7)}, bytes(8)),
    "a gap": lambda: forged({"a": _entry("F32", [1], 4, 8)}, bytes(8)),
    "bytes of nobody": lambda: forged({"a": _entry("F32", [1], 0, 4)}, bytes(8)),
    "beyond the end": lambda: forged({"a": _entry("F32", [4], 0, 16)}, bytes(8)),
    "ten thousand arrays": lambda: forged({str(n): _entry("U8", [0], 0, 0) for n in range(10_000)}, b""),
}


def _entry(dtype: str, shape: list[Any], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def _with_metadata(metadata: Any) -> bytes:
    text = json.dumps({"__metadata__": metadata}).encode()
    return len(text).to_bytes(8, "little") + text


@pytest.mark.parametrize("name", HEADERS)
def test_a_hostile_file_is_damaged_and_takes_no_memory(name: str) -> None:
    content = HEADERS[name]()
    tracemalloc.start()
    try:
        with pytest.raises(Damaged):
            unpacked(content)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(content) + FEW
    finally:
        tracemalloc.stop()


def test_a_header_that_is_forged_well_is_read() -> None:
    """So the ones above are refused for what they say, not for how they are made."""
    content = forged({"a": _entry("F32", [2], 0, 8), "b": _entry("U8", [0], 8, 8)}, bytes(8), '{"x": 1}')
    meta, arrays = unpacked(content)
    assert (meta, arrays["a"].tolist(), arrays["b"].shape) == ({"x": 1}, [0, 0], (0,))


def test_reading_takes_no_more_memory_than_the_file() -> None:
    content = packed({}, {"odd": np.zeros(1, np.uint8), "large": np.zeros(2_000_000, np.float64)})
    tracemalloc.start()
    try:
        unpacked(content)
        assert tracemalloc.get_traced_memory()[1] < 2.1 * len(content), "one copy at most of a piece, and of the whole"
    finally:
        tracemalloc.stop()


ANY_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@fuzzed(300, st.sampled_from(["dtype", "shape", "data_offsets"]), ANY_JSON)
def test_anything_in_the_place_of_anything_of_an_array(key: str, value: Any) -> None:
    read_or_damaged(forged({"a": _entry("F32", [2], 0, 8) | {key: value}}, bytes(8)))


SIZES = st.integers(0, 3) | st.sampled_from([2**31 - 1, 2**31, 2**32, 2**63, -1])


@fuzzed(300, st.sampled_from([*DTYPES]), st.lists(SIZES, max_size=5), st.integers(0, 64))
def test_any_shape_over_any_bytes(dtype: str, shape: list[int], size: int) -> None:
    read_or_damaged(forged({"a": _entry(dtype, shape, 0, size)}, bytes(size)))


@fuzzed(200, ANY_JSON | st.text())
def test_any_table(value: Any) -> None:
    read_or_damaged(forged({}, b"", value if isinstance(value, str) else json.dumps(value)))
    read_or_damaged(_with_metadata(value))


def test_a_few_thousand_changes_by_chance() -> None:
    whole, chance = packed(META, ARRAYS), random.Random(0)
    for _ in range(3_000):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 6)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        first, second = sorted(chance.choices(range(len(content)), k=2))
        if chance.random() < 0.3:
            del content[first:second]
        read_or_damaged(bytes(content))
    assert read_or_damaged(whole)
