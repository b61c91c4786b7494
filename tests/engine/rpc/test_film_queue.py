"""Films laid out by the projection process: one after the other, behind live pictures, through cancels and deaths."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from typing import Any

import numpy as np
import pytest

from siamese_core.engine.rpc.client import Refused
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


class Said:
    """Stands for the process: what it was told, and what it would answer."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.chains = FilmQueue(self.say)

    def say(self, meta: dict[str, Any], **arrays: np.ndarray) -> None:
        self.told.append((meta["do"], meta["run"]))

    def step(self, run: str, done: int, of: int = 3) -> bool:
        return self.chains.heard({"is": "chain_step", "run": run, "done": done, "of": of}, {})

    def end(self, run: str, mark: int = 0, problem: str | None = None) -> bool:
        arrays = {"xy": np.full((3, 8, 2), mark, np.float32), "neighbours": np.zeros((3, 8, 5), np.int32)}
        return self.chains.heard({"is": "chain", "run": run, "kind": "pca", "problem": problem}, arrays)


def test_the_process_has_one_chain_at_a_time_in_the_order_of_the_asking() -> None:
    process = Said()
    first, second = (process.chains.begin(name, "pca", film()) for name in ("a", "b"))
    assert process.told == [("chain", "chain 1")]
    assert process.chains.progress("a") == process.chains.progress("b") == (0, 0)
    assert process.step("chain 1", 2)
    assert (process.chains.progress("a"), process.chains.progress("b")) == ((2, 3), (0, 0))
    assert process.end("chain 1", mark=7)
    layouts = first.result(0)
    assert (layouts.kind, layouts.xy.shape, layouts.xy[0, 0, 0]) == ("pca", (3, 8, 2), 7)
    assert process.chains.progress("a") is None
    assert process.told[1:] == [("chain", "chain 2")]
    assert not second.done()


def test_who_asks_for_the_same_film_again_waits_for_the_same_one() -> None:
    process = Said()
    asked = process.chains.begin("a", "pca", film())
    assert process.chains.begin("a", "pca", film()) is asked
    process.end("chain 1")
    assert process.chains.begin("a", "pca", film()) is not asked
    assert process.told == [("chain", "chain 1"), ("chain", "chain 2")]


@pytest.mark.parametrize("meta", [{"is": "layout", "run": "a"}, {"is": "ready"}])
def test_other_messages_are_for_others(meta: dict[str, str]) -> None:
    process = Said()
    process.chains.begin("a", "pca", film())
    assert not process.chains.heard(meta, {})


def test_a_chain_that_is_cancelled_makes_room_and_what_it_still_says_is_nobodys() -> None:
    process = Said()
    first, second = (process.chains.begin(name, "pca", film()) for name in ("a", "b"))
    process.chains.cancel("a")
    with pytest.raises(CancelledError):
        first.result(0)
    assert process.told[1:] == [("forget", "chain 1"), ("chain", "chain 2")]
    assert process.step("chain 1", 3)
    assert process.end("chain 1", mark=1)
    assert process.chains.progress("b") == (0, 0)
    assert not second.done()
    process.end("chain 2", mark=2)
    assert second.result(0).xy[0, 0, 0] == 2


def test_a_chain_that_waits_is_cancelled_without_a_word_to_the_process() -> None:
    process = Said()
    process.chains.begin("a", "pca", film())
    waiting = process.chains.begin("b", "pca", film())
    process.chains.cancel("b")
    process.chains.cancel("nobody's")
    assert waiting.cancelled()
    process.end("chain 1")
    assert process.told == [("chain", "chain 1")]


def test_a_problem_is_its_sentence_and_the_next_one_begins() -> None:
    process = Said()
    first, _ = (process.chains.begin(name, "pca", film()) for name in ("a", "b"))
    process.end("chain 1", problem="There are no points to draw.")
    with pytest.raises(Refused, match=r"^There are no points to draw\.$"):
        first.result(0)
    assert process.told[1:] == [("chain", "chain 2")]


def test_what_a_callback_keeps_is_there_before_the_chain_is_gone() -> None:
    """Who looks meanwhile neither finds nothing nor begins it a second time."""
    process = Said()
    found: list[object] = []
    asked = process.chains.begin("a", "pca", film())
    asked.add_done_callback(lambda _: found.append(process.chains.progress("a")))
    asked.add_done_callback(lambda _: found.append(process.chains.begin("a", "pca", film()) is asked))
    process.step("chain 1", 3)
    process.end("chain 1")
    assert found == [(3, 3), True]
    assert process.chains.progress("a") is None


