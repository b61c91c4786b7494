"""The one binary format of messages: between processes, and from a page to its components in the browser.

A message is a little-endian uint32 H, then H bytes of JSON {"meta": …, "arrays": [[name, dtype, shape, offset], …]}
padded with spaces until 4 + H is a multiple of 8, then the arrays, each padded to 8 bytes; an offset counts from the
first byte after the JSON.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np

DTYPES = ("float32", "float64", "int16", "int32", "int64", "uint8", "uint16")


def pack(meta: Any, **arrays: np.ndarray) -> bytes:
    """Return the message. Raises ValueError for a dtype not in `DTYPES`, TypeError for a meta that is no JSON."""
    table, parts, offset = [], [], 0
    for name, array in arrays.items():
        if array.dtype.name not in DTYPES:
            raise ValueError(f"{name} is {array.dtype.name}; a message holds {', '.join(DTYPES)}")
        raw = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        table.append([name, array.dtype.name, list(array.shape), offset])
        parts.append(raw.ljust(-(-len(raw) // 8) * 8, b"\0"))
        offset += len(parts[-1])
    header = json.dumps({"meta": meta, "arrays": table}, separators=(",", ":")).encode()
    header = header.ljust(-(-(4 + len(header)) // 8) * 8 - 4)
    return b"".join([struct.pack("<I", len(header)), header, *parts])


def unpack(message: bytes) -> tuple[Any, dict[str, np.ndarray]]:
    """Return meta and arrays, which share the message's memory and cannot be written to."""
    (size,) = struct.unpack_from("<I", message)
    header = json.loads(message[4 : 4 + size])
    arrays = {
        name: np.frombuffer(message, np.dtype(dtype), int(np.prod(shape)), 4 + size + offset).reshape(shape)
        for name, dtype, shape, offset in header["arrays"]
    }
    return header["meta"], arrays
