"""Where "same" ends: chosen by a rule on one half of the test images, its rates reported on the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from pages.ui.components.components import plot_view
from pages.ui.evaluate.evaluation import Evaluation, choose_group, decimal, percent, table, with_interval
from pages.ui.session import model_picker
from pages.ui.shims import widgets
from pages.ui.text import evaluate as text
from pages.ui.text import train as train_text
from siamese_core.embeddings.thresholds import FEW, Rule, Threshold, choose_threshold, rule_of, threshold_at
from siamese_core.embeddings.verification import Distances, rate_intervals_at, rates
from siamese_core.export.figures import verification as figures

if TYPE_CHECKING:
    import plotly.graph_objects as go

RULE, HAND = "threshold_rule", "threshold_hand"
NUMBERS = {name: f"threshold_{name}" for name in ("wanted", "accept", "reject", "share")}
HAND_LIMIT = 1e9
"""Any number may be written: nothing lies beyond."""


def part(evaluation: Evaluation) -> None:
    _fill(evaluation)
    left, right = st.columns(2, gap="medium")
    with left:
        threshold = _picker(evaluation)
        if threshold is None:
            st.info(text.TOO_FEW, icon=":material/info:")
        else:
            model_picker.save_threshold(evaluation.file, threshold)
            _rates(evaluation, threshold)
            if st.button(text.HAND_OFF, type="primary", icon=":material/compare:"):
                st.switch_page("pages/4_Compare.py")
    with right:
        _histogram(evaluation, threshold)
    _summary(evaluation)
    _curves(evaluation, threshold)


def _fill(evaluation: Evaluation) -> None:
    """Fill the widgets for a model that is new to this tab: as its threshold was chosen, here or where it was saved."""
    if st.session_state.get("threshold_of") == evaluation.file.key and RULE in st.session_state:
        return
    st.session_state["threshold_of"] = evaluation.file.key
    saved = model_picker.threshold(evaluation.file)
    state: dict[str, Any] = {RULE: "eer", HAND: None}
    state |= {NUMBERS["wanted"]: 1.0, NUMBERS["accept"]: 10.0, NUMBERS["reject"]: 1.0, NUMBERS["share"]: 50}
    rule = None if saved is None or saved.rule == "hand" else rule_of(saved.rule)
    if saved is not None and (rule is None or not _fits(rule)):
        state |= {RULE: "hand", HAND: saved.value}
    elif rule is not None:
        state[RULE] = rule.kind
        if rule.kind == "far":
            state[NUMBERS["wanted"]] = 100 * rule.wanted
        elif rule.kind == "costs":
            state |= {NUMBERS["accept"]: rule.accept_cost, NUMBERS["reject"]: rule.reject_cost}
            state[NUMBERS["share"]] = round(100 * rule.share_same)
    if saved is not None and saved.group in evaluation.groups and len(evaluation.groups) > 1:
        state["threshold_group"] = saved.group
    st.session_state.update(state)


def _fits(rule: Rule) -> bool:
    """Whether the widgets can show it: what they cannot must not change because it is shown."""
    share = 100 * rule.share_same
    return rule.kind != "costs" or (min(rule.accept_cost, rule.reject_cost) >= 0.01 and share in range(1, 100))


def _picker(evaluation: Evaluation) -> Threshold | None:
    name = choose_group(evaluation, "threshold_group", text.CHOSEN_ON)
    kind: str = widgets.segmented_control(text.RULE, text.RULES, key=RULE, wrap=True)
    st.caption(text.RULE_HELP[kind])
    group, is_similarity = evaluation.groups[name], evaluation.model.is_similarity
    if kind == "hand":
        by_hand = _by_hand(evaluation, name)
        if not len(group.reported_on.same) or not len(group.reported_on.different):
            return None
        return threshold_at(
            evaluation.model.measure.as_distance(by_hand), group.reported_on, "hand", name, is_similarity
        )
    return choose_threshold(group.chosen_on, group.reported_on, _rule(kind), name, is_similarity)


def _by_hand(evaluation: Evaluation, name: str) -> float:
    """From where the threshold stood when the hand took it."""
    if st.session_state[HAND] is None:
        saved = model_picker.threshold(evaluation.file)
        st.session_state[HAND] = saved.value if saved is not None else _middle(evaluation, name)
    step = round(_end(evaluation, None) / 500, 6)
    return float(widgets.number_input(text.HAND_VALUE, -HAND_LIMIT, HAND_LIMIT, step=step, format="%.4g", key=HAND))


def _middle(evaluation: Evaluation, name: str) -> float:
    """Where no rule finds a threshold, something to begin with."""
    curves = evaluation.groups[name].curves
    distance = float(np.median(curves.thresholds)) if curves is not None else 0.0
    return max(0.0, evaluation.model.measure.from_distance(distance))


def _rule(kind: str) -> Rule:
    if kind == "far":
        wanted = widgets.number_input(text.WANTED, 0.0, 100.0, step=0.5, format="%.2f", key=NUMBERS["wanted"])
        return Rule("far", wanted=wanted / 100)
    if kind == "costs":
        with st.container(horizontal=True):
            accept = widgets.number_input(text.ACCEPT_COST, 0.01, 1e6, step=1.0, key=NUMBERS["accept"], width=170)
            reject = widgets.number_input(text.REJECT_COST, 0.01, 1e6, step=1.0, key=NUMBERS["reject"], width=170)
        share = widgets.slider(text.SHARE_SAME, 1, 99, key=NUMBERS["share"])
        return Rule("costs", accept_cost=accept, reject_cost=reject, share_same=share / 100)
    return Rule()


def _rates(evaluation: Evaluation, threshold: Threshold) -> None:
    for line in threshold_lines(evaluation, threshold):
        st.markdown(line)
    if min(threshold.same, threshold.different) < FEW:
        st.warning(model_picker.text.FEW, icon=":material/info:")
    st.caption(text.BY_HAND if threshold.rule == "hand" else text.HALVES)
    model_picker.save_button(evaluation.file, threshold)


def threshold_lines(evaluation: Evaluation, threshold: Threshold) -> list[str]:
    """Return what a threshold means, and how often it is wrong on the classes of each group."""
    lines = [text.SAYS_SAME[evaluation.model.is_similarity].format(value=f"{threshold.value:.3g}")]
    for name, group in evaluation.groups.items():
        shown = {
            error: with_interval(rate, interval, percent) if rate else model_picker.text.NONE
            for error, rate, interval in rates_of(evaluation, name, threshold.value)
        }
        same, different = group.reported_on.counts
        lines.append(text.RATES.format(group=text.GROUPS[name], same=f"{same:,}", different=f"{different:,}", **shown))
    return lines


def rates_of(
    evaluation: Evaluation, name: str, value: float
) -> Iterator[tuple[str, float, tuple[float, float] | None]]:
    """Yield each error rate of a threshold on the classes of a group, and its interval."""
    group, distance = evaluation.groups[name], evaluation.model.measure.as_distance(value)
    ends = (None, None) if group.rate_intervals is None else rate_intervals_at(group.rate_intervals, distance)
    yield from zip(("false_accept", "false_reject"), rates(group.reported_on, distance), ends, strict=True)


def _histogram(evaluation: Evaluation, threshold: Threshold | None) -> None:
    value = None if threshold is None else threshold.value
    d_max = _end(evaluation, value)
    handles = [] if value is None else [
        {"value": value, "low": 0.0, "high": d_max, "step": round(d_max / 500, 6),
         "label": text.HISTOGRAM["threshold"], "key": "threshold", "kind": "vertical"}
    ]  # fmt: skip
    plot_view(
        lambda: histogram(evaluation, value),
        "threshold_view",
        settings=(evaluation.file.key, value, d_max),
        height=figures.HEIGHTS["histogram" if len(evaluation.groups) == 1 else "histograms"],
        label=text.HISTOGRAM["label"],
        handles=handles,
        on_dropped=lambda key, to: st.session_state.update({HAND: to, RULE: "hand"}),
    )


def histogram(evaluation: Evaluation, value: float | None) -> go.Figure:
    """Draw the pairs of the reporting halves, on either side of a threshold."""
    model = evaluation.model
    measure = model.measure
    words = text.HISTOGRAM | {"axis": train_text.AXES[measure.kind].format(measure=measure.title)}
    return figures.distance_histograms(
        _pairs(evaluation),
        d_max=_end(evaluation, value),
        threshold=value,
        is_similarity=model.is_similarity,
        text=words,
    )


def _pairs(evaluation: Evaluation) -> dict[str, Distances]:
    """In the units of the model."""
    pairs = {name: group.reported_on for name, group in evaluation.groups.items()}
    if not evaluation.model.is_similarity:
        return pairs
    return {name: side.similarities() for name, side in pairs.items()}


def _end(evaluation: Evaluation, value: float | None) -> float:
    if evaluation.model.is_similarity:
        return 1.0
    return figures.distance_end(_pairs(evaluation).values(), 1.2 * (value or 0.0))


def _summary(evaluation: Evaluation) -> None:
    table(text.SUMMARY, summary_rows(evaluation), text.SUMMARY_HELP)
    st.caption(text.SUMMARY_NOTE)
    if len(evaluation.groups) == 1:
        st.caption(text.NO_HELD_OUT)


def summary_rows(evaluation: Evaluation) -> list[dict[str, str]]:
    """Return a row for each group: its scores over all its pairs, with intervals, and how many these are."""
    rows = []
    for name, group in evaluation.groups.items():
        scores = {} if group.summary is None else group.summary._asdict()
        shown = {
            score: with_interval(
                scores.get(score), group.score_intervals.get(score), decimal if score == "auc" else percent
            )
            for score in ("auc", "eer", "tar_at_1", "tar_at_01")
        }
        pairs = (text.EXACT if group.exact else text.SAMPLED).format(pairs=f"{group.pairs:,}")
        rows.append({"group": text.GROUPS[name], **shown, "pairs": pairs})
    return rows


def _curves(evaluation: Evaluation, threshold: Threshold | None) -> None:
    kind: str = widgets.segmented_control(text.CURVE, text.CURVES, default="roc", key="threshold_curve")
    plot_view(
        lambda: curve(evaluation, threshold, kind),
        "curve_view",
        settings=(evaluation.file.key, kind, threshold),
        height=figures.HEIGHTS[kind],
        label=text.CURVE_WORDS["label"],
    )


def curve(evaluation: Evaluation, threshold: Threshold | None, kind: str) -> go.Figure:
    """Return ROC or DET of each group, and where the threshold stands on them."""
    lines, marks = {}, {}
    for name, group in evaluation.groups.items():
        if group.curves is None:
            continue
        lines[name] = (group.curves.false_accept, 1 - group.curves.false_reject, text.GROUPS[name])
        if threshold is not None:
            at = rates(group.reported_on, evaluation.model.measure.as_distance(threshold.value))
            marks[name] = (at.false_accept, 1 - at.false_reject)
    draw = figures.det if kind == "det" else figures.roc
    return draw(lines, marks, text=text.CURVE_WORDS)
