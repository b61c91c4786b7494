"""Pairs of images as people list them: two stacks of files, or a zip with a CSV in it. No image is decoded here.

A zip is read as `archives` reads it: nothing is written anywhere, no name out of it is ever opened, limits are counted
on the real bytes. What leaves as CSV begins no formula in a spreadsheet (OWASP, CSV Injection).
"""

from __future__ import annotations

import csv
import io
import math
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import BinaryIO

import numpy as np

from siamese_core.errors import Rejected
from siamese_core.formats import archives
from siamese_core.formats.archives import ENDINGS, MAX_FILE, MAX_IMAGES, MAX_NAME, MAX_UNPACKED, MB, ArchiveRejected
from siamese_core.formats.files import zipped

MAX_PAIRS = 1_000
MAX_CSV = 1 * MB
MAX_SHOWN = 60
MAX_PROBLEMS = 20

DELIMITERS = ",;\t"
SAME = {
    "1": True, "true": True, "yes": True, "same": True,
    "0": False, "false": False, "no": False, "different": False,
    "": None,
}  # fmt: skip

HEADER = (
    "The first row of the list must name its columns: write first,second,same there, or first,second if you do not "
    "know which pairs are the same."
)
NO_LIST = "This zip has no list that can be read: add one .csv file whose first row is first,second,same."
NO_ROW = "The list has no row below its header: write one for each pair, such as anna.png,ben.png,0."
BIG_LIST = f"The list of pairs is damaged or larger than {MAX_CSV // MB} MB: save it again with these columns only."
NO_TEXT = "The list is no plain text: save it as CSV (UTF-8) and pack the zip again."
MANY = f"{{}} more than {MAX_PAIRS:,} pairs: compare them in several parts."
TWICE = "Two files in this zip have the same name, or names that differ by capital letters only: rename one of them."

REPACK: dict[str, str] = {
    "not_zip": "This file is no zip archive: pack the pictures and the list into a .zip and choose that.",
    "damaged": "This zip is damaged or cut short: pack the pictures and the list again and choose the new file.",
    "overlap": "Files in this zip share the same bytes, like a zip bomb: pack the pictures and the list again.",
    "entries": f"This zip lists more than {archives.MAX_ENTRIES:,} files: pack only the pictures and the list.",
    "encrypted": "This zip is locked with a password: pack the pictures and the list again without one.",
}
"""Where `archives` speaks of class folders."""

FORMULA = re.compile(r'^(?=[\t\r\n])|(?:^|(?<=[;\t\r\n]))(?=(?:[^\S\t\r\n]|")*[=+\-@＝＋－＠])')
"""Where a formula would begin; also behind a semicolon or a tab, which elsewhere in the world begin the next cell."""


class PairsRejected(Rejected):
    """Nothing of a list is used."""


class _RowRejected(Rejected):
    """One row of a list makes no pair."""


@dataclass(frozen=True)
class ListedPair:
    """A pair as somebody lists it: names to show, indices into `files`, whether it is the same (None: not said).

    Names have 1 to 60 printable characters; not escaped.
    """

    first_name: str
    second_name: str
    first: int
    second: int
    same: bool | None


@dataclass(frozen=True, eq=False)
class PairList:
    """`files`: each image once, however many pairs it is in; 1 to `MAX_PAIRS` pairs.

    `problems`: a sentence for each row that was left out, at most 20, then how many more.
    """

    files: tuple[bytes, ...]
    pairs: tuple[ListedPair, ...]
    problems: tuple[str, ...] = ()


NamedImage = tuple[str, bytes]
"""Its name and its bytes."""


