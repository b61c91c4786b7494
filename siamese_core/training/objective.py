"""The number that a step makes smaller: a loss, the distances of a batch, and how they are averaged.

Averaging decides what is learnt. All pairs of a batch: the mean over the same pairs plus the mean over the different
ones, for there are ten times more of the latter. Random pairs, half of each: the mean over the pairs, as in the papers.
Triplets: the mean over the triplets. Classifier: the mean over the images. A loss on a whole batch averages by itself.

`head_params` are the tensors of the loss's head, everywhere; none for a loss that has no head.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch.nn.functional import linear

from siamese_core.experiment.experiment import Experiment
from siamese_core.losses import LOSSES
from siamese_core.losses.distances import MEASURES
from siamese_core.losses.mining import mine, pairs_of
from siamese_core.training.batches import Batch


class Objective(NamedTuple):
    """`value` is a scalar with a gradient; `active` the share of the pairs or triplets whose loss is not zero.

    NaN for a loss on a whole batch, which has no value for a single pair.
    """

    value: Tensor
    active: Tensor


HeadParams = tuple[Tensor, ...]


def values(experiment: Experiment, *inputs: Tensor) -> Tensor:
    """Return the loss of each pair (d, same) or triplet (d_ap, d_an), elementwise."""
    return LOSSES[experiment.loss].fn(*inputs, **experiment.params)


def balanced(each: Tensor, same: Tensor) -> Tensor:
    """Return the mean over the same pairs plus the mean over the different ones; a side without pairs counts 0."""
    n_same = same.sum()
    weights = torch.where(same, 1 / n_same.clamp(min=1), 1 / (len(same) - n_same).clamp(min=1))
    return (each * weights.to(each.dtype)).sum()


def of_batch(
    experiment: Experiment,
    batch: Batch,
    h1: Tensor,
    h2: Tensor,
    per_class: int,
    head_params: HeadParams,
    generator: Generator,
) -> Objective:
    """Return the objective of a loss on distances: `h1` (B, D) as first inputs, `h2` (B, D) as second ones.

    One and the same tensor where the inputs do not differ. A miner draws from `generator`.
    """
    if batch.kind == "pairs":
        assert batch.same is not None, "pairs know whether they are of the same class"
        return of_random_pairs(experiment, h1.chunk(2)[0], h2.chunk(2)[1], batch.same.to(h1.device), head_params)
    if batch.kind == "triplets":
        return of_random_triplets(experiment, h1.chunk(3)[0], *h2.chunk(3)[1:])
    if experiment.branches == 2:
        return of_two_branches(experiment, h1, h2, per_class, head_params)
    if experiment.miner != "all":
        return of_mined(experiment, h1, per_class, head_params, generator)
    return of_all_pairs(experiment, h1, per_class, head_params)


def of_two_branches(
    experiment: Experiment, h1: Tensor, h2: Tensor, per_class: int, head_params: HeadParams = ()
) -> Objective:
    """Return the objective of every first input (B, D) with every second one, the same image seen both ways
    included: B² pairs."""
    batch = len(h1)
    d = MEASURES[experiment.measure].between(h1[:, None], h2[None], *head_params)
    group = torch.arange(batch, device=d.device) // per_class
    same = group[:, None] == group
    if LOSSES[experiment.loss].input_kind == "triplet":
        d_ap, d_an = d[same].view(batch, -1, 1), d[~same].view(batch, 1, -1)
        return _of_triplets(experiment, d_ap, d_an)
    return _of_pairs(experiment, d.flatten(), same.flatten())


def of_mined(
    experiment: Experiment, h: Tensor, per_class: int, head_params: HeadParams, generator: Generator
) -> Objective:
    """Return the objective of the triplets that the experiment's miner finds in a P×K batch (B, D), or the pairs
    that they are made of."""
    measure = MEASURES[experiment.measure]
    condensed = measure.within(h, *head_params)
    i, j = torch.triu_indices(len(h), len(h), offset=1, device=h.device)
    d = condensed.new_zeros(len(h), len(h))
    d[i, j] = d[j, i] = condensed
    labels = torch.arange(len(h), device=h.device) // per_class
    anchor, positive, negative = mine(experiment.miner, measure.as_distance(d), labels, generator)
    if LOSSES[experiment.loss].input_kind == "triplet":
        return _of_triplets(experiment, d[anchor, positive], d[anchor, negative])
    first, second, same = pairs_of(anchor, positive, negative)
    return _of_pairs(experiment, d[first, second], same)


def of_all_pairs(experiment: Experiment, h: Tensor, per_class: int, head_params: HeadParams = ()) -> Objective:
    """Return the objective of every pair i < j, or every triplet, of a P×K batch of embeddings (B, D): K =
    `per_class`, class after class."""
    d = MEASURES[experiment.measure].within(h, *head_params)
    if LOSSES[experiment.loss].input_kind == "triplet":
        return _of_triplets(experiment, *all_triplets(d, len(h), per_class))
    return _of_pairs(experiment, d, same_pairs(len(h), per_class, h.device))


def of_random_pairs(
    experiment: Experiment, h1: Tensor, h2: Tensor, same: Tensor, head_params: HeadParams = ()
) -> Objective:
    """Return the objective of pairs of embeddings (P, D) and (P, D), `same` (P,)."""
    each = values(experiment, MEASURES[experiment.measure].between(h1, h2, *head_params), pair_labels(experiment, same))
    return Objective(each.mean(), _active(each))


def of_classes(experiment: Experiment, h: Tensor, labels: Tensor, head_params: HeadParams = ()) -> Objective:
    """Return the objective of embeddings (B, D) with their classes (B,), numbered from 0 as the head numbers them."""
    loss = LOSSES[experiment.loss]
    if loss.input_kind == "batch":
        return Objective(loss.fn(h, labels, *head_params, **experiment.params), h.new_tensor(math.nan))
    each = values(experiment, linear(h, *head_params), labels)
    return Objective(_mean(each), _active(each))


def of_random_triplets(experiment: Experiment, anchor: Tensor, positive: Tensor, negative: Tensor) -> Objective:
    """Return the objective of triplets of embeddings, (T, D) each."""
    between = MEASURES[experiment.measure].between
    return _of_triplets(experiment, between(anchor, positive), between(anchor, negative))


def all_triplets(d: Tensor, batch: int, per_class: int) -> tuple[Tensor, Tensor]:
    """Return (B, K−1, 1) anchor–positive and (B, 1, B−K) anchor–negative distances, which broadcast to every triplet.

    `d` (B·(B−1)/2,) are the distances of all pairs i < j of a P×K batch, class after class.
    """
    positives, negatives = _triplet_indices(batch, per_class, d.device)
    return d[positives], d[negatives]


# The batches of a run are all laid out alike: where their pairs and triplets are is worked out once.
@lru_cache(maxsize=16)
def same_pairs(batch: int, per_class: int, device: torch.device) -> Tensor:
    """Return (B·(B−1)/2,) bool, for the pairs i < j of a P×K batch, row by row."""
    i, j = torch.triu_indices(batch, batch, offset=1, device=device) // per_class
    same: Tensor = i == j
    return same


@lru_cache(maxsize=16)
def _triplet_indices(batch: int, per_class: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Of each anchor, (B, K−1, 1) its positives and (B, 1, B−K) its negatives: indices in the pairs i < j."""
    i, j = torch.triu_indices(batch, batch, offset=1, device=device)
    index = torch.zeros(batch, batch, dtype=torch.int64, device=device)
    index[i, j] = index[j, i] = torch.arange(len(i), device=device)
    group = torch.arange(batch, device=device) // per_class
    same = group[:, None] == group
    other = ~torch.eye(batch, dtype=torch.bool, device=device)
    positives = index[same & other].view(batch, per_class - 1, 1)
    return positives, index[~same].view(batch, 1, batch - per_class)


def _of_pairs(experiment: Experiment, d: Tensor, same: Tensor) -> Objective:
    each = values(experiment, d, pair_labels(experiment, same))
    return Objective(balanced(each, same), _active(each))


def _of_triplets(experiment: Experiment, d_ap: Tensor, d_an: Tensor) -> Objective:
    inputs = (d_an, d_ap) if experiment.labels == "flipped" else (d_ap, d_an)
    each = values(experiment, *inputs)
    return Objective(_mean(each), _active(each))


def _mean(each: Tensor) -> Tensor:
    """0 where a batch has no triplet: its images are all of one class."""
    return each.sum() / max(each.numel(), 1)


def pair_labels(experiment: Experiment, same: Tensor) -> Tensor:
    """Return what the loss is given for pairs that are `same`, (P,) bool: the opposite where labels are flipped."""
    return ~same if experiment.labels == "flipped" else same


def _active(each: Tensor) -> Tensor:
    return _mean((each.detach() != 0).to(each.dtype))
