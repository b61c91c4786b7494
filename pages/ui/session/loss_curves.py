"""The curve of a loss, asked of the worker: the server knows no torch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import streamlit as st

from pages.ui.session.session import engine
from pages.ui.shims.futures import Arrays, answered
from siamese_core.engine.rpc.client import PendingReply
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
    return np.linspace(0, end, POINTS.get(loss.input_kind, POINTS_OF_OTHERS), dtype=np.float64)


def loss_arrays(key: str, params: Mapping[str, float], at: np.ndarray) -> Arrays | None:
    """The arrays of a loss `at` (n,) places, or what stands in for them where the worker is busy; None without either.

    The last ones of this loss stand in: at the same places, else along an axis, if this is one, that ends elsewhere. So
    a chart stays mounted, and is drawn again with what comes late: see `is_waiting` and `version`.
    """
    found = exact_arrays(key, params, at)
    if found is not None:
        return found
    earlier = [(np.frombuffer(name[2]), arrays) for name, arrays in reversed(_kept().items()) if name[0] == key]
    alike = [arrays for places_, arrays in earlier if np.array_equal(places_, at)]
    if _is_axis(key, at):
        alike += [arrays for places_, arrays in earlier if _is_axis(key, places_)]
    return alike[0] if alike else None


def exact_arrays(key: str, params: Mapping[str, float], at: np.ndarray, wait: float = WAIT) -> Arrays | None:
    """The arrays of a loss `at` (n,) places; None where the worker is busy. What comes late is drawn when it comes."""
    asked = (key, tuple(params.items()), at.tobytes())
    if asked in _kept():
        return _kept()[asked]
    answer = _late().get(asked)
    if (answer is None or answer.cancelled()) and engine().devices:
        answer = engine().ask.curve(key, params, at)
    found = answered(answer, wait) if answer is not None else None
    if found is None:
        _late()[asked] = answer
    else:
        # It stays among what is late, if it was: a chart above may have been drawn without it.
        _keep(asked, found)
    return found


def version(arrays: Arrays) -> int:
    """Another number for other arrays, for a chart's settings."""
    return hash(tuple(values.tobytes() for values in arrays.values()))


def _is_axis(key: str, at: np.ndarray) -> bool:
    return at.size > 0 and np.array_equal(at, places(LOSSES[key], at[-1]))


def is_waiting() -> bool:
    """Whether something was drawn without its curve, or with one that stands in."""
    return bool(_late())


def has_come() -> bool:
    """Whether there is something new to draw, or nothing to wait for."""
    return take_late() or not _late()


def take_late() -> bool:
    """Takes what has come, to be called before a page is drawn: whether there was something, or can be asked now."""
    late = _late()
    done = [asked for asked, answer in late.items() if (engine().devices if answer is None else answer.done())]
    for asked in done:
        answer = late.pop(asked)
        found = answered(answer, WAIT) if answer is not None else None
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


def _late() -> dict[Asked, PendingReply | None]:
    """What was drawn without, with its answer; None where the worker had not started."""
    late: dict[Asked, PendingReply | None] = st.session_state.setdefault("late_arrays", {})
    return late


def line_of(key: str) -> str | None:
    """The parameter of a loss that is a place on the axis of distances, and a line that can be dragged."""
    loss = LOSSES[key]
    if loss.input_kind not in ("distance", "triplet") or not loss.params:
        return None
    return loss.params[0].name


def axis_of(key: str) -> str:
    """What a loss is drawn along: "distance", "similarity", or "triplet" for a surface of two distances."""
    input_kind = LOSSES[key].input_kind
    return {"similarity": "similarity", "logits": "similarity", "triplet": "triplet"}.get(input_kind, "distance")