def test_a_holder_may_let_its_future_go() -> None:
    process = Said()
    process.chains.begin("a", "pca", film()).cancel()
    process.chains.begin("b", "pca", film()).cancel()
    assert process.end("chain 1")
    assert process.end("chain 2", problem="Something.")
    assert process.chains.progress("b") is None


def test_a_new_process_begins_the_chain_again_but_not_a_third_time() -> None:
    process = Said()
    heavy, light = (process.chains.begin(name, "pca", film()) for name in ("a", "b"))
    process.step("chain 1", 2)
    process.chains.begin_again()
    assert process.told[1:] == [("chain", "chain 1")]
    assert process.chains.progress("a") == (0, 0)
    process.chains.begin_again()
    with pytest.raises(Refused) as refused:
        heavy.result(0)
    assert str(refused.value) == TOO_HEAVY
    assert process.told[2:] == [("chain", "chain 2")]
    process.end("chain 2")
    assert light.result(0).kind == "pca"


def test_a_death_without_chains_says_nothing() -> None:
    process = Said()
    process.chains.begin_again()
    assert process.told == []


def test_without_a_process_all_chains_are_refused_later_ones_too() -> None:
    process = Said()
    chains = [process.chains.begin(name, "pca", film()) for name in ("a", "b")]
    process.chains.let_go("It died too often.")
    chains.append(process.chains.begin("c", "pca", film()))
    for chain in chains:
        with pytest.raises(Refused, match="died too often"):
            chain.result(0)
    assert process.chains.progress("c") is None
    assert process.told == [("chain", "chain 1")]


# ---- the process, in this one


class Heard:
    """Stands for the pipe; `then(meta)` is called while a message is being said."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self.hear: Callable[[dict[str, Any], Arrays], None] = lambda meta, arrays: None
        self.then: Callable[[dict[str, Any]], None] = lambda meta: None

    def say(self, meta: dict[str, Any], **arrays: np.ndarray) -> None:
        self.said.append(meta | arrays)
        self.then(meta)

    def listen(self, hear: Callable[[dict[str, Any], Arrays], None]) -> None:
        self.hear = hear

    @property
    def kinds(self) -> list[str]:
        return [message["is"] for message in self.said]


@pytest.fixture
def server() -> Heard:
    return Heard()


@pytest.fixture
def process(server: Heard) -> _Projector:
    projector = _Projector(server)  # type: ignore[arg-type]
    projector._warm.set()
    return projector


def chain(
    run: str = "chain 1", kind: str = "pca", embeddings: np.ndarray | None = None
) -> tuple[dict[str, Any], Arrays]:
    return {"do": "chain", "run": run, "kind": kind}, {"embeddings": film() if embeddings is None else embeddings}


def live(run: str, step: int = 0) -> tuple[dict[str, Any], Arrays]:
    return {"do": "project", "run": run, "kind": "pca", "step": step}, {"embeddings": film(1)[0]}


FORGET: tuple[dict[str, Any], Arrays] = {"do": "forget", "run": "chain 1"}, {}


def test_a_live_picture_waits_for_one_picture_of_a_film_at_most(server: Heard, process: _Projector) -> None:
    """Two live runs begin to wait while the first picture is said; the newest embedding of each counts."""

    def then(meta: dict[str, Any]) -> None:
        if meta["is"] == "chain_step" and meta["done"] == 1:
            for waiting in (live("ann", 5), live("ben", 7), live("ann", 9)):
                server.hear(*waiting)

    server.then = then
    server.hear(*chain())
    for _ in range(6):
        process._turn()
    assert server.kinds == ["chain_step", "layout", "layout", "chain_step", "chain_step", "chain"]
    assert [(m["run"], m["step"]) for m in server.said[1:3]] == [("ann", 9), ("ben", 7)]
    assert [(m["done"], m["of"]) for m in server.said if m["is"] == "chain_step"] == [(1, 3), (2, 3), (3, 3)]


def test_a_film_is_what_chained_lays_out(server: Heard, process: _Projector) -> None:
    server.hear(*chain(kind="pca_3d"))
    for _ in range(4):
        process._turn()
    end = server.said[-1]
    expected = list(chained("pca_3d", film()))
    assert (end["is"], end["run"], end["kind"], end["problem"]) == ("chain", "chain 1", "pca_3d", None)
    np.testing.assert_array_equal(end["xy"], np.stack([xy for xy, _ in expected]))
    np.testing.assert_array_equal(end["neighbours"], np.stack([near for _, near in expected]))


@pytest.mark.parametrize("at", [1, 3])
def test_a_film_that_is_forgotten_says_no_more(server: Heard, process: _Projector, at: int) -> None:
    """After the first picture, or after the last one, before it would say all of them."""
    server.then = lambda meta: server.hear(*FORGET) if meta.get("done") == at else None
    server.hear(*chain())
    for _ in range(at):
        process._turn()
    server.hear(*live("ann"))
    process._turn()
    assert server.kinds == ["chain_step"] * at + ["layout"]
    assert not process._chains


def test_a_film_that_begins_again_begins_with_its_first_picture(server: Heard, process: _Projector) -> None:
    server.hear(*chain())
    process._turn()
    server.hear(*chain(embeddings=film(2)))
    for _ in range(3):
        process._turn()
    assert [m.get("done") for m in server.said] == [1, 1, 2, None]
    assert len(server.said[-1]["xy"]) == 2


def test_films_are_laid_out_in_the_order_of_the_asking(server: Heard, process: _Projector) -> None:
    server.hear(*chain("chain 1"))
    server.hear(*chain("chain 2"))
    for _ in range(8):
        process._turn()
    assert [m["run"] for m in server.said] == ["chain 1"] * 4 + ["chain 2"] * 4


@pytest.mark.parametrize(
    ("kind", "embeddings", "message"),
    [
        ("raw", film(), "Raw shows embeddings of dimension 2, and these have 4."),
        ("pca", film()[:0], "There are no frames to draw."),
        ("tsne", film(), OUR_ERROR_IN_A_FILM),
        ("pca", film()[0], OUR_ERROR_IN_A_FILM),
    ],
)
def test_a_film_that_cannot_be_drawn_ends_with_a_sentence_and_the_next_goes_on(
    server: Heard, process: _Projector, kind: str, embeddings: np.ndarray, message: str
) -> None:
    server.hear(*chain("chain 1", kind, embeddings))
    server.hear(*chain("chain 2"))
    while "chain" not in server.kinds:
        process._turn()
    assert server.said[-1] == {"is": "chain", "run": "chain 1", "problem": message}
    process._turn()
    assert (server.said[-1]["run"], server.said[-1]["done"]) == ("chain 2", 1)


# ---- a real process


class Projection:
    """A process as the engine has one, and the order in which it said things."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []
        self.deaths = 0
        self.chains = FilmQueue(lambda meta, **arrays: self.child.say(meta, **arrays))
        self.child = self._new()

    def _new(self) -> Child:
        return Child("siamese_core.engine.workers.projector", self._heard, self._died)

    def _heard(self, meta: dict[str, Any], arrays: Arrays) -> None:
        self.said.append((meta["is"], meta.get("run", "")))
        self.chains.heard(meta, arrays)

    def _died(self) -> None:
        self.child = self._new()
        self.chains.begin_again()
        self.deaths += 1


