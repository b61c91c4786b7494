"""The Runs page: one part at a time."""

from __future__ import annotations

import streamlit as st

from pages.ui.runs import import_run, sweeps, table
from pages.ui.session import sections
from pages.ui.text import runs as text

SECTIONS = {"runs": table.section, "sweeps": sweeps.section, "bring": import_run.section}


def page() -> None:
    if wanted := st.session_state.pop(table.WANTED, ""):
        st.session_state["runs_section"] = wanted
    section = sections.choose(
        "runs", "section", text.SECTION, text.SECTIONS, text.NO_SECTION, label_visibility="collapsed"
    )
    SECTIONS[section]()
