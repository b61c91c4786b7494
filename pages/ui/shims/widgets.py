"""Streamlit's widgets under a key, whose default is what they say now; and what outlives the page that draws them.

Streamlit tells a browser the value that a page has set in the one draw that follows, and only there. A browser that is
slow to show a widget, and gets the next draw before, begins with its default, and sends that back: every slider at its
lowest. So each draw says the value as the default too, which a widget that is shown already does not look at.

Options may be a mapping: its keys are chosen from, its values shown.

Streamlit also forgets the value of a widget that one run of a page does not draw, as on another page. What is to be
there afterwards is saved beside it: by `persistent` and `persistent_upload`, or by `save`, `saved` and `restore`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import streamlit as st

from pages.ui.shims.escape_markdown import escape_markdown
from pages.ui.text.shared import UNDO

T = TypeVar("T")

KINDS = {".csv": "text/csv", ".html": "text/html", ".zip": "application/zip"}

FIRST = object()
"""The default of a choice that begins with its first option."""


def selectbox(label: str, options: Iterable[Any], *, key: str, default: Any = FIRST, **more: Any) -> Any:
    """Draw one; with None as the default a choice can be taken back, which Streamlit reads off the index."""
    choices = list(options)
    now = st.session_state.get(key, default)
    index = None if default is None else choices.index(now) if now in choices else 0
    return st.selectbox(label, choices, index=index, key=key, **_titles(options) | more)


def radio(label: str, options: Iterable[Any], *, key: str, **more: Any) -> Any:
    choices = list(options)
    now = st.session_state.get(key)
    return st.radio(label, choices, index=choices.index(now) if now in choices else 0, key=key, **more)


def segmented_control(label: str, options: Iterable[Any], *, key: str, default: Any = None, **more: Any) -> Any:
    """Draw buttons of which one is always chosen."""
    choices = list(options)
    now = st.session_state.get(key, default)
    first = now if now in choices else default
    return st.segmented_control(label, choices, default=first, key=key, required=True, **_titles(options) | more)


def multiselect(label: str, options: Iterable[Any], *, key: str, **more: Any) -> list[Any]:
    choices = list(options)
    now = [choice for choice in st.session_state.get(key, ()) if choice in choices]
    return st.multiselect(label, choices, default=now, key=key, **_titles(options) | more)


def slider(label: str, low: Any, high: Any, *, key: str, default: Any = None, **more: Any) -> Any:
    return st.slider(label, low, high, _within(low, high, key, default), key=key, **more)


def number_input(label: str, low: Any, high: Any, *, key: str, default: Any = None, **more: Any) -> Any:
    return st.number_input(label, low, high, _within(low, high, key, default), key=key, **more)


def toggle(label: str, *, key: str, **more: Any) -> bool:
    return st.toggle(label, value=bool(st.session_state.get(key)), key=key, **more)


def text_input(label: str, *, key: str, default: str = "", **more: Any) -> str:
    return st.text_input(label, value=st.session_state.get(key, default), key=key, **more)


def download(label: str, make: Callable[[], bytes], name: str, **more: Any) -> None:
    """Draw a button whose file is made on a click, by a thread that knows nothing of this session."""
    more = {"icon": ":material/download:"} | more
    kind = KINDS.get(Path(name).suffix, "application/octet-stream")
    st.download_button(label, make, name, kind, on_click="ignore", **more)


def offer_undo(message: str, key: str, restore: Callable[[], bool], too_late: str) -> None:
    """Draw what was deleted, and a button that takes it back by `restore`, which returns whether it could."""

    def on_click() -> None:
        if not restore():
            st.toast(too_late, icon=":material/delete:")

    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(escape_markdown(message), width="content")
        st.button(UNDO, key=key, icon=":material/undo:", on_click=on_click)


def _titles(options: Iterable[Any]) -> dict[str, Any]:
    return {"format_func": options.__getitem__} if isinstance(options, Mapping) else {}


def _within(low: Any, high: Any, key: str, default: Any) -> Any:
    """The value of a number now; without a default the lowest is one."""
    now = st.session_state.get(key, low if default is None else default)
    return min(max(now, low), high)


def persistent(draw: Callable[..., Any], *args: Any, key: str, default: Any, **more: Any) -> Any:
    """Draw one of these widgets with the value that it had when it was drawn last; return its value."""
    restore(key, default)
    value = draw(*args, key=key, **more)
    save(key, value)
    return value


def persistent_upload(key: str, draw: Callable[..., object], read: Callable[[Any], T]) -> T | None:
    """Draw an uploader by `draw(key=…, on_change=…)`; return what `read` made of the files that were chosen last.

    None before any were chosen, and when they were removed. An uploader that is drawn anew shows no files.
    """

    def on_change() -> None:
        forget(key)
        if chosen := st.session_state[key]:
            save(key, read(chosen))

    draw(key=key, on_change=on_change)
    return saved(key)


def save(key: str, value: object) -> None:
    """Save a value, beside the widget of this key if there is one, for as long as the tab is open."""
    st.session_state[f"{key}_saved"] = value


def saved(key: str, default: Any = None) -> Any:
    """Return what was saved last under a key."""
    return st.session_state.get(f"{key}_saved", default)


def restore(key: str, default: object) -> None:
    """Set a widget that Streamlit has forgotten, or that is new, to what was saved; to be called before it is drawn."""
    if key not in st.session_state:
        st.session_state[key] = saved(key, default)


def forget(key: str) -> None:
    """Forget what was saved under a key; the widget itself is left as it is."""
    st.session_state.pop(f"{key}_saved", None)


def once(name: str, key: Hashable, make: Callable[[], T], is_valid: Callable[[T], bool] = lambda value: True) -> T:
    """Return what `make` returned for this `key`: called once, and again when the key changes or it is not valid.

    `name` is the entry of the session that holds it, the newest only: (key, value).
    """
    entry = st.session_state.get(name)
    if entry is None or entry[0] != key or not is_valid(entry[1]):
        # Not there while it is made: the page's run may end in the middle.
        st.session_state.pop(name, None)
        entry = st.session_state[name] = (key, make())
    return entry[1]
