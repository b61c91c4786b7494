"""The fields of the page's address as widgets, and as lines of its charts that can be dragged: each margin, each Q."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from pages.ui.losses import address
from pages.ui.session.loss_curves import param_handles
from pages.ui.shims import widgets
from siamese_core.export.figures.losses import DIFFERENT_SHADES

DRAGGED = address.key("dragged")


def choice(name: str) -> str:
    field: Any = address.FIELDS[name]
    return widgets.segmented_control(
        field.title, field.choices, key=address.key(name), help=field.help or None, wrap=True
    )


def select(name: str, **more: Any) -> str:
    field: Any = address.FIELDS[name]
    return widgets.selectbox(field.title, field.choices, key=address.key(name), **more)


def number(name: str, **layout: Any) -> int:
    field: Any = address.FIELDS[name]
    return widgets.number_input(field.title, field.low, field.high, key=address.key(name), **layout)


def slider(name: str, label: str | None = None) -> float:
    field: Any = address.FIELDS[name]
    return widgets.slider(
        label or field.title, field.low, field.high, step=field.step, key=address.key(name), help=field.help or None
    )


def handles(params: Mapping[str, Mapping[str, float]]) -> list[dict[str, Any]]:
    """Return the lines for `plot_view`, in the colours of their losses."""
    shades = {key: DIFFERENT_SHADES[n % len(DIFFERENT_SHADES)] for n, key in enumerate(params)}
    return [handle | {"colour": shades[handle["key"].partition(".")[0]]} for handle in param_handles(params)]


def drag(name: str, value: float) -> None:
    st.session_state.setdefault(DRAGGED, {})[address.key(name)] = value


def take_dragged() -> None:
    """Move the slider of a line that is dragged or was dropped, before it is drawn."""
    st.session_state.update(st.session_state.pop(DRAGGED, {}))
