"""What differs between runs: settings and results, a row for each."""

from __future__ import annotations

import streamlit as st

from pages.ui.runs.titles import title_of
from pages.ui.text import runs as text
from pages.ui.text import train as train_text
from siamese_core.experiment.fields import ChoiceField
from siamese_core.experiment.settings import FIELDS
from siamese_core.losses import LOSSES
from siamese_core.runs.info import RunInfo

RESULTS = ("map_at_r", "precision_at_1", "auc", "eer", "loss")


def part(infos: list[RunInfo]) -> None:
    st.markdown(f"**{text.DIFFERENCES}**")
    settings = [info.settings for info in infos]
    names = dict.fromkeys(name for found in settings for name in found)
    differing = [name for name in names if len({found.get(name) for found in settings}) > 1]
    if not differing:
        st.caption(text.SAME_SETTINGS)
    if "seed" in differing:
        st.caption(text.SEEDS_DIFFER)
    # Names as heads of columns, each once.
    heads = [f"{number}. {title_of(info)}" for number, info in enumerate(infos, 1)]
    rows = [
        {text.SETTING: _title(name)}
        | {h: _value(name, found.get(name, "")) for h, found in zip(heads, settings, strict=True)}
        for name in differing
    ]
    for metric in RESULTS:
        for group in ("seen", "held_out"):
            values = [info.score(metric, group) for info in infos]
            if any(value is not None for value in values):
                shown = ("–" if value is None else f"{value:.3f}" for value in values)
                rows.append({text.SETTING: _metric(metric, group)} | dict(zip(heads, shown, strict=True)))
    seconds = (f"{info.seconds:.1f} s" for info in infos)
    rows.append({text.SETTING: text.COLUMNS["seconds"].partition(",")[0]} | dict(zip(heads, seconds, strict=True)))
    st.dataframe(rows, hide_index=True, width="stretch")


def _title(name: str) -> str:
    params = {param.name: param.title for loss in reversed(LOSSES.values()) for param in loss.params}
    return FIELDS[name].title if name in FIELDS else params.get(name, name)


def _value(name: str, text_of_it: str) -> str:
    """In words, where it is one of a catalogue."""
    field = FIELDS.get(name)
    known = field.choices.get(field.read(text_of_it)) if isinstance(field, ChoiceField) else None
    return known or text_of_it or "–"


def _metric(metric: str, group: str) -> str:
    words = {"auc": "AUC", "eer": "EER", "loss": train_text.TEST_LOSS}
    title = words.get(metric) or train_text.NUMBERS[metric][0]
    return title if group == "seen" else f"{title}, {train_text.EMBEDDING['held_out']}"
