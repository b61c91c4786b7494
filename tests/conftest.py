"""One thread for every library, as in the workers: other thread counts are other bits, and slower on a busy machine.

Runs are saved in a folder of this test run alone.
"""

import atexit
import os
import shutil
import tempfile

import pytest
from hypothesis import settings

# Imports no numpy, whose BLAS reads the environment once.
from siamese_core.experiment.machine import ONE_THREAD

os.environ.update(ONE_THREAD)
# How long an example takes says nothing on a busy machine.
settings.register_profile("no clock", deadline=None)
settings.load_profile("no clock")
os.environ["SIAMESE_HOME"] = tempfile.mkdtemp(prefix="siamese-home-")
atexit.register(shutil.rmtree, os.environ["SIAMESE_HOME"], ignore_errors=True)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first: one that is left for the end would keep one of two cores waiting."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is None)
