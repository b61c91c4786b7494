"""Image files in class folders, from an untrusted zip or a folder of the server. None is decoded here.

Nothing is written anywhere, and no name out of an archive is ever opened. Limits are counted on the real bytes, not on
what headers say; entries that overlap are refused (Fifield 2019, A better zip bomb, WOOT).
"""

from __future__ import annotations

import os
import re
import stat
import unicodedata
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO
from zipfile import BadZipFile

from siamese_core.errors import Rejected
from siamese_core.formats.zip_format import ENCRYPTED, Entry, read_entries, read_start, unpack

MB = 2**20
MAX_PACKED = 50 * MB
MAX_UNPACKED = 200 * MB
MAX_FILE = 10 * MB
MAX_RATIO = 100
RATIO_FROM = 1 * MB
"""Bytes up to which a file may unpack from however few: blank images are small."""
MAX_ENTRIES = 20_000
MAX_IMAGES = 2_000
MAX_LABEL = 40
MAX_PATH, MAX_DEPTH, MAX_NAME = 1_024, 64, 255
"""Bytes of a path, names in it, characters of one: thousands of accents take Unicode quadratic time to order."""

ENDINGS = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp")
JUNK = {"__macosx", "thumbs.db", "desktop.ini"}

REASONS: dict[str, str] = {
    "not_zip": "This file is no zip archive: pack your class folders into a .zip and choose that.",
    "damaged": "This zip is damaged or cut short: pack your class folders again and choose the new file.",
    "packed": f"This zip is larger than {MAX_PACKED // MB} MB: use fewer or smaller pictures.",
    "unpacked": f"This zip unpacks to more than {MAX_UNPACKED // MB} MB: use fewer or smaller pictures.",
    "ratio": f"This zip unpacks to more than {MAX_RATIO} times its size, like a zip bomb: save the pictures as PNG or "
    "JPEG and pack them again.",
    "overlap": "Files in this zip share the same bytes, like a zip bomb: pack your class folders again.",
    "entries": f"This zip lists more than {MAX_ENTRIES:,} files: pack only the class folders with their pictures.",
    "encrypted": "This zip is locked with a password: pack your class folders again without one.",
    "images": "There are more than {limit:,} pictures here: leave some of them out.",
    "folder": "This folder cannot be used: choose one from the list.",
}

SKIPPED: dict[str, str] = {
    "hidden": "{n} hidden or system file{s}",
    "ending": "{n} file{s} without the ending of a picture",
    "no_folder": "{n} file{s} in no class folder",
    "duplicate": "{n} duplicate{s}",
    "big": f"{{n}} file{{s}} over {MAX_FILE // MB} MB",
    "damaged": "{n} damaged or unreadable file{s}",
    "encrypted": "{n} encrypted file{s}",
    "link": "{n} link{s}",
    "special": "{n} special file{s}, such as devices",
    "outside": "{n} file{s} with a path that leads out of the archive",
    "name": "{n} file{s} with an impossible name",
}


class ArchiveRejected(Rejected):
    """Nothing of an archive or a folder is used. `reason` is a key of `REASONS`."""

    def __init__(self, reason: str) -> None:
        super().__init__(REASONS[reason], limit=MAX_IMAGES)
        self.reason = reason


@dataclass(frozen=True)
class LabelledImage:
    """A file that may be an image. `label`: 1 to 40 printable characters, the folder it lay in; not escaped."""

    label: str
    data: bytes


def left_out(skipped: Counter[str]) -> list[str]:
    """Return what was skipped, as phrases to show: ["3 hidden or system files", "1 link"]."""
    return [
        phrase.format(n=skipped[code], s="" if skipped[code] == 1 else "s")
        for code, phrase in SKIPPED.items()
        if skipped[code]
    ]


def zip_images(
    file: BinaryIO, skipped: Counter[str], wanted: Sequence[tuple[Entry, int]] | None = None
) -> Iterator[LabelledImage]:
    """Yield the images of a zip in its order, each read in its turn; `skipped`, empty at first, counts others.

    `wanted` are its `members` where they have been read, and counted, already: it yields at most as many.
    Raises ArchiveRejected: before the first image for what the list in the zip shows, or in the middle for what only
    the bytes show (too much in all, a zip bomb).
    """
    labels: dict[str, str] = {}
    for entry, data in contents(file, members(file, skipped) if wanted is None else wanted, skipped):
        yield LabelledImage(_label(split_path(entry.path)[-2], labels), data)


