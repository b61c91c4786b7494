"""What every page begins with: its title and the menu."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from pages.ui.session import engine, session

TITLE = "Siamese Playground"
ICON = str(Path(__file__).with_name("icon.png"))
IDEA = str(Path(__file__).with_name("idea.svg"))

TRAIN_PAGE = "pages/1_Train.py"

MENU = {
    "app.py": ("Home", ":material/home:"),
    TRAIN_PAGE: ("Train", ":material/play_circle:"),
    "pages/2_Losses.py": ("Losses", ":material/show_chart:"),
    "pages/3_Data.py": ("Data", ":material/photo_library:"),
    "pages/4_Compare.py": ("Compare", ":material/compare:"),
    "pages/5_Evaluate.py": ("Evaluate", ":material/fact_check:"),
    "pages/6_Runs.py": ("Runs", ":material/movie:"),
}


def begin(title: str) -> None:
    """Draw what is above every page; to be called first. Any may be the first that a server shows: each starts it."""
    page_title = TITLE if title == TITLE else f"{title} · {TITLE}"
    st.set_page_config(page_title=page_title, page_icon=ICON, layout="wide")
    engine.sweeps()
    with st.sidebar:
        for page, (label, icon) in MENU.items():
            st.page_link(page, label=label, icon=icon)
    session.identify()


def show(page: Any) -> None:
    """Draw a page from the modules of its folder, under its title."""
    begin(page.text.TITLE)
    if page.text.INTRO:
        st.markdown(f"##### {page.text.INTRO}")
    page.page()
