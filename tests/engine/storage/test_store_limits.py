"""All runs of a machine: how many there may be, what is never let go, and what is found when a server starts."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from siamese_core.engine.storage.limits import GIGABYTES, RUNS, Limits, limits_of
from siamese_core.engine.storage.store import Shelf
from siamese_core.runs.folder import locked
from siamese_core.runs.record import RECORD, packed_record
from tests.support.saving import ANN, BEN, brought, everything, record_at, written


def test_the_oldest_go_where_an_owner_has_too_many(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, Limits(runs=2))
    his = brought(shelf, BEN, created=0)
    first, second, third = (brought(shelf, ANN, created=created) for created in (1, 3, 2))
    assert [record.id for record in shelf.records(ANN)] == [second, third], "the newest first"
    assert not shelf.folder(first).exists()
    assert shelf.find(BEN, his) is not None, "each owner has a number of their own"


def test_what_is_pinned_or_being_written_never_goes(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, Limits(runs=1))
    pinned = brought(shelf, created=1)
    shelf.change(ANN, pinned, pinned=True)
    shelf.hold("written")
    shelf.put(record_at(owner=ANN, run="written", created=2))
    third = brought(shelf, created=3)
    assert {record.id for record in shelf.records(ANN)} == {pinned, "written", third}, "who comes is not sent away"
    shelf.put(record_at(owner=ANN, run="written", created=2))
    assert {record.id for record in shelf.records(ANN)} == {pinned, "written"}


def test_the_oldest_of_who_takes_most_go_where_there_is_no_room(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, Limits(gigabytes=1e-4))
    his = brought(shelf, BEN, created=0, size=20_000)
    pinned = brought(shelf, ANN, created=1, size=30_000)
    shelf.change(ANN, pinned, pinned=True)
    old = brought(shelf, ANN, created=2, size=30_000)
    assert shelf.usage(ANN)[1] == shelf.usage(BEN)[1] > 80_000
    new = brought(shelf, ANN, created=3, size=30_000)
    assert {record.id for record in shelf.records(ANN)} == {pinned, new}
    assert not shelf.folder(old).exists()
    assert shelf.find(BEN, his) is not None
    shelf.change(ANN, new, pinned=True)
    his_new = brought(shelf, BEN, created=4, size=90_000)
    assert [record.id for record in shelf.records(BEN)] == [his_new], "the two of hers are pinned"
    assert not shelf.folder(his).exists()
    assert {record.id for record in shelf.records(ANN)} == {pinned, new}


def test_where_nothing_may_go_nothing_goes(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, Limits(runs=1, gigabytes=1e-9))
    for run in ("a", "b"):
        shelf.hold(run)
        written(tmp_path / run, b"")
        shelf.put(record_at(owner=ANN, run=run))
    assert len(shelf.records(ANN)) == 2


def test_what_is_deleted_makes_room_for_others(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, Limits(gigabytes=1e-4))
    old, deleted = (brought(shelf, created=created, size=40_000) for created in (1, 2))
    assert shelf.delete(ANN, deleted)
    new = brought(shelf, created=3, size=40_000)
    assert [record.id for record in shelf.records(ANN)] == [new, old]
    assert shelf.restore(ANN, deleted)


def test_the_size_of_a_run_grows_with_it(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    run = brought(shelf, size=1_000)
    before = shelf.usage(ANN)[1]
    shelf.attach(run, "more", bytes(500))
    shelf.put(shelf.records(ANN)[0])
    assert shelf.usage(ANN) == (1, before + 500)
    assert (shelf.attached(run, "more"), shelf.attached(run, "less")) == (bytes(500), None)
    assert Shelf(tmp_path).usage(ANN) == (1, before + 500)


def test_the_operator_sets_limits_and_hears_of_what_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert limits_of({}) == Limits()
    assert limits_of({RUNS: "3", GIGABYTES: "0.5"}) == Limits(3, 0.5)
    assert limits_of({RUNS: "", GIGABYTES: ""}) == Limits()
    assert limits_of({RUNS: "-3", GIGABYTES: "-3"}) == Limits(1, 0.1)
    assert capsys.readouterr().err == ""
    assert limits_of({RUNS: "many"}) == Limits()
    assert capsys.readouterr().err.startswith(f"{RUNS}=many: may be a number, such as 50")


# What is found when a server starts


def test_everything_is_there_again_after_a_restart(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    run = brought(shelf, created=5)
    shelf.change(ANN, run, name="mine", pinned=True, published=True)
    brought(shelf, BEN, created=6)
    again = Shelf(tmp_path)
    assert again.records(ANN) == shelf.records(ANN)
    assert again.published() == shelf.published()
    assert again.usage(BEN) == (1, sum(map(len, everything(tmp_path).values())))
    assert again.skipped == []


@pytest.mark.parametrize("status", ["running", "interrupted", "finished", "halted", "failed", "stopped"])
def test_a_run_under_way_was_interrupted(status: str, tmp_path: Path) -> None:
    written(tmp_path / "run", packed_record(record_at(owner=ANN, run="run", status=status)))
    (found,) = Shelf(tmp_path).records(ANN)
    assert found.status == ("interrupted" if status == "running" else status)


def test_torn_and_foreign_folders_are_named_and_left_alone(tmp_path: Path) -> None:
    whole = packed_record(record_at(owner=ANN, run="whole"))
    written(tmp_path / "whole", whole)
    written(tmp_path / "torn", whole[:-9])
    written(tmp_path / "renamed", whole)
    written(tmp_path / "foreign", b'{"name": "photos"}')
    written(tmp_path / "nested", b"[" * 100_000)
    written(tmp_path / "endless", whole.replace(b'"step": 3', b'"step": 1' + b"0" * 400))
    written(tmp_path / ".hidden", b"of somebody else")
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder" / RECORD).mkdir(parents=True)
    (tmp_path / "a file").write_bytes(b"x")
    before = everything(tmp_path)
    shelf = Shelf(tmp_path)
    assert [record.id for record in shelf.records(ANN)] == ["whole"]
    assert shelf.skipped == sorted([".hidden", "empty", "endless", "folder", "foreign", "nested", "renamed", "torn"])
    brought(shelf)
    shelf.tend()
    assert before.items() <= everything(tmp_path).items()


def test_no_folder_at_all_is_an_empty_shelf(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "not" / "yet")
    assert (shelf.records(ANN), shelf.usage(ANN), shelf.skipped) == ([], (0, 0), [])
    assert shelf.find(ANN, brought(shelf)) is not None


def test_what_goes_is_deleted_without_the_lock_that_everybody_needs(tmp_path: Path) -> None:
    """Who is told asks the shelf in another thread, as a page does: with the lock held, both would wait for ever."""
    heard: list[int] = []

    def told(run: str) -> None:
        asking = threading.Thread(target=lambda: heard.append(len(shelf.records(ANN))), daemon=True)
        asking.start()
        asking.join(10)

    shelf = Shelf(tmp_path, Limits(runs=1), on_gone=told)
    brought(shelf, created=1)
    brought(shelf, created=2)
    assert heard == [1]


def test_a_run_that_another_server_writes_is_not_deleted(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, Limits(runs=1))
    theirs = brought(shelf, created=1)
    with locked(shelf.folder(theirs)):
        brought(shelf, created=2)
        assert shelf.folder(theirs).is_dir()
        assert shelf.find(ANN, theirs) is not None


def test_a_run_that_is_doomed_goes_as_soon_as_nobody_writes_it(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    run = brought(shelf)
    shelf.hold(run)
    shelf.doom(ANN, run)
    shelf.tend()
    assert shelf.folder(run).is_dir()
    shelf.let_go(run)
    shelf.tend()
    assert not shelf.folder(run).exists()


def test_what_is_deleted_is_gone_when_the_server_is(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    run = brought(shelf)
    assert shelf.delete(ANN, run)
    shelf.close()
    assert Shelf(tmp_path).records(ANN) == []


@pytest.mark.parametrize("value", ["inf", "nan", "-inf", "many"])
def test_a_limit_that_cannot_be_read_is_named_and_the_default_counts(
    value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert limits_of({"SIAMESE_KEEP_RUNS": value, "SIAMESE_KEEP_GB": value}) == Limits()
    assert capsys.readouterr().err.count(f"={value}: may be a number") == 2
