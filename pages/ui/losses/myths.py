"""The myths: what tutorials say, and a button that tries it."""

from __future__ import annotations

import streamlit as st

from pages.ui.losses import address
from pages.ui.losses.field_widgets import number
from pages.ui.session.trial import trial
from pages.ui.shims import widgets
from pages.ui.text import losses as text
from siamese_core.experiment.myths import MYTHS


def section() -> None:
    st.markdown(text.MYTHS_INTRO)
    key = widgets.radio(text.MYTH, list(MYTHS), format_func=lambda key: MYTHS[key].claim, key=address.key("myth"))
    trial(key, lambda: number("seed", width=120))
