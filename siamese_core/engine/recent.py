"""Tables of what was used last."""

from __future__ import annotations

from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


def recall(recent: dict[K, V], key: K) -> V | None:
    """Return what is remembered under `key`, which is now the one used last; None where nothing is."""
    if key in recent:
        recent[key] = recent.pop(key)
    return recent.get(key)


def remember(recent: dict[K, V], key: K, value: V, most: int) -> list[K]:
    """Put `value` behind all that was used before it; return the keys of those that make room, used longest ago."""
    recent.pop(key, None)
    recent[key] = value
    oldest = list(recent)[: max(0, len(recent) - most)]
    for gone in oldest:
        del recent[gone]
    return oldest
