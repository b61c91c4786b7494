"""Pages that nobody touches: a fragment runs by itself, and draws the page again when there is something new."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st


def rerun_when(is_new: Callable[[], bool], every: float | None = 0.7) -> None:
    """Draw the whole page again when `is_new` says so: asked now, and every so many seconds unless None."""

    def poll() -> None:
        if is_new():
            st.rerun()

    st.fragment(poll, run_every=every)()
