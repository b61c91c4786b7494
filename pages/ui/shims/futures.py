"""Replies of the engine's processes: a page waits a little for each, and takes a late one when it runs again."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from concurrent.futures import CancelledError, Future, TimeoutError
from typing import TypeVar

import numpy as np

from pages.ui.shims.widgets import once

T = TypeVar("T")

Arrays = dict[str, np.ndarray]


def result_within(reply: Future[T], seconds: float) -> T | None:
    """Return the result; None where it takes longer, where there cannot be one, or where the process died."""
    try:
        return reply.result(seconds)
    except (TimeoutError, CancelledError):
        return None


def request_once(name: str, key: Hashable, send: Callable[[], Future[T]], seconds: float) -> T | None:
    """Return the result of the request that `send` sends, once for each `key`; None as `result_within` does.

    Another key under the same `name` takes the place of this one; a reply that was cancelled is requested again.
    """
    return result_within(once(name, key, send, lambda reply: not reply.cancelled()), seconds)
