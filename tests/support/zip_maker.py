"""Makes zips byte by byte, so that their headers can lie. All in memory, the same bytes every time."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

MB = 2**20
PIXELS = b"no reader of zips looks into a picture"


@dataclass(frozen=True)
class File:
    """One file of a zip and all that its headers say of it, true unless a field is given."""

    name: str | bytes
    data: bytes = PIXELS
    method: int = 0
    flags: int = 0
    mode: int = 0o100644
    crc: int | None = None
    size: int | None = None
    packed_size: int | None = None
    stream: bytes | None = None
    local_name: bytes | None = None
    extra: bytes = b""
    offset: int | None = None
    magic: bytes = b"PK\3\4"

    @property
    def raw_name(self) -> bytes:
        return self.name if isinstance(self.name, bytes) else self.name.encode()

    @property
    def packed(self) -> bytes:
        if self.stream is not None:
            return self.stream
        return deflated(self.data) if self.method == 8 else self.data

    @property
    def numbers(self) -> tuple[int, int, int]:
        """CRC, packed size, unpacked size, as the headers have them."""
        return (
            zlib.crc32(self.data) if self.crc is None else self.crc,
            len(self.packed) if self.packed_size is None else self.packed_size,
            len(self.data) if self.size is None else self.size,
        )

    @property
    def header(self) -> bytes:
        name = self.raw_name if self.local_name is None else self.local_name
        small = (number & 0xFFFFFFFF for number in self.numbers)
        return self.magic + struct.pack("<5H3L2H", 20, self.flags, self.method, 0, 33, *small, len(name), 0) + name

    def row(self, offset: int) -> bytes:
        numbers = (*self.numbers, len(self.raw_name), len(self.extra), 0, 0, 0, self.mode << 16)
        start = struct.pack("<4s6H3L5HL", b"PK\1\2", 0x31E, 20, self.flags, self.method, 0, 33, *numbers)
        return start + struct.pack("<L", offset if self.offset is None else self.offset) + self.raw_name + self.extra


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def end(total: int, size: int, offset: int, comment: bytes = b"") -> bytes:
    return (
        struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, total & 0xFFFF, total & 0xFFFF, size, offset, len(comment)) + comment
    )


def end64(total: int, size: int, offset: int) -> bytes:
    """The zip64 end and its locator, which says that the end is where the list stops."""
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, total, total, size, offset)
    return record + struct.pack("<4sLQL", b"PK\6\7", 0, offset + size, 1)


def body(files: Sequence[File]) -> tuple[bytes, bytes]:
    """The local parts one after the other, and the list."""
    local, rows = bytearray(), bytearray()
    for file in files:
        rows += file.row(len(local))
        local += file.header + file.packed
    return bytes(local), bytes(rows)


def zipped(*files: File, comment: bytes = b"", total: int | None = None, shift: int = 0) -> bytes:
    local, rows = body(files)
    return local + rows + end(len(files) if total is None else total, len(rows), len(local) + shift, comment)


def zipped64(*files: File, total: int | None = None, size: int | None = None, classic: int = 0xFFFF) -> bytes:
    """With numbers that stand in the zip64 end only; `classic` is the total of the ordinary end."""
    local, rows = body(files)
    record = end64(len(files) if total is None else total, len(rows) if size is None else size, len(local))
    return local + rows + record + end(classic, 0xFFFFFFFF, 0xFFFFFFFF)


def sparse(size: int) -> bytes:
    """Unpacks to about 50 times its packed size: 150 random bytes, then zeros, again and again."""
    noise = random.Random(0).randbytes(150 * (size // 8192 + 1))
    return b"".join(noise[at : at + 150].ljust(8192, b"\0") for at in range(0, len(noise), 150))[:size]