def of_stacks(first: Sequence[NamedImage], second: Sequence[NamedImage]) -> PairList:
    """Pair the first of one stack with the first of the other and so on, each sorted by name, "2" before "10".

    Raises PairsRejected for an empty stack, stacks of unequal length, too many pairs or more than 200 MB.
    """
    if not first or not second:
        raise PairsRejected("A pair needs two pictures: choose files for the first and for the second inputs.")
    if len(first) != len(second):
        raise PairsRejected(
            f"There are {len(first):,} first and {len(second):,} second pictures: choose equally many on both sides."
        )
    if len(first) > MAX_PAIRS:
        raise PairsRejected(MANY.format("These are"))
    if sum(len(data) for _, data in (*first, *second)) > MAX_UNPACKED:
        raise PairsRejected(f"These files have more than {MAX_UNPACKED // MB} MB: use fewer or smaller pictures.")
    return _pair_list((one, other, None) for one, other in zip(_sorted(first), _sorted(second), strict=True))


def of_zip(file: BinaryIO) -> PairList:
    """Return the pairs that the one .csv in a zip lists; it names files by their paths from its folder or from the top.

    Its columns are `first`, `second` and, if somebody likes, `same`. Raises PairsRejected.
    """
    try:
        path, table, images = _unpacked(file)
    except ArchiveRejected as rejected:
        raise PairsRejected(REPACK.get(rejected.reason, str(rejected))) from None
    folder = archives.split_path(path)[:-1]
    pairs: list[tuple[NamedImage, NamedImage, bool | None]] = []
    problems: list[str] = []
    for number, first, second, same in _rows(_text(table)):
        try:
            pairs.append((_image(first, folder, images), _image(second, folder, images), _same(same)))
        except _RowRejected as why:
            problems.append(f"Row {number}: {why}")
    if not pairs:
        raise PairsRejected(f"No row of the list can be used; {problems[0].lower()[:1]}{problems[0][1:]}")
    return _pair_list(pairs, problems)


def to_csv(pairs: Sequence[Mapping[str, object]]) -> str:
    """Write a row for each of `pairs` below the names of all columns; to be sent as "utf-8-sig", which Excel knows.

    Numbers stay numbers, True and False are 1 and 0, None and what is not finite are empty. No cell begins a formula:
    an apostrophe stands before it, which `of_zip` takes away again.
    """
    columns = list(dict.fromkeys(column for pair in pairs for column in pair))
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(map(_cell, columns))
    writer.writerows([_cell(pair.get(column)) for column in columns] for pair in pairs)
    return text.getvalue()


def example_zip(images: Sequence[NamedImage], rows: Sequence[tuple[str, str, bool | None]]) -> bytes:
    """Return a zip that `of_zip` reads: images under their names, and pairs.csv with a row for each pair of names."""
    table = to_csv([{"first": first, "second": second, "same": same} for first, second, same in rows])
    return zipped({"pairs.csv": table.encode("utf-8-sig"), **dict(images)}, zipfile.ZIP_STORED)


def _pair_list(pairs: Iterable[tuple[NamedImage, NamedImage, bool | None]], problems: Sequence[str] = ()) -> PairList:
    indices: dict[bytes, int] = {}

    def index(data: bytes) -> int:
        return indices.setdefault(data, len(indices))

    listed = tuple(
        ListedPair(_shown(first), _shown(second), index(first_data), index(second_data), same)
        for (first, first_data), (second, second_data), same in pairs
    )
    more = len(problems) - MAX_PROBLEMS
    rest = (f"and {more:,} more row{'' if more == 1 else 's'}",) if more > 0 else ()
    return PairList(tuple(indices), listed, (*problems[:MAX_PROBLEMS], *rest))


def _sorted(stack: Sequence[NamedImage]) -> list[NamedImage]:
    return sorted(stack, key=lambda image: archives.natural_key(image[0][:MAX_NAME]))


def _shown(name: str) -> str:
    shown = archives.clean(name[:MAX_NAME]) or "(no name)"
    return shown if len(shown) <= MAX_SHOWN else f"{shown[: MAX_SHOWN - 1]}…"


# In a zip


