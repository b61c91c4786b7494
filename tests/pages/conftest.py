"""All pages have one server, as in use; its processes end with the last of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from pages.ui.session.engine import downloads, engine, evaluations, sweeps, uploads
from tests.support.waiting import PATIENCE


@pytest.fixture(scope="package", autouse=True)
def _processes_end_with_the_pages() -> Iterator[None]:
    yield
    for resource in (sweeps, uploads, engine, evaluations):
        resource().close()
    for resource in (sweeps, uploads, engine, evaluations, downloads):
        resource.clear()


@pytest.fixture(autouse=True)
def _main_stays() -> Iterator[None]:
    """AppTest leaves its script as the main module, which children of the forkserver would run again."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a page waits for a reply, it waits till there is one: what comes late is drawn by a run that AppTest never
    makes, and on a busy machine any reply may come late."""
    result = Future.result
    monkeypatch.setattr(Future, "result", lambda self, timeout=None: result(self, timeout and PATIENCE))
