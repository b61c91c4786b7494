"""The part of a page that is shown: a row of buttons, and its name in the address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from pages.ui.shims import address_sync, widgets
from pages.ui.shims.escape_markdown import escape_markdown


def choose(page: str, param: str, label: str, titles: Mapping[str, str], unknown: str, **layout: Any) -> str:
    """Draw the choice among the sections `titles` of a page and return the chosen key, at first the first.

    `param` is its name in the address, `unknown` the template of the message about an address without such a section.
    """
    key, first = f"{page}_{param}", next(iter(titles))
    asked = st.query_params.get(param, "")
    if asked in titles and not address_sync.has_written(page, asked):
        st.session_state[key] = asked
    elif key not in st.session_state:
        # Back from another page: where one was.
        st.session_state[key] = address_sync.newest(page) or first
    section: str = widgets.segmented_control(label, titles, key=key, wrap=True, **layout)
    if asked and asked not in titles:
        message = unknown.format(asked=escape_markdown(asked[:60]), may_be=", ".join(titles))
        st.warning(message, icon=":material/info:")
    address_sync.record(page, section)
    if section != (asked or first):
        st.query_params[param] = section
    return section
