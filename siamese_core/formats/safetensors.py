"""Safetensors, read without trust: every number of a header is held against the bytes that are there.

The format: 8 bytes of little-endian length, so many bytes of JSON {name: {dtype, shape, data_offsets}, "__metadata__":
…}, then the tensors. No tensor is made before the whole header has been checked, and nothing in a file can run.
"""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, NoReturn

import numpy as np

from siamese_core.formats.text import shortened

MB = 2**20
MAX_BYTES = 200 * MB
MAX_HEADER = 1_000_000
MAX_TENSORS = 2_000
MAX_NAME = 200
MAX_RANK = 4

DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "I64": np.dtype("<i8")}

AGAIN = "save the model again with this app"


class ModelRejected(Exception):
    """Nothing of a file is used: one sentence, not escaped, says what is wrong with it and what to do."""


class Place(NamedTuple):
    """Where a tensor's bytes lie, counted from the end of the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def read_header(data: bytes, most: int = MAX_BYTES) -> tuple[dict[str, Any], int]:
    """The header, and where the data starts. Raises ModelRejected, as all here do."""
    if len(data) < 8:
        refuse(f"is cut short: it has {len(data)} bytes, expected at least 8; download or save it again")
    if len(data) > most:
        refuse(f"is larger than {most // MB} MB: choose the model of a smaller encoder")
    length = int.from_bytes(data[:8], "little")
    # A good header may be 0x280 or 0x4b50 bytes long, and then starts like a pickle or a zip.
    if length > MAX_HEADER and data.startswith((b"\x80", b"PK")):
        refuse("is a PyTorch pickle, which this app never opens, for it may run code: save the model as .safetensors")
    if length > MAX_HEADER:
        refuse(f"is no safetensors file: it says {length:,} bytes of header, expected at most {MAX_HEADER:,}; {AGAIN}")
    if length > len(data) - 8:
        refuse(f"is cut short: {length:,} bytes of header expected, {len(data) - 8:,} found; download or save it again")
    try:
        header = read_json(data[8 : 8 + length].decode("utf-8"))
    except ValueError as error:
        refuse(f"has a damaged header, expected JSON in UTF-8 ({shortened(str(error))}): download or save it again")
    if not isinstance(header, dict):
        refuse(f"has a header that is {shown(header)}, expected a table of tensors: {AGAIN}")
    return header, 8 + length


def read_places(
    header: Mapping[str, Any], length: int, dtypes: Mapping[str, np.dtype[Any]] = DTYPES, smallest: int = 1
) -> dict[str, Place]:
    """Where the tensors lie: side by side in any order, from the first of `length` bytes of data to the last.

    No layer is empty, so of a model 0 is no size, the `smallest` is 1.
    """
    if len(header) > MAX_TENSORS:
        refuse(f"has {len(header):,} tensors, expected at most {MAX_TENSORS:,}: {AGAIN}")
    places = {name: _place(name, entry, length, dtypes, smallest) for name, entry in header.items()}
    reached = 0
    for name, place in sorted(places.items(), key=lambda item: item[1].begin):
        if place.begin != reached:
            what = "overlaps the tensor before it" if place.begin < reached else "leaves a gap before it"
            where = f"it begins at byte {place.begin:,}, expected {reached:,}"
            refuse(f"is damaged: {shown(name)} {what}, for {where}; download or save it again")
        reached = place.end
    if reached != length:
        refuse(f"is damaged: its tensors end at byte {reached:,}, expected {length:,}; download or save it again")
    return places


def _place(name: str, entry: Any, length: int, dtypes: Mapping[str, np.dtype[Any]], smallest: int) -> Place:
    tensor = shown(name)
    if not name.isprintable() or len(name) > MAX_NAME:
        refuse(f"names a tensor {tensor}, expected at most {MAX_NAME} printable characters: {AGAIN}")
    match entry:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [begin, end]} if len(entry) == 3:
            pass
        case _:
            refuse(f"says {shown(entry)} of {tensor}, expected a dtype, a shape and two data_offsets: {AGAIN}")
    if dtype not in dtypes:
        refuse(f"holds {tensor} as {shown(dtype)}, expected {' or '.join(dtypes)}: save the model in float32")
    if len(shape) > MAX_RANK or not all(is_whole(n) and smallest <= n < 2**31 for n in shape):
        refuse(f"gives {tensor} the shape {shown(shape)}, expected at most {MAX_RANK} whole numbers above 0: {AGAIN}")
    if not (is_whole(begin) and is_whole(end) and 0 <= begin <= end):
        refuse(f"gives {tensor} the data_offsets {shown([begin, end])}, expected a first and a last byte: {AGAIN}")
    if end > length:
        refuse(f"is cut short: {tensor} ends beyond the {length:,} bytes of data found; download or save it again")
    size = math.prod(shape) * dtypes[dtype].itemsize
    if size != end - begin:
        refuse(f"gives {tensor} {end - begin:,} bytes, expected {size:,} of {sizes(shape)} {dtype}: {AGAIN}")
    return Place(dtype, tuple(shape), begin, end)


def read_array(name: str, place: Place, data: bytes, start: int) -> np.ndarray:
    """A read-only view; a copy where it does not lie at a multiple of its size. All its numbers are finite."""
    count = math.prod(place.shape)
    array: np.ndarray = np.frombuffer(data, DTYPES[place.dtype], count, start + place.begin).reshape(place.shape)
    if not np.isfinite(array).all():
        refuse(f"holds numbers that are not finite (NaN) in {shown(name)}: train again, with a smaller learning rate")
    if not array.flags.aligned:
        array = array.copy()
        array.flags.writeable = False
    return array


def sizes(shape: Collection[int]) -> str:
    """(64, 784) as 64×784; () as 1."""
    return "×".join(map(str, shape)) or "1"


def read_json(text: str) -> Any:
    """Raises ValueError for what is no JSON, or is JSON that two readers could understand in two ways."""
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("a name is given twice")
    return table


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    return isinstance(value, float) or is_whole(value)


def shown(value: Any) -> str:
    """What a file says, fit for one line of a message."""
    return shortened(value if isinstance(value, str) else reprlib.repr(value))


def refuse(what: str) -> NoReturn:
    """Raises ModelRejected."""
    raise ModelRejected(f"This file {what}.")
