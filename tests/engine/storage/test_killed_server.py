"""Runs of a real engine, saved as they go: to their end, stopped, gone on with, and through kills of its processes."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from siamese_core.engine import Engine, RunView
from siamese_core.engine.storage.store import Shelf, hashed
from siamese_core.experiment.experiment import Experiment
from siamese_core.runs.folder import LOCK, MODEL, FolderRejected, load
from siamese_core.runs.model_file import read_model
from siamese_core.runs.record import RECORD, Record
from siamese_core.runs.recording import FRAMES, PROBE, RUN
from siamese_core.training.eval_subset import METRICS
from siamese_core.training.loop import train
from tests.support.killing import KILLS, Server
from tests.support.saving import on_disk
from tests.support.waiting import until

ANN, BEN = "ann" * 8, "ben" * 8
SHORT = Experiment(dataset="digits", encoder="mlp", steps=40)
MEDIUM = replace(SHORT, steps=400)
LONG = replace(SHORT, steps=100_000)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine(shelf=Shelf(tmp_path_factory.mktemp("shelf")))
    until(lambda: engine.devices, "a warm worker")
    yield engine
    engine.close()


@pytest.fixture(autouse=True)
def _no_run_is_left(engine: Engine) -> Iterator[None]:
    yield
    for owner in (ANN, BEN):
        while run := engine.latest(owner):
            engine.discard(owner, run)


def look(engine: Engine, run: str) -> RunView:
    view = engine.look(ANN, run)
    assert view is not None
    return view


def until_status(engine: Engine, run: str, status: str) -> RunView:
    return until(lambda: (v := look(engine, run)).status == status and v, f"status {status}")


def until_step(engine: Engine, run: str, step: int) -> RunView:
    return until(lambda: (v := look(engine, run)).step >= step and v, f"step {step}")


def until_written(engine: Engine, run: str) -> Record:
    """What the shelf says of a run that is at its end."""
    until(lambda: not engine.shelf.is_held(run), "the end of the writing")
    record = engine.shelf.find(hashed(ANN), run)
    assert record is not None
    assert record == on_disk(engine.shelf, run)
    return record


def sha(shelf: Shelf, run: str) -> str:
    return hashlib.sha256((shelf.folder(run) / MODEL).read_bytes()).hexdigest()


def ended(engine: Engine, experiment: Experiment) -> str:
    """The SHA-256 of the model of a run that nothing has disturbed."""
    run = engine.start(ANN, experiment)
    until_status(engine, run, "finished")
    assert until_written(engine, run).status == "finished"
    return sha(engine.shelf, run)


def test_a_run_at_its_end_is_whole_on_the_disk(engine: Engine) -> None:
    run = engine.start(ANN, SHORT)
    until_status(engine, run, "finished")
    record = until_written(engine, run)
    assert (record.status, record.step, record.total, record.query) == ("finished", 40, 40, SHORT.to_query())
    folder = engine.shelf.folder(run)
    assert {RUN, PROBE, RECORD, MODEL, LOCK, FRAMES[:-1]} <= {path.name for path in folder.iterdir()}
    assert not list(folder.rglob("*.part"))
    model, live = read_model((folder / MODEL).read_bytes()), engine.model(ANN, run)
    assert live is not None and model.steps == 40
    for name, array in live.tensors.items():
        np.testing.assert_array_equal(model.tensors[name], array)
    recording = engine.shelf.recording(hashed(ANN), run)
    assert recording is not None
    losses = [snapshot.loss for snapshot in train(SHORT)]
    np.testing.assert_array_equal(recording.loss, np.array(losses, np.float32))
    assert len(recording.active) == 40
    assert recording.film.steps[-1] == recording.scores[-1][0] == 40
    assert recording.scores[-1][1] == record.scores
    assert record.scores.keys() == set(METRICS)
    frame = look(engine, run).frame
    assert frame is not None
    assert np.abs(recording.film.embeddings[-1] - frame.embeddings).max() <= 1e-3 * np.abs(frame.embeddings).max()
    assert (recording.pixels, recording.images) == (look(engine, run).pixels, look(engine, run).images)
    assert recording.probe.labels.shape == (len(frame.embeddings),)


def test_a_run_of_two_branches_keeps_both_inputs(engine: Engine) -> None:
    run = engine.start(ANN, replace(SHORT, steps=3, view="inverted"))
    until_status(engine, run, "finished")
    until_written(engine, run)
    recording = engine.shelf.recording(hashed(ANN), run)
    assert recording is not None
    first, second = np.split(recording.probe.thumbnails, 2)
    np.testing.assert_array_equal(second, 255 - first)
    assert recording.film.embeddings.shape[1] == len(first) + len(second)


def test_a_run_that_is_stopped_is_gone_on_with_to_the_same_weights(engine: Engine) -> None:
    run = engine.start(ANN, MEDIUM)
    until_step(engine, run, 1)
    engine.command(ANN, run, "pause")
    step = until_status(engine, run, "paused").step
    assert 0 < step < 400
    until(lambda: (r := engine.shelf.find(hashed(ANN), run)) is not None and r.step == step, "a save of the rest")
    assert engine.command(ANN, run, "stop")
    record = until_written(engine, run)
    assert (record.status, record.step) == ("stopped", step)
    assert not (engine.shelf.folder(run) / MODEL).exists()
    other = engine.start(ANN, SHORT)
    engine.reopen(ANN, run)
    assert engine.latest(ANN) == run != other
    view = look(engine, run)
    assert view.step >= step and len(view.loss) >= step and view.seconds > 0
    assert until_status(engine, run, "finished").step == 400
    until_written(engine, run)
    assert sha(engine.shelf, run) == ended(engine, MEDIUM)


def test_a_run_that_is_discarded_can_be_gone_on_with(engine: Engine) -> None:
    run = engine.start(ANN, LONG, steps=5)
    until_status(engine, run, "paused")
    engine.discard(ANN, run)
    assert until_written(engine, run).status == "interrupted"
    assert load(engine.shelf.folder(run)).state.step == 5
    engine.reopen(ANN, run)
    until_step(engine, run, 6)


def test_a_run_that_came_nowhere_leaves_nothing(engine: Engine) -> None:
    run = engine.start(ANN, Experiment(dataset="mnist_full", steps=5))
    until_status(engine, run, "failed")
    until(lambda: not engine.shelf.is_held(run), "the end of the writing")
    assert engine.shelf.find(hashed(ANN), run) is None
    assert not engine.shelf.folder(run).exists()


@pytest.mark.parametrize("kind", [{"aside": True}, {"keep": False}])
def test_a_run_that_is_not_to_be_kept_is_not(kind: dict[str, bool], engine: Engine) -> None:
    run = engine.start(ANN, SHORT, **kind)
    until_status(engine, run, "finished")
    assert not engine.shelf.is_held(run)
    assert not engine.shelf.folder(run).exists()
    engine.discard(ANN, run)


def test_nobody_ends_a_run_by_asking_to_go_on_with_it(engine: Engine) -> None:
    """Not a stranger, though it is published; not its owner either, from a page that is old."""
    run = engine.start(ANN, LONG, steps=5)
    until_status(engine, run, "paused")
    until(lambda: engine.shelf.change(hashed(ANN), run, published=True), "a save")
    engine.command(ANN, run, "resume")
    for owner in (BEN, ANN):
        with pytest.raises(FolderRejected, match="cannot be gone on with"):
            engine.reopen(owner, run)
    assert engine.look(BEN, run) is None
    step = look(engine, run).step
    assert until_step(engine, run, step + 1).status == "running"
    assert engine.shelf.is_held(run), "it is still being written"


def test_kill_9_of_the_worker_changes_no_bit_of_what_is_saved(engine: Engine) -> None:
    expected = ended(engine, MEDIUM)
    run = engine.start(ANN, MEDIUM, steps=30)
    until_status(engine, run, "paused")
    engine.command(ANN, run, "resume")
    until_step(engine, run, 31)
    os.kill(engine.pids["worker"], signal.SIGKILL)
    until(lambda: engine._slots[run].deaths == 1 or look(engine, run).status == "finished", "the death")
    assert engine._slots[run].deaths == 1, "it died in time"
    until_status(engine, run, "finished")
    until_written(engine, run)
    assert sha(engine.shelf, run) == expected
    recording = engine.shelf.recording(hashed(ANN), run)
    assert recording is not None
    assert recording.film.steps[-1] == 400
    np.testing.assert_array_equal(recording.loss, np.array([s.loss for s in train(MEDIUM)], np.float32))


@pytest.mark.skipif(os.name != "posix", reason="kills by a signal")
def test_kill_9_of_the_server_loses_no_run_and_changes_no_bit(engine: Engine, tmp_path: Path) -> None:
    kills = KILLS or 2
    experiment = replace(SHORT, steps=100 * max(kills, 4))
    server, safe = Server(tmp_path, ANN, experiment.to_query()), 0
    run = server.run
    for kill in range(kills):
        if kill:
            server = Server(tmp_path, ANN, experiment.to_query(), run)
            assert server.run == run
        step = server.safe_step()
        server.kill()
        assert step > safe, "it went on from where it was"
        safe = step
        shelf = Shelf(tmp_path)
        (record,) = shelf.records(hashed(ANN))
        assert (record.id, record.status) == (run, "interrupted")
        assert record.step >= safe
        assert load(shelf.folder(run)).state.step >= safe
        assert shelf.records(hashed(BEN)) == []
        assert shelf.find(hashed(BEN), run) is None
    survivor = Engine(shelf=Shelf(tmp_path))
    try:
        with pytest.raises(FolderRejected):
            survivor.reopen(BEN, run)
        survivor.reopen(ANN, run)
        until_status(survivor, run, "finished")
        until_written(survivor, run)
    finally:
        survivor.close()
    assert sha(survivor.shelf, run) == ended(engine, experiment)
    recording = survivor.shelf.recording(hashed(ANN), run)
    assert recording is not None
    assert len(recording.loss) == recording.film.steps[-1] == experiment.steps
    assert not list(tmp_path.rglob("*.part"))
