"""One thread saves runs as they go: the newest state, when it is due and at the end, and without a disk as well."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from siamese_core.engine.storage.saver import Keeping
from siamese_core.engine.storage.store import Shelf
from siamese_core.runs import writer
from siamese_core.runs.folder import MODEL, Saved, load, locked
from siamese_core.runs.model_file import read_model
from siamese_core.runs.record import Record
from tests.support.saving import (
    ANN,
    BEN,
    EVERY,
    EXPERIMENT,
    TOTAL,
    Clock,
    Disk,
    begin,
    everything,
    frame_at,
    on_disk,
    saved_at,
    until_over,
    wake,
)
from tests.support.waiting import until

# When


def test_the_newest_state_is_written_when_it_is_due_and_the_last_one_always(
    keeping: Keeping, clock: Clock, disk: Disk, shelf: Shelf
) -> None:
    begin(keeping)
    for step in (1, 2, 3):
        keeping.state("run", saved_at(step))
    clock.now += EVERY
    wake(keeping)
    until(lambda: disk.steps, "a save")
    for step in (4, 5):
        keeping.state("run", saved_at(step))
    keeping.end("run", "stopped", "It was stopped.")
    until_over(keeping)
    assert disk.steps == [3, 5], "not more often than it is due, but at the end"
    record = on_disk(shelf, "run")
    assert (record.status, record.sentence, record.step, record.seconds) == ("stopped", "It was stopped.", 5, 1.25)
    assert record.score("map_at_r") == 0.05
    assert shelf.records(ANN) == [record]
    assert load(shelf.folder("run")).state.step == 5


def test_states_that_come_during_a_save_wait_and_only_the_newest_of_them_is_written(
    keeping: Keeping, clock: Clock, disk: Disk
) -> None:
    begin(keeping)
    disk.free.clear()
    clock.now += EVERY
    keeping.state("run", saved_at(1))
    until(disk.busy.is_set, "a save")
    for step in (2, 3, 4):
        keeping.state("run", saved_at(step))
    keeping.end("run", "stopped")
    disk.free.set()
    until_over(keeping)
    assert disk.steps == [1, 4]


def test_an_older_state_never_replaces_a_newer_one(keeping: Keeping, clock: Clock, disk: Disk, shelf: Shelf) -> None:
    begin(keeping)
    clock.now += EVERY
    keeping.state("run", saved_at(5))
    until(lambda: disk.steps, "a save")
    clock.now += EVERY
    # A worker that died goes on from an earlier state.
    keeping.state("run", saved_at(4))
    keeping.end("run", "stopped")
    until_over(keeping)
    assert disk.steps == [5]
    assert on_disk(shelf, "run").step == 5


def test_a_run_without_a_state_leaves_nothing(keeping: Keeping, shelf: Shelf, ended: list[Record]) -> None:
    begin(keeping)
    assert keeping.is_writing(ANN) and not keeping.is_writing(BEN)
    keeping.frame("run", 1, frame_at(1))
    keeping.end("run", "stopped")
    until_over(keeping)
    assert not keeping.is_writing(ANN)
    assert everything(shelf.root) == {}
    assert shelf.records(ANN) == ended == []


@pytest.mark.parametrize("was_saved_before", [False, True])
@pytest.mark.parametrize("status", ["finished", "halted"])
def test_a_run_at_its_end_has_its_model_and_the_model_comes_first(
    was_saved_before: bool, status: str, keeping: Keeping, clock: Clock, disk: Disk, shelf: Shelf,
    ended: list[Record], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Its last state may have been written before anybody knew that it was the last."""
    begin(keeping)
    had_model: list[bool] = []

    def save(folder: Path, saved: Saved, frames: Any) -> None:
        had_model.append((folder / MODEL).exists())
        disk.save(folder, saved, frames)

    monkeypatch.setattr(writer, "save", save)
    if was_saved_before:
        clock.now += EVERY
    keeping.state("run", saved_at(TOTAL))
    if was_saved_before:
        until(lambda: shelf.records(ANN), "a save")
    keeping.end("run", status, "Why.")
    until_over(keeping)
    model = read_model((shelf.folder("run") / MODEL).read_bytes())
    assert (model.steps, model.experiment) == (TOTAL, EXPERIMENT)
    assert disk.steps == [TOTAL]
    assert had_model == [not was_saved_before]
    assert [(record.id, record.status, record.sentence) for record in ended] == [("run", status, "Why.")]
    assert on_disk(shelf, "run") == ended[0]


def test_frames_become_a_film_of_the_states_that_were_written(keeping: Keeping, clock: Clock, shelf: Shelf) -> None:
    begin(keeping)
    for step in range(1, TOTAL + 1):
        keeping.frame("run", step, frame_at(step))
        if step in (4, TOTAL):
            keeping.state("run", saved_at(step))
            clock.now += EVERY
            wake(keeping)
            until(lambda: shelf.records(ANN) and shelf.records(ANN)[0].step == step, "a save")  # noqa: B023
    # A worker that died between its last picture and its last state makes both again.
    keeping.frame("run", TOTAL, frame_at(TOTAL))
    keeping.end("run", "finished")
    until_over(keeping)
    recording = shelf.recording(ANN, "run")
    assert recording is not None
    np.testing.assert_array_equal(recording.film.steps, range(1, TOTAL + 1))
    np.testing.assert_allclose(recording.film.embeddings[:, 0, 0], range(1, TOTAL + 1), rtol=1e-3)
    np.testing.assert_array_equal(recording.loss, range(1, TOTAL + 1))
    assert [step for step, _ in recording.scores] == list(range(1, TOTAL + 1))


# Names


def test_a_name_that_is_given_during_a_save_is_on_the_disk_after_it(
    keeping: Keeping, clock: Clock, disk: Disk, shelf: Shelf
) -> None:
    begin(keeping)
    clock.now += EVERY
    keeping.state("run", saved_at(1))
    until(lambda: shelf.records(ANN), "a save")
    disk.free.clear()
    keeping.state("run", saved_at(2))
    keeping.end("run", "stopped")
    until(disk.busy.is_set, "another save")
    assert shelf.change(ANN, "run", name="mine", pinned=True)
    disk.free.set()
    until_over(keeping)
    for record in (on_disk(shelf, "run"), *shelf.records(ANN)):
        assert (record.name, record.pinned, record.status, record.step) == ("mine", True, "stopped", 2)


# The end of the server


def test_a_server_that_closes_writes_what_there_is(keeping: Keeping, disk: Disk, shelf: Shelf) -> None:
    for run in ("one", "two"):
        begin(keeping, run)
        keeping.state(run, saved_at(2))
    begin(keeping, "three")
    keeping.close()
    assert disk.steps == [2, 2]
    again = Shelf(shelf.root)
    assert {(record.id, record.status) for record in again.records(ANN)} == {
        ("one", "interrupted"), ("two", "interrupted"),
    }  # fmt: skip
    with locked(shelf.folder("one")):
        pass
    assert replace(again.records(ANN)[0], status="running") in shelf.records(ANN)
