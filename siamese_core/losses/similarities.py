"""Losses on a predicted similarity p of a pair: each falls with it where the pair is the same, rises where not."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from siamese_core.losses.param import Citation
from siamese_core.losses.record import Loss

if TYPE_CHECKING:
    from torch import Tensor

EPSILON = 1e-7
"""p is clipped this far from 0 and 1, where its logarithm would be infinite."""


def log(p: Tensor, same: Tensor) -> Tensor:
    """Return −log p for a same pair, −log(1 − p) for a different one: binary cross-entropy (Koch 2015)."""
    clipped = p.clamp(EPSILON, 1 - EPSILON)
    return -clipped.where(same, 1 - clipped).log()


def absolute(p: Tensor, same: Tensor) -> Tensor:
    """Return |1 − p| for a same pair, |p| for a different one."""
    return (1 - p).where(same, p).abs()


def squared(p: Tensor, same: Tensor) -> Tensor:
    """Return (1 − p)² for a same pair, p² for a different one."""
    return (1 - p).where(same, p).square()


_similarity_loss = partial(
    Loss, input_kind="similarity", measures=("similarity_head", "exponential_similarity"), convention="one"
)

LOG = _similarity_loss(
    key="log",
    title="Log (binary cross-entropy)",
    fn=log,
    written=(r"-\log p", r"-\log(1-p)"),
    citation=Citation(
        "Koch, Zemel & Salakhutdinov",
        2015,
        "Siamese Neural Networks for One-shot Image Recognition",
        "ICML Deep Learning Workshop",
    ),
    gradient="The more wrong p is, the steeper the slope, and behind a sigmoid a confident mistake is corrected at "
    "full strength. Only where p is clipped, a ten-millionth from 0 or 1, does it stop.",
)

ABSOLUTE = _similarity_loss(
    key="absolute",
    title="Absolute error on p",
    fn=absolute,
    written=(r"\lvert 1-p\rvert", r"\lvert 0-p\rvert"),
    citation=Citation(
        "Mueller & Thyagarajan",
        2016,
        "Siamese Recurrent Architectures for Learning Sentence Similarity",
        "AAAI; its similarity, with the absolute error that tutorials put on it",
    ),
    gradient="The slope on p is 1 wherever p is, so a pair that is nearly right pulls as hard as one that is wrong. "
    "Behind a sigmoid a confident mistake has almost no gradient left.",
)

SQUARED = _similarity_loss(
    key="squared",
    title="Squared error on p",
    fn=squared,
    written=(r"(1-p)^2", r"p^2"),
    citation=Citation(
        "Mueller & Thyagarajan", 2016, "Siamese Recurrent Architectures for Learning Sentence Similarity", "AAAI"
    ),
    gradient="The slope on p grows with the mistake, and fades as the pair comes right. Behind a sigmoid it fades "
    "again where p is sure and wrong.",
)
