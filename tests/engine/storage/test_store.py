"""All runs of a machine: whose they are, and what others see of them."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from siamese_core.engine.storage import store as shelf_module
from siamese_core.engine.storage.store import ABANDONED_AFTER, UNDO_FOR, Shelf, hashed, new_id
from siamese_core.formats.files import PART
from siamese_core.formats.run_format import Damaged
from siamese_core.runs.folder import FolderRejected
from siamese_core.runs.record import MAX_NAME, RECORD, packed_record
from siamese_core.runs.recording import RUN
from tests.support.saving import ANN, BEN, Clock, brought, everything, files_at, on_disk, record_at, written

# Owners


OF_A_RUN: dict[str, Callable[[Shelf, str, str], Any]] = {
    "find": lambda shelf, owner, run: shelf.find(owner, run),
    "own": lambda shelf, owner, run: shelf.own(owner, run),
    "files": lambda shelf, owner, run: shelf.files(owner, run),
    "recording": lambda shelf, owner, run: shelf.recording(owner, run),
    "saved": lambda shelf, owner, run: shelf.saved(owner, run),
    "change": lambda shelf, owner, run: shelf.change(owner, run, name="mine"),
    "delete": lambda shelf, owner, run: shelf.delete(owner, run),
    "doom": lambda shelf, owner, run: shelf.doom(owner, run),
    "restore": lambda shelf, owner, run: shelf.restore(owner, run),
    "is_deleted": lambda shelf, owner, run: shelf.is_deleted(owner, run),
}


def test_every_way_to_a_run_is_tried_below() -> None:
    ways = inspect.getmembers(Shelf, inspect.isfunction)
    asks = {name for name, function in ways if [*inspect.signature(function).parameters][1:3] == ["owner", "run"]}
    assert asks == OF_A_RUN.keys()


def test_two_owners_never_see_each_other(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    hers, his = brought(shelf, ANN), brought(shelf, BEN)
    assert [record.id for record in shelf.records(ANN)] == [hers]
    assert [record.id for record in shelf.records(BEN)] == [his]
    assert shelf.records(hashed("somebody else")) == shelf.published() == []
    assert shelf.usage(ANN)[0] == shelf.usage(BEN)[0] == 1


@pytest.mark.parametrize("way", OF_A_RUN)
def test_a_foreign_run_answers_like_an_unknown_one(way: str, tmp_path: Path) -> None:
    shelf, ask = Shelf(tmp_path), OF_A_RUN[way]
    hers = brought(shelf, ANN)
    deleted = brought(shelf, ANN)
    assert shelf.delete(ANN, deleted)
    before = everything(tmp_path), shelf.records(ANN)
    unknown = ask(shelf, BEN, new_id())
    assert not unknown
    for run in (hers, deleted, "", ".", "..", f"../{hers}", f"{hers}/", hers[:-1], hers.swapcase()):
        assert ask(shelf, BEN, run) is unknown
        if run not in (hers, deleted):
            assert ask(shelf, ANN, run) is unknown
    for owner in ("", "ann", ANN.upper(), ANN[:-1], "é"):
        assert ask(shelf, owner, hers) is unknown
    assert (everything(tmp_path), shelf.records(ANN)) == before
    assert shelf.restore(ANN, deleted), "nobody else has made it worse"


@pytest.mark.parametrize("way", [way for way in OF_A_RUN if way not in ("restore", "is_deleted")])
def test_a_deleted_run_answers_like_an_unknown_one(way: str, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    run = brought(shelf, published=True)
    assert shelf.delete(ANN, run)
    for owner in (ANN, BEN):
        assert OF_A_RUN[way](shelf, owner, run) is OF_A_RUN[way](shelf, owner, new_id())
    assert shelf.records(ANN) == shelf.published() == []


def test_a_published_run_can_be_looked_at_and_not_changed_by_others(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    run = brought(shelf)
    assert shelf.change(ANN, run, published=True, name="look")
    assert [record.name for record in shelf.published()] == ["look"]
    assert shelf.records(BEN) == []
    found, recording, saved = shelf.find(BEN, run), shelf.recording(BEN, run), shelf.saved(BEN, run)
    assert found is not None and recording is not None and saved is not None
    assert (found.name, len(recording.film), saved.state.step) == ("look", 3, 3)
    assert shelf.files(BEN, run) == shelf.files(ANN, run) is not None
    assert shelf.own(BEN, run) is None
    assert not shelf.change(BEN, run, name="mine")
    assert not shelf.delete(BEN, run)
    assert shelf.delete(ANN, run)
    assert not shelf.restore(BEN, run) and not shelf.is_deleted(BEN, run)
    assert shelf.restore(ANN, run)
    assert shelf.change(ANN, run, published=False)
    assert shelf.find(BEN, run) is shelf.recording(BEN, run) is None


def test_a_record_with_a_strange_owner_is_nobodys(tmp_path: Path) -> None:
    written(tmp_path / "strange", packed_record(record_at(owner="é", run="strange", status="finished")))
    record = record_at(owner="é", run="seen", status="finished")
    written(tmp_path / "seen", packed_record(replace(record, published=True)))
    shelf = Shelf(tmp_path)
    assert shelf.own(ANN, "strange") is None
    assert shelf.own(ANN, "seen") is None
    assert shelf.find(ANN, "seen") is not None


# Deletion


def test_a_deletion_can_be_taken_back_for_a_while_and_then_not(tmp_path: Path) -> None:
    clock, gone = Clock(), list[str]()
    shelf = Shelf(tmp_path, clock=clock, on_gone=gone.append)
    run = brought(shelf)
    before = everything(tmp_path)
    assert shelf.delete(ANN, run) and shelf.is_deleted(ANN, run)
    assert not shelf.delete(ANN, run), "it is deleted"
    clock.now += UNDO_FOR
    shelf.tend()
    assert shelf.restore(ANN, run)
    assert not shelf.restore(ANN, run), "it is there"
    shelf.tend()
    assert [record.id for record in shelf.records(ANN)] == [run]
    assert everything(tmp_path) == before
    assert shelf.delete(ANN, run)
    clock.now += UNDO_FOR + 1
    shelf.tend()
    assert not shelf.restore(ANN, run) and not shelf.is_deleted(ANN, run)
    assert not list(tmp_path.iterdir())
    assert gone == [run]
    assert shelf.usage(ANN) == (0, 0)


def test_a_run_that_is_being_written_is_not_deleted(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    run = brought(shelf)
    shelf.hold(run)
    assert shelf.is_held(run) and not shelf.delete(ANN, run)
    shelf.let_go(run)
    assert shelf.delete(ANN, run)


def test_a_folder_that_cannot_be_removed_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    shelf = Shelf(tmp_path, clock=clock)
    run = brought(shelf)
    shelf.delete(ANN, run)
    clock.now += UNDO_FOR + 1

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refused)
    shelf.tend()
    assert shelf.find(ANN, run) is None


# What an owner says of a run while it is being written


def test_a_name_survives_a_save_at_the_same_time(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    run = brought(shelf)
    (record,) = shelf.records(ANN)
    writing = shelf.as_named(record)
    shelf.change(ANN, run, name="mine", pinned=True, published=True)
    # The save that began before that writes the record as it was, and says so.
    (shelf.folder(run) / RECORD).write_bytes(packed_record(writing))
    shelf.put(replace(writing, status="finished", step=9))
    for found in (*shelf.records(ANN), on_disk(shelf, run)):
        assert (found.name, found.pinned, found.published) == ("mine", True, True)
        assert (found.status, found.step) == ("finished", 9)


def test_a_name_is_short_enough_to_be_read_again(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    run = brought(shelf)
    shelf.change(ANN, run, name="n" * 1_000)
    assert on_disk(shelf, run).name == "n" * MAX_NAME


def test_a_name_on_a_full_disk_holds_as_long_as_the_server_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf(tmp_path)
    run = brought(shelf)
    with monkeypatch.context() as patch:
        patch.setattr(shelf_module, "write_whole", full)
        assert shelf.change(ANN, run, name="mine")
    assert shelf.records(ANN)[0].name == "mine"
    assert on_disk(shelf, run).name == ""


def full(*_: object) -> None:
    raise OSError(28, "No space left on device")


# Runs that are brought


def test_a_run_that_is_brought_is_its_bringers_under_a_new_id(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    first, second = (shelf.bring(ANN, files_at(3), record_at(owner=BEN, run="chosen")) for _ in range(2))
    assert len({first, second, "chosen"}) == 3
    assert {record.id for record in shelf.records(ANN)} == {first, second}
    assert shelf.records(BEN) == []
    assert shelf.files(ANN, first) == files_at(3)


@pytest.mark.parametrize("fails_at", range(4))
def test_a_run_is_brought_whole_or_not_at_all(fails_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf(tmp_path)
    calls = iter(range(9))
    write_whole = shelf_module.write_whole

    def nearly_full(path: Path, content: bytes) -> None:
        if next(calls) == fails_at:
            full()
        write_whole(path, content)

    monkeypatch.setattr(shelf_module, "write_whole", nearly_full)
    with pytest.raises(OSError, match="No space"):
        brought(shelf)
    assert not list(tmp_path.iterdir())
    assert shelf.records(ANN) == []


def test_what_a_kill_left_of_bringing_a_run_is_cleared_away(tmp_path: Path) -> None:
    for name, content in files_at(3).items():
        path = tmp_path / f".{new_id()}{PART}" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    assert Shelf(tmp_path).skipped == []
    assert list(tmp_path.iterdir()), "another server may be at it"
    assert Shelf(tmp_path, clock=lambda: time.time() + ABANDONED_AFTER + 60).skipped == []
    assert not list(tmp_path.iterdir())


def test_ids_can_be_names_of_folders_and_are_not_guessed() -> None:
    ids = {new_id() for _ in range(1_000)}
    assert len(ids) == 1_000
    assert all(len(run) == 16 and run.replace("-", "").replace("_", "").isalnum() for run in ids)


def test_a_run_whose_record_is_torn_on_the_way_is_still_damage(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    run = brought(shelf)
    (shelf.folder(run) / RUN).write_bytes(b"x")
    with pytest.raises(ValueError, match="damaged") as rejected:
        shelf.recording(ANN, run)
    assert not isinstance(rejected.value, Damaged)
    assert str(tmp_path) not in str(rejected.value)


@pytest.mark.parametrize("ask", [Shelf.files, Shelf.saved, Shelf.recording])
def test_where_a_run_lies_on_the_disk_is_not_told(ask: Callable[[Shelf, str, str], Any], tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    run = brought(shelf)
    (shelf.folder(run) / "run.safetensors").unlink()
    with pytest.raises(FolderRejected) as rejected:
        ask(shelf, ANN, run)
    assert str(rejected.value).startswith("This run")
    assert str(tmp_path) not in str(rejected.value)
