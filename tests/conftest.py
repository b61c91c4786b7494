"""One thread for every library, as in the workers: other thread counts are other bits, and slower on a busy machine.

Runs are saved in a folder of this test run alone.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

# Imports no numpy, whose BLAS reads the environment once.
from siamese_core.experiment.machine import ONE_THREAD

os.environ.update(ONE_THREAD)
os.environ["SIAMESE_HOME"] = tempfile.mkdtemp(prefix="siamese-home-")
atexit.register(shutil.rmtree, os.environ["SIAMESE_HOME"], ignore_errors=True)
# The same examples in every run; how long one takes says nothing on a busy machine.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")

ENVIRONMENT = (
    "tests/cli/",
    "tests/datasets/test_download",
    "tests/datasets/test_uploaded",
    "tests/engine/",
    "tests/experiment/test_experiment.py",
    "tests/export/script/",
    "tests/export/test_report.py",
    "tests/export/test_tables.py",
    "tests/formats/test_archives.py",
    "tests/formats/test_pair_lists.py",
    "tests/pages/test_data_page.py",
    "tests/pages/test_runs_page.py",
    "tests/runs/",
    "tests/test_house.py",
)
"""What touches the clock, time zones, languages, paths, users or processes: see `tests.portability`."""

SHARED = ("tests/browser", "tests/pages", "umap")
"""Files that share a server, or UMAP compiled, either of which takes longer than their tests: all on one worker, before
all others."""

WITH_UMAP = (
    "tests/embeddings/test_projection.py",
    "tests/engine/rpc/test_projector_client.py",
    "tests/engine/storage/test_replays.py",
    "tests/export/test_replay_message.py",
)


def scope_of(file: str) -> str:
    """Return what a worker takes at a time: a file, or all that share what is slow to start."""
    name = file.removeprefix("tests/browser/test_")
    if file.startswith("tests/pages/"):
        return "tests/pages"
    if file in WITH_UMAP:
        return "umap"
    if file.startswith("tests/engine/test_engine"):
        return "tests/engine/test_engine"
    # The views by themselves need a browser, and no server.
    return file if name == file or name.startswith(("embedding_", "plot_", "replay_")) else "tests/browser"


class ByServer(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid.partition("::")[0])


def pytest_itemcollected(item: pytest.Item) -> None:
    if item.nodeid.startswith(ENVIRONMENT):
        item.add_marker("environment")


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    return ByServer(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: one that is left for the end would keep one of two cores waiting."""

    def place(item: pytest.Item) -> int:
        scope = scope_of(item.nodeid.partition("::")[0])
        return SHARED.index(scope) if scope in SHARED else len(SHARED)

    items.sort(key=place)
