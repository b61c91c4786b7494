"""Runs of a real engine, saved as they go: to their end, stopped, resumed, and through kills of its processes."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from siamese_core.engine import Engine
from siamese_core.engine.storage.store import RunStore, hashed
from siamese_core.experiment.experiment import Experiment
from siamese_core.runs.disk_format import LOCK, MODEL, FolderRejected, load
from siamese_core.runs.history import EVAL_IMAGES, FRAMES, RUN
from siamese_core.runs.info import INFO, RunInfo
from siamese_core.runs.model_file import read_model
from siamese_core.training.eval_subset import METRICS
from siamese_core.training.loop import train
from tests.support.engines import ANN, BEN, poll, until_status, until_step
from tests.support.kills import KILLS, Server
from tests.support.runs import on_disk
from tests.support.waiting import until

SHORT = Experiment(dataset="digits", encoder="mlp", steps=40)
MEDIUM = replace(SHORT, steps=400)
LONG = replace(SHORT, steps=100_000)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine(store=RunStore(tmp_path_factory.mktemp("runs")))
    until(lambda: engine.devices, "a warm worker")
    yield engine
    engine.close()


@pytest.fixture(autouse=True)
def _no_run_is_left(engine: Engine) -> Iterator[None]:
    yield
    for owner in (ANN, BEN):
        while run := engine.latest(owner):
            engine.discard(owner, run)


def until_written(engine: Engine, run: str) -> RunInfo:
    """The store's record of a run that is at its end."""
    until(lambda: not engine.store.is_busy(run), "the end of the writing")
    info = engine.store.find(hashed(ANN), run)
    assert info is not None
    assert info == on_disk(engine.store, run)
    return info


def sha(store: RunStore, run: str) -> str:
    return hashlib.sha256((store.folder(run) / MODEL).read_bytes()).hexdigest()


def ended(engine: Engine, experiment: Experiment) -> str:
    """The SHA-256 of the model of a run that nothing has disturbed."""
    run = engine.start(ANN, experiment)
    until_status(engine, run, "finished")
    assert until_written(engine, run).status == "finished"
    return sha(engine.store, run)


def test_a_run_at_its_end_is_whole_on_the_disk(engine: Engine) -> None:
    run = engine.start(ANN, SHORT)
    until_status(engine, run, "finished")
    info = until_written(engine, run)
    assert (info.status, info.step, info.total, info.query) == ("finished", 40, 40, SHORT.to_query())
    folder = engine.store.folder(run)
    assert {RUN, EVAL_IMAGES, INFO, MODEL, LOCK, FRAMES[:-1]} <= {path.name for path in folder.iterdir()}
    assert not list(folder.rglob("*.part"))
    model, live = read_model((folder / MODEL).read_bytes()), engine.model(ANN, run)
    assert live is not None and model.steps == 40
    for name, array in live.tensors.items():
        np.testing.assert_array_equal(model.tensors[name], array)
    run_history = engine.store.run_history(hashed(ANN), run)
    assert run_history is not None
    losses = [snapshot.loss for snapshot in train(SHORT)]
    np.testing.assert_array_equal(run_history.loss, np.array(losses, np.float32))
    assert len(run_history.active) == 40
    assert run_history.film.steps[-1] == run_history.scores[-1][0] == 40
    assert run_history.scores[-1][1] == info.scores
    assert info.scores.keys() == set(METRICS)
    frame = poll(engine, run).frame
    assert frame is not None
    assert np.abs(run_history.film.embeddings[-1] - frame.embeddings).max() <= 1e-3 * np.abs(frame.embeddings).max()
    assert (run_history.pixel_baseline, run_history.images) == (
        poll(engine, run).pixel_baseline,
        poll(engine, run).images,
    )
    assert run_history.eval_images.labels.shape == (len(frame.embeddings),)


def test_a_run_of_two_branches_keeps_both_inputs(engine: Engine) -> None:
    run = engine.start(ANN, replace(SHORT, steps=3, view="inverted"))
    until_status(engine, run, "finished")
    until_written(engine, run)
    run_history = engine.store.run_history(hashed(ANN), run)
    assert run_history is not None
    first, second = np.split(run_history.eval_images.thumbnails, 2)
    np.testing.assert_array_equal(second, 255 - first)
    assert run_history.film.embeddings.shape[1] == len(first) + len(second)


