"""The Runs page: one part at a time."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from pages.ui import echo, keyed
from pages.ui.owner import owner
from pages.ui.runs import bring, listed, sweeps
from pages.ui.text import runs as text
from pages.ui.words import plain

TITLE = text.TITLE

PAGE, KEY = "runs", "runs_section"

SECTIONS: dict[str, Callable[[], None]] = {"runs": listed.section, "sweeps": sweeps.section, "bring": bring.section}


def page() -> None:
    owner()
    if wanted := st.session_state.pop(listed.WANTED, ""):
        st.session_state[KEY] = wanted
    asked = st.query_params.get("section", "")
    if asked in SECTIONS and not echo.is_own(PAGE, asked):
        st.session_state[KEY] = asked
    elif KEY not in st.session_state:
        # Back from another page: where one was.
        st.session_state[KEY] = echo.current(PAGE) or "runs"
    st.markdown(f"##### {text.INTRO}")
    section: str = keyed.segmented_control(
        text.SECTION, list(SECTIONS), format_func=text.SECTIONS.__getitem__, key=KEY, wrap=True,
        label_visibility="collapsed",
    )  # fmt: skip
    if asked and asked not in SECTIONS:
        st.warning(text.NO_SECTION.format(asked=plain(asked[:60]), may_be=", ".join(SECTIONS)), icon=":material/info:")
    if section != echo.current(PAGE):
        echo.stands_now(PAGE, section)
    if section != (asked or "runs"):
        st.query_params["section"] = section
    SECTIONS[section]()
