"""What moves on the Train page. A fragment: it reads the run's newest slot and never waits for the run."""

from __future__ import annotations

import time
from concurrent.futures import CancelledError, TimeoutError
from typing import Any

import numpy as np
import streamlit as st

from pages.ui.owner import engine
from pages.ui.probes import Probes, probes
from pages.ui.text import train as text
from pages.ui.views import embedding_view, plot_view
from siamese_core import figures
from siamese_core.distances import MEASURES
from siamese_core.engine import RunView
from siamese_core.experiment import Experiment, param_field
from siamese_core.losses import LOSSES
from siamese_core.projection import PROJECTIONS
from siamese_core.wire import pack

LOSS_HEIGHT = 470
HISTORY_HEIGHT = 360
FIRST_MEASURED = 30
"""The step from which a run's distances may move the axes."""

CURVE_WAIT = 0.3
"""Seconds that a page waits for a curve: 100 times what it takes when the worker is not starved."""

NO_POINTS = {
    "xy": np.zeros((0, 2), np.float32),
    "labels": np.zeros(0, np.int32),
    "neighbours": np.zeros((0, 5), np.int32),
    "distances": np.zeros((0, 5), np.float32),
}


def live(run_id: str | None, experiment: Experiment, was_busy: bool) -> None:
    """Everything that follows the run; asks for the whole page once when the run's buttons must change."""
    e = engine()
    run = e.look(st.session_state["owner"], run_id) if run_id else None
    _status(run)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _embedding(run)
    with right:
        _loss(run, experiment)
    st.markdown(f"**{text.HISTORY_TITLE}**")
    _numbers(run)
    _history(run, experiment)
    status = run.status if run else None
    changed = st.session_state.get("status_shown", status) != status
    st.session_state["status_shown"] = status
    if changed or was_busy != is_busy(run) or "dragged" in st.session_state:
        st.rerun()


def is_busy(run: RunView | None) -> bool:
    """Whether something will change by itself: a run, a worker or a UMAP that warms up, a picture on its way."""
    e = engine()
    if run is None:
        return not e.devices
    drawn = run.layout is not None and run.layout.step == run.frame_step and run.layout.kind == run.projection
    return run.live or not e.projector_warm or not drawn


def _status(run: RunView | None) -> None:
    if run is None:
        st.progress(0.0, text=text.STATUS[None] if engine().devices else text.WARMING)
    else:
        state = text.STATUS[run.status] if engine().devices else text.WARMING
        st.progress(min(run.step / run.experiment.steps, 1.0), text=f"{_progress(run)} · {state}")
    # A container of its own keeps its place, so that the views below it stay mounted when a warning comes and goes.
    with st.container():
        sentence = (run.sentence or run.alarm) if run else None
        if sentence:
            st.warning(sentence, icon=":material/warning:")


def _progress(run: RunView) -> str:
    rate = run.images / run.seconds if run.seconds else 0.0
    left = run.seconds / run.step * (run.experiment.steps - run.step) if run.step else 0.0
    ended = run.step >= run.experiment.steps
    return text.PROGRESS.format(
        step=f"{run.step:,}",
        steps=f"{run.experiment.steps:,}",
        seconds=_seconds(run.seconds),
        rate=f"{rate:,.0f}",
        left=text.DONE if ended else text.LEFT.format(seconds=_seconds(left)),
    )


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 60 else f"{value // 60:.0f} min {value % 60:.0f} s"


def _numbers(run: RunView | None) -> None:
    scores = run.scores[-1][1] if run and run.scores else {}
    active = float(run.active[-1]) if run is not None and len(run.active) else None
    with st.container(horizontal=True):
        for name, (label, help_) in text.NUMBERS.items():
            by_group = scores.get(name, {"seen": active if name == "active" else None, "held_out": None})
            shown = "–" if by_group["seen"] is None else f"{by_group['seen']:.3f}"
            held_out = by_group["held_out"]
            below = None if held_out is None else text.HELD_OUT.format(value=f"{held_out:.3f}")
            st.metric(label, shown, delta=below, delta_color="off", help=help_, border=True)


def _embedding(run: RunView | None) -> None:
    if run is None or run.layout is None:
        st.markdown(f"**{text.EMBEDDING_TITLE.format(count='the')}**")
        embedding_view(pack({"key": "none", "frame": "", "classes": [], "text": text.EMBEDDING}, **NO_POINTS), key="embedding")
        return
    shown = probes(run.experiment.dataset)
    st.markdown(f"**{text.EMBEDDING_TITLE.format(count=len(shown.labels))}**")
    if run.layout.problem:
        st.caption(run.layout.problem)
    frame = f"{run.id} {run.layout.number}"
    kept = st.session_state.get("embedding_message")
    if kept is None or kept[0] != frame:
        kept = st.session_state["embedding_message"] = (frame, _embedding_message(run, frame, shown))
    embedding_view(kept[1], key="embedding")


