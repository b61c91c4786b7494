"""The server's processes end with the module that began them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pages.ui.session.engine import downloads, engine, evaluations, sweeps, uploads


@pytest.fixture(scope="module", autouse=True)
def _processes_end_with_the_module() -> Iterator[None]:
    yield
    for resource in (sweeps, uploads, engine, evaluations):
        resource().close()
    for resource in (sweeps, uploads, engine, evaluations, downloads):
        resource.clear()
