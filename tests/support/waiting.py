"""Waiting for another process: no test measures time, each only gives up in the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 600.0
"""Seconds; only what never comes takes so long, however busy the machine."""


def until(condition: Callable[[], T | None], what: str) -> T:
    """The first true value of `condition`; fails with `what` where none comes."""
    given_up_at = time.monotonic() + PATIENCE
    while time.monotonic() < given_up_at:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited in vain for {what}")
