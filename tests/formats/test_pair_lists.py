"""Two stacks, or a zip with a list, become pairs of images; what leaves as CSV comes back, and begins no formula."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from siamese_core.formats import pair_lists
from siamese_core.formats.archives import MAX_PATH, natural_key
from siamese_core.formats.pair_lists import (
    HEADER,
    MAX_PAIRS,
    MAX_SHOWN,
    NO_LIST,
    NO_ROW,
    SAME,
    TWICE,
    ListedPair,
    PairList,
    PairsRejected,
    example_zip,
    of_stacks,
    of_zip,
    to_csv,
)
from tests.support.fuzzing import fuzzed
from tests.support.zip_maker import File, zipped

A, B, C = (File(f"{name}.png", name.encode()) for name in "abc")


def listed(table: str | bytes, *files: File, path: str = "pairs.csv") -> PairList:
    """A zip with a list, read; with images a.png, b.png and c.png unless others are given."""
    data = table if isinstance(table, bytes) else table.encode()
    return of_zip(io.BytesIO(zipped(*(files or (A, B, C)), File(path, data))))


def rejection(table: str | bytes, *files: File) -> str:
    with pytest.raises(PairsRejected) as caught:
        listed(table, *files)
    return str(caught.value)


def pairs_of(found: PairList) -> list[tuple[bytes, bytes, bool | None]]:
    return [(found.files[pair.first], found.files[pair.second], pair.same) for pair in found.pairs]


def stack(*names: str) -> list[tuple[str, bytes]]:
    """Files whose content is their name."""
    return [(name, name.encode()) for name in names]


# Two stacks


def test_stacks_are_paired_in_the_order_of_their_numbers() -> None:
    found = of_stacks(stack("s10.png", "s2.png", "s1.png"), stack("p1.png", "p10.png", "p2.png"))
    assert pairs_of(found) == [
        (b"s1.png", b"p1.png", None),
        (b"s2.png", b"p2.png", None),
        (b"s10.png", b"p10.png", None),
    ]
    assert found.pairs[0] == ListedPair("s1.png", "p1.png", 0, 1, None)
    assert found.problems == ()


def test_an_image_is_stored_once_however_often_it_was_chosen() -> None:
    found = of_stacks([("1", b"x"), ("2", b"y"), ("3", b"x")], [("1", b"x"), ("2", b"x"), ("3", b"y")])
    assert found.files == (b"x", b"y")
    assert [(pair.first, pair.second) for pair in found.pairs] == [(0, 0), (1, 0), (0, 1)]


def test_files_of_one_name_stay_in_the_order_in_which_they_were_chosen() -> None:
    found = of_stacks([("x", b"1"), ("X", b"2"), ("x", b"3")], stack("a", "b", "c"))
    assert [first for first, _, _ in pairs_of(found)] == [b"1", b"2", b"3"]


def test_stacks_of_unequal_length_are_refused_with_both_numbers() -> None:
    with pytest.raises(PairsRejected, match=r"are 3 first and 2 second"):
        of_stacks(stack("a", "b", "c"), stack("a", "b"))


@pytest.mark.parametrize(("first", "second"), [([], []), ([], stack("a")), (stack("a"), [])])
def test_an_empty_stack_is_refused(first: list[tuple[str, bytes]], second: list[tuple[str, bytes]]) -> None:
    with pytest.raises(PairsRejected, match=r"A pair needs two pictures: choose"):
        of_stacks(first, second)


def test_as_many_pairs_as_there_may_be_and_one_more() -> None:
    most = stack(*map(str, range(MAX_PAIRS)))
    assert len(of_stacks(most, most).pairs) == MAX_PAIRS
    with pytest.raises(PairsRejected, match=r"more than 1,000 pairs: compare them in several parts"):
        of_stacks([*most, *stack("x")], [*most, *stack("x")])


def test_stacks_that_are_too_large_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_lists, "MAX_UNPACKED", 10)
    assert of_stacks([("a", bytes(4))], [("b", bytes(6))])
    with pytest.raises(PairsRejected, match=r"use fewer or smaller"):
        of_stacks([("a", bytes(5))], [("b", bytes(6))])


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\tb\u202e\n.png", "a b .png"),
        ("x" * 60, "x" * 60),
        ("x" * 61, "x" * 59 + "…"),
        ("\u202e\0", "(no name)"),
        ("", "(no name)"),
        ("\ud800é", "é"),
        ("\u0315" * 300 + "\u0300" * 300, "\u0315" * 59 + "…"),
        ("9" * 5_000, "9" * 59 + "…"),
    ],
)
def test_a_name_is_shown_without_what_cannot_be_seen_and_not_at_any_length(name: str, shown: str) -> None:
    (pair,) = of_stacks([(name, b"1")], [("b", b"2")]).pairs
    assert pair.first_name == shown and len(shown) <= MAX_SHOWN


def test_the_natural_order_is_the_one_people_expect() -> None:
    names = ["b", "10", "A 2", "2", "a 10", "1.png", "a"]
    assert sorted(names, key=natural_key) == ["a", "A 2", "a 10", "b", "1.png", "2", "10"]


# A list in a zip


def test_a_list_becomes_pairs_with_what_it_says_of_them() -> None:
    found = listed("first,second,same\na.png,b.png,1\nb.png,c.png,0\na.png,c.png,\n")
    assert found.files == (b"a", b"b", b"c")
    assert found.pairs == (
        ListedPair("a.png", "b.png", 0, 1, True),
        ListedPair("b.png", "c.png", 1, 2, False),
        ListedPair("a.png", "c.png", 0, 2, None),
    )
    assert found.problems == ()


def test_the_column_same_may_be_missing_and_a_row_may_end_early() -> None:
    assert [same for *_, same in pairs_of(listed("first,second\na.png,b.png"))] == [None]
    assert [same for *_, same in pairs_of(listed("first,second,same\na.png,b.png"))] == [None]


def test_the_header_may_be_spelled_and_ordered_freely_beside_other_columns() -> None:
    found = listed(' SAME , notes,Second, "FIRST"\nyes,"hm, hm",b.png,a.png\n')
    assert pairs_of(found) == [(b"a", b"b", True)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_every_delimiter_and_line_end_of_a_spreadsheet_is_read(delimiter: str, line_end: str) -> None:
    rows = (("first", "second", "same"), ("a.png", '"b.png"', "1"), ("b.png", "c.png", "0"))
    assert pairs_of(listed(line_end.join(map(delimiter.join, rows)))) == [(b"a", b"b", True), (b"b", b"c", False)]


def test_the_header_alone_says_what_the_delimiter_is() -> None:
    assert pairs_of(listed("first;second;notes\na.png;b.png;one, two, three, four, five\n")) == [(b"a", b"b", None)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_accents_are_read_in_the_encodings_that_spreadsheets_write(encoding: str) -> None:
    found = listed("first,second\nZoë.png,a.png".encode(encoding), File("Zoë.png", b"z"), A)
    assert pairs_of(found) == [(b"z", b"a", None)]
    assert found.pairs[0].first_name == "Zoë.png"


@pytest.mark.parametrize("word", SAME)
def test_what_same_may_say(word: str) -> None:
    expected = {"1": True, "true": True, "yes": True, "same": True, "": None}.get(word, False)
    for spelled in (word, f" {word.upper()} "):
        assert [same for *_, same in pairs_of(listed(f"first,second,same\na.png,b.png,{spelled}"))] == [expected]


@pytest.mark.parametrize(
    "spelled", ["faces/a.png", "./faces/a.png", "faces\\a.png", ".\\faces//a.png", "set/faces/a.png", "FACES/A.PNG"]
)
def test_a_path_begins_at_the_list_or_at_the_top(spelled: str) -> None:
    found = listed(f"first,second\n{spelled},b.png", File("set/faces/a.png", b"a"), B, path="set/pairs.csv")
    assert pairs_of(found) == [(b"a", b"b", None)]


def test_where_a_path_fits_twice_the_one_beside_the_list_is_meant() -> None:
    found = listed("first,second\na.png,b.png", A, B, File("set/a.png", b"near"), path="set/pairs.csv")
    assert pairs_of(found) == [(b"near", b"b", None)]


def test_a_name_is_found_in_either_normal_form() -> None:
    """macOS packs an e and an accent; spreadsheets write one letter."""
    composed, decomposed = "Zo\u00eb.png", "Zoe\u0308.png"
    for packed, spelled in ((composed, decomposed), (decomposed, composed)):
        assert pairs_of(listed(f"first,second\n{spelled},a.png", File(packed, b"z"), A)) == [(b"z", b"a", None)]


def test_what_macos_adds_and_other_files_are_not_looked_at() -> None:
    extras = (File("__MACOSX/._pairs.csv"), File(".DS_Store"), File("read me.txt"), File("__MACOSX/b.csv"))
    assert listed("first,second\na.png,b.png", A, B, *extras).pairs


def test_one_image_may_be_in_a_thousand_pairs() -> None:
    found = listed("first,second\n" + "a.png,b.png\n" * MAX_PAIRS)
    assert len(found.pairs) == MAX_PAIRS and found.files == (b"a", b"b")


def test_a_thousand_pairs_of_two_thousand_images() -> None:
    files = [File(f"{n}.png", b"%d" % n) for n in range(2 * MAX_PAIRS)]
    table = "first,second\n" + "".join(f"{n}.png,{n + MAX_PAIRS}.png\n" for n in range(MAX_PAIRS))
    assert pairs_of(listed(table, *files))[7] == (b"7", b"1007", None)
    with pytest.raises(PairsRejected, match=r"more than 2,000 pictures here"):
        listed(table, *files, File("x.png"))


def test_rows_without_anything_are_passed_over_but_counted() -> None:
    found = listed("first,second,same\n\n,,\na.png,b.png\n ; \n,,maybe\n")
    assert len(found.pairs) == 1
    assert [problem[:7] for problem in found.problems] == ["Row 5: ", "Row 6: "]


def test_a_row_is_numbered_as_a_spreadsheet_does_also_behind_a_cell_of_several_lines() -> None:
    found = listed('first,second,notes\na.png,b.png,"one\ntwo\n\nthree"\nx.png,b.png,\n')
    assert found.problems[0].startswith("Row 3: the zip has no picture “x.png”")


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("x.png,b.png", "the zip has no picture “x.png” that can be read: correct the name, or"),
        ("b.png,A.tiff", "the zip has no picture “A.tiff” that can be read"),
        ("pairs.csv,b.png", "the zip has no picture “pairs.csv” that can be read"),
        ("a.png,", "a name is missing: write"),
        ("../a.png,b.png", "“../a.png” leads out of the zip: name"),
        ("b.png,faces\\..\\a.png", "“faces/../a.png” leads out of the zip"),
        ("/etc/passwd,b.png", "“/etc/passwd” leads out of the zip"),
        ("C:\\faces\\a.png,b.png", "“C:/faces/a.png” leads out of the zip"),
        ("a.png,b.png,maybe", "“maybe” says neither same nor different: write 1, 0 or nothing."),
        ("a.png,b.png,2", "“2” says neither same nor different"),
        (".,b.png", "the zip has no picture “.”"),
        ("a\u202e.png,b.png", "the zip has no picture “a.png”"),
        (f"{'é' * 9_999}.png,b.png", f"the zip has no picture “{'é' * 59}…”"),
    ],
)
def test_a_row_that_cannot_be_used_is_left_out_with_a_message(row: str, problem: str) -> None:
    found = listed(f"first,second,same\na.png,b.png\n{row}\nb.png,c.png\n")
    assert pairs_of(found) == [(b"a", b"b", None), (b"b", b"c", None)]
    (message,) = found.problems
    assert message.startswith(f"Row 3: {problem}") and message.endswith(".") and ": " in message[7:]


def test_twenty_problems_are_listed_and_the_others_counted() -> None:
    def problems(number: int) -> Sequence[str]:
        return listed("first,second\n" + "x.png,a.png\n" * number + "a.png,b.png\n").problems

    assert [len(problems(number)) for number in (0, 1, 20, 21, 32)] == [0, 1, 20, 21, 21]
    assert problems(20)[-1].startswith("Row 21: ")
    assert problems(21)[-1] == "and 1 more row"
    assert problems(32)[-1] == "and 12 more rows"


def test_a_list_of_which_no_row_can_be_used_is_refused_with_the_first_reason() -> None:
    message = rejection("first,second\nx.png,a.png\ny.png,a.png\n")
    assert message.startswith("No row of the list can be used; row 2: the zip has no picture “x.png”")


@pytest.mark.parametrize(
    "header",
    [
        "a.png,b.png,1",
        "",
        "\nfirst,second",
        "first,same",
        "first,first,second",
        "first,second,same,Same",
        "first second",
    ],
)
def test_a_list_without_its_header_is_refused_with_which_one_to_write(header: str) -> None:
    assert rejection(f"{header}\na.png,b.png,1\n") == HEADER
    assert "write first,second,same there" in HEADER


@pytest.mark.parametrize("table", ["first,second", "first,second\n", "first,second\n\n,,\n \n"])
def test_a_header_alone_is_no_list(table: str) -> None:
    assert rejection(table) == NO_ROW


def test_a_zip_needs_exactly_one_list() -> None:
    with pytest.raises(PairsRejected) as caught:
        of_zip(io.BytesIO(zipped(A, B)))
    assert str(caught.value) == NO_LIST
    with pytest.raises(PairsRejected, match=r"has 3 .csv files: leave only the one"):
        listed("first,second\na.png,b.png", A, B, File("x.CSV"), File("y/z.csv"))


@pytest.mark.parametrize(
    "twin", [File("A.png", b"2"), File("a.png", b"2"), File(".//a.PNG", b"2")], ids=lambda file: str(file.name)
)
def test_two_images_of_one_name_are_refused_for_nobody_knows_which_is_meant(twin: File) -> None:
    assert rejection("first,second\na.png,b.png\nA.png,b.png", A, B, twin) == TWICE


def test_two_normal_forms_of_one_name_are_two_images_of_one_name() -> None:
    assert rejection("first,second\nb.png,b.png", File("Zo\u00eb.png"), File("Zoe\u0308.png"), B) == TWICE


# What leaves as CSV


def test_a_table_holds_all_columns_numbers_as_numbers_and_nothing_for_nothing() -> None:
    rows = [
        {"first": "a.png", "distance": -0.5, "same": True},
        {"first": "b, c.png", "distance": np.float32(0.1), "same": np.False_, "verdict": 'so "so"'},
        {"first": None, "distance": float("-inf"), "verdict": 7},
    ]
    assert to_csv(rows) == (
        "first,distance,same,verdict\r\n"
        "a.png,-0.5,1,\r\n"
        '"b, c.png",0.1,0,"so ""so"""\r\n'
        ",,,7\r\n"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("\nx", "'\nx"),
        ("＝1", "'＝1"),
        ("  =1", "'  =1"),
        ("a;=1", "a;'=1"),
        ('a; "=1', "a;' \"=1"),
        ("a\n=1", "a\n'=1"),
        ("a-b=c@d+e", "a-b=c@d+e"),
        ("a;b", "a;b"),
    ],
)
def test_no_text_begins_a_formula(text: str, cell: str) -> None:
    table = to_csv([{text: text}])
    assert list(csv.reader(io.StringIO(table, newline=""))) == [[cell], [cell]]


