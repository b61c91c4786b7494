"""The curve of a loss, requested of the worker: the server has no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import streamlit as st

from pages.ui.session.engine import engine
from pages.ui.shims.futures import Arrays, result_within
from pages.ui.text.losses import PARAM
from siamese_core.engine.recent import remember
from siamese_core.engine.rpc.client import PendingReply
from siamese_core.experiment.fields import FloatField
from siamese_core.losses import LOSSES, Loss

POINTS = {"triplet": 61, "batch": 19}
"""Of a surface along each side; a loss on a whole batch is a call for each point. All others are one call."""

POINTS_OF_OTHERS = 201

WAIT = 0.3
"""Seconds that a page waits for a reply: far more than it takes when the worker is not starved."""

MAX_CACHED = 32

Request = tuple[str, tuple[tuple[str, float], ...], bytes]
"""A loss, its parameters, and the points as bytes."""


def axis_points(loss: Loss, end: float) -> np.ndarray:
    """Return where the curve of a loss is computed, from 0 to `end`."""
    return np.linspace(0, end, POINTS.get(loss.input_kind, POINTS_OF_OTHERS), dtype=np.float64)


def loss_arrays(key: str, params: Mapping[str, float], at: np.ndarray) -> Arrays | None:
    """Return the arrays of a loss `at` (n,) points, or a stand-in where the worker is busy; None without either.

    The last ones of this loss stand in: at the same points, else along an axis, if this is one, that ends elsewhere. So
    a chart stays mounted, and is drawn again with what comes late: see `is_waiting` and `version`.
    """
    found = exact_arrays(key, params, at)
    if found is not None:
        return found
    earlier = [(np.frombuffer(name[2]), arrays) for name, arrays in reversed(_cache().items()) if name[0] == key]
    alike = [arrays for points, arrays in earlier if np.array_equal(points, at)]
    if _is_axis(key, at):
        alike += [arrays for points, arrays in earlier if _is_axis(key, points)]
    return alike[0] if alike else None


def exact_arrays(key: str, params: Mapping[str, float], at: np.ndarray, wait: float = WAIT) -> Arrays | None:
    """Return the arrays of a loss `at` (n,) points; None where the worker is busy: it is drawn when it comes."""
    asked = (key, tuple(params.items()), at.tobytes())
    if asked in _cache():
        return _cache()[asked]
    reply = _pending().get(asked)
    if (reply is None or reply.cancelled()) and engine().devices:
        reply = engine().trainer.curve(key, params, at)
    found = result_within(reply, wait) if reply is not None else None
    if found is None:
        _pending()[asked] = reply
    else:
        # It stays among what is late, if it was: a chart above may have been drawn without it.
        remember(_cache(), asked, found, MAX_CACHED)
    return found


def version(arrays: Arrays) -> int:
    """Return another number for other arrays, for a chart's settings."""
    return hash(tuple(values.tobytes() for values in arrays.values()))


def _is_axis(key: str, at: np.ndarray) -> bool:
    return at.size > 0 and np.array_equal(at, axis_points(LOSSES[key], at[-1]))


def is_waiting() -> bool:
    """Return whether something was drawn without its curve, or with one that stands in."""
    return bool(_pending())


def has_arrived() -> bool:
    """Return whether there is something new to draw, or nothing to wait for."""
    return collect_late() or not _pending()


def collect_late() -> bool:
    """Store late replies, before a page is drawn; return whether there were any, or can be requested now."""
    pending = _pending()
    done = [asked for asked, reply in pending.items() if (engine().devices if reply is None else reply.done())]
    for asked in done:
        reply = pending.pop(asked)
        found = result_within(reply, WAIT) if reply is not None else None
        if found is not None:
            remember(_cache(), asked, found, MAX_CACHED)
    return bool(done)


def _cache() -> dict[Request, Arrays]:
    return st.session_state.setdefault("loss_arrays", {})


def _pending() -> dict[Request, PendingReply | None]:
    """Requests that were drawn without, with their replies; None where the worker had not started."""
    return st.session_state.setdefault("late_arrays", {})


def draggable_param(key: str) -> FloatField | None:
    """Return the parameter of a loss that lies on the axis of distances, as a line that can be dragged."""
    loss = LOSSES[key]
    return loss.params[0] if loss.input_kind in ("distance", "triplet") and loss.params else None


def param_handles(params: Mapping[str, Mapping[str, float]]) -> list[dict[str, Any]]:
    """Return the lines that can be dragged for `plot_view`, of losses with the values of their parameters."""
    found = []
    for key, values in params.items():
        if param := draggable_param(key):
            label = PARAM.format(param=param.title, loss=LOSSES[key].title) if len(params) > 1 else param.title
            found.append({
                "key": f"{key}.{param.name}", "label": label, "value": values[param.name],
                "low": param.low, "high": param.high, "step": param.step,
                "kind": "diagonal" if LOSSES[key].input_kind == "triplet" else "vertical",
            })  # fmt: skip
    return found


def axis_of(key: str) -> str:
    """Return what a loss is drawn along: "distance", "similarity", or "triplet" for a surface of two distances."""
    input_kind = LOSSES[key].input_kind
    return {"similarity": "similarity", "logits": "similarity", "triplet": "triplet"}.get(input_kind, "distance")