@pytest.fixture(scope="module")
def projection() -> Iterator[Projection]:
    projection = Projection()
    yield projection
    projection.child.close()


LONG = film(frames=2_000, n=200)


def test_a_film_waits_until_umap_is_warm_and_has_its_bits(projection: Projection) -> None:
    """Asked for before the process has even started: no picture is by a stand-in."""
    embeddings = film(frames=4, n=60)
    layouts = projection.chains.begin("a", "umap", embeddings).result(PATIENCE)
    assert [kind for kind, _ in projection.said] == ["ready", *["chain_step"] * 4, "chain"]
    expected = list(chained("umap", embeddings))
    assert layouts.kind == "umap"
    np.testing.assert_array_equal(layouts.xy, np.stack([xy for xy, _ in expected]))
    np.testing.assert_array_equal(layouts.neighbours, np.stack([near for _, near in expected]))


def test_a_live_picture_overtakes_a_film_and_a_cancelled_film_makes_room(projection: Projection) -> None:
    long = projection.chains.begin("long", "umap", LONG)
    until(lambda: (projection.chains.progress("long") or (0, 0))[0] > 0, "the first picture of the film")
    meta = {"do": "project", "run": "ann", "kind": "umap", "step": 1}
    projection.child.say(meta, embeddings=LONG[0])
    until(lambda: ("layout", "ann") in projection.said, "the live picture")
    done, of = projection.chains.progress("long") or (0, 0)
    assert 0 < done < of == len(LONG)
    projection.chains.cancel("long")
    assert long.cancelled()
    assert len(projection.chains.begin("short", "pca", film()).result(PATIENCE).xy) == 3


@pytest.mark.slow
def test_a_film_outlives_kill_9_of_its_process(projection: Projection) -> None:
    embeddings = film(frames=300, n=200)
    begun = projection.chains.begin("kept", "umap", embeddings)
    until(lambda: (projection.chains.progress("kept") or (0, 0))[0] > 0, "the first picture of the film")
    os.kill(projection.child.pid, signal.SIGKILL)
    until(lambda: projection.deaths, "the death")
    assert not begun.done()
    assert begun.result(PATIENCE).xy.shape == (300, 200, 2)
