"""The Losses page: one part at a time, all under one label convention."""

from __future__ import annotations

import streamlit as st

from pages.ui.losses import address, code, conventions, curves, latest_run, myths, reach
from pages.ui.losses.field_widgets import choice
from pages.ui.session.loss_curves import has_arrived, is_waiting
from pages.ui.shims.escape_markdown import escape_markdown
from pages.ui.shims.polling import rerun_when
from pages.ui.text import losses as text

SECTIONS = {
    "curves": curves.section,
    "conventions": conventions.section,
    "reach": reach.section,
    "myths": myths.section,
    "code": code.section,
}


def page() -> None:
    address.read()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        section = choice("section")
        choice("similar")
    notice = st.container()
    SECTIONS[section]()
    address.write()
    if address.ignored():
        named = "".join(f"\n- {escape_markdown(str(field))}" for field in address.ignored())
        notice.warning(text.IGNORED.format(fields=named), icon=":material/info:")
    if is_waiting() or latest_run.is_moving():
        # The curves come from the training process. A run that is laid under them moves.
        rerun_when(lambda: has_arrived() or latest_run.is_moving())
