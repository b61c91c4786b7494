"""A clock that the test moves, a disk that it fills, and a saver that ends with it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from siamese_core.engine.storage import saver as saver_module
from siamese_core.engine.storage.saver import RunSaver
from siamese_core.engine.storage.store import RunStore
from siamese_core.runs import writer
from siamese_core.runs.info import RunInfo
from siamese_core.runs.writer import RunWriter
from tests.support.runs import EVERY, Clock, Disk, eval_images, transformed


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(saver_module, "SAVE_EVERY", EVERY)
    monkeypatch.setattr(saver_module, "RunWriter", partial(RunWriter, clock=clock))
    # Digits need scikit-learn, and no test here reads their images.
    monkeypatch.setattr(writer, "eval_images_of", lambda *_: eval_images())
    return clock


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path)


@pytest.fixture
def ended() -> list[RunInfo]:
    return []


@pytest.fixture
def saver(store: RunStore, clock: Clock, ended: list[RunInfo]) -> Iterator[RunSaver]:
    saver = RunSaver(store, transformed, ended.append)
    yield saver
    saver.close()
