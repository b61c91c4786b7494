"""The fields of the page's address as widgets."""

from __future__ import annotations

from typing import Any

from pages.ui.losses import address
from pages.ui.shims import widgets


def select(name: str, **more: Any) -> str:
    field: Any = address.FIELDS[name]
    return widgets.selectbox(field.title, field.choices, key=address.key(name), **more)


def number(name: str, **layout: Any) -> int:
    field: Any = address.FIELDS[name]
    return widgets.number_input(field.title, field.low, field.high, key=address.key(name), **layout)


def slider(name: str, label: str | None = None) -> float:
    field: Any = address.FIELDS[name]
    return widgets.slider(
        label or field.title, field.low, field.high, step=field.step, key=address.key(name), help=field.help or None
    )
