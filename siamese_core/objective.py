"""The number that a step makes smaller: a loss, the distances of a batch, and how they are averaged.

Averaging decides what is learnt. All pairs of a batch: the mean over the same pairs plus the mean over the different
ones, for there are ten times more of the latter. Random pairs, half of each: the mean over the pairs, as in the papers.
Triplets: the mean over the triplets. Classifier: the mean over the images. A loss on a whole batch averages by itself.

`parts` are the tensors of the loss's head, everywhere; none for a loss that has no head.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import linear

from siamese_core.distances import MEASURES
from siamese_core.experiment import Experiment
from siamese_core.losses import LOSSES


class Objective(NamedTuple):
    """`value` is a scalar with a gradient; `active` the share of the pairs or triplets whose loss is not zero.

    NaN for a loss on a whole batch, which has no value of its own for each pair.
    """

    value: Tensor
    active: Tensor


Parts = tuple[Tensor, ...]


def values(experiment: Experiment, *inputs: Tensor) -> Tensor:
    """The loss of each pair (d, same) or triplet (d_ap, d_an), elementwise."""
    return LOSSES[experiment.loss].fn(*inputs, **experiment.params)


def balanced(each: Tensor, same: Tensor) -> Tensor:
    """The mean over the same pairs plus the mean over the different ones; a side without pairs counts 0."""
    n_same = same.sum()
    weights = torch.where(same, 1 / n_same.clamp(min=1), 1 / (len(same) - n_same).clamp(min=1))
    return (each * weights.to(each.dtype)).sum()


def of_all_pairs(experiment: Experiment, h: Tensor, per_class: int, parts: Parts = ()) -> Objective:
    """Every pair i < j, or every triplet, of a P×K batch of embeddings (B, D): K = `per_class`, class after class."""
    d = MEASURES[experiment.measure].within(h, *parts)
    if LOSSES[experiment.loss].takes == "triplet":
        return _of_triplets(experiment, *all_triplets(d, len(h), per_class))
    same = same_pairs(len(h), per_class, h.device)
    each = values(experiment, d, _named(experiment, same))
    return Objective(balanced(each, same), _active(each))


def of_random_pairs(experiment: Experiment, h1: Tensor, h2: Tensor, same: Tensor, parts: Parts = ()) -> Objective:
    """Pairs of embeddings (P, D) and (P, D), `same` (P,)."""
    each = values(experiment, MEASURES[experiment.measure].between(h1, h2, *parts), _named(experiment, same))
    return Objective(each.mean(), _active(each))


def of_classes(experiment: Experiment, h: Tensor, labels: Tensor, parts: Parts = ()) -> Objective:
    """Embeddings (B, D) with their classes (B,), numbered from 0 as the head numbers them."""
    loss = LOSSES[experiment.loss]
    if loss.takes == "batch":
        return Objective(loss.fn(h, labels, *parts, **experiment.params), h.new_tensor(math.nan))
    each = values(experiment, linear(h, *parts), labels)
    return Objective(_mean(each), _active(each))


def of_random_triplets(experiment: Experiment, anchor: Tensor, positive: Tensor, negative: Tensor) -> Objective:
    """Triplets of embeddings, (T, D) each."""
    between = MEASURES[experiment.measure].between
    return _of_triplets(experiment, between(anchor, positive), between(anchor, negative))


def all_triplets(d: Tensor, batch: int, per_class: int) -> tuple[Tensor, Tensor]:
    """(B, K−1, 1) anchor–positive and (B, 1, B−K) anchor–negative distances, which broadcast to every triplet.

    `d` (B·(B−1)/2,) are the distances of all pairs i < j of a P×K batch, class after class.
    """
    positives, negatives = _triplet_places(batch, per_class, d.device)
    return d[positives], d[negatives]


# The batches of a run are all laid out alike: where their pairs and triplets are is worked out once.
@lru_cache(maxsize=16)
def same_pairs(batch: int, per_class: int, device: torch.device) -> Tensor:
    """(B·(B−1)/2,) bool, for the pairs i < j of a P×K batch, row by row."""
    i, j = torch.triu_indices(batch, batch, offset=1, device=device) // per_class
    same: Tensor = i == j
    return same


@lru_cache(maxsize=16)
def _triplet_places(batch: int, per_class: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Of each anchor, (B, K−1, 1) its positives and (B, 1, B−K) its negatives: places in the pairs i < j."""
    i, j = torch.triu_indices(batch, batch, offset=1, device=device)
    place = torch.zeros(batch, batch, dtype=torch.int64, device=device)
    place[i, j] = place[j, i] = torch.arange(len(i), device=device)
    group = torch.arange(batch, device=device) // per_class
    same = group[:, None] == group
    other = ~torch.eye(batch, dtype=torch.bool, device=device)
    positives = place[same & other].view(batch, per_class - 1, 1)
    return positives, place[~same].view(batch, 1, batch - per_class)


def _of_triplets(experiment: Experiment, d_ap: Tensor, d_an: Tensor) -> Objective:
    inputs = (d_an, d_ap) if experiment.labels == "flipped" else (d_ap, d_an)
    each = values(experiment, *inputs)
    return Objective(_mean(each), _active(each))


def _mean(each: Tensor) -> Tensor:
    """0 where a batch has no triplet: its images are all of one class."""
    return each.sum() / max(each.numel(), 1)


def _named(experiment: Experiment, same: Tensor) -> Tensor:
    return ~same if experiment.labels == "flipped" else same


def _active(each: Tensor) -> Tensor:
    return _mean((each.detach() != 0).to(each.dtype))
