"""The Data page: one part at a time."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from pages.ui.data import browse, downloads, inputs, pairs, uploaded
from pages.ui.session import engine
from pages.ui.shims import address_sync, widgets
from pages.ui.shims.escape_markdown import escape_markdown
from pages.ui.text import data as text

TITLE = text.TITLE

PAGE, KEY = "data", "data_section"

POLL_EVERY = 0.7

SECTIONS: dict[str, Callable[[], None]] = {
    "browse": browse.section,
    "pairs": pairs.section,
    "inputs": inputs.section,
    "own": uploaded.section,
    "get": downloads.section,
}


def page() -> None:
    asked = st.query_params.get("section", "")
    if asked in SECTIONS and not address_sync.has_written(PAGE, asked):
        st.session_state[KEY] = asked
    elif KEY not in st.session_state:
        # Back from another page: where one was.
        st.session_state[KEY] = address_sync.newest(PAGE) or "browse"
    st.markdown(f"##### {text.INTRO}")
    section: str = widgets.segmented_control(
        text.SECTION, list(SECTIONS), format_func=text.SECTIONS.__getitem__, key=KEY, wrap=True
    )
    if asked and asked not in SECTIONS:
        st.warning(
            text.NO_SECTION.format(asked=escape_markdown(asked[:60]), may_be=", ".join(SECTIONS)),
            icon=":material/info:",
        )
    if section != address_sync.newest(PAGE):
        address_sync.record(PAGE, section)
    if section != (asked or "browse"):
        st.query_params.from_dict({"section": section})
    # Asked before: a worker that comes while the page is drawn is a reason to draw it again.
    is_ready = bool(engine.devices())
    SECTIONS[section]()
    if not is_ready:
        st.fragment(_rerun_when_ready, run_every=POLL_EVERY)()


def _rerun_when_ready() -> None:
    """What the training process is asked for comes when that has started."""
    if engine.devices():
        st.rerun()
