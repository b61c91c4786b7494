"""Safetensors, written, and read without trust: every number of a header is held against the bytes that are there.

The format: 8 bytes of little-endian length, so many bytes of JSON {name: {dtype, shape, data_offsets}, "__metadata__":
…}, then the tensors. No tensor is made before the whole header has been checked, and nothing in a file can run.

The files of a run (`packed`, `unpacked`) hold a table of JSON in their metadata, and the SHA-256 of that and of all
arrays: no number of theirs is believed before it matches.
"""

from __future__ import annotations

import hashlib
import json
import math
import reprlib
import sys
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, NoReturn

import numpy as np

from siamese_core.errors import Rejected
from siamese_core.formats.text import shortened

MB = 2**20
MAX_BYTES = 200 * MB
MAX_HEADER = 1_000_000
MAX_TENSORS = 2_000
MAX_NAME = 200
MAX_RANK = 4

DTYPES: dict[str, np.dtype[Any]] = {
    "F16": np.dtype("<f2"), "F32": np.dtype("<f4"), "F64": np.dtype("<f8"), "U8": np.dtype("u1"),
    "U16": np.dtype("<u2"), "I16": np.dtype("<i2"), "I32": np.dtype("<i4"), "I64": np.dtype("<i8"),
}  # fmt: skip
"""What a run's files may hold."""

MODEL_DTYPES = {name: DTYPES[name] for name in ("F32", "I64")}

_NAMES = {dtype: name for name, dtype in DTYPES.items()}

AGAIN = "save the model again with this app"


class ModelRejected(Rejected):
    """Nothing of a file is used: the message, not escaped, says what is wrong with it and what to do."""


class Damaged(Rejected):
    """A file of a run is cut short, changed since it was written, or none of this app's."""

    def __init__(self) -> None:
        super().__init__("This file is damaged.")


class TensorInfo(NamedTuple):
    """Kind and shape of a tensor, and where its bytes lie, counted from the end of the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def packed_tensors(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """Return a file of `tensors`; the same bytes for the same contents. Raises KeyError for a dtype not in `DTYPES`."""
    return _file(*_laid_out(tensors), metadata)


def packed(meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return a run's file of `meta` (JSON) and `arrays`. Raises KeyError and ValueError for what cannot be written."""
    header, data = _laid_out(arrays)
    table = json.dumps(meta, allow_nan=False)
    return _file(header, data, {"run": table, "sha256": _digest(header, table, data)})


