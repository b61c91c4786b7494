"""The Runs page: one part at a time."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from pages.ui.runs import import_run, sweeps, table
from pages.ui.shims import address_sync, widgets
from pages.ui.shims.escape_markdown import escape_markdown
from pages.ui.text import runs as text

TITLE = text.TITLE

PAGE, KEY = "runs", "runs_section"

SECTIONS: dict[str, Callable[[], None]] = {"runs": table.section, "sweeps": sweeps.section, "bring": import_run.section}


def page() -> None:
    if wanted := st.session_state.pop(table.WANTED, ""):
        st.session_state[KEY] = wanted
    asked = st.query_params.get("section", "")
    if asked in SECTIONS and not address_sync.has_written(PAGE, asked):
        st.session_state[KEY] = asked
    elif KEY not in st.session_state:
        # Back from another page: where one was.
        st.session_state[KEY] = address_sync.newest(PAGE) or "runs"
    st.markdown(f"##### {text.INTRO}")
    section: str = widgets.segmented_control(
        text.SECTION, list(SECTIONS), format_func=text.SECTIONS.__getitem__, key=KEY, wrap=True,
        label_visibility="collapsed",
    )  # fmt: skip
    if asked and asked not in SECTIONS:
        st.warning(
            text.NO_SECTION.format(asked=escape_markdown(asked[:60]), may_be=", ".join(SECTIONS)),
            icon=":material/info:",
        )
    if section != address_sync.newest(PAGE):
        address_sync.record(PAGE, section)
    if section != (asked or "runs"):
        st.query_params["section"] = section
    SECTIONS[section]()
