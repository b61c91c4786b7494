"""One engine for all tests that want no store: UMAP takes its processes longer to compile than they need for a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from siamese_core.datasets import uploaded
from siamese_core.engine import Engine
from tests.support.engines import ANN, BEN, Clock
from tests.support.waiting import until


@pytest.fixture(scope="package")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="package")
def _engine(clock: Clock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Its children get the folder of the uploaded images when they start."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(uploaded.FOLDER, str(tmp_path_factory.mktemp("uploads")))
        engine = Engine(clock)
        until(lambda: engine.devices, "a warm worker")
        yield engine
        engine.close()


@pytest.fixture
def engine(_engine: Engine) -> Iterator[Engine]:
    """Without a run, before and after."""
    yield _engine
    for owner in (ANN, BEN):
        while run := _engine.latest(owner):
            _engine.discard(owner, run)
