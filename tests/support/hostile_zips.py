"""Zips that nobody should trust, each with what must come of it."""

from __future__ import annotations

import gzip
import io
import stat
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from tests.support.zip_maker import MB, PIXELS, File, body, deflated, end, sparse, zipped, zipped64

ANNA = File("Anna/1.png")
BEN = File("Ben/1.png")


@dataclass(frozen=True)
class Case:
    """`reason`: why the zip is refused; else the labels of its images in order, and what is skipped."""

    make: Callable[[], bytes]
    labels: Sequence[str] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)
    reason: str | None = None


def refused(reason: str, make: Callable[[], bytes]) -> Case:
    return Case(make, reason=reason)


def beside_anna(reason: str, *files: File) -> Case:
    """All `files` are skipped for one reason, the good one before them is not."""
    return Case(lambda: zipped(ANNA, *files), ["Anna"], {reason: len(files)})


def labelled(*files: File, labels: Sequence[str]) -> Case:
    return Case(lambda: zipped(*files), labels)


@cache
def ordinary() -> bytes:
    """As Python's own zipfile writes it: two classes below a folder, three images."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("train")
        for name in ("train/Anna/1.png", "train/Anna/2.JPG", "train/Ben/1.webp"):
            archive.writestr(zipfile.ZipInfo(name), PIXELS)
    return packed.getvalue()


def streamed() -> bytes:
    """By a writer that cannot go back: sizes stand behind each file and in the list only."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: object) -> int:
            raise io.UnsupportedOperation

        def tell(self) -> int:
            raise io.UnsupportedOperation

    packed = Pipe()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("Anna/1.png", "Ben/1.png"):
            archive.writestr(zipfile.ZipInfo(name), PIXELS)
    return packed.getvalue()


def empty_files(number: int) -> list[File]:
    return [File(f"Anna/{index}.png", b"") for index in range(number)]


@cache
def hundred_thousand() -> bytes:
    return zipped(*empty_files(100_000))


def copies(number: int, data: bytes) -> list[File]:
    stream = deflated(data)
    return [File(f"Anna/{n}.png", data, method=8, stream=stream) for n in range(number)]


def quoting_bomb(files: int = 20) -> bytes:
    """Every stream holds the next file, header and all, in a stored block, and goes on in it (Fifield 2019)."""
    chain = [File(f"Anna/{files}.png", sparse(MB), method=8)]
    for number in reversed(range(1, files)):
        inner = chain[0]
        quote = struct.pack("<BHH", 0, len(inner.header), len(inner.header) ^ 0xFFFF) + inner.header
        whole = File(f"Anna/{number}.png", inner.header + inner.data, method=8, stream=quote + inner.packed)
        chain.insert(0, whole)
    offset, rows = 0, b""
    for file in chain:
        rows += file.row(offset)
        offset += len(file.header) + 5
    local = chain[0].header + chain[0].packed
    return local + rows + end(files, len(rows), len(local))


def with_rows(change: Callable[[bytes], bytes]) -> bytes:
    local, rows = body([ANNA])
    rows = change(rows)
    return local + rows + end(1, len(rows), len(local))


def with_two_ends() -> bytes:
    """A whole second zip of nothing lies in the comment of the first: readers disagree which one it is."""
    return zipped(ANNA, comment=end(0, 0, 0))


BOMBS = {
    "flat bomb": refused("ratio", lambda: zipped(ANNA, File("Anna/2.png", bytes(9 * MB), method=8))),
    "flat bomb among much else": refused(
        "ratio", lambda: zipped(File("noise.txt", bytes(MB)), File("Anna/2.png", bytes(2 * MB), method=8))
    ),
    "bomb that says it is small": refused(
        "ratio", lambda: zipped(ANNA, File("Anna/2.png", bytes(9 * MB), method=8, size=10))
    ),
    "bomb of many small blank files": refused("ratio", lambda: zipped(*copies(50, bytes(MB - 1)))),
    "bomb in a zip in a zip": beside_anna("ending", File("Anna/2.zip", zipped(File("A/1.png", bytes(9 * MB), 8)), 8)),
    "over 200 MB in all": refused("unpacked", lambda: zipped(*copies(23, sparse(9 * MB)))),
    "two names for the same bytes": refused("overlap", lambda: zipped(ANNA, replace(BEN, offset=0))),
    "files that quote each other": refused("overlap", quoting_bomb),
    "100,000 empty files": refused("entries", hundred_thousand),
    "20,001 files, said to be one": refused("entries", lambda: zipped(*empty_files(20_001), total=1)),
    "2,001 images": refused("images", lambda: zipped(*empty_files(2_001))),
    "over 50 MB": refused("packed", lambda: zipped(ANNA, File("a.txt", bytes(50 * MB)))),
    "one file over 10 MB": beside_anna("big", File("Anna/2.png", sparse(60 * MB), 8)),
    "one stored file over 10 MB": beside_anna("big", File("Anna/2.png", bytes(45 * MB))),
}

