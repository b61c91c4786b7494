"""The lines of the charts that can be dragged: each margin, each Q."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from pages.ui.losses import address
from pages.ui.session.loss_curves import draggable_param
from pages.ui.text import losses as text
from siamese_core.export.figures.losses import DIFFERENT_SHADES
from siamese_core.losses import LOSSES

DRAGGED = address.key("dragged")


def handles(params: Mapping[str, Mapping[str, float]], kind: str = "vertical") -> list[dict[str, Any]]:
    """Return them for `plot_view`, of losses with the values of their parameters."""
    found = []
    for n, (key, values) in enumerate(params.items()):
        if param := draggable_param(key):
            several = text.PARAM.format(param=param.title, loss=LOSSES[key].title)
            found.append({
                "value": values[param.name], "low": param.low, "high": param.high, "step": param.step,
                "label": several if len(params) > 1 else param.title, "key": address.param_key(key, param.name),
                "kind": kind, "colour": DIFFERENT_SHADES[n % len(DIFFERENT_SHADES)],
            })  # fmt: skip
    return found


def drag(name: str, value: float) -> None:
    st.session_state.setdefault(DRAGGED, {})[name] = value


def take_dragged() -> None:
    """Move the slider of a line that is dragged or was dropped, before it is drawn."""
    for name, value in st.session_state.pop(DRAGGED, {}).items():
        st.session_state[name] = value
