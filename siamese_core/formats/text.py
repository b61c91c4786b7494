"""Text from outside, fit for one line of a message."""

from __future__ import annotations


def shortened(text: str, limit: int = 60) -> str:
    """Return `text` fit for one line of a message: nothing unprintable, nothing endless."""
    shown = "".join(c if c.isprintable() else "�" for c in text[: limit + 1])
    return shown if len(shown) <= limit else shown[:limit] + "…"
