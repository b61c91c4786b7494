"""Films laid out by the projection process: one after the other, behind live runs, through cancels and deaths."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from typing import Any

import numpy as np
import pytest

from siamese_core.engine.rpc.client import RequestRejected, RpcClient
from siamese_core.engine.rpc.film_queue import TOO_HEAVY, FilmQueue
from siamese_core.engine.rpc.pipes import Child
from siamese_core.engine.workers.projector import OUR_ERROR_IN_A_FILM, _Projector
from siamese_core.runs.layouts import chained
from tests.support.waiting import PATIENCE, until

Arrays = dict[str, np.ndarray]


def film(frames: int = 3, n: int = 8, dim: int = 4) -> np.ndarray:
    start, way = np.random.RandomState(0).normal(size=(2, n, dim))
    return np.stack([start + 0.1 * f * way for f in range(frames)]).astype(np.float32)


# ---- the server's side


class FakeProcess:
    """Stands for the process: what it receives, and what it would reply."""

    def __init__(self) -> None:
        self.received: list[tuple[str, int]] = []
        self.client = RpcClient(self.receive)
        self.films = FilmQueue(self.client)

    def receive(self, meta: dict[str, Any], **arrays: np.ndarray) -> None:
        self.received.append((meta["do"], meta["id"]))

    def step(self, film: int, done: int, of: int = 3) -> bool:
        return self.client.on_message({"is": "progress", "id": film, "done": done, "of": of}, {})

    def end(self, film: int, mark: int = 0) -> bool:
        arrays = {"xy": np.full((3, 8, 2), mark, np.float32), "neighbours": np.zeros((3, 8, 5), np.int32)}
        return self.client.on_message({"is": "reply", "id": film}, arrays)

    def reject(self, film: int, message: str) -> bool:
        return self.client.on_message({"is": "rejected", "id": film, "message": message}, {})

    def die(self) -> None:
        """Another one takes its place."""
        self.client.cancel_all()


def test_the_process_has_one_film_at_a_time_in_the_order_of_the_requests() -> None:
    process = FakeProcess()
    first, second = (process.films.begin(name, "pca", film()) for name in ("a", "b"))
    assert process.received == [("film", 1)]
    assert process.films.progress("a") == process.films.progress("b") == (0, 0)
    assert process.step(1, 2)
    assert (process.films.progress("a"), process.films.progress("b")) == ((2, 3), (0, 0))
    assert process.end(1, mark=7)
    layouts = first.result(0)
    assert (layouts.kind, layouts.xy.shape, layouts.xy[0, 0, 0]) == ("pca", (3, 8, 2), 7)
    assert process.films.progress("a") is None
    assert process.received[1:] == [("film", 2)]
    assert not second.done()


def test_who_asks_for_the_same_film_again_waits_for_the_same_one() -> None:
    process = FakeProcess()
    reply = process.films.begin("a", "pca", film())
    assert process.films.begin("a", "pca", film()) is reply
    process.end(1)
    assert process.films.begin("a", "pca", film()) is not reply
    assert process.received == [("film", 1), ("film", 2)]


@pytest.mark.parametrize("meta", [{"is": "layout", "run": "a"}, {"is": "ready"}])
def test_other_messages_are_for_others(meta: dict[str, str]) -> None:
    process = FakeProcess()
    process.films.begin("a", "pca", film())
    assert not process.client.on_message(meta, {})


def test_a_film_that_is_cancelled_makes_room_and_what_it_still_says_is_nobodys() -> None:
    process = FakeProcess()
    first, second = (process.films.begin(name, "pca", film()) for name in ("a", "b"))
    process.films.cancel("a")
    with pytest.raises(CancelledError):
        first.result(0)
    assert process.received[1:] == [("cancel", 1), ("film", 2)]
    assert process.step(1, 3)
    assert process.end(1, mark=1)
    assert process.films.progress("b") == (0, 0)
    assert not second.done()
    process.end(2, mark=2)
    assert second.result(0).xy[0, 0, 0] == 2


def test_a_film_that_waits_is_cancelled_without_a_word_to_the_process() -> None:
    process = FakeProcess()
    process.films.begin("a", "pca", film())
    waiting = process.films.begin("b", "pca", film())
    process.films.cancel("b")
    process.films.cancel("nobody's")
    assert waiting.cancelled()
    process.end(1)
    assert process.received == [("film", 1)]


def test_a_problem_is_its_message_and_the_next_one_begins() -> None:
    process = FakeProcess()
    first, _ = (process.films.begin(name, "pca", film()) for name in ("a", "b"))
    process.reject(1, "There are no points to draw.")
    with pytest.raises(RequestRejected, match=r"^There are no points to draw\.$"):
        first.result(0)
    assert process.received[1:] == [("film", 2)]


def test_what_a_callback_stores_is_there_before_the_film_is_gone() -> None:
    """Who polls meanwhile neither finds nothing nor begins it a second time."""
    process = FakeProcess()
    found: list[object] = []
    reply = process.films.begin("a", "pca", film())
    reply.add_done_callback(lambda _: found.append(process.films.progress("a")))
    reply.add_done_callback(lambda _: found.append(process.films.begin("a", "pca", film()) is reply))
    process.step(1, 3)
    process.end(1)
    assert found == [(3, 3), True]
    assert process.films.progress("a") is None


def test_a_holder_may_cancel_its_future() -> None:
    process = FakeProcess()
    process.films.begin("a", "pca", film()).cancel()
    process.films.begin("b", "pca", film()).cancel()
    assert process.end(1)
    assert process.reject(2, "Something.")
    assert process.films.progress("b") is None


def test_a_new_process_begins_the_film_again_but_not_a_third_time() -> None:
    process = FakeProcess()
    heavy, light = (process.films.begin(name, "pca", film()) for name in ("a", "b"))
    process.step(1, 2)
    process.die()
    assert process.received[1:] == [("film", 2)]
    assert process.films.progress("a") == (0, 0)
    process.die()
    with pytest.raises(RequestRejected) as refused:
        heavy.result(0)
    assert str(refused.value) == TOO_HEAVY
    assert process.received[2:] == [("film", 3)]
    process.end(3)
    assert light.result(0).kind == "pca"


def test_a_death_without_films_says_nothing() -> None:
    process = FakeProcess()
    process.die()
    assert process.received == []


def test_without_a_process_all_films_are_refused_later_ones_too() -> None:
    process = FakeProcess()
    replies = [process.films.begin(name, "pca", film()) for name in ("a", "b")]
    process.films.close("It died too often.")
    replies.append(process.films.begin("c", "pca", film()))
    for reply in replies:
        with pytest.raises(RequestRejected, match="died too often"):
            reply.result(0)
    assert process.films.progress("c") is None
    assert process.received == [("film", 1)]


# ---- the process, in this one


class FakePipe:
    """Stands for the pipe; `then(meta)` is called while a message is being sent."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.receive: Callable[[dict[str, Any], Arrays], None] = lambda meta, arrays: None
        self.then: Callable[[dict[str, Any]], None] = lambda meta: None

    def send(self, meta: dict[str, Any], **arrays: np.ndarray) -> None:
        self.sent.append(meta | arrays)
        self.then(meta)

    def listen(self, on_message: Callable[[dict[str, Any], Arrays], None]) -> None:
        self.receive = on_message

    @property
    def kinds(self) -> list[str]:
        return [message["is"] for message in self.sent]


