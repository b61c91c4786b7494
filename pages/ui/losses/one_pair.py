"""One pair under every loss: what it costs each of them, as it is and normalised."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from pages.ui.loss_curves import Arrays, axis_of, loss_arrays
from pages.ui.losses import address
from pages.ui.text import losses as text
from pages.ui.views import plot_view
from siamese_core import loss_figures
from siamese_core.losses import LOSSES

END = 2.0
HEIGHT = 420


def one_pair() -> None:
    st.markdown(f"**{text.PAIR_TITLE}**")
    st.caption(text.PAIR_HELP)
    d = st.slider(text.PAIR_DISTANCE, 0.0, END, 0.5, 0.05, key=address.key("pair"))
    normalised = st.toggle(text.PAIR_NORMALISED.format(end=END), value=True, key=address.key("normalised"))
    found = {key: _arrays(key, d) for key, loss in LOSSES.items() if loss.takes in ("distance", "similarity")}
    if any(arrays is None for arrays in found.values()):
        st.caption(text.WARMING)
        return
    values = {LOSSES[key].title: _values(arrays, normalised) for key, arrays in found.items() if arrays is not None}
    plot_view(
        lambda: loss_figures.one_pair(values, text=text.PAIR, normalised=normalised),
        "one_pair_view",
        settings=(tuple(values.items()), normalised),
        data=None,
        live=False,
        height=HEIGHT,
        text=text.PLOT | {"label": text.PAIR["label"]},
    )


def _arrays(key: str, d: float) -> Arrays | None:
    """The loss at this pair, the first of the places, and along the whole axis."""
    loss = LOSSES[key]
    along = np.append(d, np.linspace(0, END, 101))
    at = np.exp(-along) if axis_of(key) == "similarity" else along
    params: dict[str, Any] = {
        p.name: st.session_state.get(address.param_key(key, p.name), p.default) for p in loss.params
    }
    return loss_arrays(key, params, at)


def _values(arrays: Arrays, normalised: bool) -> tuple[float, float]:
    largest = max(float(arrays["same"].max()), float(arrays["different"].max())) if normalised else 1.0
    return float(arrays["same"][0]) / largest, float(arrays["different"][0]) / largest
