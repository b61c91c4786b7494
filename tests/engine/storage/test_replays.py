"""Films of saved runs: one after the other, through deletions and the deaths of the process that lays them out."""

from __future__ import annotations

import os
import signal
from typing import Any

import numpy as np
import pytest

from siamese_core.engine.rpc.client import OnProgress, PendingReply, RpcClient
from siamese_core.engine.rpc.projector_client import CANNOT_LAY_OUT, ProjectorClient
from siamese_core.engine.storage.replays import TOO_HEAVY, LayoutProgress, Replays
from siamese_core.engine.storage.store import RunStore
from siamese_core.runs.history import RunHistory
from siamese_core.runs.info import RunInfo
from siamese_core.runs.layouts import Layouts
from tests.support.runs import ANN, IMAGES, imported
from tests.support.waiting import until


class FakeProjector:
    """Stands for the process: what it receives, and what it would reply."""

    def __init__(self) -> None:
        self.received: list[tuple[str, int]] = []
        self.client = RpcClient(self.receive)
        self.problem = ""

    def receive(self, meta: dict[str, Any], **arrays: np.ndarray) -> None:
        self.received.append((meta["do"], meta["id"]))

    def lay_out_film(self, embeddings: np.ndarray, kind: str, on_progress: OnProgress) -> PendingReply:
        assert embeddings.shape == (3, IMAGES, 4)
        reply = self.client.call("lay_out_film", {"kind": kind}, {"embeddings": embeddings}, on_progress)
        if self.problem:
            self.client.cancel_all()
        return reply

    def until_received(self, *messages: tuple[str, int]) -> None:
        until(lambda: len(self.received) >= len(messages), "a message to the process")
        assert self.received == list(messages)

    def step(self, film: int, done: int) -> bool:
        return self.client.on_message({"is": "progress", "id": film, "done": done, "of": 3}, {})

    def end(self, film: int, mark: int = 0) -> bool:
        near = np.tile(np.arange(5, dtype=np.int32), (3, IMAGES, 1))
        arrays = {"xy": np.full((3, IMAGES, 2), mark, np.float32), "neighbours": near}
        return self.client.on_message({"is": "reply", "id": film}, arrays)

    def reject(self, film: int, message: str) -> bool:
        return self.client.on_message({"is": "rejected", "id": film, "message": message}, {})

    def die(self) -> None:
        """Another one takes its place."""
        self.client.cancel_all()


@pytest.fixture
def process() -> FakeProjector:
    return FakeProjector()


@pytest.fixture
def replays(store: RunStore, process: FakeProjector) -> Replays:
    return Replays(store, process)  # type: ignore[arg-type]


@pytest.fixture
def runs(store: RunStore) -> list[RunInfo]:
    found = (store.find(ANN, imported(store)) for _ in range(2))
    return [info for info in found if info is not None]


def until_found(replays: Replays, info: RunInfo) -> Layouts | str:
    return until(lambda: not isinstance(it := replays.poll(ANN, info.id), LayoutProgress) and it, "the film")


def test_the_process_has_one_film_at_a_time_in_the_order_of_the_requests(
    replays: Replays, process: FakeProjector, runs: list[RunInfo]
) -> None:
    first, second = runs
    for info in runs:
        replays.prepare(info)
    process.until_received(("lay_out_film", 1))
    assert replays.poll(ANN, first.id) == replays.poll(ANN, second.id) == LayoutProgress(0, 0)
    assert process.step(1, 2)
    assert replays.poll(ANN, first.id) == LayoutProgress(2, 3)
    assert replays.poll(ANN, second.id) == LayoutProgress(0, 0)
    assert process.end(1, mark=7)
    layouts = until_found(replays, first)
    assert isinstance(layouts, Layouts)
    assert (layouts.kind, layouts.xy.shape, layouts.xy[0, 0, 0]) == ("umap", (3, IMAGES, 2), 7)
    process.until_received(("lay_out_film", 1), ("lay_out_film", 2))
    assert replays.is_laying_out(second.id)


def test_who_asks_for_the_same_film_again_waits_for_the_same_one(
    replays: Replays, process: FakeProjector, runs: list[RunInfo]
) -> None:
    first, second = runs
    replays.poll(ANN, first.id)
    process.until_received(("lay_out_film", 1))
    replays.poll(ANN, first.id)
    process.end(1)
    assert isinstance(until_found(replays, first), Layouts)
    assert isinstance(replays.poll(ANN, first.id), Layouts)
    replays.poll(ANN, second.id)
    process.until_received(("lay_out_film", 1), ("lay_out_film", 2))


