"""Evaluations of models, which browsers share: this one's part in them."""

from __future__ import annotations

import numpy as np

from pages.ui.session.engine import evaluations
from pages.ui.session.session import token
from siamese_core.engine.evaluations import EvaluationProgress, Kind, ModelFile
from siamese_core.engine.rpc.client import PendingReply


def poll(kind: Kind, file: ModelFile, start: bool = True) -> EvaluationProgress | None:
    """Return an evaluation as it is now, and keep it going; begin it where nobody has, unless not to `start`."""
    return evaluations().poll(token(), kind, file, start)


def cancel(kind: Kind, file: ModelFile) -> None:
    """End this browser's part in an evaluation; one that failed can begin again."""
    evaluations().cancel(token(), kind, file)


def check(file: ModelFile) -> PendingReply:
    """Request nothing; the reply raises RequestRejected where the tensors are not those of the experiment's network."""
    return evaluations().check(file)


def compare(file: ModelFile, first: np.ndarray, second: np.ndarray) -> PendingReply:
    """Request the comparison of uint8 images (P, C, H, W), pair by pair."""
    return evaluations().compare(file, first, second)


def explain(file: ModelFile, first: np.ndarray, second: np.ndarray) -> PendingReply:
    """Request the saliency maps of one pair of uint8 images (C, H, W)."""
    return evaluations().explain(file, first, second)


def problem() -> str:
    """Return why nothing can be evaluated on this machine; "" where all is well."""
    return evaluations().problem


def is_ready() -> bool:
    """Return whether the process that evaluates has started; asking starts it."""
    return evaluations().ready
