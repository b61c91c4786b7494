"""The Data page: one part at a time."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from pages.ui.data import browse, get, inputs, own, pairs
from pages.ui.owner import engine, owner
from pages.ui.text import data as text
from pages.ui.words import plain

TITLE = text.TITLE

LOOK_EVERY = 0.7

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
    shown = st.session_state.get("data_section_shown", "browse")
    # The address counts where it is not the one that this page has written: a link, or the back button.
    if asked in SECTIONS and asked != shown:
        st.session_state["data_section"] = asked
    else:
        st.session_state.setdefault("data_section", shown)
    st.markdown(f"##### {text.INTRO}")
    section: str = st.segmented_control(
        text.SECTION, list(SECTIONS), format_func=text.SECTIONS.__getitem__, key="data_section", required=True,
        wrap=True, on_change=_chosen,
    )  # fmt: skip
    if asked and asked not in SECTIONS:
        st.warning(text.NO_SECTION.format(asked=plain(asked[:60]), may_be=", ".join(SECTIONS)), icon=":material/info:")
    st.session_state["data_section_shown"] = section
    if asked != section and not (asked == "" and section == "browse"):
        st.query_params.from_dict({"section": section})
    SECTIONS[section]()
    if not engine().devices:
        st.fragment(_once_ready, run_every=LOOK_EVERY)()


def _once_ready() -> None:
    """What the training process is asked for comes when that has started."""
    if engine().devices:
        st.rerun()


def _chosen() -> None:
    st.session_state["data_section_shown"] = st.session_state["data_section"]
    st.query_params.from_dict({"section": st.session_state["data_section"]})