def test_the_film_of_a_deleted_run_makes_room_and_what_it_still_says_is_nobodys(
    replays: Replays, process: FakeProjector, runs: list[RunInfo]
) -> None:
    first, second = runs
    for info in runs:
        replays.prepare(info)
    process.until_received(("lay_out_film", 1))
    replays.forget(first.id)
    process.until_received(("lay_out_film", 1), ("cancel", 1), ("lay_out_film", 2))
    assert not replays.is_laying_out(first.id)
    assert process.step(1, 3)
    assert process.end(1, mark=1)
    assert replays.poll(ANN, second.id) == LayoutProgress(0, 0)
    process.end(2, mark=2)
    layouts = until_found(replays, second)
    assert isinstance(layouts, Layouts) and layouts.xy[0, 0, 0] == 2


def test_a_film_that_waits_is_forgotten_without_a_word_to_the_process(
    replays: Replays, process: FakeProjector, runs: list[RunInfo]
) -> None:
    first, second = runs
    for info in runs:
        replays.prepare(info)
    process.until_received(("lay_out_film", 1))
    replays.forget(second.id)
    replays.forget("nobody's")
    process.end(1)
    assert isinstance(until_found(replays, first), Layouts)
    assert not replays.is_laying_out(second.id)
    assert process.received == [("lay_out_film", 1)]


def test_a_run_that_is_deleted_while_it_is_read_is_not_laid_out(
    replays: Replays, process: FakeProjector, runs: list[RunInfo], store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = runs
    read = store.run_history

    def deleted(owner: str, run: str) -> RunHistory | None:
        if run == first.id:
            replays.forget(first.id)
        return read(owner, run)

    monkeypatch.setattr(store, "run_history", deleted)
    for info in runs:
        replays.prepare(info)
    process.until_received(("lay_out_film", 1))
    process.end(1)
    assert isinstance(until_found(replays, second), Layouts)


def test_a_problem_is_its_message_and_the_next_one_begins(
    replays: Replays, process: FakeProjector, runs: list[RunInfo]
) -> None:
    for info in runs:
        replays.prepare(info)
    process.until_received(("lay_out_film", 1))
    process.reject(1, "There are no points to draw.")
    process.until_received(("lay_out_film", 1), ("lay_out_film", 2))
    assert replays.poll(ANN, runs[0].id) == "There are no points to draw."


def test_a_new_process_begins_the_film_again_but_not_a_third_time(
    replays: Replays, process: FakeProjector, runs: list[RunInfo]
) -> None:
    heavy, light = runs
    for info in runs:
        replays.prepare(info)
    process.until_received(("lay_out_film", 1))
    process.step(1, 2)
    process.die()
    process.until_received(("lay_out_film", 1), ("lay_out_film", 2))
    assert replays.poll(ANN, heavy.id) == LayoutProgress(0, 0)
    process.die()
    process.until_received(("lay_out_film", 1), ("lay_out_film", 2), ("lay_out_film", 3))
    assert replays.poll(ANN, heavy.id) == TOO_HEAVY
    process.end(3)
    assert isinstance(until_found(replays, light), Layouts)


def test_without_a_process_all_films_are_refused_with_the_reason(
    replays: Replays, process: FakeProjector, runs: list[RunInfo]
) -> None:
    replays.prepare(runs[0])
    process.until_received(("lay_out_film", 1))
    process.problem = CANNOT_LAY_OUT
    process.die()
    assert [until_found(replays, info) for info in runs] == [CANNOT_LAY_OUT, CANNOT_LAY_OUT]


@pytest.mark.slow
def test_a_film_outlives_kill_9_of_its_process(store: RunStore, runs: list[RunInfo]) -> None:
    projector = ProjectorClient(lambda run, meta, arrays: None, lambda: None)
    try:
        first = projector.child
        os.kill(first.pid, signal.SIGSTOP)
        replays = Replays(store, projector)
        replays.prepare(runs[0])
        until(lambda: projector._client._open, "the film to be asked for")
        os.kill(first.pid, signal.SIGKILL)
        layouts = until_found(replays, runs[0])
        assert isinstance(layouts, Layouts) and layouts.xy.shape == (3, IMAGES, 2)
        assert projector.child is not first
    finally:
        projector.close()
