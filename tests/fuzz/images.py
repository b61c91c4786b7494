"""python -m tests.fuzz.images --count 1000000 --seed 0: mutated images, each let in or refused with a known reason."""

from __future__ import annotations

import argparse
import random
import re
import struct
import sys
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from siamese_core.formats.images import REASONS, ImageRejected, decode, square
from tests.support.hostile_images import (
    GREY,
    PALETTE,
    RGB,
    chunk,
    corpus,
    exif,
    png,
    sample_image,
    saved,
    segment,
    with_segments,
)

LARGEST_SEED = 3000
"""Bytes: a small file is read fast, and a mutation of it is more likely to matter."""

MOST_MEMORY = 150
"""Megabytes above the start."""

EDGES = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]


def seeds() -> list[bytes]:
    """The small files of the corpus that are images of some kind, and a valid image of each mode and format."""
    small = [f for f, reason in corpus().values() if len(f) <= LARGEST_SEED and reason not in ("empty", "not_an_image")]
    image = sample_image()
    modes = {"PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"), "BMP": ("1", "L", "P", "RGB", "RGBA")}
    modes |= {"GIF": ("L", "P"), "JPEG": ("L", "RGB", "CMYK"), "WEBP": ("RGB", "RGBA")}
    valid = [saved(image.convert("L").convert(mode) if mode == "I;16" else image.convert(mode), kind)
             for kind, those in modes.items() for mode in those]  # fmt: skip
    samples = np.asarray(image)
    valid += [
        saved(image, "JPEG", progressive=True),
        saved(image, "WEBP", lossless=True),
        saved(image.convert("P"), "BMP", compression="bmp_rle"),
        with_segments(saved(image, "JPEG"), segment(0xE1, exif(6))),
        png(samples.astype(int) * 257, RGB, 16, chunk(b"tRNS", bytes(6)), interlaced=True),
        png(samples[..., 0] // 16, GREY, 4, chunk(b"tRNS", b"\0\3")),
        png(samples[..., 0] // 16, PALETTE, 4, chunk(b"PLTE", bytes(range(48))), chunk(b"tRNS", b"\0\x80\xff")),
    ]
    return small + valid


def flip(file: bytearray, rng: random.Random) -> None:
    file[rng.randrange(len(file))] ^= 1 << rng.randrange(8)


def overwrite(file: bytearray, rng: random.Random) -> None:
    """A number as it might be a length, a size or an offset."""
    at, (form, mask) = rng.randrange(len(file)), rng.choice([("<H", 0xFFFF), (">H", 0xFFFF), ("<I", -1), (">I", -1)])
    number = struct.pack(form, (rng.choice(EDGES) if rng.random() < 0.7 else rng.randrange(9000)) & mask)
    file[at : at + len(number)] = number


def cut(file: bytearray, rng: random.Random) -> None:
    del file[rng.randrange(len(file)) :]


def drop(file: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(file))
    del file[at : at + rng.randrange(1, 40)]


def repeat(file: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(file))
    piece = bytes(file[at : at + rng.randrange(1, 40)])
    file[at:at] = piece * rng.randrange(1, 5)


PIECES = {b"\x89PNG": re.compile(rb".{4}[A-Za-z]{4}", re.S), b"\xff\xd8": re.compile(rb"\xff[\xc0-\xfe]")}


def pieces(file: bytes) -> list[bytes]:
    """Chunks of a PNG, segments of a JPEG; of another format, halves."""
    pattern = next((pattern for magic, pattern in PIECES.items() if file.startswith(magic)), None)
    at = [0, *(match.start() for match in pattern.finditer(file))] if pattern else [0, len(file) // 2]
    return [file[start:end] for start, end in zip(at, [*at[1:], len(file)], strict=True)]


def with_right_checksums(file: bytes) -> bytes:
    """A PNG whose mutations get past the checksums."""
    fixed, at = bytearray(file), 8
    while at + 12 <= len(fixed):
        end = at + 8 + int.from_bytes(fixed[at : at + 4], "big")
        if end + 4 > len(fixed):
            break
        fixed[end : end + 4] = struct.pack(">I", zlib.crc32(fixed[at + 4 : end]))
        at = end + 4
    return bytes(fixed)


MUTATIONS: list[Callable[[bytearray, random.Random], None]] = [flip, flip, overwrite, overwrite, cut, drop, repeat]


def mutant(files: list[bytes], seed: int, number: int) -> bytes:
    """The file of that number, the same each time."""
    rng = random.Random(f"{seed} {number}")
    file = rng.choice(files)
    if rng.random() < 0.2:
        ours, theirs = pieces(file), pieces(rng.choice(files))
        ours.insert(rng.randrange(len(ours) + 1), rng.choice(theirs))
        file = b"".join(ours)
    mutated = bytearray(file)
    for _ in range(rng.choice([1, 1, 2, 3, 8])):
        if mutated:
            rng.choice(MUTATIONS)(mutated, rng)
    if mutated.startswith(b"\x89PNG") and rng.random() < 0.8:
        return with_right_checksums(bytes(mutated))
    return bytes(mutated)


def outcome(file: bytes) -> str:
    """ "accepted" or the reason; whatever else happens is raised."""
    try:
        image = decode(file)
    except ImageRejected as refused:
        if str(refused) == REASONS[refused.reason]:
            return refused.reason
        raise
    assert image.mode in ("L", "RGB") and image.info in ({}, {"first_frame_only": True})
    assert square(image, 16).shape == (3, 16, 16)
    return "accepted"


def megabytes(line: str, process: int | str = "self") -> float:
    """A line of the kernel's account of a process; 0 where the kernel keeps none."""
    status = Path(f"/proc/{process}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(words.split()[1]) / 1000 for words in lines if words.startswith(line)), 0.0)


def forget_the_peak(process: int | str = "self") -> None:
    """VmHWM starts again from what is in use now (proc(5), clear_refs)."""
    clear = Path(f"/proc/{process}/clear_refs")
    if clear.exists():
        clear.write_text("5")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.images", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    files = seeds()
    for file in files:
        outcome(file)
    forget_the_peak()
    counts: Counter[str] = Counter()
    start, memory = time.monotonic(), megabytes("VmHWM")
    for number in range(asked.count):
        try:
            counts[outcome(mutant(files, asked.seed, number))] += 1
        except Exception:
            counts["neither accepted nor refused"] += 1
            print(f"mutant(seeds(), {asked.seed}, {number})")
            traceback.print_exc()
    rate, rise = asked.count / (time.monotonic() - start), megabytes("VmHWM") - memory
    for name, count in counts.most_common():
        print(f"{count:9,} {name}")
    print(f"{rate:,.0f} files a second, {rise:.0f} MB above the start at most")
    return int("neither accepted nor refused" in counts or rise > MOST_MEMORY)


if __name__ == "__main__":
    sys.exit(main())
