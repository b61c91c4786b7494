"""Films laid out by the projection process: one after the other, a frame at a time, behind live runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from siamese_core.engine.workers.projector import OUR_ERROR_IN_A_FILM, _Projector
from siamese_core.runs.layouts import chained

Arrays = dict[str, np.ndarray]


def film(frames: int = 3, n: int = 8, dim: int = 4) -> np.ndarray:
    start, way = np.random.RandomState(0).normal(size=(2, n, dim))
    return np.stack([start + 0.1 * f * way for f in range(frames)]).astype(np.float32)


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
    return {"do": "lay_out_film", "id": number, "kind": kind}, {
        "embeddings": film() if embeddings is None else embeddings
    }


def live(run: str, step: int = 0) -> tuple[dict[str, Any], Arrays]:
    return {"do": "lay_out_live", "run": run, "kind": "pca", "step": step}, {"embeddings": film(1)[0]}


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