def unpacked(content: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return what was `packed`; the arrays are read-only views. Raises Damaged."""
    try:
        header, start = read_header(content, most=sys.maxsize)
        metadata = header.pop("__metadata__", None)
        infos = read_infos(header, len(content) - start, DTYPES, smallest=0)
        table, digest = metadata["run"], metadata["sha256"]
        if digest != _digest(header, table, memoryview(content)[start:]):
            raise Damaged
        meta = read_json(table)
        # An array of no numbers may still be too large for numpy.
        arrays = {name: read_array(info, content, start) for name, info in infos.items()}
    except (ModelRejected, KeyError, TypeError, AttributeError, ValueError) as error:
        raise Damaged from error
    if not isinstance(meta, dict):
        raise Damaged
    return meta, arrays


def _laid_out(arrays: Mapping[str, np.ndarray]) -> tuple[dict[str, Any], bytes]:
    """The header without its metadata, and all bytes: the widest numbers first, so that each lies aligned."""
    order = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    # ascontiguousarray would make a list of one out of a number.
    little = {name: np.asarray(arrays[name], arrays[name].dtype.newbyteorder("<"), order="C") for name in order}
    ends = np.cumsum([array.nbytes for array in little.values()], dtype=int).tolist()
    header = {
        name: {"data_offsets": [end - array.nbytes, end], "dtype": _NAMES[array.dtype], "shape": list(array.shape)}
        for (name, array), end in zip(little.items(), ends, strict=True)
    }
    return dict(sorted(header.items())), b"".join(array.tobytes() for array in little.values())


def _file(header: Mapping[str, Any], data: bytes, metadata: Mapping[str, str]) -> bytes:
    # Six bytes for each character that is not ASCII would fill the header with the names of two thousand classes.
    text = json.dumps({**header, "__metadata__": metadata}, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    written = text.encode()
    written += b" " * (-len(written) % 8)
    return len(written).to_bytes(8, "little") + written + data


def _digest(header: Mapping[str, Any], table: str, data: bytes | memoryview) -> str:
    """`header` is that of the arrays: their names, kinds and shapes, in the order of the file."""
    digest = hashlib.sha256(json.dumps([header, table]).encode())
    digest.update(data)
    return digest.hexdigest()


def read_header(data: bytes, most: int = MAX_BYTES) -> tuple[dict[str, Any], int]:
    """Return the header, and where the data starts. Raises ModelRejected, as all below do."""
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


def read_infos(
    header: Mapping[str, Any], length: int, dtypes: Mapping[str, np.dtype[Any]] = MODEL_DTYPES, smallest: int = 1
) -> dict[str, TensorInfo]:
    """Return where the tensors lie: side by side in any order, from the first of `length` bytes of data to the last.

    No layer is empty, so of a model 0 is no size, the `smallest` is 1.
    """
    if len(header) > MAX_TENSORS:
        refuse(f"has {len(header):,} tensors, expected at most {MAX_TENSORS:,}: {AGAIN}")
    infos = {name: _info(name, entry, length, dtypes, smallest) for name, entry in header.items()}
    reached = 0
    for name, info in sorted(infos.items(), key=lambda item: item[1].begin):
        if info.begin != reached:
            what = "overlaps the tensor before it" if info.begin < reached else "leaves a gap before it"
            where = f"it begins at byte {info.begin:,}, expected {reached:,}"
            refuse(f"is damaged: {shown(name)} {what}, for {where}; download or save it again")
        reached = info.end
    if reached != length:
        refuse(f"is damaged: its tensors end at byte {reached:,}, expected {length:,}; download or save it again")
    return infos


def _info(name: str, entry: Any, length: int, dtypes: Mapping[str, np.dtype[Any]], smallest: int) -> TensorInfo:
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
    if len(shape) > MAX_RANK or not all(is_int(n) and smallest <= n < 2**31 for n in shape):
        refuse(f"gives {tensor} the shape {shown(shape)}, expected at most {MAX_RANK} whole numbers above 0: {AGAIN}")
    if not (is_int(begin) and is_int(end) and 0 <= begin <= end):
        refuse(f"gives {tensor} the data_offsets {shown([begin, end])}, expected a first and a last byte: {AGAIN}")
    if end > length:
        refuse(f"is cut short: {tensor} ends beyond the {length:,} bytes of data found; download or save it again")
    size = math.prod(shape) * dtypes[dtype].itemsize
    if size != end - begin:
        refuse(f"gives {tensor} {end - begin:,} bytes, expected {size:,} of {sizes(shape)} {dtype}: {AGAIN}")
    return TensorInfo(dtype, tuple(shape), begin, end)


def read_array(info: TensorInfo, data: bytes, start: int) -> np.ndarray:
    """Return a read-only view of `data`; a copy where it does not lie at a multiple of its size."""
    count = math.prod(info.shape)
    array: np.ndarray = np.frombuffer(data, DTYPES[info.dtype], count, start + info.begin).reshape(info.shape)
    if not array.flags.aligned:
        array = array.copy()
        array.flags.writeable = False
    return array


def sizes(shape: Collection[int]) -> str:
    """Return (64, 784) as 64×784; () as 1."""
    return "×".join(map(str, shape)) or "1"


def read_json(text: str) -> Any:
    """Return parsed JSON. Raises ValueError for what is none, or what two readers could understand in two ways."""
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


def is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    return isinstance(value, float) or is_int(value)


def is_finite(value: Any) -> bool:
    """Return whether this is a number that a float can hold: JSON knows larger ones."""
    return is_number(value) and abs(value) <= sys.float_info.max


def shown(value: Any) -> str:
    """Return what a file says, fit for one line of a message."""
    return shortened(value if isinstance(value, str) else reprlib.repr(value))


def refuse(what: str) -> NoReturn:
    """Raise ModelRejected with a message of what the file is or has."""
    raise ModelRejected(f"This file {what}.")
