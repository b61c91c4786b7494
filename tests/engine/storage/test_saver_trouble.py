"""Saving without room on the disk, and with errors of ours: it is said, training goes on, nothing is half-written."""

from __future__ import annotations

import os
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from siamese_core.engine.storage.saver import Keeping
from siamese_core.engine.storage.store import Shelf
from siamese_core.runs import writer
from siamese_core.runs.folder import MODEL, Saved, load
from siamese_core.runs.record import RECORD, Record
from siamese_core.runs.recording import RUN
from tests.support.killing import FORKED
from tests.support.saving import (
    ANN,
    EVERY,
    TOTAL,
    Clock,
    Disk,
    begin,
    everything,
    on_disk,
    probe,
    saved_at,
    until_over,
    viewed,
    wake,
)
from tests.support.waiting import until


def find_no_room(keeping: Keeping, clock: Clock, disk: Disk) -> None:
    """A run begins, and its first save meets a full disk."""
    begin(keeping)
    disk.full = True
    keeping.state("run", saved_at(1))
    clock.now += EVERY
    wake(keeping)
    until(lambda: keeping.problem("run"), "the problem")


def test_a_full_disk_is_said_and_the_newest_state_is_saved_when_there_is_room(
    keeping: Keeping, clock: Clock, disk: Disk, shelf: Shelf
) -> None:
    find_no_room(keeping, clock, disk)
    assert keeping.problem("run") == "Not saved: No space left on device. The training goes on."
    assert shelf.records(ANN) == []
    keeping.state("run", saved_at(2))
    disk.full = False
    clock.now += EVERY
    wake(keeping)
    until(lambda: disk.steps == [2], "a save")
    until(lambda: keeping.problem("run") == "", "the end of the problem")
    assert shelf.records(ANN)[0].step == 2


def test_a_state_that_found_no_room_is_tried_again_by_itself(keeping: Keeping, clock: Clock, disk: Disk) -> None:
    """A run that rests has no newer one."""
    find_no_room(keeping, clock, disk)
    disk.full = False
    clock.now += EVERY
    wake(keeping)
    until(lambda: disk.steps == [1], "a save")


@pytest.mark.parametrize("was_saved_before", [False, True])
def test_a_run_that_ends_on_a_full_disk_is_saved_when_there_is_room(
    was_saved_before: bool, keeping: Keeping, clock: Clock, disk: Disk, shelf: Shelf, ended: list[Record]
) -> None:
    begin(keeping)
    if was_saved_before:
        keeping.state("run", saved_at(1))
        clock.now += EVERY
        wake(keeping)
        until(lambda: shelf.records(ANN), "a save")
    disk.full = True
    keeping.state("run", saved_at(TOTAL))
    keeping.end("run", "finished")
    until(lambda: keeping.problem("run"), "the problem")
    assert shelf.is_held("run") and ended == []
    disk.full = False
    clock.now += EVERY
    wake(keeping)
    until_over(keeping)
    assert on_disk(shelf, "run").status == shelf.records(ANN)[0].status == "finished"
    assert (shelf.folder("run") / MODEL).is_file()
    assert len(ended) == 1


def test_a_server_that_closes_on_a_full_disk_does_close(
    keeping: Keeping, clock: Clock, disk: Disk, shelf: Shelf
) -> None:
    begin(keeping)
    disk.full = True
    keeping.state("run", saved_at(TOTAL))
    keeping.end("run", "finished")
    until(lambda: keeping.problem("run"), "the problem")
    keeping.close()
    assert not keeping._thread.is_alive()
    assert everything(shelf.root) == {}, "nothing half-written"


@pytest.mark.parametrize("breaks", ["save", "put"])
def test_an_error_of_ours_in_one_run_leaves_the_others_alone(
    breaks: str, keeping: Keeping, disk: Disk, shelf: Shelf, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    put, save = shelf.put, writer.save

    def broken_put(record: Record) -> None:
        if record.id == "bad":
            raise AssertionError("ours")
        put(record)

    def broken_save(folder: Path, saved: Saved, frames: Any) -> None:
        if folder.name == "bad":
            raise AssertionError("ours")
        save(folder, saved, frames)

    if breaks == "put":
        monkeypatch.setattr(shelf, "put", broken_put)
    else:
        monkeypatch.setattr(writer, "save", broken_save)
    for run in ("bad", "good"):
        begin(keeping, run)
        keeping.state(run, saved_at(1))
        keeping.end(run, "stopped")
    for run in ("bad", "good"):
        until_over(keeping, run)
    assert [record.id for record in shelf.records(ANN)] == ["good"]
    assert "AssertionError: ours" in capsys.readouterr().err


def little_room(folder: Path, answers: Connection) -> None:
    """In a process that may write no file of more than a hundred bytes, and then may."""
    import resource

    writer.probe_images = lambda *_: probe()  # type: ignore[assignment]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    keeping = Keeping(Shelf(folder), viewed, every=0.0)
    begin(keeping)
    keeping.state("run", saved_at(1))
    answers.send(until(lambda: keeping.problem("run"), "the problem"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    keeping.state("run", saved_at(TOTAL))
    keeping.end("run", "finished")
    until_over(keeping)
    keeping.close()
    answers.send([str(name) for name in everything(folder)])


@pytest.mark.skipif(os.name != "posix", reason="limits of a process")
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    answers, theirs = FORKED.Pipe()
    process = FORKED.Process(target=little_room, args=(tmp_path, theirs))
    process.start()
    theirs.close()
    assert answers.recv() == "Not saved: File too large. The training goes on."
    written = answers.recv()
    process.join()
    assert process.exitcode == 0
    assert not [name for name in written if name.endswith(".part")]
    assert {f"run/{name}" for name in (RUN, RECORD, MODEL)} <= set(written)
    assert Shelf(tmp_path).records(ANN)[0].status == "finished"
    assert load(tmp_path / "run").finished
