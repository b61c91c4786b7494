"""The Losses page: one part at a time, all under one label convention."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from pages.ui.loss_curves import has_come, is_waiting
from pages.ui.losses import address, code, conventions, curves, myths, reach
from pages.ui.owner import owner
from pages.ui.text import losses as text
from pages.ui.words import plain

TITLE = text.TITLE

SECTIONS: dict[str, Callable[[], None]] = {
    "curves": curves.section,
    "conventions": conventions.section,
    "reach": reach.section,
    "myths": myths.section,
    "code": code.section,
}


def page() -> None:
    owner()
    ignored = address.read()
    st.markdown(f"##### {text.INTRO}")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        section = _choice(text.SECTION, "section", text.SECTIONS)
        _choice(text.SIMILAR, "similar", text.SIMILAR_NAMES, help=text.SIMILAR_HELP)
    if ignored:
        named = "".join(f"\n- {plain(str(field))}" for field in ignored)
        st.warning(text.IGNORED.format(fields=named), icon=":material/info:")
    SECTIONS[section]()
    address.write()
    if is_waiting():
        st.fragment(_once_come, run_every=0.5)()


def _once_come() -> None:
    """The curves come from the training process: draws them when that has started, and has answered."""
    if has_come():
        st.rerun()


def _choice(label: str, name: str, titles: dict[str, str], help: str | None = None) -> str:
    chosen: str = st.segmented_control(
        label, list(titles), format_func=titles.__getitem__, key=address.key(name), help=help, required=True, wrap=True
    )
    return chosen
