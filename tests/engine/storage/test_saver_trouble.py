"""Saving without room on the disk, and with errors of ours: reported, training goes on, nothing is half-written."""

from __future__ import annotations

import os
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from siamese_core.engine.storage import saver as saver_module
from siamese_core.engine.storage.saver import RunSaver
from siamese_core.engine.storage.store import RunStore
from siamese_core.runs import writer
from siamese_core.runs.disk_format import MODEL, Checkpoint, load
from siamese_core.runs.history import RUN
from siamese_core.runs.info import INFO, RunInfo
from tests.support.kills import FORKED
from tests.support.runs import (
    ANN,
    EVERY,
    TOTAL,
    Clock,
    Disk,
    begin,
    checkpoint_at,
    eval_images,
    everything,
    on_disk,
    transformed,
    until_over,
    wake,
)
from tests.support.waiting import until


def find_no_room(saver: RunSaver, clock: Clock, disk: Disk) -> None:
    """A run begins, and its first save meets a full disk."""
    begin(saver)
    disk.full = True
    saver.add_checkpoint("run", checkpoint_at(1))
    clock.now += EVERY
    wake(saver)
    until(lambda: saver.problem("run"), "the problem")


def test_a_full_disk_is_reported_and_the_newest_state_is_saved_when_there_is_room(
    saver: RunSaver, clock: Clock, disk: Disk, store: RunStore
) -> None:
    find_no_room(saver, clock, disk)
    assert saver.problem("run") == "Not saved: No space left on device. The training goes on."
    assert store.infos(ANN) == []
    saver.add_checkpoint("run", checkpoint_at(2))
    disk.full = False
    clock.now += EVERY
    wake(saver)
    until(lambda: disk.steps == [2], "a save")
    until(lambda: saver.problem("run") == "", "the end of the problem")
    assert store.infos(ANN)[0].step == 2


def test_a_state_that_found_no_room_is_tried_again_by_itself(saver: RunSaver, clock: Clock, disk: Disk) -> None:
    """A run that rests has no newer one."""
    find_no_room(saver, clock, disk)
    disk.full = False
    clock.now += EVERY
    wake(saver)
    until(lambda: disk.steps == [1], "a save")


@pytest.mark.parametrize("was_saved_before", [False, True])
def test_a_run_that_ends_on_a_full_disk_is_saved_when_there_is_room(
    was_saved_before: bool, saver: RunSaver, clock: Clock, disk: Disk, store: RunStore, ended: list[RunInfo]
) -> None:
    begin(saver)
    if was_saved_before:
        saver.add_checkpoint("run", checkpoint_at(1))
        clock.now += EVERY
        wake(saver)
        until(lambda: store.infos(ANN), "a save")
    disk.full = True
    saver.add_checkpoint("run", checkpoint_at(TOTAL))
    saver.end("run", "finished")
    until(lambda: saver.problem("run"), "the problem")
    assert store.is_busy("run") and ended == []
    disk.full = False
    clock.now += EVERY
    wake(saver)
    until_over(saver)
    assert on_disk(store, "run").status == store.infos(ANN)[0].status == "finished"
    assert (store.folder("run") / MODEL).is_file()
    assert len(ended) == 1


def test_a_server_that_closes_on_a_full_disk_does_close(
    saver: RunSaver, clock: Clock, disk: Disk, store: RunStore
) -> None:
    begin(saver)
    disk.full = True
    saver.add_checkpoint("run", checkpoint_at(TOTAL))
    saver.end("run", "finished")
    until(lambda: saver.problem("run"), "the problem")
    saver.close()
    assert not saver._thread.is_alive()
    assert everything(store.root) == {}, "nothing half-written"


@pytest.mark.parametrize("breaks", ["save", "put"])
def test_an_error_of_ours_in_one_run_leaves_the_others_alone(
    breaks: str, saver: RunSaver, disk: Disk, store: RunStore, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    put, save = store.put, writer.save

    def broken_put(info: RunInfo) -> None:
        if info.id == "bad":
            raise AssertionError("ours")
        put(info)

    def broken_save(folder: Path, checkpoint: Checkpoint, frames: Any) -> None:
        if folder.name == "bad":
            raise AssertionError("ours")
        save(folder, checkpoint, frames)

    if breaks == "put":
        monkeypatch.setattr(store, "put", broken_put)
    else:
        monkeypatch.setattr(writer, "save", broken_save)
    for run in ("bad", "good"):
        begin(saver, run)
        saver.add_checkpoint(run, checkpoint_at(1))
        saver.end(run, "stopped")
    for run in ("bad", "good"):
        until_over(saver, run)
    assert [info.id for info in store.infos(ANN)] == ["good"]
    assert "AssertionError: ours" in capsys.readouterr().err


def little_room(folder: Path, results: Connection) -> None:
    """In a process that may write no file of more than a hundred bytes, and then may."""
    import resource

    saver_module.SAVE_EVERY = 0.0
    writer.eval_images_of = lambda *_: eval_images()  # type: ignore[assignment]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    saver = RunSaver(RunStore(folder), transformed)
    begin(saver)
    saver.add_checkpoint("run", checkpoint_at(1))
    results.send(until(lambda: saver.problem("run"), "the problem"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    saver.add_checkpoint("run", checkpoint_at(TOTAL))
    saver.end("run", "finished")
    until_over(saver)
    saver.close()
    results.send([str(name) for name in everything(folder)])


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="limits of a process")
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    results, child_results = FORKED.Pipe()
    process = FORKED.Process(target=little_room, args=(tmp_path, child_results))
    process.start()
    child_results.close()
    assert results.recv() == "Not saved: File too large. The training goes on."
    written = results.recv()
    process.join()
    assert process.exitcode == 0
    assert not [name for name in written if name.endswith(".part")]
    assert {f"run/{name}" for name in (RUN, INFO, MODEL)} <= set(written)
    assert RunStore(tmp_path).infos(ANN)[0].status == "finished"
    assert load(tmp_path / "run").finished
