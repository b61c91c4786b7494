"""All runs of a machine: whose they are, and what others see of them."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from siamese_core.engine.storage import store as store_module
from siamese_core.engine.storage.store import ABANDONED_AFTER, UNDO_FOR, RunStore, hashed, new_id
from siamese_core.formats.files import PART
from siamese_core.formats.safetensors import Damaged
from siamese_core.runs.disk_format import FolderRejected
from siamese_core.runs.history import RUN
from siamese_core.runs.info import INFO, MAX_NAME, packed_info
from tests.support.runs import ANN, BEN, Clock, everything, files_at, imported, info_at, on_disk, written

# Owners


OF_A_RUN: dict[str, Callable[[RunStore, str, str], Any]] = {
    "find": lambda store, owner, run: store.find(owner, run),
    "owned": lambda store, owner, run: store.owned(owner, run),
    "files": lambda store, owner, run: store.files(owner, run),
    "run_history": lambda store, owner, run: store.run_history(owner, run),
    "checkpoint": lambda store, owner, run: store.checkpoint(owner, run),
    "change": lambda store, owner, run: store.change(owner, run, name="first try"),
    "delete": lambda store, owner, run: store.delete(owner, run),
    "delete_when_idle": lambda store, owner, run: store.delete_when_idle(owner, run),
    "restore": lambda store, owner, run: store.restore(owner, run),
    "is_deleted": lambda store, owner, run: store.is_deleted(owner, run),
}


def test_every_way_to_a_run_is_tried_below() -> None:
    ways = inspect.getmembers(RunStore, inspect.isfunction)
    methods = {name for name, function in ways if [*inspect.signature(function).parameters][1:3] == ["owner", "run"]}
    assert methods == OF_A_RUN.keys()


def test_two_owners_never_see_each_other(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    hers, his = imported(store, ANN), imported(store, BEN)
    assert [info.id for info in store.infos(ANN)] == [hers]
    assert [info.id for info in store.infos(BEN)] == [his]
    assert store.infos(hashed("somebody else")) == store.published() == []
    assert store.usage(ANN)[0] == store.usage(BEN)[0] == 1


@pytest.mark.parametrize("way", OF_A_RUN)
def test_a_foreign_run_is_like_an_unknown_one(way: str, tmp_path: Path) -> None:
    store, read = RunStore(tmp_path), OF_A_RUN[way]
    hers = imported(store, ANN)
    deleted = imported(store, ANN)
    assert store.delete(ANN, deleted)
    before = everything(tmp_path), store.infos(ANN)
    unknown = read(store, BEN, new_id())
    assert not unknown
    for run in (hers, deleted, "", ".", "..", f"../{hers}", f"{hers}/", hers[:-1], hers.swapcase()):
        assert read(store, BEN, run) is unknown
        if run not in (hers, deleted):
            assert read(store, ANN, run) is unknown
    for owner in ("", "ann", ANN.upper(), ANN[:-1], "é"):
        assert read(store, owner, hers) is unknown
    assert (everything(tmp_path), store.infos(ANN)) == before
    assert store.restore(ANN, deleted), "nobody else has made it worse"


@pytest.mark.parametrize("way", [way for way in OF_A_RUN if way not in ("restore", "is_deleted")])
def test_a_deleted_run_is_like_an_unknown_one(way: str, tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    run = imported(store, published=True)
    assert store.delete(ANN, run)
    for owner in (ANN, BEN):
        assert OF_A_RUN[way](store, owner, run) is OF_A_RUN[way](store, owner, new_id())
    assert store.infos(ANN) == store.published() == []


def test_a_published_run_can_be_looked_at_and_not_changed_by_others(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    run = imported(store)
    assert store.change(ANN, run, published=True, name="look")
    assert [info.name for info in store.published()] == ["look"]
    assert store.infos(BEN) == []
    found, run_history, checkpoint = store.find(BEN, run), store.run_history(BEN, run), store.checkpoint(BEN, run)
    assert found is not None and run_history is not None and checkpoint is not None
    assert (found.name, len(run_history.film), checkpoint.state.step) == ("look", 3, 3)
    assert store.files(BEN, run) == store.files(ANN, run) is not None
    assert store.owned(BEN, run) is None
    assert not store.change(BEN, run, name="first try")
    assert not store.delete(BEN, run)
    assert store.delete(ANN, run)
    assert not store.restore(BEN, run) and not store.is_deleted(BEN, run)
    assert store.restore(ANN, run)
    assert store.change(ANN, run, published=False)
    assert store.find(BEN, run) is store.run_history(BEN, run) is None


def test_a_record_with_a_strange_owner_is_nobodys(tmp_path: Path) -> None:
    written(tmp_path / "strange", packed_info(info_at(owner="é", run="strange", status="finished")))
    info = info_at(owner="é", run="seen", status="finished")
    written(tmp_path / "seen", packed_info(replace(info, published=True)))
    store = RunStore(tmp_path)
    assert store.owned(ANN, "strange") is None
    assert store.owned(ANN, "seen") is None
    assert store.find(ANN, "seen") is not None


# Deletion


def test_a_deletion_can_be_taken_back_for_a_while_and_then_not(tmp_path: Path) -> None:
    clock, gone = Clock(), list[str]()
    store = RunStore(tmp_path, clock=clock, on_gone=gone.append)
    run = imported(store)
    before = everything(tmp_path)
    assert store.delete(ANN, run) and store.is_deleted(ANN, run)
    assert not store.delete(ANN, run), "it is deleted"
    clock.now += UNDO_FOR
    store.sweep_expired()
    assert store.restore(ANN, run)
    assert not store.restore(ANN, run), "it is there"
    store.sweep_expired()
    assert [info.id for info in store.infos(ANN)] == [run]
    assert everything(tmp_path) == before
    assert store.delete(ANN, run)
    clock.now += UNDO_FOR + 1
    store.sweep_expired()
    assert not store.restore(ANN, run) and not store.is_deleted(ANN, run)
    assert not list(tmp_path.iterdir())
    assert gone == [run]
    assert store.usage(ANN) == (0, 0)


def test_a_run_that_is_being_written_is_not_deleted(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    run = imported(store)
    store.acquire(run)
    assert store.is_busy(run) and not store.delete(ANN, run)
    store.release(run)
    assert store.delete(ANN, run)


def test_a_folder_that_cannot_be_removed_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    store = RunStore(tmp_path, clock=clock)
    run = imported(store)
    store.delete(ANN, run)
    clock.now += UNDO_FOR + 1

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refused)
    store.sweep_expired()
    assert store.find(ANN, run) is None


# What an owner says of a run while it is being written


def test_a_name_survives_a_save_at_the_same_time(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    run = imported(store)
    (info,) = store.infos(ANN)
    writing = store.as_named(info)
    store.change(ANN, run, name="first try", pinned=True, published=True)
    # The save that began before that writes the record as it was, and says so.
    (store.folder(run) / INFO).write_bytes(packed_info(writing))
    store.put(replace(writing, status="finished", step=9))
    for found in (*store.infos(ANN), on_disk(store, run)):
        assert (found.name, found.pinned, found.published) == ("first try", True, True)
        assert (found.status, found.step) == ("finished", 9)


def test_a_name_is_short_enough_to_be_read_again(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    run = imported(store)
    store.change(ANN, run, name="n" * 1_000)
    assert on_disk(store, run).name == "n" * MAX_NAME


def test_a_name_on_a_full_disk_holds_as_long_as_the_server_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RunStore(tmp_path)
    run = imported(store)
    with monkeypatch.context() as patch:
        patch.setattr(store_module, "write_atomic", full)
        assert store.change(ANN, run, name="first try")
    assert store.infos(ANN)[0].name == "first try"
    assert on_disk(store, run).name == ""


def full(*_: object) -> None:
    raise OSError(28, "No space left on device")


# Runs that are imported


def test_an_imported_run_is_its_importers_under_a_new_id(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    first, second = (store.import_run(ANN, files_at(3), info_at(owner=BEN, run="chosen")) for _ in range(2))
    assert len({first, second, "chosen"}) == 3
    assert {info.id for info in store.infos(ANN)} == {first, second}
    assert store.infos(BEN) == []
    assert store.files(ANN, first) == files_at(3)


@pytest.mark.parametrize("fails_at", range(4))
def test_a_run_is_imported_whole_or_not_at_all(fails_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = RunStore(tmp_path)
    calls = iter(range(9))
    write_atomic = store_module.write_atomic

    def nearly_full(path: Path, content: bytes) -> None:
        if next(calls) == fails_at:
            full()
        write_atomic(path, content)

    monkeypatch.setattr(store_module, "write_atomic", nearly_full)
    with pytest.raises(OSError, match="No space"):
        imported(store)
    assert not list(tmp_path.iterdir())
    assert store.infos(ANN) == []


def test_what_a_kill_left_of_importing_a_run_is_cleared_away(tmp_path: Path) -> None:
    for name, content in files_at(3).items():
        path = tmp_path / f".{new_id()}{PART}" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    assert RunStore(tmp_path).skipped == []
    assert list(tmp_path.iterdir()), "another server may be at it"
    assert RunStore(tmp_path, clock=lambda: time.time() + ABANDONED_AFTER + 60).skipped == []
    assert not list(tmp_path.iterdir())


def test_ids_can_be_names_of_folders_and_are_not_guessed() -> None:
    ids = {new_id() for _ in range(1_000)}
    assert len(ids) == 1_000
    assert all(len(run) == 16 and run.replace("-", "").replace("_", "").isalnum() for run in ids)


def test_a_run_whose_record_is_torn_on_the_way_is_still_damage(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    run = imported(store)
    (store.folder(run) / RUN).write_bytes(b"x")
    with pytest.raises(FolderRejected, match="damaged") as rejected:
        store.run_history(ANN, run)
    assert not isinstance(rejected.value, Damaged)
    assert str(tmp_path) not in str(rejected.value)


@pytest.mark.parametrize("read", [RunStore.files, RunStore.checkpoint, RunStore.run_history])
def test_where_a_run_lies_on_the_disk_is_not_revealed(
    read: Callable[[RunStore, str, str], Any], tmp_path: Path
) -> None:
    store = RunStore(tmp_path)
    run = imported(store)
    (store.folder(run) / "run.safetensors").unlink()
    with pytest.raises(FolderRejected) as rejected:
        read(store, ANN, run)
    assert str(rejected.value).startswith("This run")
    assert str(tmp_path) not in str(rejected.value)
