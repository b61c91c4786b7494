"""Widgets that say what they said before, though they were not drawn for a while: on another page, say."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import streamlit as st

T = TypeVar("T")


def remembered(key: str, default: T, draw: Callable[[str], T]) -> T:
    """What the widget says that `draw` draws under `key`. Streamlit forgets a widget that a run does not draw."""
    if key not in st.session_state:
        st.session_state[key] = st.session_state.get(f"{key}_kept", default)
    value = st.session_state[f"{key}_kept"] = draw(key)
    return value
