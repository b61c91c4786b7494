"""The model beside simpler ways: raw pixels, the network before training, a softmax classifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import streamlit as st

from pages.ui.components.components import plot_view
from pages.ui.evaluate.evaluation import Evaluation, choose_group
from pages.ui.session import session
from pages.ui.text import evaluate as text
from siamese_core.engine import RunView
from siamese_core.experiment.experiment import with_loss
from siamese_core.export.figures import retrieval as figures

if TYPE_CHECKING:
    import plotly.graph_objects as go

METRICS = ("precision_at_1", "map_at_r", "auc")
POLL_EVERY = 0.5


def part(evaluation: Evaluation) -> None:
    st.markdown(text.BASELINES)
    name = choose_group(evaluation, "baselines_group")
    run = _classifier(evaluation)
    plot_view(
        lambda: figure(evaluation, name, run),
        "baselines_view",
        settings=(evaluation.file.key, name, run is not None and run.status),
        height=figures.HEIGHTS["baselines"],
        label=text.BASELINE_WORDS["label"],
    )


def figure(evaluation: Evaluation, name: str, run: RunView | None = None) -> go.Figure:
    """Draw the scores of a group beside those of simpler ways; `run` is a classifier's, where one was trained."""
    group = evaluation.groups[name]
    by_approach: dict[str, Mapping[str, float | None]] = {"model": group.scores}
    if run is not None and run.scores and run.status == "finished":
        by_approach["softmax"] = {metric: run.scores[-1][1].get(metric, {}).get(name) for metric in METRICS}
    scores = {text.APPROACHES[approach]: each for approach, each in (by_approach | group.baselines).items()}
    auc = group.score_intervals.get("auc")
    intervals = {} if auc is None else {text.APPROACHES["model"]: {"auc": auc}}
    return figures.baselines(scores, METRICS, intervals, text=text.BASELINE_WORDS)


def _classifier(evaluation: Evaluation) -> RunView | None:
    """The softmax classifier of this model: a background run, which a button starts."""
    experiment = evaluation.model.experiment
    if experiment.loss == "softmax":
        st.caption(text.SOFTMAX_SELF)
        return None
    key, run_id = st.session_state.get("softmax_run", (None, ""))
    run = session.poll_run(run_id) if key == evaluation.file.key else None
    if run is not None and run.message:
        st.warning(run.message, icon=":material/warning:")
    if run is None or run.status in ("halted", "failed", "stopped"):
        st.button(
            text.SOFTMAX, icon=":material/play_circle:", help=text.SOFTMAX_HELP, on_click=_train, args=(evaluation,)
        )
    elif run.status != "finished":
        st.fragment(_going, run_every=POLL_EVERY)(run.id)
    return run


def _train(evaluation: Evaluation) -> None:
    run = session.start_run(with_loss(evaluation.model.experiment, "softmax"), background=True)
    st.session_state["softmax_run"] = (evaluation.file.key, run)


def _going(run_id: str) -> None:
    run = session.poll_run(run_id)
    if run is None or not run.live:
        st.rerun()
    words = text.SOFTMAX_GOING.format(step=f"{run.step:,}", steps=f"{run.experiment.steps:,}")
    st.progress(min(1.0, run.step / run.experiment.steps), text=words)
    if st.button(text.CANCEL, key="softmax_cancel"):
        session.discard_run(run_id)
        st.rerun()
