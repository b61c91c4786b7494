"""Whatever a zip or its list holds, pairs come out of it or one message that says what to do; nothing is opened."""

from __future__ import annotations

import builtins
import csv
import io
import os
import random
import re
import tracemalloc
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from siamese_core.formats.archives import MAX_FILE, MAX_UNPACKED, REASONS
from siamese_core.formats.pair_lists import (
    BIG_LIST,
    HEADER,
    MAX_CSV,
    MAX_PAIRS,
    MAX_PROBLEMS,
    MAX_SHOWN,
    NO_LIST,
    NO_ROW,
    NO_TEXT,
    REPACK,
    TWICE,
    PairList,
    PairsRejected,
    of_zip,
)
from tests.fuzz.zips import mutated
from tests.support import hostile_zips
from tests.support.hostile_zips import ANNA, BOMBS, CASES
from tests.support.zip_maker import MB, File, deflated, zipped, zipped64

A, B = File("a.png", b"a"), File("b.png", b"b")


def outcome(data: bytes) -> PairList | str:
    """The pairs, or the message, of which both are checked for what must always hold."""
    try:
        found = of_zip(io.BytesIO(data))
    except PairsRejected as rejected:
        message = str(rejected)
        assert re.fullmatch(r"[A-Z][^\r\n]*[:;] [^\r\n]*\.", message)
        assert len(message) < 400
        return message
    assert 1 <= len(found.pairs) <= MAX_PAIRS
    assert len(set(found.files)) == len(found.files) and sum(map(len, found.files)) <= MAX_UNPACKED
    assert {place for pair in found.pairs for place in (pair.first, pair.second)} == set(range(len(found.files)))
    for pair in found.pairs:
        assert all(1 <= len(name) <= MAX_SHOWN and name.isprintable() for name in (pair.first_name, pair.second_name))
        assert pair.same in (True, False, None)
    assert len(found.problems) <= MAX_PROBLEMS + 1 and all(problem.isprintable() for problem in found.problems)
    return found


def of_table(table: bytes, *files: File) -> PairList | str:
    return outcome(zipped(*(files or (A, B)), File("pairs.csv", table)))


@pytest.fixture
def _nothing_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **_: object) -> None:
        raise AssertionError(f"a file was opened: {arguments}")

    for module, name in ((builtins, "open"), (io, "open"), (os, "open"), (os, "mkdir"), (os, "symlink")):
        monkeypatch.setattr(module, name, refuse)


# Zips


@pytest.mark.usefixtures("_nothing_opens")
@pytest.mark.parametrize("name", [name for name in CASES if name not in BOMBS])
def test_a_hostile_zip_without_a_list_is_refused(name: str) -> None:
    message, reason = outcome(CASES[name].make()), CASES[name].reason
    assert message in ((REPACK[reason],) if reason else (NO_LIST, TWICE))


def beside_a_list(*files: File, total: int | None = None, comment: bytes = b"", shift: int = 0) -> bytes:
    """As `zipped`, with a list first that names the good image and every other file."""
    rows = b"".join(b'"%s",Anna/1.png\r\n' % file.raw_name.replace(b'"', b'""') for file in files[:900])
    table = File("list.csv", b"first,second\r\nAnna/1.png,Anna/1.png\r\n" + rows.replace(b"\0", b""))
    # More than 65,535 would not stand in this place.
    more = None if total is None else min(total + 1, 65_535)
    return zipped(table, *files, total=more, comment=comment, shift=shift)


