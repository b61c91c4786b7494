"""The files of a run: safetensors, whose metadata hold a table of JSON and the SHA-256 of that and of all arrays.

A file may come from anybody: nothing in it can run, no number is believed before it is held against the bytes.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from siamese_core.formats.safetensors import ModelRejected, Place, read_header, read_json, read_places

DTYPES: dict[str, np.dtype[Any]] = {
    "F16": np.dtype("<f2"), "F32": np.dtype("<f4"), "F64": np.dtype("<f8"), "U8": np.dtype("u1"),
    "U16": np.dtype("<u2"), "I32": np.dtype("<i4"), "I64": np.dtype("<i8"),
}  # fmt: skip

NAMES = {dtype: name for name, dtype in DTYPES.items()}


class Damaged(ValueError):
    """A file is cut short, changed since it was written, or none of ours."""


def packed(meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """The same bytes for the same contents. Raises KeyError for a dtype that is not in `DTYPES`."""
    header: dict[str, Any] = {}
    parts, at = [], 0
    for name, array in arrays.items():
        dtype = array.dtype.newbyteorder("<")
        # ascontiguousarray would make a list of one out of a number.
        parts.append(np.asarray(array, dtype, order="C").tobytes())
        header[name] = {"dtype": NAMES[dtype], "shape": list(array.shape), "data_offsets": [at, at + len(parts[-1])]}
        at += len(parts[-1])
    table, data = json.dumps(meta, allow_nan=False), b"".join(parts)
    digest = _digest(header, table, data)
    text = json.dumps({**header, "__metadata__": {"run": table, "sha256": digest}}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data


def unpacked(content: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What was packed; the arrays are read-only views. Raises Damaged."""
    try:
        header, start = read_header(content, most=sys.maxsize)
        metadata = header.pop("__metadata__", None)
        places = read_places(header, len(content) - start, DTYPES, smallest=0)
        table, digest = metadata["run"], metadata["sha256"]
        if digest != _digest(header, table, memoryview(content)[start:]):
            raise Damaged
        meta = read_json(table)
        # An array of no numbers may still be too large for numpy.
        arrays = {name: _array(content, start, place) for name, place in places.items()}
    except (ModelRejected, KeyError, TypeError, AttributeError, ValueError) as error:
        raise Damaged from error
    if not isinstance(meta, dict):
        raise Damaged
    return meta, arrays


def _array(content: bytes, start: int, place: Place) -> np.ndarray:
    flat = np.frombuffer(content, np.uint8, place.end - place.begin, start + place.begin)
    # Odd places, after bytes, are copied: numpy wants numbers where their size divides the address.
    aligned = flat.tobytes() if (start + place.begin) % 8 else flat
    return np.frombuffer(aligned, DTYPES[place.dtype]).reshape(place.shape)


def _digest(header: Mapping[str, Any], table: str, data: bytes | memoryview) -> str:
    """`header` is that of the arrays: their names, kinds and shapes."""
    digest = hashlib.sha256(json.dumps([header, table]).encode())
    digest.update(data)
    return digest.hexdigest()