def test_a_run_that_is_stopped_is_resumed_to_the_same_weights(engine: Engine) -> None:
    run = engine.start(ANN, SHORT, steps=15)
    step = until_status(engine, run, "paused").step
    assert step == 15
    until(lambda: (r := engine.store.find(hashed(ANN), run)) is not None and r.step == step, "a save of the rest")
    assert engine.command(ANN, run, "stop")
    info = until_written(engine, run)
    assert (info.status, info.step) == ("stopped", step)
    assert not (engine.store.folder(run) / MODEL).exists()
    other = engine.start(ANN, LONG, steps=1)
    engine.resume_saved(ANN, run)
    assert engine.latest(ANN) == run != other
    view = poll(engine, run)
    assert view.step >= step and len(view.loss) >= step and view.seconds > 0
    assert until_status(engine, run, "finished").step == 40
    until_written(engine, run)
    assert sha(engine.store, run) == ended(engine, SHORT)


def test_a_run_that_is_discarded_can_be_resumed(engine: Engine) -> None:
    run = engine.start(ANN, LONG, steps=5)
    until_status(engine, run, "paused")
    engine.discard(ANN, run)
    assert until_written(engine, run).status == "interrupted"
    assert load(engine.store.folder(run)).state.step == 5
    engine.resume_saved(ANN, run)
    until_step(engine, run, 6)


def test_a_run_that_came_nowhere_leaves_nothing(engine: Engine) -> None:
    run = engine.start(ANN, Experiment(dataset="mnist_full", steps=5))
    until_status(engine, run, "failed")
    until(lambda: not engine.store.is_busy(run), "the end of the writing")
    assert engine.store.find(hashed(ANN), run) is None
    assert not engine.store.folder(run).exists()


@pytest.mark.parametrize("kind", [{"background": True}, {"save": False}])
def test_a_run_that_is_not_to_be_saved_is_not(kind: dict[str, bool], engine: Engine) -> None:
    run = engine.start(ANN, SHORT, **kind)
    until_status(engine, run, "finished")
    assert not engine.store.is_busy(run)
    assert not engine.store.folder(run).exists()
    engine.discard(ANN, run)


def test_nobody_ends_a_run_by_asking_to_resume_it(engine: Engine) -> None:
    """Not a stranger, though it is published; not its owner either, from a page that is old."""
    run = engine.start(ANN, LONG, steps=5)
    until_status(engine, run, "paused")
    until(lambda: engine.store.change(hashed(ANN), run, published=True), "a save")
    engine.command(ANN, run, "resume")
    for owner in (BEN, ANN):
        with pytest.raises(FolderRejected, match="cannot be gone on with"):
            engine.resume_saved(owner, run)
    assert engine.poll(BEN, run) is None
    step = poll(engine, run).step
    assert until_step(engine, run, step + 1).status == "running"
    assert engine.store.is_busy(run), "it is still being written"


@pytest.mark.slow
def test_kill_9_of_the_worker_changes_no_bit_of_what_is_saved(engine: Engine) -> None:
    expected = ended(engine, MEDIUM)
    run = engine.start(ANN, MEDIUM, steps=30)
    until_status(engine, run, "paused")
    engine.command(ANN, run, "resume")
    until_step(engine, run, 31)
    os.kill(engine.worker.pid, signal.SIGKILL)
    until(lambda: engine._runs[run].deaths == 1 or poll(engine, run).status == "finished", "the death")
    assert engine._runs[run].deaths == 1, "it died in time"
    until_status(engine, run, "finished")
    until_written(engine, run)
    assert sha(engine.store, run) == expected
    run_history = engine.store.run_history(hashed(ANN), run)
    assert run_history is not None
    assert run_history.film.steps[-1] == 400
    np.testing.assert_array_equal(run_history.loss, np.array([s.loss for s in train(MEDIUM)], np.float32))


@pytest.mark.slow
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
        store = RunStore(tmp_path)
        (info,) = store.infos(hashed(ANN))
        assert (info.id, info.status) == (run, "interrupted")
        assert info.step >= safe
        assert load(store.folder(run)).state.step >= safe
        assert store.infos(hashed(BEN)) == []
        assert store.find(hashed(BEN), run) is None
    survivor = Engine(store=RunStore(tmp_path))
    try:
        with pytest.raises(FolderRejected):
            survivor.resume_saved(BEN, run)
        survivor.resume_saved(ANN, run)
        until_status(survivor, run, "finished")
        until_written(survivor, run)
    finally:
        survivor.close()
    assert sha(survivor.store, run) == ended(engine, experiment)
    run_history = survivor.store.run_history(hashed(ANN), run)
    assert run_history is not None
    assert len(run_history.loss) == run_history.film.steps[-1] == experiment.steps
    assert not list(tmp_path.rglob("*.part"))
