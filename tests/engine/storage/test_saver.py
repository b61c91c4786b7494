"""One thread saves runs as they go: the newest state, when it is due and at the end, and without a disk as well."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from siamese_core.engine.storage.saver import RunSaver
from siamese_core.engine.storage.store import RunStore
from siamese_core.runs import writer
from siamese_core.runs.disk_format import MODEL, Checkpoint, load, locked
from siamese_core.runs.info import RunInfo
from siamese_core.runs.model_file import read_model
from tests.support.runs import (
    ANN,
    BEN,
    EVERY,
    EXPERIMENT,
    TOTAL,
    Clock,
    Disk,
    begin,
    checkpoint_at,
    everything,
    frame_at,
    on_disk,
    until_over,
    wake,
)
from tests.support.waiting import until

# When


def test_the_newest_state_is_written_when_it_is_due_and_the_last_one_always(
    saver: RunSaver, clock: Clock, disk: Disk, store: RunStore
) -> None:
    begin(saver)
    for step in (1, 2, 3):
        saver.add_checkpoint("run", checkpoint_at(step))
    clock.now += EVERY
    wake(saver)
    until(lambda: disk.steps, "a save")
    for step in (4, 5):
        saver.add_checkpoint("run", checkpoint_at(step))
    saver.end("run", "stopped", "It was stopped.")
    until_over(saver)
    assert disk.steps == [3, 5], "not more often than it is due, but at the end"
    info = on_disk(store, "run")
    assert (info.status, info.message, info.step, info.seconds) == ("stopped", "It was stopped.", 5, 1.25)
    assert info.score("map_at_r") == 0.05
    assert store.infos(ANN) == [info]
    assert load(store.folder("run")).state.step == 5


def test_states_that_come_during_a_save_wait_and_only_the_newest_of_them_is_written(
    saver: RunSaver, clock: Clock, disk: Disk
) -> None:
    begin(saver)
    disk.free.clear()
    clock.now += EVERY
    saver.add_checkpoint("run", checkpoint_at(1))
    until(disk.busy.is_set, "a save")
    for step in (2, 3, 4):
        saver.add_checkpoint("run", checkpoint_at(step))
    saver.end("run", "stopped")
    disk.free.set()
    until_over(saver)
    assert disk.steps == [1, 4]


def test_an_older_state_never_replaces_a_newer_one(saver: RunSaver, clock: Clock, disk: Disk, store: RunStore) -> None:
    begin(saver)
    clock.now += EVERY
    saver.add_checkpoint("run", checkpoint_at(5))
    until(lambda: disk.steps, "a save")
    clock.now += EVERY
    # A worker that died is resumed from an earlier state.
    saver.add_checkpoint("run", checkpoint_at(4))
    saver.end("run", "stopped")
    until_over(saver)
    assert disk.steps == [5]
    assert on_disk(store, "run").step == 5


def test_a_run_without_a_state_leaves_nothing(saver: RunSaver, store: RunStore, ended: list[RunInfo]) -> None:
    begin(saver)
    assert saver.is_writing(ANN) and not saver.is_writing(BEN)
    saver.add_frame("run", 1, frame_at(1))
    saver.end("run", "stopped")
    until_over(saver)
    assert not saver.is_writing(ANN)
    assert everything(store.root) == {}
    assert store.infos(ANN) == ended == []


@pytest.mark.parametrize("was_saved_before", [False, True])
@pytest.mark.parametrize("status", ["finished", "halted"])
def test_a_run_at_its_end_has_its_model_and_the_model_comes_first(
    was_saved_before: bool, status: str, saver: RunSaver, clock: Clock, disk: Disk, store: RunStore,
    ended: list[RunInfo], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Its last state may have been written before anybody knew that it was the last."""
    begin(saver)
    had_model: list[bool] = []

    def save(folder: Path, checkpoint: Checkpoint, frames: Any) -> None:
        had_model.append((folder / MODEL).exists())
        disk.save(folder, checkpoint, frames)

    monkeypatch.setattr(writer, "save", save)
    if was_saved_before:
        clock.now += EVERY
    saver.add_checkpoint("run", checkpoint_at(TOTAL))
    if was_saved_before:
        until(lambda: store.infos(ANN), "a save")
    saver.end("run", status, "Why.")
    until_over(saver)
    model = read_model((store.folder("run") / MODEL).read_bytes())
    assert (model.steps, model.experiment) == (TOTAL, EXPERIMENT)
    assert disk.steps == [TOTAL]
    assert had_model == [not was_saved_before]
    assert [(info.id, info.status, info.message) for info in ended] == [("run", status, "Why.")]
    assert on_disk(store, "run") == ended[0]


def test_frames_become_a_film_of_the_states_that_were_written(saver: RunSaver, clock: Clock, store: RunStore) -> None:
    begin(saver)
    for step in range(1, TOTAL + 1):
        saver.add_frame("run", step, frame_at(step))
        if step in (4, TOTAL):
            saver.add_checkpoint("run", checkpoint_at(step))
            clock.now += EVERY
            wake(saver)
            until(lambda: store.infos(ANN) and store.infos(ANN)[0].step == step, "a save")  # noqa: B023
    # A worker that died between its last frame and its last state makes both again.
    saver.add_frame("run", TOTAL, frame_at(TOTAL))
    saver.end("run", "finished")
    until_over(saver)
    run_history = store.run_history(ANN, "run")
    assert run_history is not None
    np.testing.assert_array_equal(run_history.film.steps, range(1, TOTAL + 1))
    np.testing.assert_allclose(run_history.film.embeddings[:, 0, 0], range(1, TOTAL + 1), rtol=1e-3)
    np.testing.assert_array_equal(run_history.loss, range(1, TOTAL + 1))
    assert [step for step, _ in run_history.scores] == list(range(1, TOTAL + 1))


# Names


def test_a_name_that_is_given_during_a_save_is_on_the_disk_after_it(
    saver: RunSaver, clock: Clock, disk: Disk, store: RunStore
) -> None:
    begin(saver)
    clock.now += EVERY
    saver.add_checkpoint("run", checkpoint_at(1))
    until(lambda: store.infos(ANN), "a save")
    disk.free.clear()
    saver.add_checkpoint("run", checkpoint_at(2))
    saver.end("run", "stopped")
    until(disk.busy.is_set, "another save")
    assert store.change(ANN, "run", name="first try", pinned=True)
    disk.free.set()
    until_over(saver)
    for info in (on_disk(store, "run"), *store.infos(ANN)):
        assert (info.name, info.pinned, info.status, info.step) == ("first try", True, "stopped", 2)


# The end of the server


def test_a_server_that_closes_writes_what_there_is(saver: RunSaver, disk: Disk, store: RunStore) -> None:
    for run in ("one", "two"):
        begin(saver, run)
        saver.add_checkpoint(run, checkpoint_at(2))
    begin(saver, "three")
    saver.close()
    assert disk.steps == [2, 2]
    again = RunStore(store.root)
    assert {(info.id, info.status) for info in again.infos(ANN)} == {
        ("one", "interrupted"), ("two", "interrupted"),
    }  # fmt: skip
    with locked(store.folder("one")):
        pass
    assert replace(again.infos(ANN)[0], status="running") in store.infos(ANN)