def _embedding_message(run: RunView, frame: str, shown: Probes) -> bytes:
    layout = run.layout
    assert layout is not None
    styles = [figures.class_style(c) for c in range(len(shown.classes))]
    meta = {
        "key": run.experiment.dataset,
        "frame": frame,
        "step": layout.step,
        "sent": time.time() * 1000,
        "dim": int(layout.xy.shape[1]) if layout.xy.size else 2,
        "projection": PROJECTIONS[layout.kind].title,
        "note": text.STAND_IN if layout.stand_in else "",
        "classes": shown.classes,
        "colours": [colour for colour, _ in styles],
        "markers": [marker for _, marker in styles],
        "held_out": list(run.experiment.held_out),
        "sprite": shown.sprite,
        "text": text.EMBEDDING,
    }
    if not layout.xy.size:
        return pack(meta, **NO_POINTS)
    return pack(meta, xy=layout.xy, labels=shown.labels, neighbours=layout.neighbours, distances=layout.distances)


def _loss(run: RunView | None, experiment: Experiment) -> None:
    st.markdown(f"**{text.LOSS_TITLE}**")
    loss = LOSSES[experiment.loss]
    comparable = run is not None and run.frame is not None and run.experiment.measure == experiment.measure
    frame = run.frame if run is not None and comparable else None
    # The distances of an untrained network would stretch the axes for good.
    measured = frame if run is not None and run.frame_step >= FIRST_MEASURED else None
    param = param_field(loss.params[0])
    value = experiment.params[param.name]
    is_triplet = loss.takes == "triplet"
    spread = _farthest(measured, is_triplet)
    d_max = _axis_end(experiment, max(2 * value, spread))
    words = text.LOSS | {"distance": text.LOSS["distance"].format(measure=MEASURES[experiment.measure].title)}
    slope = False if is_triplet else st.toggle(text.SLOPE, key="show_slope")
    arrays = _curve(experiment, d_max)
    if arrays is None:
        st.caption(text.WARMING)
        return
    handle = {
        "value": value, "low": param.low, "high": param.high, "step": param.step, "label": param.title,
        "key": f"{loss.key}.{param.name}", "kind": "diagonal" if is_triplet else "vertical",
    }  # fmt: skip
    if is_triplet:
        grid = np.linspace(0, d_max, len(arrays["surface"]), dtype=np.float32)
        triplets = frame.triplet_distances if frame is not None and frame.triplet_distances.size else None
        figure = figures.triplet_surface(grid, arrays["surface"], triplets, margin=value, text=words)
    else:
        same, different = (frame.same_distances, frame.different_distances) if frame is not None else (None, None)
        figure = figures.loss_curve(
            figures.Curve(**arrays), same, different, text=words, d_max=d_max, show_slope=slope,
            share_max=_share_max(run),
        )  # fmt: skip
        if measured is not None and run is not None:
            st.session_state["share_max"] = (run.id, figure.layout.yaxis2.range[1])
    # Another loss is another picture: a zoom into the one before it is let go.
    figure.update_layout(uirevision=f"{experiment.loss} {experiment.measure}")
    plot_view(
        figure,
        "loss_view",
        height=LOSS_HEIGHT,
        text=text.PLOT | {"label": words["label"]},
        handle=handle,
        on_dragged=lambda to: st.session_state.update(dragged=(param.name, to)),
    )


def _farthest(frame: Any, is_triplet: bool) -> float:
    """Nearly the largest distance on the screen: a few stray pairs must not squeeze the rest."""
    if frame is None:
        return 0.0
    shown = frame.triplet_distances if is_triplet else frame.different_distances
    finite = shown[np.isfinite(shown)]
    return float(np.quantile(finite, 0.95)) if finite.size else 0.0


def _share_max(run: RunView | None) -> float:
    """Where the histograms' axis ended in this run's frame before."""
    kept = st.session_state.get("share_max")
    return kept[1] if kept and run is not None and kept[0] == run.id else 0.0


def _axis_end(experiment: Experiment, value: float) -> float:
    """Only grows, in steps, as long as the loss and its distance are the same."""
    name = ("axis", experiment.loss, experiment.measure)
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


def _history(run: RunView | None, experiment: Experiment) -> None:
    series: dict[str, figures.Series] = {}
    if run is not None:
        steps = np.arange(1, len(run.loss) + 1)
        series["loss"] = (steps, run.loss, text.HISTORY["loss"])
        at = [step for step, _ in run.scores]
        for metric in ("map_at_r", "precision_at_1"):
            for group, suffix in (("seen", ""), ("held_out", ".held_out")):
                values = [scores[metric][group] for _, scores in run.scores]
                if any(value is not None for value in values):
                    series[metric + suffix] = (at, np.array(values, float), text.NUMBERS[metric][0])
        series["active"] = (steps, run.active, text.NUMBERS["active"][0])
    pixels = run.pixels["seen"] if run is not None and run.pixels else None
    shown = run.experiment.steps if run else experiment.steps
    figure = figures.history(shown, series, pixels_baseline=pixels, text=text.HISTORY)
    plot_view(figure, "history_view", height=HISTORY_HEIGHT, text=text.PLOT | {"label": text.HISTORY["label"]})