PATHS = {
    "..": beside_anna("outside", File("../Ben/1.png"), File("Ben/../../1.png"), File("Ben/..\\1.png")),
    "absolute": beside_anna("outside", File("/Ben/1.png"), File("//Ben/1.png"), File("\\\\server\\Ben\\1.png")),
    "drive": beside_anna("outside", File("C:\\Ben\\1.png"), File("c:/Ben/1.png"), File("C:Ben/1.png")),
    "link": beside_anna("link", File("Ben/1.png", b"/etc/passwd", mode=stat.S_IFLNK | 0o777)),
    "devices": beside_anna(
        "special",
        *(
            File(f"Ben/{kind}.png", mode=kind | 0o666)
            for kind in (stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFDIR)
        ),
    ),
    "junk": beside_anna(
        "hidden",
        *(File(f"Anna/{name}") for name in (".DS_Store", "._1.png", ".hidden.png", "Thumbs.db", "desktop.ini")),
        *(File(name) for name in ("__MACOSX/Anna/1.png", ".git/1.png", "Anna/.thumbnails/1.png")),
    ),
    "other endings": beside_anna("ending", File("Anna/1.svg"), File("Anna/png"), File("Anna/1.png.exe"), File("a.txt")),
    "no folder": beside_anna("no_folder", File("1.png"), File("./2.png"), File("\u202e/3.png"), File(" /4.png")),
    "NUL in a name": beside_anna("name", File("Ben/1.png\0.png"), File("Ben\0/1.png")),
    "endless name": beside_anna(
        "name",
        File("B" * 256 + "/1.png"),
        File("a/" * 64 + "1.png"),
        File(("B" * 200 + "/") * 6 + "1.png"),
        File("\u0315\u0300" * 9_000 + "/1.png"),
    ),
    "duplicates": beside_anna("duplicate", ANNA, File("anna/1.PNG"), File("Anna//1.png"), File(".\\Anna\\1.png")),
}

NAMES = {
    "cp437": labelled(File(b"Zo\x89/1.png"), labels=["Zoë"]),
    "UTF-8 without the flag": labelled(File("Zoë/1.png"), labels=["Zoë"]),
    "UTF-8 in the flag only": labelled(File(b"Zo\x89/1.png", flags=0x800), labels=["Zoë"]),
    "turned round": labelled(File("\u202eannA\u2066/1.png"), labels=["annA"]),
    "control characters": labelled(File("\x1b[31mA\tnna\x7f\n/1.png"), labels=["[31mA nna"]),
    "spelled two ways": labelled(
        *(File(f"{name}/{n}.png") for n, name in enumerate(("Zoe\u0308", "ZO\u00cb", "zo\u00eb", "Zoe"))),
        labels=["Zo\u00eb", "Zo\u00eb", "Zo\u00eb", "Zoe"],
    ),
    "long": labelled(File("A" * 40 + "/1.png"), File("B" * 41 + "/1.png"), labels=["A" * 40, "B" * 39 + "…"]),
    "long, with the same beginning": labelled(
        *(File(f"{'A' * 50}{n}/1.png") for n in (1, 2, 1)),
        File(f"{'A' * 50}1/2.png"),
        labels=["A" * 39 + "…", "A" * 34 + "… 2", "A" * 39 + "…"],
    ),
    "backslashes": labelled(File("train\\Anna\\1.png"), labels=["Anna"]),
    "as long as it goes": labelled(File("B" * 255 + "/1.png"), labels=["B" * 39 + "…"]),
    "as deep as it goes": labelled(File("a/" * 62 + "Anna/1.png"), labels=["Anna"]),
    "markup": labelled(File("<b>Anna<|b>/1.png"), labels=["<b>Anna<|b>"]),
}
NAMES["long, with the same beginning"] = replace(NAMES["long, with the same beginning"], skipped={"duplicate": 1})

