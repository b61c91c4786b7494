"""What a number that a person may set looks like, and where a formula comes from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Param:
    """One number of a loss: its range is checked by `Experiment`, its widget is drawn by the page."""

    name: str
    title: str
    default: float
    low: float
    high: float
    step: float
    help: str


@dataclass(frozen=True)
class Citation:
    authors: str
    year: int
    title: str
    where: str

    def __str__(self) -> str:
        return f"{self.authors} ({self.year}). {self.title}. {self.where}."
