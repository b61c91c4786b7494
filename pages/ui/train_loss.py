"""The loss-versus-distance panel of the Train page: the curve, its line that can be dragged, the pairs under it."""

from __future__ import annotations

from concurrent.futures import CancelledError, TimeoutError
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from pages.ui.owner import engine
from pages.ui.text import train as text
from pages.ui.views import plot_view
from siamese_core import figures
from siamese_core.distances import MEASURES
from siamese_core.engine import RunView
from siamese_core.experiment import Experiment, param_field
from siamese_core.losses import LOSSES
from siamese_core.snapshot import Frame

if TYPE_CHECKING:
    import plotly.graph_objects as go

HEIGHT = 470

FIRST_MEASURED = 30
"""The step from which a run's distances may move the axes: an untrained network would stretch them for good."""

CURVE_WAIT = 0.3
"""Seconds that a page waits for a curve: 100 times what it takes when the worker is not starved."""


def loss_panel(run: RunView | None, experiment: Experiment) -> None:
    """The curve of the settings, over the distances of the run where these are of the same kind."""
    st.markdown(f"**{text.LOSS_TITLE}**")
    experiment = _as_dragged(experiment)
    loss = LOSSES[experiment.loss]
    is_triplet = loss.takes == "triplet"
    param = param_field(loss.params[0])
    value = experiment.params[param.name]
    frame = run.frame if run is not None and run.experiment.measure == experiment.measure else None
    measured = run is not None and run.frame_step >= FIRST_MEASURED
    d_max = _axis_end(
        experiment, max(2 * param.default, 1.2 * value, _farthest(frame, is_triplet) if measured else 0.0)
    )
    slope = False if is_triplet else st.toggle(text.SLOPE, key="show_slope")
    arrays = _curve(experiment, d_max)
    if arrays is None:
        st.caption(text.WARMING)
        return
    words = text.LOSS | {"distance": text.LOSS["distance"].format(measure=MEASURES[experiment.measure].title)}

    def figure() -> go.Figure:
        drawn = (
            _surface(arrays, frame, d_max, value, words)
            if is_triplet
            else _pairs(arrays, run if measured else None, frame, d_max, slope, words)
        )
        # Another loss is another picture: a zoom into the one before it is let go.
        return drawn.update_layout(uirevision=f"{experiment.loss} {experiment.measure}")

    plot_view(
        figure,
        "loss_view",
        settings=(experiment.loss, experiment.measure, tuple(experiment.params.items()), d_max, slope, run is None),
        data=(run.id, run.frame_step) if run is not None and frame is not None else None,
        live=run is not None and run.live,
        height=HEIGHT,
        text=text.PLOT | {"label": words["label"]},
        handle={
            "value": value, "low": param.low, "high": param.high, "step": param.step, "label": param.title,
            "key": f"{loss.key}.{param.name}", "kind": "diagonal" if is_triplet else "vertical",
        },
        on_dragged=lambda to: st.session_state.update(dragging=(param.name, to)),
        on_dropped=lambda to: st.session_state.update(dropped=(param.name, to), dragging=None),
    )  # fmt: skip


def _as_dragged(experiment: Experiment) -> Experiment:
    """While the line is held only this panel follows; the slider, and with it the page, when it is let go: drawing the
    whole page ten times a second would cost the browser the line it holds."""
    name, value = st.session_state.get("dragging") or (None, None)
    return replace(experiment, params={**experiment.params, name: value}) if name in experiment.params else experiment


def _surface(
    arrays: dict[str, np.ndarray], frame: Frame | None, d_max: float, margin: float, words: dict[str, str]
) -> go.Figure:
    grid = np.linspace(0, d_max, len(arrays["surface"]), dtype=np.float32)
    triplets = frame.triplet_distances if frame is not None and frame.triplet_distances.size else None
    return figures.triplet_surface(grid, arrays["surface"], triplets, margin=margin, text=words)


def _pairs(
    arrays: dict[str, np.ndarray],
    measured: RunView | None,
    frame: Frame | None,
    d_max: float,
    slope: bool,
    words: dict[str, str],
) -> go.Figure:
    """The shares' axis only grows during a run."""
    kept = st.session_state.get("share_max")
    figure = figures.loss_curve(
        figures.Curve(**arrays),
        None if frame is None else frame.same_distances,
        None if frame is None else frame.different_distances,
        text=words,
        d_max=d_max,
        show_slope=slope,
        share_max=kept[1] if kept and measured is not None and kept[0] == measured.id else 0.0,
    )
    if measured is not None:
        st.session_state["share_max"] = (measured.id, figure.layout.yaxis2.range[1])
    return figure


def _farthest(frame: Frame | None, is_triplet: bool) -> float:
    """Nearly the largest distance on the screen: a few stray pairs must not squeeze the rest."""
    if frame is None:
        return 0.0
    shown = frame.triplet_distances if is_triplet else frame.different_distances
    finite = shown[np.isfinite(shown)]
    return float(np.quantile(finite, 0.95)) if finite.size else 0.0


def _axis_end(experiment: Experiment, value: float) -> float:
    """Only grows, in steps, as long as the loss and its distance are the same."""
    name = (experiment.loss, experiment.measure)
    kept = st.session_state.get("d_max", (None, 0.0))
    end = figures.grown(kept[1] if kept[0] == name else 0.0, value)
    st.session_state["d_max"] = (name, end)
    return end or 1.0


def _curve(experiment: Experiment, d_max: float) -> dict[str, np.ndarray] | None:
    """The loss over the distance, from the worker; None until that is warm."""
    asked = (experiment.loss, tuple(experiment.params.items()), d_max)
    kept = st.session_state.get("curve")
    if kept and kept[0] == asked:
        arrays: dict[str, np.ndarray] = kept[1]
        return arrays
    if not engine().devices:
        return None
    try:
        arrays = engine().curve(experiment.loss, experiment.params, d_max).result(CURVE_WAIT)
    except (TimeoutError, CancelledError):
        return kept[1] if kept and kept[0][0] == experiment.loss else None
    st.session_state["curve"] = (asked, arrays)
    return arrays
