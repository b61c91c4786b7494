"""Where a pair stands: on the curve of the model's loss, among the test pairs, beside the threshold."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import streamlit as st

from pages.ui.components.components import plot_view
from pages.ui.session.loss_curves import axis_points, loss_arrays, version
from pages.ui.text import compare as text
from pages.ui.text import train as train_text
from siamese_core.embeddings.verification import Distances
from siamese_core.engine.evaluations import ModelFile
from siamese_core.export.figures import base
from siamese_core.export.figures.verification import distance_end, distance_histograms, with_pair
from siamese_core.losses import LOSSES

if TYPE_CHECKING:
    import plotly.graph_objects as go

HEIGHT = 430


def draw_pair(
    file: ModelFile, value: float, known: Distances | None, threshold: float | None, on_moved: Callable[[float], None]
) -> None:
    """Draw it. The threshold's line can be dragged: `on_moved` is called with where it is dropped."""
    model = file.model
    loss, measure = LOSSES[model.experiment.loss], model.measure
    st.markdown(f"**{text.PLACE}**")
    pairs = Distances.of([], []) if known is None else known.similarities() if model.is_similarity else known
    d_max = 1.0 if model.is_similarity else distance_end([pairs], 1.05 * value, 1.2 * (threshold or 0.0))
    has_curve = loss.on_pairs or loss.input_kind == "batch"
    curve = loss_arrays(loss.key, model.experiment.params, axis_points(loss, d_max)) if has_curve else None
    axis = train_text.AXES[measure.kind].format(measure=measure.title)
    if not has_curve:
        st.caption(text.NO_CURVE)

    def figure() -> go.Figure:
        if curve is None:
            sides = {side: train_text.LOSS[side] for side in ("same", "different")}
            words = text.PLOT | sides | {"axis": axis}
            drawn = distance_histograms(
                {"seen": pairs}, d_max=d_max, threshold=threshold, is_similarity=model.is_similarity, text=words
            )
        else:
            words = train_text.LOSS | {"distance": axis, "share": text.SHARE, "no_pairs": text.PLOT["no_pairs"]}
            drawn = base.loss_curve(base.Curve(**curve), pairs.same, pairs.different, text=words, d_max=d_max)
        return with_pair(drawn, value, text.PLOT["pair"], d_max)

    handles = [] if threshold is None else [
        {"value": threshold, "low": 0.0, "high": d_max, "step": round(d_max / 200, 6), "label": text.PLOT["threshold"],
         "key": "threshold", "kind": "vertical"}
    ]  # fmt: skip
    drawn_curve = None if curve is None else version(curve)
    plot_view(
        figure,
        "place_view",
        settings=(file.key, value, threshold, d_max, len(pairs.same), drawn_curve),
        height=HEIGHT,
        label=text.PLOT["label"],
        handles=handles,
        on_dropped=lambda key, to: on_moved(to),
    )
