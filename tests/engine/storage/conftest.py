"""A clock that the test moves, a disk that it fills, and a keeping that ends with it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from siamese_core.engine.storage import saver as keeping_module
from siamese_core.engine.storage.saver import Keeping
from siamese_core.engine.storage.store import Shelf
from siamese_core.runs import writer
from siamese_core.runs.record import Record
from siamese_core.runs.writer import Keeper
from tests.support.saving import EVERY, Clock, Disk, probe, viewed


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(keeping_module, "Keeper", partial(Keeper, clock=clock))
    # Digits need scikit-learn, and no test here looks at their pictures.
    monkeypatch.setattr(writer, "probe_images", lambda *_: probe())
    return clock


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


@pytest.fixture
def ended() -> list[Record]:
    return []


@pytest.fixture
def keeping(shelf: Shelf, clock: Clock, ended: list[Record]) -> Iterator[Keeping]:
    keeping = Keeping(shelf, viewed, ended.append, EVERY)
    yield keeping
    keeping.close()