def contents(
    file: BinaryIO, wanted: Sequence[tuple[Entry, int]], skipped: Counter[str], most: int = MAX_FILE
) -> Iterator[tuple[Entry, bytes]]:
    """Yield those of the `members` that can be read and have at most so many bytes. Raises ArchiveRejected."""
    total = 0
    length = file.seek(0, os.SEEK_END)
    for entry, start in wanted:
        content = bytearray()
        try:
            # An image that is packed into more than this is larger than one may be.
            for chunk in unpack(file, entry, start, most + MB):
                content += chunk
                total += len(chunk)
                if _bomb(len(content), entry.packed) or _bomb(total, length):
                    raise ArchiveRejected("ratio")
                if total > MAX_UNPACKED:
                    raise ArchiveRejected("unpacked")
                if len(content) > most:
                    break
        except zlib.error:
            skipped["damaged"] += 1
            continue
        if len(content) > most:
            skipped["big"] += 1
        elif len(content) != entry.size or zlib.crc32(content) != entry.crc:
            skipped["damaged"] += 1
        else:
            yield entry, bytes(content)


def folders(root: Path) -> list[str]:
    """Return the sub-folders of `root`, sorted; no links, nothing hidden, no name that cannot be shown."""
    try:
        with os.scandir(root) as found:
            names = [entry.name for entry in found if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return sorted(name for name in names if name.isprintable() and not _is_junk(name))


def folder_images(root: Path, name: str, skipped: Counter[str]) -> Iterator[LabelledImage]:
    """Yield the images below `root`/`name`, folder by folder in sorted order; links are not followed.

    Raises ArchiveRejected before the first image: for a `name` that is not in `folders(root)`, for too many.
    """
    if name not in folders(root):
        raise ArchiveRejected("folder")
    labels: dict[str, str] = {}
    for path in _files(root / name, skipped):
        try:
            # The file may have been exchanged since it was listed: for a link, or for a pipe that never answers.
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
            with open(descriptor, "rb") as file:
                data = file.read(MAX_FILE + 1) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
        except OSError:
            data = None
        if data is None:
            skipped["damaged"] += 1
        elif len(data) > MAX_FILE:
            skipped["big"] += 1
        else:
            yield LabelledImage(_label(path.parent.name, labels), data)


# What every path must be


def _is_junk(name: str) -> bool:
    return name.startswith(".") or name.casefold() in JUNK


def unwanted(parts: Sequence[str], mode: int, endings: tuple[str, ...] = ENDINGS) -> str | None:
    """Return why a file is skipped by its path and kind alone, as a code of `SKIPPED`; None if it is wanted."""
    if any(map(_is_junk, parts)):
        return "hidden"
    if stat.S_ISLNK(mode):
        return "link"
    # A zip made on Windows gives no kind.
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return "special"
    if not parts or not parts[-1].lower().endswith(endings):
        return "ending"
    return None


def _not_in_a_class(parts: Sequence[str], mode: int) -> str | None:
    """The same for an image that needs a class folder."""
    if reason := unwanted(parts, mode):
        return reason
    if len(parts) < 2 or not any(char.isprintable() and not char.isspace() for char in parts[-2]):
        return "no_folder"
    return None


def clean(folder: str) -> str:
    """Return the printable characters, so no control and bidirectional ones; one space for any white space."""
    shown = (char if char.isprintable() else " " if char.isspace() else "" for char in folder)
    return unicodedata.normalize("NFC", " ".join("".join(shown).split()))


def case_folded(name: str) -> str:
    """Return the same for all names that differ by case or normal form only."""
    return unicodedata.normalize("NFC", name.casefold())


def natural_key(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts "person 2" before "person 10"; of 4,300 digits Python makes no number."""
    parts = re.findall(r"\d+|\D+", name.casefold())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _label(folder: str, labels: dict[str, str]) -> str:
    """One label for all spellings of a folder that differ by case or normal form: the first one, held in `labels`."""
    name = clean(folder)
    key = case_folded(name)
    if key not in labels:
        label = name if len(name) <= MAX_LABEL else f"{name[: MAX_LABEL - 1]}…"
        # Two long names may be cut to the same one; they stay two classes.
        labels[key] = label if label not in labels.values() else f"{label[: MAX_LABEL - 6]}… {len(labels) + 1}"
    return labels[key]


# In a zip


def _bomb(unpacked: int, packed: int) -> bool:
    return unpacked > max(RATIO_FROM, MAX_RATIO * packed)


def split_path(path: str) -> list[str]:
    """Return the names in a path of a zip."""
    return [part for part in path.split("/") if part not in ("", ".")]


def leads_outside(path: str) -> bool:
    """Return whether a path is absolute or climbs out of its folder."""
    return path.startswith("/") or ".." in split_path(path) or re.match("[A-Za-z]:", path) is not None


def members(
    file: BinaryIO,
    skipped: Counter[str],
    why_not: Callable[[Sequence[str], int], str | None] = _not_in_a_class,
    most: int = MAX_IMAGES,
) -> list[tuple[Entry, int]]:
    """Return the wanted entries, each with the position of its first packed byte. Raises ArchiveRejected.

    `why_not` judges the names in a path and the file's mode, as `unwanted` does.
    """
    if file.seek(0, os.SEEK_END) > MAX_PACKED:
        raise ArchiveRejected("packed")
    try:
        entries, end = read_entries(file, MAX_ENTRIES)
    except BadZipFile as bad:
        raise ArchiveRejected(str(bad)) from None
    wanted: dict[str, Entry] = {}
    for entry in entries:
        path = entry.path
        if path.endswith("/"):
            continue
        parts = split_path(path[:MAX_PATH])
        # Two paths that differ only by case are one file on Windows and macOS.
        key = "/".join(parts).casefold()
        reason = _impossible(entry, path, parts) or why_not(parts, entry.mode)
        if reason is None and entry.flags & ENCRYPTED:
            reason = "encrypted"
        if reason is None and key in wanted:
            reason = "duplicate"
        if reason:
            skipped[reason] += 1
            continue
        wanted[key] = entry
        if len(wanted) > most:
            raise ArchiveRejected("images")
    if skipped["encrypted"] and not wanted:
        raise ArchiveRejected("encrypted")
    found = []
    for entry in wanted.values():
        start = read_start(file, entry, end)
        if start is None:
            skipped["damaged"] += 1
        else:
            found.append((entry, start))
    ranges = sorted((entry.offset, start + entry.packed) for entry, start in found)
    if any(before[1] > after[0] for before, after in pairwise(ranges)):
        raise ArchiveRejected("overlap")
    return found


def _impossible(entry: Entry, path: str, parts: Sequence[str]) -> str | None:
    """Why an entry is left out whatever it may be."""
    if (
        len(entry.name) > MAX_PATH
        or len(parts) > MAX_DEPTH
        or max(map(len, parts), default=0) > MAX_NAME
        or "\0" in path
    ):
        return "name"
    return "outside" if leads_outside(path) else None


# In a folder of the server


def _files(top: Path, skipped: Counter[str]) -> list[Path]:
    found: list[Path] = []
    pending = [top]
    while pending:
        folder = pending.pop()
        inner: list[Path] = []
        try:
            with os.scandir(folder) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError:
            skipped["damaged"] += 1
            continue
        for entry in entries:
            path = folder / entry.name
            try:
                mode = entry.stat(follow_symlinks=False).st_mode
            except OSError:
                skipped["damaged"] += 1
                continue
            if stat.S_ISDIR(mode) and not _is_junk(entry.name):
                inner.append(path)
            elif reason := _not_in_a_class(path.relative_to(top).parts, mode):
                skipped[reason] += 1
            else:
                found.append(path)
                if len(found) > MAX_IMAGES:
                    raise ArchiveRejected("images")
        pending += reversed(inner)
    return found
