"""Runs on uploaded images: they train like any others, and end where the images go."""

from __future__ import annotations

import os
import signal

import numpy as np
import psutil
import pytest

from siamese_core.datasets import find_uploaded, uploaded
from siamese_core.datasets.uploaded import GONE, Images
from siamese_core.engine import Engine
from siamese_core.experiment.experiment import Experiment
from siamese_core.training.loop import train
from tests.support.engines import ANN, BEN, poll, until_status, until_step
from tests.support.waiting import until

LONG = 100_000
OTHER = Experiment(dataset="digits", encoder="mlp", steps=LONG)


def uploaded_set(title: str) -> str:
    """The key of an uploaded set of two classes, dark and light, and a third with a single image."""
    noise = np.random.default_rng(0).integers(0, 40, (21, 1, 28, 28), np.uint8)
    labels = np.repeat([0, 1, 2], [10, 10, 1])
    images = noise + (labels * 100).astype(np.uint8)[:, None, None, None]
    test = np.arange(21) % 10 < 3
    test[20] = False
    return uploaded.save(
        title, ("dark", "light", "one"), Images(images[~test], labels[~test], images[test], labels[test])
    )


def on(key: str, steps: int = LONG) -> Experiment:
    return Experiment(dataset=key, encoder="mlp", steps=steps)


def delete(engine: Engine, key: str) -> None:
    """As the server does."""
    uploaded.delete(key)
    engine.forget_images(key)


def test_a_run_on_uploaded_images_is_like_any_other(engine: Engine) -> None:
    experiment = on(uploaded_set("a"), steps=20)
    run = until_status(engine, engine.start(ANN, experiment), "finished")
    np.testing.assert_array_equal(run.loss, np.array([s.loss for s in train(experiment)], np.float32))
    assert run.frame is not None and len(run.frame.embeddings) == 6, "the test images, three of each of two classes"
    assert run.pixel_baseline == {"seen": 1.0, "held_out": None}, "dark and light are told apart by their pixels"


def test_deleted_images_take_every_run_on_them_along_and_no_other(engine: Engine) -> None:
    key, others = uploaded_set("a"), uploaded_set("b")
    ann, ben = engine.start(ANN, on(key)), engine.start(BEN, on(key))
    rested = engine.start(ANN, on(key), steps=1)
    background = engine.start(ANN, on(key), background=True)
    digits, of_others = engine.start(ANN, OTHER), engine.start(BEN, on(others))
    for run, owner in ((ann, ANN), (ben, BEN), (rested, ANN), (digits, ANN), (of_others, BEN)):
        until_step(engine, run, 1, owner)
    delete(engine, key)
    for run, owner in ((ann, ANN), (ben, BEN), (rested, ANN), (background, ANN)):
        assert engine.poll(owner, run) is None
        assert not engine.command(owner, run, "step")
    assert (engine.latest(ANN), engine.latest(BEN)) == (digits, of_others)
    for run, owner in ((digits, ANN), (of_others, BEN)):
        before = poll(engine, run, owner)
        assert before.status == "running"
        until_step(engine, run, before.step + 20, owner)


def test_a_later_start_on_deleted_images_fails_with_the_message(engine: Engine) -> None:
    key = uploaded_set("a")
    experiment = on(key)
    until_step(engine, engine.start(ANN, experiment), 1)
    delete(engine, key)
    before = engine.worker.pid
    failed = until_status(engine, engine.start(ANN, experiment), "failed")
    assert (failed.message, failed.step, failed.frame) == (GONE, 0, None)
    until_step(engine, engine.start(ANN, OTHER), 1)
    assert engine.worker.pid == before, "and the worker lives"


def test_deleting_what_nobody_trains_on_changes_nothing(engine: Engine) -> None:
    digits = engine.start(ANN, OTHER)
    before = until_step(engine, digits, 1)
    for key in (uploaded_set("a"), "own-" + "0" * 24, "own-../../x"):
        delete(engine, key)
    until_step(engine, digits, before.step + 20)


@pytest.mark.slow
def test_a_run_whose_uploaded_images_have_gone_ends_when_its_worker_begins_again(engine: Engine) -> None:
    key = uploaded_set("a")
    uploaded_run, digits = engine.start(ANN, on(key)), engine.start(ANN, OTHER)
    for run in (uploaded_run, digits):
        until_step(engine, run, 1)
    uploaded.delete(key)
    process = psutil.Process(engine.worker.pid)
    os.kill(process.pid, signal.SIGKILL)
    failed = until_status(engine, uploaded_run, "failed")
    assert failed.message == GONE
    until(lambda: engine._runs[digits].deaths == 1 and poll(engine, digits).status == "running", "the other run")
    until_step(engine, digits, engine._runs[digits].restarted_at + 5)


def test_a_worker_refuses_a_run_that_it_cannot_read_and_goes_on_with_the_others(engine: Engine) -> None:
    """An experiment is never such a one; a worker of another version of the program might be."""
    digits = engine.start(ANN, OTHER)
    until_step(engine, digits, 1)
    broken = Experiment(dataset="digits", encoder="mlp", steps=5)
    object.__setattr__(broken, "steps", -5)
    before = engine.worker.pid
    failed = until_status(engine, engine.start(ANN, broken), "failed")
    assert failed.message == Experiment.from_query("steps=-5")[1][0].why != ""
    until_step(engine, digits, poll(engine, digits).step + 20)
    assert engine.worker.pid == before


def test_the_same_images_uploaded_again_at_once_are_not_deleted_by_a_worker_that_is_late(engine: Engine) -> None:
    key = uploaded_set("a")
    worker = psutil.Process(engine.worker.pid)
    worker.suspend()
    delete(engine, key)
    assert uploaded_set("a") == key
    worker.resume()
    until_step(engine, engine.start(ANN, OTHER), 1)
    assert find_uploaded(key)
