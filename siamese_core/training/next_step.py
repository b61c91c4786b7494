"""The images of the next step of a run: drawn from a copy of its generator, so it is what the run will draw itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from siamese_core.experiment.experiment import IMAGES_PER_CLASS, Experiment
from siamese_core.experiment.machine import Machine
from siamese_core.experiment.snapshot import TrainingState
from siamese_core.losses import LOSSES
from siamese_core.losses.distances import MEASURES
from siamese_core.losses.mining import MINERS, mine
from siamese_core.networks.augment import augmented
from siamese_core.training.batches import Batch, draw_batch
from siamese_core.training.eval_subset import measure_params
from siamese_core.training.learner import Learner, learner_of, restore
from siamese_core.training.objective import of_batch, pair_labels, values
from siamese_core.training.siamese import embed_both, second_input

SHOWN_TRIPLETS = 200
"""Triplets of each miner that are returned, at most."""

SHOWN_IMAGES = 480
"""Images of a batch that are returned, at most: the triplets of 4,000 would fill the memory."""

BY_DISTANCE = ("semi_hard", "hardest")
"""Miners that find nothing where nobody knows the distances."""


def next_step(experiment: Experiment, state: TrainingState | None, ahead: int = 0) -> dict[str, np.ndarray]:
    """Return the images of the next step, or of one `ahead` of it, and how the network in `state` sees them.

    `pixels` uint8 (B, C, H, W) after augmentation; `second` the same as second inputs, where these look different;
    `labels` (B,) their classes. `i`, `j` (P,) indices into the batch, `same` (P,) uint8. `total` (1,): the images of
    the batch, of which B are returned, at most `SHOWN_IMAGES`; `step` (1,) that of the state, 0 without one.
    Of triplets `drawn` (3, T). Of whole classes `counts` (M,), how many triplets each of `MINERS` finds, −1 where it
    needs distances that nobody knows, and `triplets` (M, 3, T) some of them, padded with −1.

    With a state also `d` (P,), and where a single pair has a loss, `loss` (P,), as the run counts it. `easy` (1,):
    the share of all pairs or triplets, mined or not, whose loss is 0, where they have one each.
    """
    learner = learner_of(experiment, Machine())
    if state is not None:
        restore(learner, state)
    batch, images = _next_batch(learner)
    for _ in range(ahead):
        if experiment.miner != "all":
            # A step's miner draws too: how much, the classes of the batch decide, whatever the distances are.
            nowhere = torch.zeros(len(images), len(images))
            mine(experiment.miner, nowhere, _labels(experiment, batch.images), learner.generator)
        batch, images = _next_batch(learner)
    total = len(images)
    batch, images = _first(batch, images)
    found = {"pixels": images, "labels": _labels(experiment, batch.images), "total": torch.tensor([total])}
    found["step"] = torch.tensor([state.step if state is not None else 0])
    if experiment.view != "none":
        found["second"] = second_input(experiment, images)
    i, j, same = _pairs(batch, found["labels"], experiment.branches)
    found |= {"i": i, "j": j, "same": same.byte()}
    if batch.kind == "triplets":
        found["drawn"] = torch.stack(torch.arange(len(images)).chunk(3))
    first, second = (None, None) if state is None else embed_both(learner.siamese, images)
    if batch.kind == "classes":
        found |= _mined(learner, found["labels"], first, second)
    if first is not None and second is not None:
        found |= _seen(learner, batch, first, second, i, j, same)
    return {name: tensor.numpy() for name, tensor in found.items()}


def _next_batch(learner: Learner) -> tuple[Batch, Tensor]:
    batch = draw_batch(learner.experiment, learner.index, learner.generator)
    images = learner.train_images[batch.images]
    return batch, augmented(images, learner.experiment.augment, learner.generator)


def _first(batch: Batch, images: Tensor) -> tuple[Batch, Tensor]:
    """At most SHOWN_IMAGES, in complete classes, pairs or triplets."""
    roles = {"classes": 1, "pairs": 2, "triplets": 3}[batch.kind]
    each = len(images) // roles
    count = min(each, SHOWN_IMAGES // roles)
    indices = torch.cat([torch.arange(count) + role * each for role in range(roles)])
    same = None if batch.same is None else batch.same[:count]
    return Batch(batch.kind, batch.images[indices], same), images[indices]


def _labels(experiment: Experiment, indices: Tensor) -> Tensor:
    return torch.tensor(experiment.data.load().train_labels)[indices]


def _pairs(batch: Batch, labels: Tensor, branches: int) -> tuple[Tensor, Tensor, Tensor]:
    """(P,), (P,), (P,): the pairs that meet in a step; of triplets the two that each is made of."""
    if batch.kind == "classes":
        every = torch.ones(len(labels), len(labels), dtype=torch.bool)
        i, j = (every if branches == 2 else every.triu(1)).nonzero().unbind(1)
    elif batch.kind == "pairs":
        i, j = torch.arange(len(labels)).chunk(2)
    else:
        anchor, positive, negative = torch.arange(len(labels)).chunk(3)
        i, j = torch.cat([anchor, anchor]), torch.cat([positive, negative])
    return i, j, labels[i] == labels[j]


@torch.no_grad()
def _seen(
    learner: Learner, batch: Batch, first: Tensor, second: Tensor, i: Tensor, j: Tensor, same: Tensor
) -> dict[str, Tensor]:
    experiment = learner.experiment
    head_params = measure_params(experiment, tuple(learner.head.parameters()))
    loss = LOSSES[experiment.loss]
    found = {"d": MEASURES[experiment.measure].between(first[i], second[j], *head_params)}
    if loss.on_pairs:
        found["loss"] = values(experiment, found["d"], pair_labels(experiment, same))
    if not loss.on_classes:
        unmined = replace(experiment, miner="all")
        step = of_batch(unmined, batch, first, second, IMAGES_PER_CLASS, head_params, torch.Generator())
        found["easy"] = 1 - step.active[None]
    return found


@torch.no_grad()
def _mined(learner: Learner, labels: Tensor, first: Tensor | None, second: Tensor | None) -> dict[str, Tensor]:
    distances = torch.zeros(len(labels), len(labels))
    if first is not None and second is not None:
        measure = MEASURES[learner.experiment.measure]
        head_params = measure_params(learner.experiment, tuple(learner.head.parameters()))
        distances = measure.as_distance(measure.between(first[:, None], second[None], *head_params))
    counts = torch.full((len(MINERS),), -1)
    triplets = torch.full((len(MINERS), 3, SHOWN_TRIPLETS), -1)
    for number, key in enumerate(MINERS):
        if first is None and key in BY_DISTANCE:
            continue
        # All of them would be millions: some of them are what chance picks.
        miner, generator = "random" if key == "all" else key, torch.Generator().manual_seed(0)
        found = torch.stack(mine(miner, distances, labels, generator))
        counts[number] = _all_triplets(labels) if key == "all" else found.shape[1]
        # Evenly out of all: the first ones would all be of one anchor.
        chosen = torch.linspace(0, found.shape[1] - 1, min(SHOWN_TRIPLETS, found.shape[1])).long()
        triplets[number, :, : len(chosen)] = found[:, chosen]
    return {"counts": counts, "triplets": triplets}


def _all_triplets(labels: Tensor) -> int:
    sizes = labels.bincount()
    return int((sizes * (sizes - 1) * (len(labels) - sizes)).sum())
