"""The model beside simpler ways: raw pixels, the network before training, a softmax classifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import streamlit as st

from pages.ui.components.components import plot_view
from pages.ui.evaluate.found import Found, group
from pages.ui.session.session import engine, token
from pages.ui.text import evaluate as text
from pages.ui.text.plot import PLOT
from siamese_core.engine import RunView
from siamese_core.experiment.experiment import as_classifier
from siamese_core.export.figures import retrieval as figures

if TYPE_CHECKING:
    import plotly.graph_objects as go

METRICS = ("precision_at_1", "map_at_r", "auc")
LOOK_EVERY = 0.5


def part(found: Found) -> None:
    st.markdown(text.BASELINES)
    name = group(found, "baselines_group")
    run = _classifier(found)
    plot_view(
        lambda: figure(found, name, run),
        "baselines_view",
        settings=(found.file.key, name, run is not None and run.status),
        data=None,
        live=False,
        height=figures.HEIGHTS["baselines"],
        text=PLOT | {"label": text.BASELINE_WORDS["label"]},
    )


def figure(found: Found, name: str, run: RunView | None = None) -> go.Figure:
    """The scores of a group beside those of simpler ways; `run` is a classifier's, where one was trained."""
    looked_at = found.groups[name]
    by_approach: dict[str, Mapping[str, float | None]] = {"model": looked_at.scores}
    if run is not None and run.scores and run.status == "finished":
        by_approach["softmax"] = {metric: run.scores[-1][1].get(metric, {}).get(name) for metric in METRICS}
    scores = {text.APPROACHES[approach]: each for approach, each in (by_approach | looked_at.baselines).items()}
    spread = {text.APPROACHES["model"]: {"auc": looked_at.spread["auc"]}} if "auc" in looked_at.spread else {}
    return figures.baselines(scores, METRICS, spread, text=text.BASELINE_WORDS)


def _classifier(found: Found) -> RunView | None:
    """The softmax classifier of this model: a run aside, which is started by a button."""
    experiment = found.file.model.experiment
    if experiment.loss == "softmax":
        st.caption(text.SOFTMAX_SELF)
        return None
    kept = st.session_state.get("softmax_run")
    run = engine().poll(token(), kept[1]) if kept is not None and kept[0] == found.file.key else None
    if run is not None and run.message:
        st.warning(run.message, icon=":material/warning:")
    if run is None or run.status in ("halted", "failed", "stopped"):
        st.button(text.SOFTMAX, icon=":material/play_circle:", help=text.SOFTMAX_HELP, on_click=_train, args=(found,))
    elif run.status not in ("finished", "halted", "failed", "stopped"):
        st.fragment(_going, run_every=LOOK_EVERY)(run.id)
    return run


def _train(found: Found) -> None:
    run = engine().start(token(), as_classifier(found.file.model.experiment), background=True)
    st.session_state["softmax_run"] = (found.file.key, run)


def _going(run_id: str) -> None:
    run = engine().poll(token(), run_id)
    if run is None or not run.live:
        st.rerun()
    words = text.SOFTMAX_GOING.format(step=f"{run.step:,}", steps=f"{run.experiment.steps:,}")
    st.progress(min(1.0, run.step / run.experiment.steps), text=words)
    if st.button(text.CANCEL, key="softmax_cancel"):
        engine().discard(token(), run_id)
        st.rerun()