def _unpacked(file: BinaryIO) -> tuple[str, bytes, dict[str, bytes]]:
    """The path and the bytes of the list, and the images by their paths in one spelling."""
    skipped: Counter[str] = Counter()
    # The list may stand beside as many images as there can be.
    members = archives.members(file, skipped, _unwanted, MAX_IMAGES + 1)
    keys = {_key(archives.split_path(entry.path)) for entry, _ in members}
    if skipped["duplicate"] or len(keys) < len(members):
        raise PairsRejected(TWICE)
    lists = [entry.path for entry, _ in members if entry.path.lower().endswith(".csv")]
    if not lists:
        raise PairsRejected(NO_LIST)
    if len(lists) > 1:
        raise PairsRejected(f"This zip has {len(lists):,} .csv files: leave only the one that lists the pairs.")
    table = None
    images = {}
    for entry, data in archives.contents(file, members, skipped):
        if entry.path == lists[0]:
            table = data
        else:
            images[_key(archives.split_path(entry.path))] = data
    if table is None or len(table) > MAX_CSV:
        raise PairsRejected(BIG_LIST)
    return lists[0], table, images


def _unwanted(parts: Sequence[str], mode: int) -> str | None:
    return archives.unwanted(parts, mode, (*ENDINGS, ".csv"))


def _key(parts: Sequence[str]) -> str:
    return archives.case_folded("/".join(parts))


# In its list


def _text(table: bytes) -> str:
    if b"\0" in table:
        raise PairsRejected(NO_TEXT)
    try:
        return table.decode("utf-8-sig")
    except UnicodeDecodeError:
        return table.decode("latin-1")


def _rows(text: str) -> list[tuple[int, str, str, str]]:
    """What stands under first, second and same in each row that is not empty, with its number in a spreadsheet."""
    line = re.split(r"[\r\n]", text, maxsplit=1)[0]
    # Of equally many the first, which is the comma.
    delimiter = max(DELIMITERS, key=line.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    rows: list[tuple[int, str, str, str]] = []
    number = 0
    try:
        header = [name.strip().casefold() for name in next(lines, [])]
        number = 1
        if header.count("first") != 1 or header.count("second") != 1 or header.count("same") > 1:
            raise PairsRejected(HEADER)
        for number, cells in enumerate(lines, 2):
            if not any(map(str.strip, cells)):
                continue
            row = {name: cell.strip() for name, cell in zip(header, cells, strict=False)}
            rows.append((number, row.get("first", ""), row.get("second", ""), row.get("same", "")))
            if len(rows) > MAX_PAIRS:
                raise PairsRejected(MANY.format("The list has"))
    except csv.Error:
        raise PairsRejected(
            f"The list cannot be read from row {number + 1} on: look there for a quotation mark in the wrong place, or "
            "for a very long cell."
        ) from None
    if not rows:
        raise PairsRejected(NO_ROW)
    return rows


def _image(cell: str, folder: Sequence[str], images: Mapping[str, bytes]) -> NamedImage:
    if not cell:
        raise _RowRejected("a name is missing: write one under first and one under second.")
    path = cell.replace("\\", "/")
    if archives.leads_outside(path):
        raise _RowRejected(f"“{_shown(path)}” leads out of the zip: name a file in it, such as faces/anna.png.")
    # As it stands, or as `to_csv` wrote it.
    for spelled in (path, path.removeprefix("'").replace(";'", ";")):
        parts = archives.split_path(spelled)
        # No longer name is in a zip, and normal forms of one with endless accents take quadratic time.
        if max(map(len, parts), default=0) > MAX_NAME:
            continue
        for key in (_key([*folder, *parts]), _key(parts)):
            if key in images:
                return "/".join(parts), images[key]
    raise _RowRejected(
        f"the zip has no picture “{_shown(path)}” that can be read: correct the name, or add the file as PNG, JPEG, "
        f"GIF, BMP or WebP of at most {MAX_FILE // MB} MB."
    )


def _same(cell: str) -> bool | None:
    try:
        return SAME[cell.casefold()]
    except KeyError:
        raise _RowRejected(f"“{_shown(cell)}” says neither same nor different: write 1, 0 or nothing.") from None


# To a spreadsheet


def _cell(value: object) -> str | Real:
    if isinstance(value, (bool, np.bool_)):
        return str(int(value))
    if isinstance(value, Real):
        return value if math.isfinite(value) else ""
    return "" if value is None else FORMULA.sub("'", str(value))