@pytest.fixture
def server() -> FakePipe:
    return FakePipe()


@pytest.fixture
def process(server: FakePipe) -> _Projector:
    projector = _Projector(server)  # type: ignore[arg-type]
    projector._warm.set()
    return projector


def request(number: int = 1, kind: str = "pca", embeddings: np.ndarray | None = None) -> tuple[dict[str, Any], Arrays]:
    return {"do": "film", "id": number, "kind": kind}, {"embeddings": film() if embeddings is None else embeddings}


def live(run: str, step: int = 0) -> tuple[dict[str, Any], Arrays]:
    return {"do": "project", "run": run, "kind": "pca", "step": step}, {"embeddings": film(1)[0]}


CANCEL: tuple[dict[str, Any], Arrays] = {"do": "cancel", "id": 1}, {}


def test_a_live_layout_waits_for_one_layout_of_a_film_at_most(server: FakePipe, process: _Projector) -> None:
    """Two live runs begin to wait while the first layout is sent; the newest embedding of each counts."""

    def then(meta: dict[str, Any]) -> None:
        if meta["is"] == "progress" and meta["done"] == 1:
            for waiting in (live("ann", 5), live("ben", 7), live("ann", 9)):
                server.receive(*waiting)

    server.then = then
    server.receive(*request())
    for _ in range(6):
        process._turn()
    assert server.kinds == ["progress", "layout", "layout", "progress", "progress", "reply"]
    assert [(m["run"], m["step"]) for m in server.sent[1:3]] == [("ann", 9), ("ben", 7)]
    assert [(m["done"], m["of"]) for m in server.sent if m["is"] == "progress"] == [(1, 3), (2, 3), (3, 3)]


def test_a_film_is_what_chained_lays_out(server: FakePipe, process: _Projector) -> None:
    server.receive(*request(kind="pca_3d"))
    for _ in range(4):
        process._turn()
    end = server.sent[-1]
    expected = list(chained("pca_3d", film()))
    assert (end["is"], end["id"]) == ("reply", 1)
    np.testing.assert_array_equal(end["xy"], np.stack([xy for xy, _ in expected]))
    np.testing.assert_array_equal(end["neighbours"], np.stack([near for _, near in expected]))


