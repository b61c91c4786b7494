"""Which label means similar: every formula in either convention, and who uses which."""

from __future__ import annotations

import streamlit as st

from pages.ui.losses import address
from pages.ui.losses.field_widgets import number
from pages.ui.session.trial import trial
from pages.ui.text import losses as text
from siamese_core.losses import LOSSES, SOURCES


def section() -> None:
    similar = st.session_state[address.key("similar")]
    st.markdown(text.CONVENTIONS_INTRO)
    st.markdown(f"**{text.FORMULAS_TITLE.format(similar=text.SIMILAR_NAMES[similar])}**")
    for loss in LOSSES.values():
        if not isinstance(loss.written, str):
            left, right = st.columns([1, 3])
            left.markdown(loss.title)
            right.latex(loss.with_labels(similar == "1"))
    st.markdown(f"**{text.SOURCES_TITLE}**")
    rows = [
        (s.title, str(s.year), text.SIMILAR_IS[s.similar_is], ", ".join(LOSSES[key].title for key in s.losses), s.note)
        for s in SOURCES
    ]
    st.table({column: [row[n] for row in rows] for n, column in enumerate(text.SOURCE_COLUMNS)})
    trial("flip", lambda: number("seed", width=120))
