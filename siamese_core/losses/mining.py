"""Mining: which triplets of a batch are worth a step, chosen by the distances that the network gives now.

torch is imported inside the functions, so that a page can list the miners.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from torch import Generator, Tensor

Triplets: TypeAlias = "tuple[Tensor, Tensor, Tensor]"
"""Indices into a batch, int64 (T,) each: anchors, positives, negatives."""


@dataclass(frozen=True)
class Miner:
    """``fn(d, same, generator)`` gives Triplets: d (B, B) finite distances, same (B, B) bool."""

    title: str
    help: str
    fn: Callable[[Tensor, Tensor, Generator], Triplets]


def mine(miner: str, d: Tensor, labels: Tensor, generator: Generator) -> Triplets:
    """Return the triplets that a miner finds in a batch, by anchor; where two are as good, the lower index is taken.

    Args:
        miner: a key of ``MINERS``.
        d: (B, B), the distance of each image to each other one; no gradient is taken.
        labels: (B,) integers.
        generator: a CPU ``torch.Generator``; only ``random`` draws from it.

    Returns:
        Three int64 tensors (T,), empty where the batch has one class only, or no class has two images.

    Raises:
        ValueError: an unknown key, or sizes that do not fit.
    """
    if miner not in MINERS:
        raise ValueError(f"miner is {miner!r}; it may be {', '.join(MINERS)}")
    if d.shape != (len(labels), len(labels)):
        raise ValueError(f"d is {tuple(d.shape)} for {len(labels)} labels; it must be ({len(labels)}, {len(labels)})")
    # Below, infinity stands for "not allowed": a network that diverges must not reach it.
    finite = d.detach().nan_to_num()
    return MINERS[miner].fn(finite, labels[:, None] == labels, generator)


def pairs_of(anchor: Tensor, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the distinct pairs (anchor, positive) and (anchor, negative) of mined triplets, each (T,).

    Returns:
        int64 ``first`` < ``second`` and bool ``same``, (P,) each, in the order of first and second.
    """
    import torch

    ends = torch.cat([torch.stack([anchor, positive]), torch.stack([anchor, negative])], dim=1)
    same = torch.arange(ends.shape[1], device=ends.device) < len(anchor)
    # One number a pair: sorting numbers is far cheaper than sorting rows.
    codes = torch.unique((ends.amin(0) << 32) + (ends.amax(0) << 1) + same)
    return codes >> 32, (codes >> 1) & 0x7FFFFFFF, (codes & 1).bool()


def _all(d: Tensor, same: Tensor, generator: Generator) -> Triplets:
    anchor, positive, negative = (_others(same)[:, :, None] & ~same[:, None, :]).nonzero().unbind(1)
    return anchor, positive, negative


def _hardest(d: Tensor, same: Tensor, generator: Generator) -> Triplets:
    """Hermans, Beyer & Leibe 2017, "In Defense of the Triplet Loss for Person Re-Identification": batch-hard."""
    others = _others(same)
    anchor = (others.any(1) & ~same.all(1)).nonzero().flatten()
    if not len(anchor):
        return anchor, anchor, anchor
    positive = d.where(others, -float("inf"))[anchor].argmax(1)
    negative = d.where(~same, float("inf"))[anchor].argmin(1)
    return anchor, positive, negative


def _semi_hard(d: Tensor, same: Tensor, generator: Generator) -> Triplets:
    """Schroff, Kalenichenko & Philbin 2015, "FaceNet": the nearest negative that is farther than the positive."""
    anchor, positive = _others(same).nonzero().unbind(1)
    farther = ~same[anchor] & (d[anchor] > d[anchor, positive][:, None])
    found = farther.any(1)
    anchor, positive, farther = anchor[found], positive[found], farther[found]
    if not len(anchor):
        return anchor, anchor, anchor
    return anchor, positive, d[anchor].where(farther, float("inf")).argmin(1)


def _random(d: Tensor, same: Tensor, generator: Generator) -> Triplets:
    import torch

    anchor, positive = (_others(same) & ~same.all(1)[:, None]).nonzero().unbind(1)
    counts = (~same).sum(1)[anchor]
    # Drawn on the CPU, the same seed draws the same negatives on every device; in float64 the product stays below.
    draws = torch.rand(len(anchor), generator=generator, dtype=torch.float64)
    rank = (draws * counts.cpu()).long().to(same.device)
    negatives_first = same.byte().argsort(dim=1, stable=True)
    return anchor, positive, negatives_first[anchor, rank]


def _others(same: Tensor) -> Tensor:
    """Where two different images are of the same class: (B, B) bool."""
    return same.clone().fill_diagonal_(False)


MINERS: dict[str, Miner] = {
    "all": Miner(
        "All triplets",
        "Every anchor with every classmate and every image of another class; most of them teach nothing any more.",
        _all,
    ),
    "semi_hard": Miner(
        "Semi-hard",
        "For every pair of classmates the nearest stranger that is farther away than the classmate (FaceNet).",
        _semi_hard,
    ),
    "hardest": Miner(
        "Hardest",
        "For every anchor its farthest classmate and its nearest stranger; sensitive to wrong labels.",
        _hardest,
    ),
    "random": Miner("Random", "For every pair of classmates a stranger by chance.", _random),
}
