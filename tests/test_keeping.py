"""One thread saves runs as they go: the newest state, when it is due and at the end, and without a disk as well."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from siamese_core import files, keeper, run_folder
from siamese_core.engine import keeping as keeping_module
from siamese_core.engine.keeping import Keeping
from siamese_core.engine.shelf import Shelf
from siamese_core.keeper import Keeper
from siamese_core.machine import Machine
from siamese_core.model_file import read_model
from siamese_core.recording import RUN
from siamese_core.run_folder import MODEL, Saved, load, locked
from siamese_core.run_record import RECORD, Record
from tests.killing import FORKED
from tests.saving import ANN, BEN, EXPERIMENT, TOTAL, Clock, everything, frame_at, on_disk, probe, saved_at
from tests.waiting import until

EVERY = 2.0


class Disk:
    """What is saved, step by step; it can be full, and it can be slow."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: list[int] = []
        self.full = False
        self.free = threading.Event()
        self.busy = threading.Event()
        self.free.set()
        self._save, self._write = run_folder.save, files.write_whole
        monkeypatch.setattr(keeper, "save", self.save)
        for module in (keeper, run_folder, "siamese_core.model_file.write_whole"):
            monkeypatch.setattr(*((module,) if isinstance(module, str) else (module, "write_whole")), self.write)

    def save(self, folder: Path, saved: Saved, frames: Any) -> None:
        self.busy.set()
        assert self.free.wait(60)
        self.busy.clear()
        self._save(folder, saved, frames)
        self.steps.append(saved.state.step)

    def write(self, path: Path, content: bytes) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self._write(path, content)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(keeping_module, "Keeper", partial(Keeper, clock=clock))
    # Digits need scikit-learn, and no test here looks at their pictures.
    monkeypatch.setattr(keeper, "probe_images", lambda experiment, viewed: probe())
    return clock


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


@pytest.fixture
def ended() -> list[Record]:
    return []


def viewed(view: str, images: np.ndarray) -> np.ndarray:
    return images


@pytest.fixture
def keeping(shelf: Shelf, clock: Clock, ended: list[Record]) -> Iterator[Keeping]:
    keeping = Keeping(shelf, viewed, ended.append, EVERY)
    yield keeping
    keeping.close()


def begin(keeping: Keeping, run: str = "run", owner: str = ANN) -> str:
    keeping.begin(run, owner, EXPERIMENT, Machine())
    return run


def wake(keeping: Keeping) -> None:
    with keeping._news:
        keeping._news.notify_all()


def until_over(keeping: Keeping, run: str = "run") -> None:
    until(lambda: not keeping.shelf.is_held(run), "the end of the writing")


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

    monkeypatch.setattr(keeper, "save", save)
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


# Trouble


def test_a_full_disk_is_said_and_the_newest_state_is_saved_when_there_is_room(
    keeping: Keeping, clock: Clock, disk: Disk, shelf: Shelf
) -> None:
    begin(keeping)
    disk.full = True
    keeping.state("run", saved_at(1))
    clock.now += EVERY
    wake(keeping)
    until(lambda: keeping.problem("run"), "the problem")
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
    begin(keeping)
    disk.full = True
    keeping.state("run", saved_at(1))
    clock.now += EVERY
    wake(keeping)
    until(lambda: keeping.problem("run"), "the problem")
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
    put, save = shelf.put, keeper.save

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
        monkeypatch.setattr(keeper, "save", broken_save)
    for run in ("bad", "good"):
        begin(keeping, run)
        keeping.state(run, saved_at(1))
        keeping.end(run, "stopped")
    for run in ("bad", "good"):
        until_over(keeping, run)
    assert [record.id for record in shelf.records(ANN)] == ["good"]
    assert "AssertionError: ours" in capsys.readouterr().err


def little_room(folder: Path, answers: Connection) -> None:
    """In a process that may write no file of more than two thousand bytes, and then may."""
    import resource

    keeper.probe_images = lambda experiment, viewed: probe()  # type: ignore[assignment]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
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
    assert answers.recv() == "Not saved: File too large. The training goes on."
    written = answers.recv()
    process.join()
    assert process.exitcode == 0
    assert not [name for name in written if name.endswith(".part")]
    assert {f"run/{name}" for name in (RUN, RECORD, MODEL)} <= set(written)
    assert Shelf(tmp_path).records(ANN)[0].status == "finished"
    assert load(tmp_path / "run").finished


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