@pytest.mark.parametrize("at", [1, 3])
def test_a_film_that_is_cancelled_sends_no_more(server: FakePipe, process: _Projector, at: int) -> None:
    """After the first layout, or after the last one, before it would send all of them."""
    server.then = lambda meta: server.receive(*CANCEL) if meta.get("done") == at else None
    server.receive(*request())
    for _ in range(at):
        process._turn()
    server.receive(*live("ann"))
    process._turn()
    assert server.kinds == ["progress"] * at + ["layout"]
    assert not process._films


def test_a_film_that_begins_again_begins_with_its_first_layout(server: FakePipe, process: _Projector) -> None:
    server.receive(*request())
    process._turn()
    server.receive(*request(embeddings=film(2)))
    for _ in range(3):
        process._turn()
    assert [m.get("done") for m in server.sent] == [1, 1, 2, None]
    assert len(server.sent[-1]["xy"]) == 2


def test_films_are_laid_out_in_the_order_of_the_requests(server: FakePipe, process: _Projector) -> None:
    server.receive(*request(1))
    server.receive(*request(2))
    for _ in range(8):
        process._turn()
    assert [m["id"] for m in server.sent] == [1] * 4 + [2] * 4


@pytest.mark.parametrize(
    ("kind", "embeddings", "message"),
    [
        ("raw", film(), "Raw shows embeddings of dimension 2, and these have 4."),
        ("pca", film()[:0], "There are no frames to draw."),
        ("tsne", film(), OUR_ERROR_IN_A_FILM),
        ("pca", film()[0], OUR_ERROR_IN_A_FILM),
    ],
)
def test_a_film_that_cannot_be_drawn_ends_with_a_message_and_the_next_goes_on(
    server: FakePipe, process: _Projector, kind: str, embeddings: np.ndarray, message: str
) -> None:
    server.receive(*request(1, kind, embeddings))
    server.receive(*request(2))
    while "rejected" not in server.kinds:
        process._turn()
    assert server.sent[-1] == {"is": "rejected", "id": 1, "message": message}
    process._turn()
    assert (server.sent[-1]["id"], server.sent[-1]["done"]) == (2, 1)


# ---- a real process


class Projection:
    """A process as the engine has one, and the order in which it sent things."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.deaths = 0
        self.client = RpcClient(lambda meta, **arrays: self.child.send(meta, **arrays))
        self.films = FilmQueue(self.client)
        self.child = self._new()

    def _new(self) -> Child:
        return Child("siamese_core.engine.workers.projector", self._on_message, self._on_exit)

    def _on_message(self, meta: dict[str, Any], arrays: Arrays) -> None:
        self.sent.append((meta["is"], meta.get("run", "")))
        self.client.on_message(meta, arrays)

    def _on_exit(self) -> None:
        self.child = self._new()
        self.client.cancel_all()
        self.deaths += 1


@pytest.fixture(scope="module")
def projection() -> Iterator[Projection]:
    projection = Projection()
    yield projection
    projection.child.close()


LONG = film(frames=2_000, n=200)


def test_a_film_waits_until_umap_is_warm_and_has_its_bits(projection: Projection) -> None:
    """Asked for before the process has even started: no layout is by a stand-in."""
    embeddings = film(frames=4, n=60)
    layouts = projection.films.begin("a", "umap", embeddings).result(PATIENCE)
    assert [kind for kind, _ in projection.sent] == ["ready", *["progress"] * 4, "reply"]
    expected = list(chained("umap", embeddings))
    assert layouts.kind == "umap"
    np.testing.assert_array_equal(layouts.xy, np.stack([xy for xy, _ in expected]))
    np.testing.assert_array_equal(layouts.neighbours, np.stack([near for _, near in expected]))


def test_a_live_layout_overtakes_a_film_and_a_cancelled_film_makes_room(projection: Projection) -> None:
    long = projection.films.begin("long", "umap", LONG)
    until(lambda: (projection.films.progress("long") or (0, 0))[0] > 0, "the first layout of the film")
    meta = {"do": "project", "run": "ann", "kind": "umap", "step": 1}
    projection.child.send(meta, embeddings=LONG[0])
    until(lambda: ("layout", "ann") in projection.sent, "the live layout")
    done, of = projection.films.progress("long") or (0, 0)
    assert 0 < done < of == len(LONG)
    projection.films.cancel("long")
    assert long.cancelled()
    assert len(projection.films.begin("short", "pca", film()).result(PATIENCE).xy) == 3


@pytest.mark.slow
def test_a_film_outlives_kill_9_of_its_process(projection: Projection) -> None:
    embeddings = film(frames=300, n=200)
    begun = projection.films.begin("long", "umap", embeddings)
    until(lambda: (projection.films.progress("long") or (0, 0))[0] > 0, "the first layout of the film")
    os.kill(projection.child.pid, signal.SIGKILL)
    until(lambda: projection.deaths, "the death")
    assert not begun.done()
    assert begun.result(PATIENCE).xy.shape == (300, 200, 2)