@pytest.fixture
def _with_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every hostile zip that is made by `zipped` gets a list of its files, but not the one that others keep cached."""
    hostile_zips.hundred_thousand()
    monkeypatch.setattr(hostile_zips, "zipped", beside_a_list)


@pytest.mark.usefixtures("_nothing_opens", "_with_lists")
@pytest.mark.parametrize("name", CASES)
def test_a_hostile_zip_with_a_list_is_refused_for_the_same_reason_or_gives_real_images(name: str) -> None:
    case = CASES[name]
    found = outcome(case.make())
    if case.reason == "encrypted":
        # The list is not.
        assert isinstance(found, str) and found.startswith("No row of the list can be used; row 2: the zip has no")
    elif case.reason:
        assert found == REPACK.get(case.reason, REASONS[case.reason].format(limit=2_000))
    elif isinstance(found, PairList):
        assert case.labels and set(found.files) <= {ANNA.data, b""}


@pytest.mark.usefixtures("_with_lists")
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.skipped and name not in BOMBS])
def test_what_is_left_out_beside_a_good_image_costs_it_nothing(name: str) -> None:
    case = CASES[name]
    found = outcome(case.make())
    if "duplicate" in case.skipped:
        assert found == TWICE
    else:
        assert isinstance(found, PairList)
        assert found.files == (ANNA.data,) and (found.pairs[0].first, found.pairs[0].second) == (0, 0)


@pytest.mark.usefixtures("_with_lists")
@pytest.mark.parametrize("name", [name for name, case in BOMBS.items() if case.reason in ("ratio", "overlap")])
def test_a_bomb_takes_no_more_memory_than_a_few_of_the_largest_images(name: str) -> None:
    data = BOMBS[name].make()
    tracemalloc.start()
    try:
        outcome(data)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 5 * MAX_FILE


NOT_THERE = "No row of the list can be used; row 2: the zip has no picture"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (File("pairs.csv", bytes(MAX_CSV + 1)), BIG_LIST),
        (File("pairs.csv", b"first,second\n" * 9, crc=1), BIG_LIST),
        (File("pairs.csv", bytes(9 * MB), method=8), REASONS["ratio"]),
        (File("pairs.csv", b"", method=8, stream=b"\xff" * 9), BIG_LIST),
        (File("pairs.csv", b"first,second\na.png,b.png", flags=1), NO_LIST),
        (File("pairs.csv", b"a.png", mode=0o120777), NO_LIST),
        (File("../pairs.csv", b"first,second\na.png,b.png"), NO_LIST),
        (File("pairs.csv", b"first,second\na.png,b.png", offset=10**6), NO_LIST),
        (File("pairs.csv", b"first,second\na.png,b.png", offset=0), REPACK["overlap"]),
        (File("b.CSV", b"first,second\nb.csv,b.csv"), f"{NOT_THERE} “b.csv”"),
    ],
    ids=range(10),
)
def test_a_list_that_lies_about_itself_is_refused(table: File, message: str) -> None:
    found = outcome(zipped(A, B, table))
    assert isinstance(found, str) and found.startswith(message)


def test_a_list_that_is_also_an_image_shares_its_bytes() -> None:
    table = b"first,second\na.png,a.png\n"
    twin = File("pairs.png", table, local_name=b"pairs.csv", offset=0)
    assert outcome(zipped(File("pairs.csv", table), twin)) == REPACK["overlap"]


def test_an_image_that_cannot_be_read_costs_its_rows_only() -> None:
    bad = (
        File("big.png", bytes(11 * MB)),
        File("crc.png", b"x", crc=1),
        File("locked.png", flags=1),
        File("link.png", b"/etc/passwd", mode=0o120777),
        File("method.png", method=12),
        File("../up.png"),
    )
    table = "first,second\na.png,b.png\n" + "".join(f"{file.name},a.png\n" for file in bad)
    found = of_table(table.encode(), A, B, *bad)
    assert isinstance(found, PairList) and found.files == (b"a", b"b")
    assert [problem.split(" “")[0] for problem in found.problems[:-1]] == [
        f"Row {row}: the zip has no picture" for row in range(3, 8)
    ]
    assert found.problems[-1].startswith("Row 8: “../up.png” leads out of the zip")


# Lists


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"", HEADER),
        (b"\xef\xbb\xbf", HEADER),
        (b"first,second", NO_ROW),
        (b"first,second\na.png,b\0.png", NO_TEXT),
        ("first,second\na.png,b.png".encode("utf-16"), NO_TEXT),
        ("first,second\na.png,b.png".encode("utf-16-be"), NO_TEXT),
        ("first,second\na.png,b.png".encode("utf-32"), NO_TEXT),
        ("\ufeff日本".encode("utf-16-le"), HEADER),
        (random.Random(0).randbytes(100_000), NO_TEXT),
        (random.Random(0).randbytes(100_000).replace(b"\0", b""), HEADER),
        (b"\x89PNG\r\n\x1a\n" + b"x" * 99, HEADER),
        (b'"first,second\na.png,b.png', "The list cannot be read from row 1 on: look there"),
        (b'first,second\na.png,b.png\n"a.png,b.png\n', "The list cannot be read from row 3 on: look there"),
        (b'first,second\na.png,"b".png\n', "The list cannot be read from row 2 on: look there"),
        (b"first,second\n" + b"a" * 200_000 + b",b.png", "The list cannot be read from row 2 on: look there"),
        (b"x" * 200_000 + b",first,second\n", "The list cannot be read from row 1 on: look there"),
        (b"first,second\n" + b"a.png,b.png\n" * 1_001, "The list has more than 1,000 pairs: "),
        (b"first,second\n" + b"x,y\n" * 200_000, "The list has more than 1,000 pairs: "),
        (b"first,second\n" + b"," * 900_000, NO_ROW),
        (b"\n" * 900_000, HEADER),
        (b"," * 900_000, HEADER),
        (b"first,second" + b"\n" * 900_000, NO_ROW),
        (b"first,second\n" + b'=cmd|"/c calc"!A0,a.png', f"{NOT_THERE} “=cmd"),
        (b"first,second\n../../etc/passwd,/etc/passwd", "No row of the list can be used; row 2: “../../etc"),
    ],
    ids=range(24),
)  # fmt: skip
@pytest.mark.usefixtures("_nothing_opens")
def test_a_hostile_list_is_refused_with_a_message(table: bytes, message: str) -> None:
    found = of_table(table)
    assert isinstance(found, str) and found.startswith(message)


def test_the_limit_of_cells_that_the_process_has_is_left_alone() -> None:
    before = csv.field_size_limit()
    of_table(b"first,second\n" + b"a" * 200_000 + b",b.png")
    assert csv.field_size_limit() == before


@pytest.mark.parametrize(
    "name", ["\u0315\u0300" * 30_000, "\u0315\u0300/" * 15_000, "a/" * 30_000, "9" * 60_000, "'" * 60_000], ids=range(5)
)
def test_an_endless_name_is_no_image_and_shown_short(name: str) -> None:
    """Accents take quadratic time to be put in order, and this is a list of five such names."""
    found = of_table(b"first,second\na.png,b.png\n" + f"{name},a.png\n".encode() * 5)
    assert isinstance(found, PairList) and len(found.problems) == 5
    assert all(len(problem) < 250 for problem in found.problems)


def test_names_that_differ_by_case_only_mean_one_file_and_never_two() -> None:
    table = b"first,second\na.png,A.png\nA.PNG,b.png\n"
    found = of_table(table)
    assert isinstance(found, PairList) and found.files == (b"a", b"b")
    assert [(pair.first, pair.second) for pair in found.pairs] == [(0, 0), (0, 1)]
    assert of_table(table, A, B, replace(A, name="A.png", data=b"A")) == TWICE


def test_formulas_and_markup_in_names_stay_names() -> None:
    names = ["=1+1.png", "@SUM(A1).png", "-2.png", "<b>x<b>.png", "$x$.png", "'.png"]
    table = "first,second\n" + "".join(f"{name},a.png\n" for name in names)
    found = of_table(table.encode(), A, *(File(name, name.encode()) for name in names))
    assert isinstance(found, PairList) and [pair.first_name for pair in found.pairs] == names
    assert not found.problems


# Anything


PIECES = st.sampled_from(
    ["first", "second", "same", "a.png", "b.png", ",", ";", "\t", "\n", "\r", "\r\n", '"', '""', "'", "1", "no", "..",
     "/", "\\", " ", "\ufeff", "\u202e", "\x85", "\u2028", "é", "=", "x" * 300, "first,second\n",
     "first;second;same\r\n", "a.png,b.png\n"]
)  # fmt: skip
TEXTS = st.lists(PIECES | st.text(max_size=5), max_size=40).map("".join)


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.sampled_from(["", "first,second\n", "first,second,same\n", "second;first;same\r\n"]))
@example('a.png,"b.png"\n"', "first,second\n")
def test_any_text_gives_pairs_or_a_message(text: str, header: str) -> None:
    of_table((header + text).encode("utf-8", "surrogatepass"))


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=200), st.sampled_from([b"", b"first,second\n", b"\xff\xfe", b"\xef\xbb\xbffirst,second,same\n"])
)
def test_any_bytes_give_pairs_or_a_message(data: bytes, start: bytes) -> None:
    of_table(start + data)


def test_a_thousand_damaged_zips_give_pairs_of_what_was_in_them_or_a_message() -> None:
    table = b"first,second,same\r\na.png,faces/b.png,1\r\nfaces/b.png,c.png,\r\n"
    files = (
        File("set/pairs.csv", table, method=8),
        File("set/a.png", b"stored"),
        File("set/faces/b.png", b"deflated, deflated", method=8),
        File("c.png", b"", method=8, stream=deflated(b"")),
    )
    whole, random_ = (zipped(*files), zipped64(*files)), random.Random(0)
    kinds: Counter[str] = Counter()
    for _ in range(1_000):
        found = outcome(mutated(random_.choice(whole), random_))
        if isinstance(found, PairList):
            assert set(found.files) <= {file.data for file in files[1:]}
            kinds["some rows" if found.problems else "all rows"] += 1
        else:
            kinds[found] += 1
    assert kinds["all rows"] > 50 and kinds["some rows"] > 20 and kinds[REPACK["damaged"]] > 100
