"""The curve of a loss, asked of the worker: the server knows no torch."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import CancelledError, TimeoutError
from typing import Any

import numpy as np
import streamlit as st

from pages.ui.owner import engine
from siamese_core.engine.engine import Answer
from siamese_core.losses import LOSSES, Loss

POINTS = {"triplet": 61, "batch": 25}
"""Of a surface along each side; a loss on a whole batch is a call for each point. All others are one call."""

MOST_POINTS = 201

WAIT = 0.3
"""Seconds that a page waits for an answer: far more than it takes when the worker is not starved."""

KEPT = 32

Arrays = dict[str, np.ndarray]


def places(loss: Loss, end: float) -> np.ndarray:
    """Where the curve of a loss is computed, from 0 to `end`."""
    return np.linspace(0, end, POINTS.get(loss.takes, MOST_POINTS), dtype=np.float64)


def loss_arrays(key: str, params: Mapping[str, float], at: np.ndarray) -> Arrays | None:
    """The arrays of `curves.drawn`; the last ones of this loss where the worker is busy; None before there are any.

    An answer that comes late is taken at the next look: see `is_waiting`.
    """
    asked = (key, tuple(params.items()), float(at[0]), float(at[-1]), len(at))
    kept: dict[tuple[Any, ...], Arrays] = st.session_state.setdefault("loss_arrays", {})
    if asked in kept:
        return kept[asked]
    if not engine().devices:
        return None
    late: dict[tuple[Any, ...], Answer] = st.session_state.setdefault("late_arrays", {})
    answer = late.pop(asked, None) or engine().curve(key, params, at)
    found = answered(answer)
    if found is None:
        if not answer.cancelled():
            late[asked] = answer
            _bound(late)
        return next((arrays for name, arrays in reversed(kept.items()) if name[0] == key), None)
    kept[asked] = found
    _bound(kept)
    return found


def is_waiting() -> bool:
    """Whether a curve is on its way that was not there when the page was drawn."""
    return not engine().devices or bool(st.session_state.get("late_arrays"))


def has_come() -> bool:
    late: dict[tuple[Any, ...], Answer] = st.session_state.get("late_arrays", {})
    return bool(engine().devices) and (not late or any(answer.done() for answer in late.values()))


def answered(asked: Answer) -> Arrays | None:
    """The worker's answer; None where it takes too long, or the worker died."""
    try:
        return asked.result(WAIT)
    except (TimeoutError, CancelledError):
        return None


def _bound(kept: dict[tuple[Any, ...], Any]) -> None:
    while len(kept) > KEPT:
        del kept[next(iter(kept))]


def line_of(key: str) -> str | None:
    """The parameter of a loss that is a place on the axis of distances, and a line that can be dragged."""
    loss = LOSSES[key]
    if loss.takes not in ("distance", "triplet") or not loss.params:
        return None
    return loss.params[0].name


def axis_of(key: str) -> str:
    """What a loss is drawn along: "distance", "similarity", or "triplet" for a surface of two distances."""
    takes = LOSSES[key].takes
    return {"similarity": "similarity", "logits": "similarity", "triplet": "triplet"}.get(takes, "distance")