LIES = {
    "smaller than it says": beside_anna("damaged", File("Anna/2.png", size=1_000)),
    "larger than it says": beside_anna("damaged", File("Anna/2.png", size=1), File("Anna/3.png", bytes(99), 8, size=1)),
    "packed into less than it says": beside_anna("damaged", File("Anna/2.png", packed_size=len(PIXELS) + 1)),
    "packed into more than it says": beside_anna("damaged", File("Anna/2.png", method=8, packed_size=5)),
    "packed beyond the end": beside_anna("damaged", File("Anna/2.png", packed_size=10**9)),
    "bad CRC": beside_anna("damaged", File("Anna/2.png", crc=1), File("Anna/3.png", b"", crc=1)),
    "no deflate": beside_anna("damaged", File("Anna/2.png", method=8, stream=b"\xff" * 40)),
    "something behind the deflate": beside_anna(
        "damaged", File("Anna/2.png", method=8, stream=deflated(PIXELS) + b"x")
    ),
    "unknown methods": beside_anna(
        "damaged",
        *(File(f"Anna/m{method}.png", method=method) for method in (1, 12, 99)),
        File("Anna/2.png", method=9, stream=deflated(PIXELS)),
    ),
    "another name in its own header": beside_anna("damaged", File("Anna/2.png", local_name=b"Anna/2.exe")),
    "no header of its own": beside_anna("damaged", File("Anna/2.png", magic=b"PK\0\0")),
    "a header beyond the end": beside_anna("damaged", File("Anna/2.png", offset=10**9)),
    "zip64 sizes beyond everything": beside_anna(
        "damaged",
        File(
            "Anna/2.png", size=2**32 - 1, packed_size=2**32 - 1, extra=struct.pack("<2H2Q", 1, 16, 2**64 - 1, 2**64 - 1)
        ),
        File("Anna/3.png", offset=2**32 - 1, extra=struct.pack("<2HQ", 1, 8, 2**64 - 1)),
        File("Anna/4.png", offset=2**32 - 1, extra=struct.pack("<2HL", 1, 8, 7)),
        File("Anna/5.png", size=2**32 - 1, extra=b"\x01\x00\xff"),
    ),
    "zip64": Case(lambda: zipped64(ANNA, BEN), ["Anna", "Ben"]),
    "zip64 sizes": labelled(
        replace(ANNA, size=2**32 - 1, extra=struct.pack("<2HL2HQ", 7, 4, 1, 1, 8, len(PIXELS))), labels=["Anna"]
    ),
    "zip64 with another number of files": refused("damaged", lambda: zipped64(ANNA, BEN, total=1)),
    "zip64 and zip disagree": refused("damaged", lambda: zipped64(ANNA, BEN, classic=1)),
    "zip64 with a list of 2^63 bytes": refused("damaged", lambda: zipped64(ANNA, size=2**63)),
    "zip64 with 2^63 files": refused("entries", lambda: zipped64(ANNA, total=2**63)),
    "65,535 files, but they are not there": refused("entries", lambda: zipped(ANNA, total=65_535)),
    "fewer files than it says": refused("damaged", lambda: zipped(ANNA, total=2)),
    "more files than it says": refused("damaged", lambda: zipped(ANNA, BEN, total=1)),
    "zip64 without its mark": refused("damaged", lambda: zipped64(ANNA).replace(b"PK\6\6", b"PK\0\0")),
    "a row without its mark": refused("damaged", lambda: with_rows(lambda rows: b"PK\0\0" + rows[4:])),
    "a row that goes on behind the list": refused(
        "damaged", lambda: with_rows(lambda rows: rows[:32] + b"\1\0" + rows[34:])
    ),
    "the beginning of one more row": refused("damaged", lambda: with_rows(lambda rows: rows + b"PK\1\2")),
    "a list before the beginning": refused("damaged", lambda: zipped(ANNA, shift=1)),
}

WHOLE = {
    "ordinary": Case(ordinary, ["Anna", "Anna", "Ben"]),
    "streamed": Case(streamed, ["Anna", "Ben"]),
    "one class": labelled(ANNA, File("Anna/2.png"), labels=["Anna", "Anna"]),
    "one image a class": labelled(ANNA, BEN, labels=["Anna", "Ben"]),
    "one class in two places": labelled(File("train/Anna/1.png"), File("test/Anna/1.png"), labels=["Anna", "Anna"]),
    "empty": Case(zipped),
    "only folders": labelled(File("Anna/", b"", mode=stat.S_IFDIR), File("../", b""), labels=[]),
    "empty images": labelled(File("Anna/1.png", b""), File("Ben/1.png", b"", 8), labels=["Anna", "Ben"]),
    "some encrypted": beside_anna(
        "encrypted", *(File(f"Anna/f{flags}.png", flags=flags) for flags in (1, 0x40, 0x2000))
    ),
    "all encrypted": refused("encrypted", lambda: zipped(replace(ANNA, flags=1), replace(BEN, flags=1))),
    "a comment": Case(lambda: zipped(ANNA, comment=b"PK\5\6 with a mark in it"), ["Anna"]),
    "the longest comment": Case(lambda: zipped(ANNA, comment=b"x" * 65_535), ["Anna"]),
    "two ends": refused("damaged", with_two_ends),
    "behind a program": Case(lambda: b"#!/bin/sh\nexit\n" + zipped(ANNA), ["Anna"]),
    "before something else": refused("damaged", lambda: zipped(ANNA) + b"x"),
    "nothing": refused("not_zip", bytes),
    "text": refused("not_zip", lambda: b"Anna, Ben\n" * 99),
    "gzip": refused("not_zip", lambda: gzip.compress(ordinary(), mtime=0)),
    "a mark and nothing else": refused("not_zip", lambda: b"PK\5\6"),
    "cut after 10 bytes": refused("damaged", lambda: ordinary()[:10]),
    "cut in a file": refused("damaged", lambda: zipped(ANNA)[: len(body([ANNA])[0]) - 5]),
    "cut in the list": refused("damaged", lambda: ordinary()[:-40]),
    "cut by a byte": refused("damaged", lambda: ordinary()[:-1]),
    "without its beginning": refused("damaged", lambda: ordinary()[5:]),
}

CASES: dict[str, Case] = BOMBS | PATHS | NAMES | LIES | WHOLE
