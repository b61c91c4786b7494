"""The curve of a loss, asked of the worker: the server knows no torch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import streamlit as st

from pages.ui.asking import Arrays, answered
from pages.ui.owner import engine
from siamese_core.engine.questions import Answer
from siamese_core.losses import LOSSES, Loss

POINTS = {"triplet": 61, "batch": 19}
"""Of a surface along each side; a loss on a whole batch is a call for each point. All others are one call."""

POINTS_OF_OTHERS = 201

WAIT = 0.3
"""Seconds that a page waits for an answer: far more than it takes when the worker is not starved."""

KEPT = 32

Asked = tuple[str, tuple[tuple[str, float], ...], bytes]
"""A loss, its parameters, and the places."""


def places(loss: Loss, end: float) -> np.ndarray:
    """Where the curve of a loss is computed, from 0 to `end`."""
    return np.linspace(0, end, POINTS.get(loss.takes, POINTS_OF_OTHERS), dtype=np.float64)


def loss_arrays(key: str, params: Mapping[str, float], at: np.ndarray, wait: float = WAIT) -> Arrays | None:
    """The arrays of `curves.drawn`; where the worker is busy the last ones of this loss at the same places, or None.

    An answer that comes late is taken at the next look: see `is_waiting`.
    """
    _take_late()
    asked = (key, tuple(params.items()), at.tobytes())
    kept, late = _kept(), _late()
    if asked not in kept and engine().devices:
        answer = late.pop(asked, None) or engine().ask.curve(key, params, at)
        found = answered(answer, wait)
        if found is not None:
            _keep(asked, found)
        elif not answer.cancelled():
            late[asked] = answer
    if asked in kept:
        return kept[asked]
    alike = (arrays for name, arrays in reversed(kept.items()) if (name[0], name[2]) == (key, asked[2]))
    return next(alike, None)


def is_waiting() -> bool:
    """Whether a curve is on its way that was not there when the page was drawn."""
    return not engine().devices or bool(_late())


def has_come() -> bool:
    """Whether there is something new to draw, or nothing to wait for."""
    return bool(engine().devices) and (_take_late() or not _late())


def _take_late() -> bool:
    late = _late()
    done = [asked for asked, answer in late.items() if answer.done()]
    for asked in done:
        found = answered(late.pop(asked), WAIT)
        if found is not None:
            _keep(asked, found)
    return bool(done)


def _keep(asked: Asked, found: Arrays) -> None:
    kept = _kept()
    kept[asked] = found
    while len(kept) > KEPT:
        del kept[next(iter(kept))]


def _kept() -> dict[Asked, Arrays]:
    kept: dict[Asked, Arrays] = st.session_state.setdefault("loss_arrays", {})
    return kept


def _late() -> dict[Asked, Answer]:
    late: dict[Asked, Answer] = st.session_state.setdefault("late_arrays", {})
    return late


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
