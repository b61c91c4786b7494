"""The projection process itself: what it lays out, and what overtakes what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from siamese_core.engine.rpc.projector_client import ProjectorClient
from siamese_core.runs.layouts import chained
from tests.engine.workers.test_projector import Arrays, film
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.slow
"""UMAP takes a process of its own half a minute to compile."""


class Projection:
    """A process as the engine has one, and the order in which it said things."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.client = ProjectorClient(self._on_layout, lambda: self.said.append("ready"))

    def _on_layout(self, run: str, meta: dict[str, Any], arrays: Arrays) -> None:
        self.said.append(run)

    def on_progress(self, meta: dict[str, Any]) -> None:
        self.said.append((meta["done"], meta["of"]))


@pytest.fixture(scope="module")
def projection() -> Iterator[Projection]:
    projection = Projection()
    yield projection
    projection.client.close()


def test_a_film_waits_until_umap_is_warm_and_has_its_bits(projection: Projection) -> None:
    """Asked for before the process has even started: no layout is by a stand-in."""
    embeddings = film(frames=4, n=60)
    said: list[Any] = []

    def on_progress(meta: dict[str, Any]) -> None:
        said.append((meta["done"], meta["of"], "ready" in projection.said))

    layouts = projection.client.lay_out_film(embeddings, "umap", on_progress).result(PATIENCE)
    assert said == [(done, 4, True) for done in (1, 2, 3, 4)]
    expected = list(chained("umap", embeddings))
    np.testing.assert_array_equal(layouts["xy"], np.stack([xy for xy, _ in expected]))
    np.testing.assert_array_equal(layouts["neighbours"], np.stack([near for _, near in expected]))


def test_a_live_layout_overtakes_a_film_and_a_cancelled_film_makes_room(projection: Projection) -> None:
    frames = 2_000
    long = projection.client.lay_out_film(film(frames, n=200), "umap", projection.on_progress)
    until(lambda: (1, frames) in projection.said, "the first layout of the film")
    projection.client.lay_out_live("ann", "umap", 1, film(1, n=200)[0])
    until(lambda: "ann" in projection.said, "the live layout")
    assert not long.done() and (frames, frames) not in projection.said
    assert long.cancel()
    short = projection.client.lay_out_film(film(), "pca", projection.on_progress)
    assert len(short.result(PATIENCE)["xy"]) == 3
