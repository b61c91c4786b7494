"""All runs of a machine: how many there may be, what is never let go, and what is found when a server starts."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from siamese_core.engine.storage.limits import GIGABYTES, RUNS, Limits, limits_of
from siamese_core.engine.storage.store import RunStore
from siamese_core.runs.disk_format import locked
from siamese_core.runs.info import INFO, packed_info
from tests.support.runs import ANN, BEN, everything, imported, info_at, written


def test_the_oldest_go_where_an_owner_has_too_many(tmp_path: Path) -> None:
    store = RunStore(tmp_path, Limits(runs=2))
    his = imported(store, BEN, created=0)
    first, second, third = (imported(store, ANN, created=created) for created in (1, 3, 2))
    assert [info.id for info in store.infos(ANN)] == [second, third], "the newest first"
    assert not store.folder(first).exists()
    assert store.find(BEN, his) is not None, "each owner has a number of their own"


def test_what_is_pinned_or_being_written_never_goes(tmp_path: Path) -> None:
    store = RunStore(tmp_path, Limits(runs=1))
    pinned = imported(store, created=1)
    store.change(ANN, pinned, pinned=True)
    store.acquire("written")
    store.put(info_at(owner=ANN, run="written", created=2))
    third = imported(store, created=3)
    assert {info.id for info in store.infos(ANN)} == {pinned, "written", third}, "who comes is not sent away"
    store.put(info_at(owner=ANN, run="written", created=2))
    assert {info.id for info in store.infos(ANN)} == {pinned, "written"}


def test_the_oldest_of_who_takes_most_go_where_there_is_no_room(tmp_path: Path) -> None:
    store = RunStore(tmp_path, Limits(gigabytes=1e-4))
    his = imported(store, BEN, created=0, size=20_000)
    pinned = imported(store, ANN, created=1, size=30_000)
    store.change(ANN, pinned, pinned=True)
    old = imported(store, ANN, created=2, size=30_000)
    assert store.usage(ANN)[1] == store.usage(BEN)[1] > 80_000
    new = imported(store, ANN, created=3, size=30_000)
    assert {info.id for info in store.infos(ANN)} == {pinned, new}
    assert not store.folder(old).exists()
    assert store.find(BEN, his) is not None
    store.change(ANN, new, pinned=True)
    his_new = imported(store, BEN, created=4, size=90_000)
    assert [info.id for info in store.infos(BEN)] == [his_new], "the two of hers are pinned"
    assert not store.folder(his).exists()
    assert {info.id for info in store.infos(ANN)} == {pinned, new}


def test_where_nothing_may_go_nothing_goes(tmp_path: Path) -> None:
    store = RunStore(tmp_path, Limits(runs=1, gigabytes=1e-9))
    for run in ("a", "b"):
        store.acquire(run)
        written(tmp_path / run, b"")
        store.put(info_at(owner=ANN, run=run))
    assert len(store.infos(ANN)) == 2


def test_what_is_deleted_makes_room_for_others(tmp_path: Path) -> None:
    store = RunStore(tmp_path, Limits(gigabytes=1e-4))
    old, deleted = (imported(store, created=created, size=40_000) for created in (1, 2))
    assert store.delete(ANN, deleted)
    new = imported(store, created=3, size=40_000)
    assert [info.id for info in store.infos(ANN)] == [new, old]
    assert store.restore(ANN, deleted)


def test_the_size_of_a_run_grows_with_it(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    run = imported(store, size=1_000)
    before = store.usage(ANN)[1]
    store.attach(run, "more", bytes(500))
    store.put(store.infos(ANN)[0])
    assert store.usage(ANN) == (1, before + 500)
    assert (store.attached(run, "more"), store.attached(run, "less")) == (bytes(500), None)
    assert RunStore(tmp_path).usage(ANN) == (1, before + 500)


def test_the_operator_sets_limits_and_is_warned_of_what_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert limits_of({}) == Limits()
    assert limits_of({RUNS: "3", GIGABYTES: "0.5"}) == Limits(3, 0.5)
    assert limits_of({RUNS: "", GIGABYTES: ""}) == Limits()
    assert limits_of({RUNS: "-3", GIGABYTES: "-3"}) == Limits(1, 0.1)
    assert capsys.readouterr().err == ""
    assert limits_of({RUNS: "many"}) == Limits()
    assert capsys.readouterr().err.startswith(f"{RUNS}=many: may be a number, such as 50")


# What is found when a server starts


def test_everything_is_there_again_after_a_restart(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    run = imported(store, created=5)
    store.change(ANN, run, name="first try", pinned=True, published=True)
    imported(store, BEN, created=6)
    again = RunStore(tmp_path)
    assert again.infos(ANN) == store.infos(ANN)
    assert again.published() == store.published()
    assert again.usage(BEN) == (1, sum(map(len, everything(tmp_path).values())))
    assert again.skipped == []


@pytest.mark.parametrize("status", ["running", "interrupted", "finished", "halted", "failed", "stopped"])
def test_a_run_under_way_was_interrupted(status: str, tmp_path: Path) -> None:
    written(tmp_path / "run", packed_info(info_at(owner=ANN, run="run", status=status)))
    (found,) = RunStore(tmp_path).infos(ANN)
    assert found.status == ("interrupted" if status == "running" else status)


def test_torn_and_foreign_folders_are_named_and_left_alone(tmp_path: Path) -> None:
    whole = packed_info(info_at(owner=ANN, run="whole"))
    written(tmp_path / "whole", whole)
    written(tmp_path / "torn", whole[:-9])
    written(tmp_path / "renamed", whole)
    written(tmp_path / "foreign", b'{"name": "photos"}')
    written(tmp_path / "nested", b"[" * 100_000)
    written(tmp_path / "endless", whole.replace(b'"step": 3', b'"step": 1' + b"0" * 400))
    written(tmp_path / ".hidden", b"of somebody else")
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder" / INFO).mkdir(parents=True)
    (tmp_path / "a file").write_bytes(b"x")
    before = everything(tmp_path)
    store = RunStore(tmp_path)
    assert [info.id for info in store.infos(ANN)] == ["whole"]
    assert store.skipped == sorted([".hidden", "empty", "endless", "folder", "foreign", "nested", "renamed", "torn"])
    imported(store)
    store.sweep_expired()
    assert before.items() <= everything(tmp_path).items()


def test_no_folder_at_all_is_an_empty_store(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "not" / "yet")
    assert (store.infos(ANN), store.usage(ANN), store.skipped) == ([], (0, 0), [])
    assert store.find(ANN, imported(store)) is not None


def test_what_goes_is_deleted_without_the_lock_that_everybody_needs(tmp_path: Path) -> None:
    """The callback reads the store in another thread, as a page does: with the lock held, both would wait for ever."""
    counts: list[int] = []

    def on_gone(run: str) -> None:
        reader = threading.Thread(target=lambda: counts.append(len(store.infos(ANN))), daemon=True)
        reader.start()
        reader.join(10)

    store = RunStore(tmp_path, Limits(runs=1), on_gone=on_gone)
    imported(store, created=1)
    imported(store, created=2)
    assert counts == [1]


def test_a_run_that_another_server_writes_is_not_deleted(tmp_path: Path) -> None:
    store = RunStore(tmp_path, Limits(runs=1))
    theirs = imported(store, created=1)
    with locked(store.folder(theirs)):
        imported(store, created=2)
        assert store.folder(theirs).is_dir()
        assert store.find(ANN, theirs) is not None


def test_a_run_that_is_doomed_goes_as_soon_as_nobody_writes_it(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    run = imported(store)
    store.acquire(run)
    store.delete_when_idle(ANN, run)
    store.sweep_expired()
    assert store.folder(run).is_dir()
    store.release(run)
    store.sweep_expired()
    assert not store.folder(run).exists()


def test_what_is_deleted_is_gone_when_the_server_is(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    run = imported(store)
    assert store.delete(ANN, run)
    store.close()
    assert RunStore(tmp_path).infos(ANN) == []


@pytest.mark.parametrize("value", ["inf", "nan", "-inf", "many"])
def test_a_limit_that_cannot_be_read_is_named_and_the_default_counts(
    value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert limits_of({"SIAMESE_KEEP_RUNS": value, "SIAMESE_KEEP_GB": value}) == Limits()
    assert capsys.readouterr().err.count(f"={value}: may be a number") == 2
