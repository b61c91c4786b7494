"""The kind of field that a loss's parameters are, and where a formula comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FloatField:
    """A number that a person may set; see `experiment.fields` for the methods."""

    name: str
    title: str
    default: float
    low: float
    high: float
    step: float
    help: str

    def read(self, text: str) -> float | None:
        try:
            return float(text)
        except ValueError:
            return None

    def problem(self, value: Any) -> str | None:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        fits = is_number and self.low <= value <= self.high
        return None if fits else f"may be a number from {self.low:g} to {self.high:g}"

    def text(self, value: float) -> str:
        return repr(float(value))


@dataclass(frozen=True)
class Citation:
    authors: str
    year: int
    title: str
    where: str

    def __str__(self) -> str:
        return f"{self.authors} ({self.year}). {self.title}. {self.where}."
