"""The kind of field that a loss's parameters are, and where a formula comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

Value = TypeVar("Value")


def tried(read: Callable[[str], Value], text: str) -> Value | None:
    """Return what a text says, None where it cannot be read."""
    try:
        return read(text)
    except ValueError:
        return None


@dataclass(frozen=True)
class NumberField:
    """A number from `low` to `high` that a person may set."""

    name: str
    title: str
    default: float
    low: float
    high: float
    step: float
    help: str


class FloatField(NumberField):
    """Any number of the range."""

    def read(self, text: str) -> float | None:
        """Return the number that a text is; None where it is none."""
        return tried(float, text)

    def problem(self, value: Any) -> str | None:
        """Return what a value may be where it is not that."""
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        fits = is_number and self.low <= value <= self.high
        return None if fits else f"may be a number from {self.low:g} to {self.high:g}"

    def text(self, value: float) -> str:
        """Return a value as `read` reads it."""
        return repr(float(value))


@dataclass(frozen=True)
class Citation:
    authors: str
    year: int
    title: str
    where: str

    def __str__(self) -> str:
        return f"{self.authors} ({self.year}). {self.title}. {self.where}."
