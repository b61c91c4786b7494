"""What a page does to words that are not its own."""

from __future__ import annotations


def plain(message: str) -> str:
    """Words from an address bar or an upload, with nothing left that Markdown would read."""
    return "".join(f"\\{c}" if c in r"\`*_{}[]()<>#+-.!|~$:&" else c for c in message)
