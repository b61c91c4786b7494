"""A pair that is put on a curve and takes gradient steps: d ← d − rate · slope, with autograd's slope of `fn`."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import streamlit as st

from pages.ui.losses import address
from pages.ui.session.loss_curves import axis_of, exact_arrays, loss_arrays
from pages.ui.shims import widgets
from pages.ui.text import losses as text
from siamese_core.export.figures.losses import Point
from siamese_core.losses import LOSSES

START = {"distance": {"same": 0.8, "different": 0.2}, "similarity": {"same": 0.2, "different": 0.8}}
"""Where a pair begins that nobody has put anywhere: where there is something to be done for it."""

LONGEST_TRAIL = 200

A_STEP = 5.0
"""Seconds: who asks for a step waits for it, however busy the worker is."""
TRAIL, LOSS, BRANCH, RATE = (address.key(name) for name in ("trail", "point_loss", "point_branch", "point_rate"))

Params = Mapping[str, dict[str, float]]


def controls(params: Params) -> None:
    st.markdown(f"**{text.POINT_TITLE}**")
    st.caption(text.POINT_HELP)
    if len(params) > 1:
        if st.session_state.get(LOSS) not in params:
            st.session_state.pop(LOSS, None)
        widgets.selectbox(
            text.POINT_LOSS, list(params), format_func=lambda loss: LOSSES[loss].title, key=LOSS, on_change=remove
        )
    branches = {name: text.OVERLAY[name] for name in START["distance"]}
    widgets.segmented_control(text.POINT_BRANCH, branches, default="different", key=BRANCH, on_change=remove)
    widgets.slider(text.POINT_RATE, 0.01, 1.0, default=0.1, step=0.01, key=RATE)
    with st.container(horizontal=True):
        actions = {"step": (_steps, params, 1), "ten": (_steps, params, 10), "back": (_back,), "remove": (remove,)}
        for name, (action, *args) in actions.items():
            st.button(text.POINT_BUTTONS[name], key=f"losses_button_{name}", on_click=action, args=args)
    st.caption(_words(params))


def start_at(x: float, params: Params) -> None:
    """Put the pair where the chart was clicked."""
    loss, _ = _where(params)
    st.session_state[TRAIL] = [_within(loss, x)]


def position(params: Params) -> Point | None:
    """Return the pair on the curve of its loss; its heights are read off `fn`, not off the drawing."""
    trail = st.session_state.get(TRAIL)
    if not trail:
        return None
    loss, branch = _where(params)
    values = loss_arrays(loss, params[loss], np.array(trail))
    if values is None:
        return None
    heights = values[branch]
    return Point(trail[-1], float(heights[-1]), np.array(trail[:-1]), heights[:-1], branch == "same")


def _where(params: Params) -> tuple[str, str]:
    chosen = st.session_state.get(LOSS)
    return chosen if chosen in params else next(iter(params)), st.session_state.get(BRANCH) or "different"


def _within(loss: str, x: float) -> float:
    return min(max(x, 0.0), 1.0 if axis_of(loss) == "similarity" else math.inf)


def _steps(params: Params, count: int) -> None:
    loss, branch = _where(params)
    trail = st.session_state.setdefault(TRAIL, [])
    if not trail:
        trail.append(START[axis_of(loss)][branch])
    for _ in range(count):
        values = exact_arrays(loss, params[loss], np.array(trail[-1:]), wait=A_STEP)
        if values is not None:
            trail.append(_within(loss, trail[-1] - st.session_state[RATE] * float(values[f"{branch}_slope"][0])))
            del trail[1:-LONGEST_TRAIL]


def _back() -> None:
    st.session_state[TRAIL] = st.session_state.get(TRAIL, [])[:1]


def remove() -> None:
    """Take the pair away: another loss is another curve."""
    st.session_state.pop(TRAIL, None)


def _words(params: Params) -> str:
    trail = st.session_state.get(TRAIL)
    loss, branch = _where(params)
    values = loss_arrays(loss, params[loss], np.array(trail[-1:])) if trail else None
    if not trail or values is None:
        return text.POINT_NONE
    slope = float(values[f"{branch}_slope"][0])
    symbol = "p" if axis_of(loss) == "similarity" else "d"
    now = text.POINT_NOW.format(
        steps=len(trail) - 1, symbol=symbol, at=trail[-1], loss=float(values[branch][0]), slope=slope
    )
    return now + (text.POINT_RESTS if slope == 0 else "")
