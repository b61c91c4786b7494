"""The verdict on one pair."""

from __future__ import annotations

import streamlit as st

from pages.ui.session import model_picker
from pages.ui.text import compare as text
from siamese_core.embeddings.thresholds import FEW, Threshold
from siamese_core.engine.evaluations import ModelFile


def verdict(file: ModelFile, value: float, threshold: Threshold | None, same: bool | None, waits: bool) -> None:
    """Draw the verdict. `same`: what is known of the pair; `waits`: whether a threshold is on its way."""
    model = file.model
    number = f"{value:.3g}"
    if threshold is None:
        words = text.NO_THRESHOLD_SIMILARITY if model.is_similarity else text.NO_THRESHOLD
        st.markdown(words.format(value=number))
        if waits:
            st.caption(text.NO_THRESHOLD_WAIT)
        return
    says_same = bool(model.says_same(value, threshold.value))
    words = text.VERDICT_SIMILARITY if model.is_similarity else text.VERDICT_DISTANCE
    st.markdown(f"## {text.SAME if says_same else text.DIFFERENT}")
    st.markdown(words[says_same].format(value=number, threshold=f"{threshold.value:.3g}"))
    if same is not None:
        st.markdown(f"{':green' if same == says_same else ':red'}[{text.TRUTH[same]}]")


def rates(threshold: Threshold | None) -> None:
    """Draw how often a threshold is wrong, and where that was measured."""
    if threshold is None:
        return
    with st.container(horizontal=True):
        for name in ("false_accept", "false_reject"):
            rate = getattr(threshold, name)
            shown = f"{rate:.1%}" if rate else model_picker.text.NONE
            st.metric(text.NUMBERS[name], shown, help=text.NUMBERS_HELP[name], width=128)
    words = text.RATES_BY_HAND if threshold.rule == "hand" else text.RATES
    st.caption(
        words.format(
            rule=model_picker.describe_rule(threshold), group=model_picker.text.GROUPS[threshold.group],
            different=f"{threshold.different:,}", same=f"{threshold.same:,}",
        )
    )  # fmt: skip
    if threshold.group == "seen":
        st.caption(text.STRANGERS)
    if min(threshold.same, threshold.different) < FEW:
        st.warning(model_picker.text.FEW, icon=":material/info:")
