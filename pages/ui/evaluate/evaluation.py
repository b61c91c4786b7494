"""What the parts of the Evaluate page share: the evaluation of a model, and how numbers are written."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from pages.ui.shims import widgets
from pages.ui.text import evaluate as text
from siamese_core.engine.evaluations import ModelFile
from siamese_core.evaluation.report import GroupReport, Report
from siamese_core.runs.model import Model


@dataclass(frozen=True, eq=False)
class Evaluation:
    file: ModelFile
    report: Report

    @property
    def model(self) -> Model:
        return self.file.model

    @property
    def groups(self) -> Mapping[str, GroupReport]:
        return self.report.groups


def choose_group(evaluation: Evaluation, key: str, label: str = text.GROUP) -> str:
    """Return the classes that are evaluated: by a choice, where there are two groups."""
    names = list(evaluation.groups)
    if len(names) == 1:
        return names[0]
    if st.session_state.get(key) not in names:
        st.session_state[key] = names[0]
    return widgets.segmented_control(label, names, format_func=text.GROUPS.__getitem__, key=key)


def table(columns: Mapping[str, str], rows: Sequence[Mapping[str, str]], helps: Mapping[str, str]) -> None:
    """Draw a table whose first column names the row, and stays in sight."""
    config = {
        title: st.column_config.TextColumn(title, help=helps.get(name), pinned=name == next(iter(columns)))
        for name, title in columns.items()
    }
    data = {title: [row[name] for row in rows] for name, title in columns.items()}
    st.dataframe(data, hide_index=True, column_config=config, width="stretch")


def decimal(value: float) -> str:
    return f"{value:.3f}"


def percent(value: float) -> str:
    """Write a rate; far below a percent with two significant digits."""
    return f"{value:.1%}" if value >= 0.01 or not value else f"{100 * value:.2g}%"


def with_interval(
    value: float | None, interval: tuple[float, float] | None, number: Callable[[float], str] = decimal
) -> str:
    if value is None or math.isnan(value):
        return "–"
    if interval is None:
        return number(value)
    low, high = interval
    return text.WITH_INTERVAL.format(value=number(value), low=number(low), high=number(high))
