"""Answers of the training process that a page waits for a little, and takes at a later look where they come late."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from concurrent.futures import CancelledError, TimeoutError

import numpy as np
import streamlit as st

from siamese_core.engine.rpc.client import PendingReply

Arrays = dict[str, np.ndarray]


def answered(asked: PendingReply, wait: float) -> Arrays | None:
    """The worker's answer; None where it takes too long, where it cannot be given, or where the worker died."""
    try:
        return asked.result(wait)
    except (TimeoutError, CancelledError):
        return None


def kept_answer(run_state: str, asked: Hashable, ask: Callable[[], PendingReply], wait: float) -> Arrays | None:
    """The answer to what was `asked`, which is asked once; another question in the same slot lets go of it."""
    kept = st.session_state.get(run_state)
    if kept is None or kept[0] != asked or kept[1].cancelled():
        kept = st.session_state[run_state] = (asked, ask())
    return answered(kept[1], wait)
