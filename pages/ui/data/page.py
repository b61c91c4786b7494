"""The Data page: one part at a time."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from pages.ui.data import browse, get, inputs, own, pairs
from pages.ui.owner import owner
from pages.ui.text import data as text
from pages.ui.words import plain

TITLE = text.TITLE

SECTIONS: dict[str, Callable[[], None]] = {
    "browse": browse.section,
    "pairs": pairs.section,
    "inputs": inputs.section,
    "own": own.section,
    "get": get.section,
}


def page() -> None:
    owner()
    asked = st.query_params.get("section", "")
    st.session_state.setdefault("data_section", asked if asked in SECTIONS else "browse")
    st.markdown(f"##### {text.INTRO}")
    section: str = st.segmented_control(
        text.SECTION, list(SECTIONS), format_func=text.SECTIONS.__getitem__, key="data_section", required=True,
        wrap=True,
    )  # fmt: skip
    if asked and asked not in SECTIONS:
        st.warning(text.NO_SECTION.format(asked=plain(asked[:60]), may_be=", ".join(SECTIONS)), icon=":material/info:")
    SECTIONS[section]()
    st.query_params["section"] = section
