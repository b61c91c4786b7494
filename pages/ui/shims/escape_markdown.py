"""Words of users between the words of a page."""

from __future__ import annotations


def escape_markdown(message: str) -> str:
    """Return words from an address bar or an upload with nothing left that Markdown would read."""
    return "".join(f"\\{c}" if c in r"\`*_{}[]()<>#+-.!|~$:&" else c for c in message)