@settings(deadline=None)
@given(st.lists(st.text(st.sampled_from("=+-@\t\r\n;,\"' a1"), max_size=12), min_size=1, max_size=4))
def test_no_cell_begins_a_formula_whatever_the_spreadsheet_takes_for_a_delimiter(cells: list[str]) -> None:
    table = to_csv([{str(column): cell for column, cell in enumerate(cells)}])
    for delimiter in ",;\t":
        for row in csv.reader(io.StringIO(table, newline=""), delimiter=delimiter):
            assert not [cell for cell in row if cell.strip(' "')[:1] in tuple("=+-@")]
    assert [len(row) for row in csv.reader(io.StringIO(table, newline=""))] == [len(cells)] * 2


# The example


def test_the_example_is_read_back_and_the_same_every_time() -> None:
    images = [("faces/anna 1.png", b"1"), ("faces/ben.png", b"2")]
    rows = [("faces/anna 1.png", "faces/ben.png", False), ("faces/ben.png", "faces/ben.png", None)]
    data = example_zip(images, rows)
    assert data == example_zip(images, rows)
    found = of_zip(io.BytesIO(data))
    assert pairs_of(found) == [(b"1", b"2", False), (b"2", b"2", None)] and not found.problems
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert archive.read("pairs.csv").decode("utf-8-sig").startswith("first,second,same\r\n")


names = st.text(st.characters(codec="utf-8", exclude_categories=("Cc",), exclude_characters="/\\"), min_size=1).map(
    lambda name: f"{name}.png"
)


@fuzzed(60, st.lists(names | st.sampled_from(["=1.png", "-a;-b.png", "'a.png", "@'x.png"]), min_size=2, max_size=4))
def test_whatever_images_are_called_the_example_is_read_back(chosen: list[str]) -> None:
    assume(len({pair_lists._key([name]) for name in chosen}) == len(chosen))
    assume(not any(name[0] in ". " or name != name.strip() or ":" in name[:2] for name in chosen))
    assume(all(len(name.encode()) <= MAX_PATH / 2 for name in chosen))
    images = stack(*chosen)
    found = of_zip(io.BytesIO(example_zip(images, [(chosen[0], name, True) for name in chosen])))
    assert pairs_of(found) == [(images[0][1], data, True) for _, data in images]
