"""The loss-versus-distance panel of the Train page: the curve, its line that can be dragged, the pairs under it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from pages.ui.components.components import plot_view
from pages.ui.session.loss_curves import axis_points, draggable_param, loss_arrays, param_handles, version
from pages.ui.shims import widgets
from pages.ui.text import train as text
from siamese_core.engine import RunView
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.snapshot import Frame
from siamese_core.export.figures import base
from siamese_core.losses import LOSSES, Loss
from siamese_core.losses.distances import MEASURES

if TYPE_CHECKING:
    import plotly.graph_objects as go

HEIGHT = 470

FIRST_MEASURED = 30
"""The step from which a run's distances may move the axes: an untrained network would stretch them for good."""

NO_CURVE = dict.fromkeys(("at", "same", "different", "same_slope", "different_slope"), np.zeros(0, np.float32))


def loss_panel(run: RunView | None, experiment: Experiment) -> None:
    """Draw the curve of the settings, over the distances of the run where these are of the same kind."""
    st.markdown(f"**{text.LOSS_TITLE}**")
    experiment = _as_dragged(experiment)
    loss, measure = LOSSES[experiment.loss], MEASURES[experiment.measure]
    frame = run.frame if run is not None and run.experiment.measure == experiment.measure else None
    measured = run is not None and run.frame_step >= FIRST_MEASURED
    d_max = 1.0 if measure.is_similarity else _end(experiment, frame if measured else None)
    slope = False if loss.input_kind in ("triplet", "logits") else widgets.toggle(text.SLOPE, key="show_slope")
    # A classifier is drawn against a probability, which is no distance of two images.
    curve = (
        NO_CURVE
        if loss.input_kind == "logits"
        else loss_arrays(loss.key, experiment.params, axis_points(loss, min(d_max, _farthest_drawn(loss))))
    )
    if curve is None:
        st.caption(text.WARMING)
        return
    words = text.LOSS | {"distance": text.AXES[measure.kind].format(measure=measure.title)}
    if note := text.NOTES.get(loss.input_kind):
        st.caption(note)

    def figure() -> go.Figure:
        drawn = (
            _surface(curve, frame, experiment.params["margin"], words)
            if loss.input_kind == "triplet"
            else _pairs(curve, run if measured else None, frame, d_max, slope, words)
        )
        # Another loss is another chart: a zoom into the one before it is given up.
        return drawn.update_layout(uirevision=f"{experiment.loss} {experiment.measure}")

    plot_view(
        figure,
        "loss_view",
        settings=(loss.key, experiment.measure, str(experiment.params), d_max, version(curve), slope, run is None),
        data=(run.id, run.frame_step) if run is not None and frame is not None else None,
        live=run is not None and run.live,
        height=HEIGHT,
        label=words["label"],
        handles=param_handles({loss.key: experiment.params}),
        on_dragged=lambda key, to: st.session_state.update(dragging=(_name(key), to)),
        on_dropped=lambda key, to: st.session_state.update(dropped=(_name(key), to), dragging=None),
    )


def _name(key: str) -> str:
    return key.partition(".")[2]


def _end(experiment: Experiment, frame: Frame | None) -> float:
    """Where the axis of distances ends: with the line in sight, and the run's distances. It only grows, in steps, as
    long as the loss and its distance are the same."""
    param = draggable_param(experiment.loss)
    line = max(2 * param.default, 1.2 * experiment.params[param.name]) if param else 2.0
    farthest = _farthest(frame, LOSSES[experiment.loss].input_kind == "triplet")
    name = (experiment.loss, experiment.measure)
    drawn_as, d_max = st.session_state.get("d_max", (None, 0.0))
    end = base.nice_end(d_max if drawn_as == name else 0.0, max(line, farthest))
    st.session_state["d_max"] = (name, end)
    return end or 1.0


def _farthest_drawn(loss: Loss) -> float:
    """A loss on a whole batch is drawn along the cosine distance, which ends at 2."""
    return 2.0 if loss.input_kind == "batch" and loss.measures[0] == "cosine" else np.inf


def _as_dragged(experiment: Experiment) -> Experiment:
    """While the line is held only this panel follows; the slider, and with it the page, when it is dropped: drawing the
    whole page ten times a second would cost the browser the line it holds."""
    name, value = st.session_state.get("dragging") or (None, None)
    return replace(experiment, params={**experiment.params, name: value}) if name in experiment.params else experiment


def _surface(arrays: dict[str, np.ndarray], frame: Frame | None, margin: float, words: dict[str, str]) -> go.Figure:
    triplets = frame.triplet_distances if frame is not None and frame.triplet_distances.size else None
    return base.triplet_surface(arrays["at"], arrays["surface"], triplets, margin=margin, text=words)


def _pairs(
    arrays: dict[str, np.ndarray],
    measured: RunView | None,
    frame: Frame | None,
    d_max: float,
    slope: bool,
    words: dict[str, str],
) -> go.Figure:
    """The shares' axis only grows during a run."""
    run_id, share_max = st.session_state.get("share_max", ("", 0.0))
    figure = base.loss_curve(
        base.Curve(**arrays),
        None if frame is None else frame.same_distances,
        None if frame is None else frame.different_distances,
        text=words,
        d_max=d_max,
        show_slope=slope,
        share_max=share_max if measured is not None and run_id == measured.id else 0.0,
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
