"""The list and the bytes of an untrusted zip: its own few structures (PKWARE APPNOTE 6.3.3, 2012), and nothing else.

Not by `zipfile`: that makes an object of every entry before anybody can count them, believes what headers say of sizes,
and sees overlapping entries only in some versions. Wherever two readers could see different contents, this one sees
none.

A zip that cannot be read raises BadZipFile with its reason: "not_zip", "damaged" or "entries", too many of them.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO
from zipfile import BadZipFile

END, END64, LOCATOR64 = struct.Struct("<4s4H2LH"), struct.Struct("<4sQ2H2L4Q"), struct.Struct("<4sLQL")
ROW, LOCAL = struct.Struct("<4s6H3L5H2L"), struct.Struct("<4s5H3L2H")
WIDE16, WIDE32 = 0xFFFF, 0xFFFFFFFF
"""Numbers that stand elsewhere, in a zip64 record."""
STORED, DEFLATED = 0, 8
ENCRYPTED = 0x1 | 0x40 | 0x2000
"""Flags: encrypted, strongly encrypted, the list itself encrypted."""
CHUNK = 64 * 1024


@dataclass(frozen=True)
class Entry:
    """A row of the list. Sizes in bytes, as the list has them; `offset`: of the local header in the file."""

    name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    mode: int
    offset: int

    @property
    def path(self) -> str:
        """Return the path, with / only. UTF-8 wherever it can be: macOS writes it without the flag that says so."""
        try:
            path = self.name.decode()
        except UnicodeDecodeError:
            path = self.name.decode("cp437")
        return path.replace("\\", "/")


def read_entries(file: BinaryIO, most: int) -> tuple[list[Entry], int]:
    """Return all rows of the list, and where in the file it starts. Raises BadZipFile."""
    total, size, offset, end = _read_end(file)
    if total > most:
        raise BadZipFile("entries")
    start = end - size
    # A program that unpacks itself stands before its archive, and the offsets may not know of it.
    shift = start - offset
    if shift < 0:
        raise BadZipFile("damaged")
    file.seek(start)
    rows = file.read(size)
    entries: list[Entry] = []
    at = 0
    while at < size:
        if len(entries) == most:
            raise BadZipFile("entries")
        entry, at = _read_row(rows, at, shift)
        entries.append(entry)
    if at != size or len(entries) != total:
        raise BadZipFile("damaged")
    return entries, start


def read_start(file: BinaryIO, entry: Entry, end: int) -> int | None:
    """Return where the packed bytes begin; None unless they and their header lie before the list, which is at `end`."""
    if entry.offset >= end:
        return None
    file.seek(entry.offset)
    header = file.read(LOCAL.size)
    if not header.startswith(b"PK\3\4"):
        return None
    named, extra = LOCAL.unpack(header)[-2:]
    start = entry.offset + LOCAL.size + int(named) + int(extra)
    return start if start + entry.packed <= end else None


def unpack(file: BinaryIO, entry: Entry, start: int, most: int) -> Iterator[bytes]:
    """Yield the content as it really is, at most 64 kB at a time, from the first `most` packed bytes.

    Raises zlib.error where it cannot be read to its end; neither size nor CRC is compared with the list.
    """
    file.seek(entry.offset + LOCAL.size)
    if file.read(len(entry.name)) != entry.name or entry.method not in (STORED, DEFLATED):
        raise zlib.error("another file, or another method")
    file.seek(start)
    packed = file.read(min(entry.packed, most))
    if entry.method == STORED:
        yield from (packed[at : at + CHUNK] for at in range(0, len(packed), CHUNK))
        return
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    while not inflate.eof:
        chunk = inflate.decompress(packed, CHUNK)
        packed = inflate.unconsumed_tail
        if not chunk and not packed and not inflate.eof:
            raise zlib.error("cut short")
        yield chunk
    if inflate.unused_data:
        raise zlib.error("more than one stream")


def _read_end(file: BinaryIO) -> tuple[int, int, int, int]:
    """Number of rows, bytes and offset of the list, and where it ends."""
    length = file.seek(0, os.SEEK_END)
    first = max(0, length - END.size - WIDE16)
    file.seek(first)
    tail = file.read()
    marks = (mark.start() for mark in re.finditer(b"PK\5\6", tail) if len(tail) - mark.start() >= END.size)
    ends = [at for at in marks if at + END.size + END.unpack_from(tail, at)[-1] == len(tail)]
    if len(ends) != 1:
        file.seek(0)
        raise BadZipFile("damaged" if ends or file.read(4) == b"PK\3\4" else "not_zip")
    total, size, offset = END.unpack_from(tail, ends[0])[-4:-1]
    end = first + ends[0]
    end64 = end - END64.size - LOCATOR64.size
    if end64 < 0:
        return total, size, offset, end
    file.seek(end64)
    record, locator = file.read(END64.size), file.read(LOCATOR64.size)
    if not locator.startswith(b"PK\6\7"):
        return total, size, offset, end
    total64, size64, offset64 = END64.unpack(record)[-3:]
    agree = total in (WIDE16, total64) and size in (WIDE32, size64) and offset in (WIDE32, offset64)
    if not record.startswith(b"PK\6\6") or not agree:
        raise BadZipFile("damaged")
    return total64, size64, offset64, end64


def _read_row(rows: bytes, at: int, shift: int) -> tuple[Entry, int]:
    """The row at `at`, and where the next one starts."""
    if len(rows) - at < ROW.size or not rows.startswith(b"PK\1\2", at):
        raise BadZipFile("damaged")
    row = ROW.unpack_from(rows, at)
    flags, method, crc, packed, size, named, extra, comment = row[3], row[4], *row[7:13]
    name_end = at + ROW.size + named
    size, packed, offset = _wide(rows[name_end : name_end + extra], (size, packed, row[-1]))
    name = rows[at + ROW.size : name_end]
    return Entry(name, flags, method, crc, packed, size, row[-2] >> 16, offset + shift), name_end + extra + comment


def _wide(extra: bytes, values: tuple[int, int, int]) -> tuple[int, ...]:
    """Those of `values` that are 0xFFFFFFFF stand, in the same order, in the extra field 1."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            body = extra[at + 4 : at + 4 + length]
            wide = (value for (value,) in struct.iter_unpack("<Q", body[: len(body) // 8 * 8]))
            return tuple(next(wide, value) if value == WIDE32 else value for value in values)
        at += 4 + length
    return values
