"""The curve of a loss while the worker is busy: something that stands in for it, and the right one when it comes."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pages.ui.session import loss_curves
from pages.ui.session.loss_curves import axis_points, exact_arrays, has_arrived, is_waiting, loss_arrays, version
from siamese_core.losses import LOSSES
from siamese_core.training.loss_curves import drawn

Arguments = tuple[str, dict[str, float], np.ndarray]


class Worker:
    """Replies at once, or, while it is busy, when it catches up. It stands for the engine and for what asks it."""

    def __init__(self) -> None:
        self.trainer = self
        self.devices = {"cpu": "CPU"}
        self.busy = False
        self._late: list[tuple[Arguments, Future[Any]]] = []

    def curve(self, *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if self.busy:
            self._late.append((arguments, future))  # type: ignore[arg-type]
        else:
            future.set_result(drawn(*arguments))
        return future

    def catch_up(self) -> None:
        self.busy = False
        for arguments, future in self._late:
            future.set_result(drawn(*arguments))


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Worker:
    worker = Worker()
    monkeypatch.setattr(loss_curves, "st", SimpleNamespace(session_state={}))
    monkeypatch.setattr(loss_curves, "engine", lambda: worker)
    return worker


def along(loss: str, end: float) -> np.ndarray:
    return axis_points(LOSSES[loss], end)


@pytest.mark.parametrize("loss", ["contrastive", "triplet"])
def test_an_axis_that_grows_while_the_worker_is_busy_keeps_the_curve_that_was_there(loss: str, worker: Worker) -> None:
    before = loss_arrays(loss, {"margin": 1.0}, along(loss, 2.0))
    assert before is not None
    worker.busy = True
    shown = loss_arrays(loss, {"margin": 1.5}, along(loss, 3.0))
    assert shown is not None
    assert shown["at"][-1] == 2.0, "the axis that was there"
    assert version(shown) == version(before)
    assert is_waiting()
    worker.catch_up()
    assert has_arrived()
    right = loss_arrays(loss, {"margin": 1.5}, along(loss, 3.0))
    assert right is not None
    expected = drawn(loss, {"margin": 1.5}, along(loss, 3.0))
    assert all(np.array_equal(right[name], expected[name]) for name in expected)
    assert version(right) != version(before), "so that the chart is drawn again"
    assert not is_waiting()


def test_a_curve_at_the_same_places_stands_in_before_one_that_ends_elsewhere(worker: Worker) -> None:
    near = loss_arrays("contrastive", {"margin": 1.0}, along("contrastive", 2.0))
    far = loss_arrays("contrastive", {"margin": 1.0}, along("contrastive", 3.0))
    worker.busy = True
    assert loss_arrays("contrastive", {"margin": 1.1}, along("contrastive", 2.0)) is near
    assert loss_arrays("contrastive", {"margin": 1.1}, along("contrastive", 4.0)) is far, "the newest"


def test_nothing_stands_in_for_another_loss_for_single_places_or_for_what_must_be_exact(worker: Worker) -> None:
    axis = along("contrastive", 2.0)
    assert loss_arrays("contrastive", {"margin": 1.0}, axis) is not None
    worker.busy = True
    assert loss_arrays("quality", {"margin": 1.0}, axis) is None
    assert loss_arrays("contrastive", {"margin": 1.0}, np.array([0.5])) is None
    assert exact_arrays("contrastive", {"margin": 1.1}, axis) is None


def test_what_comes_while_the_rest_is_drawn_is_drawn_where_it_was_missing(worker: Worker) -> None:
    axis = along("contrastive", 2.0)
    worker.busy = True
    assert loss_arrays("contrastive", {"margin": 1.0}, axis) is None, "a chart gives way to a message"
    worker.catch_up()
    assert loss_arrays("contrastive", {"margin": 1.0}, axis) is not None, "another one below it is drawn"
    assert loss_arrays("quality", {"margin": 1.0}, axis) is not None
    assert is_waiting(), "for the first"
    assert has_arrived()
    assert not is_waiting()


def test_a_worker_that_starts_while_the_page_is_drawn_is_asked(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    axis = along("contrastive", 2.0)
    with monkeypatch.context() as starting:
        starting.setattr(worker, "devices", {})
        assert loss_arrays("contrastive", {"margin": 1.0}, axis) is None
        assert not has_arrived()
    assert is_waiting()
    assert has_arrived()
    assert loss_arrays("contrastive", {"margin": 1.0}, axis) is not None
    assert not is_waiting()
