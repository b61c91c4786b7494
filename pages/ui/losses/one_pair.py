"""One pair under every loss: what it costs each of them, as it is and normalised."""

from __future__ import annotations

import numpy as np
import streamlit as st

from pages.ui.components.components import plot_view
from pages.ui.losses import address
from pages.ui.losses.field_widgets import slider
from pages.ui.session.loss_curves import Arrays, axis_of, loss_arrays
from pages.ui.shims import widgets
from pages.ui.text import losses as text
from siamese_core.export.figures import losses
from siamese_core.losses import LOSSES

NORMALISED = address.key("normalised")
HEIGHT = 420


def one_pair() -> None:
    st.markdown(f"**{text.PAIR_TITLE}**")
    st.caption(text.PAIR_HELP)
    d = slider("pair")
    label = text.PAIR_NORMALISED.format(end=address.LARGEST_PAIR)
    normalised = widgets.persistent(widgets.toggle, label, key=NORMALISED, default=True)
    found = {key: _arrays(key, d) for key, loss in LOSSES.items() if loss.on_pairs}
    if any(arrays is None for arrays in found.values()):
        st.caption(text.WARMING)
        return
    values = {LOSSES[key].title: _values(arrays, normalised) for key, arrays in found.items() if arrays is not None}
    plot_view(
        lambda: losses.one_pair(values, text=text.PAIR, normalised=normalised),
        "one_pair_view",
        settings=(tuple(values.items()), normalised),
        height=HEIGHT,
        label=text.PAIR["label"],
    )


def _arrays(key: str, d: float) -> Arrays | None:
    """The loss at this pair, the first of the points, and along the whole axis."""
    along = np.append(d, np.linspace(0, address.LARGEST_PAIR, 101))
    at = np.exp(-along) if axis_of(key) == "similarity" else along
    return loss_arrays(key, address.params_of(key), at)


def _values(arrays: Arrays, normalised: bool) -> tuple[float, float]:
    largest = max(float(arrays["same"].max()), float(arrays["different"].max())) if normalised else 1.0
    return float(arrays["same"][0]) / largest, float(arrays["different"][0]) / largest
