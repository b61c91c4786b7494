"""Addresses that a page has replaced and a browser still sends.

A browser that is asked for the next run while it gets a new address still sends the one before. Taken for a change from
outside, it would undo the last setting. One that the user goes back to comes later, and is a change from outside.
"""

from __future__ import annotations

import time

import streamlit as st

SECONDS = 5.0
"""How long after it was replaced an address is still on its way."""


def newest(page: str) -> str:
    """Return the address that a page has written last."""
    return _written(page)[0]


def has_written(page: str, address: str) -> bool:
    """Return whether a page has written it: now, or so shortly ago that the browser may not know of the next."""
    now, before = _written(page)
    return address == now or before.get(address, 0.0) > time.monotonic()


def record(page: str, address: str) -> None:
    """Record that a page has written, or read, this address."""
    replaced, before = _written(page)
    now = time.monotonic()
    fresh = {old: until for old, until in before.items() if until > now}
    st.session_state[f"address_{page}"] = (address, fresh | {replaced: now + SECONDS})


def _written(page: str) -> tuple[str, dict[str, float]]:
    return st.session_state.get(f"address_{page}", ("", {}))
