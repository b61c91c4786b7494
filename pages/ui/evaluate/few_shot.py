"""How well a few images of a class tell it from others."""

from __future__ import annotations

import numpy as np
import streamlit as st

from pages.ui.evaluate.evaluation import Evaluation
from pages.ui.shims import widgets
from pages.ui.text import evaluate as text
from siamese_core.embeddings import few_shot
from siamese_core.evaluation.report import GroupReport

MOST_WAYS, MOST_SHOTS = 100, 20
WAYS, SHOTS = 5, 1


def part(evaluation: Evaluation) -> None:
    st.markdown(text.FEW_SHOT)
    labels = evaluation.report.labels
    most = max(len(group.classes) for group in evaluation.groups.values())
    # Another model may have fewer classes than were chosen.
    st.session_state["few_shot_ways"] = min(st.session_state.get("few_shot_ways", WAYS), most, MOST_WAYS)
    with st.container(horizontal=True):
        ways = int(widgets.number_input(text.WAYS, 2, min(most, MOST_WAYS), key="few_shot_ways", width=160))
        shots = int(widgets.number_input(text.SHOTS, 1, MOST_SHOTS, default=SHOTS, key="few_shot_shots", width=160))
    with st.container(horizontal=True):
        for name, group in evaluation.groups.items():
            with st.container(border=True, width=300):
                st.markdown(f"**{text.GROUPS[name]}**")
                _accuracy(evaluation, group, ways, shots)
    if evaluation.model.experiment.branches == 2:
        st.caption(text.FEW_SHOT_FIRST)
    if len(labels) < sum(len(group.indices) for group in evaluation.groups.values()):
        st.caption(text.FEW_SHOT_OF.format(count=f"{len(labels):,}"))


def _accuracy(evaluation: Evaluation, group: GroupReport, ways: int, shots: int) -> None:
    score, possible = accuracy(evaluation, group, ways, shots)
    if score is None:
        st.caption(text.FEW_SHOT_NONE.format(most=possible, shots=shots))
        return
    st.metric(text.ACCURACY.format(ways=score.ways, shots=score.shots), f"{score.accuracy:.1%}")
    st.caption(
        text.FEW_SHOT_INTERVAL.format(low=f"{score.low:.1%}", high=f"{score.high:.1%}", chance=f"{score.chance:.1%}")
    )


def accuracy(evaluation: Evaluation, group: GroupReport, ways: int, shots: int) -> tuple[few_shot.FewShot | None, int]:
    """Return the few-shot accuracy among `ways` classes of a group, or all it has; and how many have enough images."""
    in_group = np.isin(evaluation.report.labels, group.classes)
    labels = evaluation.report.labels[in_group]
    rows = evaluation.report.embeddings[: len(evaluation.report.labels)][in_group]
    possible = few_shot.most_ways(labels, shots)
    score = few_shot.few_shot_accuracy(rows, labels, min(ways, possible), shots) if possible >= 2 else None
    return score, possible
