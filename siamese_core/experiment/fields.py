"""The kinds of field that an experiment is made of: each reads, checks and writes its values.

`read(text)` gives None for what is no value at all, `problem(value)` what a value may be where it is not that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from siamese_core.formats.safetensors import is_int
from siamese_core.losses.param import FloatField, NumberField, tried

__all__ = ["BoolField", "ChoiceField", "ClassesField", "Field", "FloatField", "IntField", "KeysField", "one_of"]

Key = TypeVar("Key", str, bool)


@dataclass(frozen=True)
class ChoiceField(Generic[Key]):
    name: str
    title: str
    default: Key
    help: str
    choices: Mapping[Key, str]
    """Key → title."""
    helps: Mapping[Key, str] = field(default_factory=dict)
    """Key → what is to be known of a choice, for those of which there is something."""
    comes_and_goes: Callable[[Key], bool] = lambda key: False
    """Whether there is, at this moment, a choice of this key that is not in the table."""

    def read(self, text: str) -> Any:
        return text

    def problem(self, value: Any) -> str | None:
        known = isinstance(value, type(self.default)) and (value in self.choices or self.comes_and_goes(value))
        return None if known else f"may be: {', '.join(map(self.text, self.choices))}"

    def text(self, value: Any) -> str:
        return str(value)


class BoolField(ChoiceField[bool]):
    """A choice between two, written true and false."""

    def read(self, text: str) -> bool | None:
        return {"true": True, "false": False}.get(text)

    def text(self, value: bool) -> str:
        return "true" if value else "false"


class IntField(NumberField):
    """A whole number of the range."""

    def read(self, text: str) -> int | None:
        return tried(int, text)

    def problem(self, value: Any) -> str | None:
        fits = is_int(value) and self.low <= value <= self.high
        return None if fits else f"may be a whole number from {self.low} to {self.high}"

    def text(self, value: int) -> str:
        return str(value)


@dataclass(frozen=True)
class ClassesField:
    """Class numbers, separated by commas, in order and without repetition."""

    name: str
    title: str
    default: tuple[int, ...]
    help: str

    def read(self, text: str) -> tuple[int, ...] | None:
        return tried(_class_numbers, text)

    def problem(self, value: Any) -> str | None:
        numbers = isinstance(value, tuple) and all(is_int(c) and c >= 0 for c in value)
        tidy = numbers and list(value) == sorted(set(value))
        return None if tidy else "may be class numbers separated by commas, such as 8,9"

    def text(self, value: tuple[int, ...]) -> str:
        return ",".join(map(str, value))


@dataclass(frozen=True)
class KeysField:
    """Some of the keys of a table, separated by commas, in the order of the table and without repetition."""

    name: str
    title: str
    default: tuple[str, ...]
    choices: Mapping[str, str]
    """Key → title."""
    help: str

    def read(self, text: str) -> tuple[str, ...]:
        given = text.split(",") if text else []
        unknown = tuple(key for key in given if key not in self.choices)
        return unknown or tuple(key for key in self.choices if key in given)

    def problem(self, value: Any) -> str | None:
        tidy = isinstance(value, tuple) and list(value) == [key for key in self.choices if key in value]
        return None if tidy else f"may be any of {', '.join(self.choices)}, separated by commas"

    def text(self, value: tuple[str, ...]) -> str:
        return ",".join(value)


Field = ChoiceField[Any] | IntField | FloatField | ClassesField | KeysField


def one_of(name: str, title: str, default: str, catalogue: Mapping[str, Any], help: str) -> ChoiceField[str]:
    """Return a field over a catalogue: of titles, or of records that have a title."""
    titles = {key: entry if isinstance(entry, str) else entry.title for key, entry in catalogue.items()}
    helps = {key: entry.help for key, entry in catalogue.items() if hasattr(entry, "help")}
    return ChoiceField(name, title, default, help, titles, helps)


def _class_numbers(text: str) -> tuple[int, ...]:
    return tuple(sorted({int(part) for part in text.split(",")})) if text else ()
