"""Streamlit's widgets under a key, whose default is what they say now.

Streamlit tells a browser the value that a page has set in the one draw that follows, and only there. A browser that is
slow to show a widget, and gets the next draw before, begins with its default, and sends that back: every slider at its
lowest. So each draw says the value as the default too, which a widget that is shown already does not look at.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import streamlit as st

FIRST = object()
"""The default of a choice that begins with its first option."""


def selectbox(label: str, options: Iterable[Any], *, key: str, default: Any = FIRST, **more: Any) -> Any:
    """With None as the default a choice can be taken back, which Streamlit reads off the index."""
    choices = list(options)
    now = st.session_state.get(key, default)
    index = None if default is None else choices.index(now) if now in choices else 0
    return st.selectbox(label, choices, index=index, key=key, **more)


def radio(label: str, options: Iterable[Any], *, key: str, **more: Any) -> Any:
    choices = list(options)
    now = st.session_state.get(key)
    return st.radio(label, choices, index=choices.index(now) if now in choices else 0, key=key, **more)


def segmented_control(label: str, options: Iterable[Any], *, key: str, default: Any = None, **more: Any) -> Any:
    """One option is always chosen."""
    choices = list(options)
    now = st.session_state.get(key, default)
    first = now if now in choices else default
    return st.segmented_control(label, choices, default=first, key=key, required=True, **more)


def multiselect(label: str, options: Iterable[Any], *, key: str, **more: Any) -> list[Any]:
    choices = list(options)
    now = [choice for choice in st.session_state.get(key, ()) if choice in choices]
    return st.multiselect(label, choices, default=now, key=key, **more)


def slider(label: str, low: Any, high: Any, *, key: str, default: Any = None, **more: Any) -> Any:
    return st.slider(label, low, high, _within(low, high, key, default), key=key, **more)


def number_input(label: str, low: Any, high: Any, *, key: str, default: Any = None, **more: Any) -> Any:
    return st.number_input(label, low, high, _within(low, high, key, default), key=key, **more)


def toggle(label: str, *, key: str, **more: Any) -> bool:
    return st.toggle(label, value=bool(st.session_state.get(key)), key=key, **more)


def text_input(label: str, *, key: str, default: str = "", **more: Any) -> str:
    return st.text_input(label, value=st.session_state.get(key, default), key=key, **more)


def _within(low: Any, high: Any, key: str, default: Any) -> Any:
    """The value of a number now; without a default the lowest is one."""
    now = st.session_state.get(key, low if default is None else default)
    return min(max(now, low), high)
