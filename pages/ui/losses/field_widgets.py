"""The fields of the page's address as widgets."""

from __future__ import annotations

from typing import Any

from pages.ui.losses import address
from pages.ui.shims import widgets


def select(name: str) -> str:
    field: Any = address.FIELDS[name]
    chosen: str = widgets.selectbox(
        field.title, list(field.choices), format_func=field.choices.__getitem__, key=address.key(name)
    )
    return chosen


def number(name: str, **layout: Any) -> int:
    field: Any = address.FIELDS[name]
    chosen: int = widgets.number_input(field.title, field.low, field.high, key=address.key(name), **layout)
    return chosen


def slider(name: str, label: str | None = None) -> float:
    field: Any = address.FIELDS[name]
    chosen: float = widgets.slider(
        label or field.title, field.low, field.high, step=field.step, key=address.key(name), help=field.help or None
    )
    return chosen
