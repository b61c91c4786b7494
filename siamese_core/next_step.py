"""What the next step of a run looks at: drawn from a copy of its generator, so it is what the run will draw itself."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from siamese_core.augment import augmented
from siamese_core.batches import Draw, draw
from siamese_core.distances import MEASURES
from siamese_core.experiment import Experiment
from siamese_core.learner import Learner, embedded, learner_of, restore
from siamese_core.losses import LOSSES
from siamese_core.machine import Machine
from siamese_core.mining import MINERS, mine
from siamese_core.objective import values
from siamese_core.snapshot import State
from siamese_core.views import VIEWS

SHOWN_TRIPLETS = 200
"""Of each miner's triplets, so many are told."""


def next_step(experiment: Experiment, state: State | None, ahead: int = 0) -> dict[str, np.ndarray]:
    """The images of the next step, or of one `ahead` of it, and how the network that stands in `state` sees them.

    `pixels` uint8 (B, C, H, W) after augmentation; `second` the same as second inputs, where these look different;
    `labels` (B,) their classes. `i`, `j` (P,) places in the batch, `same` (P,) uint8; `d`, `loss` (P,), empty without
    a state, `loss` also for a loss that knows no pairs. `easy` (1,): the share of pairs or triplets
    whose loss is 0, where they have one each. `counts` (M,) how many triplets each of `MINERS` finds, and
    `triplets` (M, 3, T) the first of them, padded with −1; both only of a batch, and of a network that was trained.
    """
    learner = learner_of(experiment, Machine())
    if state is not None:
        restore(learner, state)
    for _ in range(ahead + 1):
        drawn = draw(experiment, learner.index, learner.generator)
        images = augmented(learner.train_images[drawn.images], experiment.augment, learner.generator)
    found = {"pixels": images, "labels": _labels(experiment, drawn.images)}
    if experiment.view != "none":
        found["second"] = VIEWS[experiment.view].fn(images)
    i, j, same = _pairs(drawn, found["labels"], experiment.branches)
    found |= {"i": i, "j": j, "same": same.byte()}
    if state is not None:
        found |= _seen(learner, drawn, images, i, j, same)
    return {name: tensor.numpy() for name, tensor in found.items()}


def _labels(experiment: Experiment, places: Tensor) -> Tensor:
    return torch.tensor(experiment.data.load().train_labels)[places]


def _pairs(drawn: Draw, labels: Tensor, branches: int) -> tuple[Tensor, Tensor, Tensor]:
    """(P,), (P,), (P,): the pairs that meet in a step; of triplets the two that each is made of."""
    if drawn.kind == "batch":
        every = torch.ones(len(labels), len(labels), dtype=torch.bool)
        i, j = (every if branches == 2 else every.triu(1)).nonzero().unbind(1)
    elif drawn.kind == "pairs":
        i, j = torch.arange(len(labels)).chunk(2)
    else:
        anchor, positive, negative = torch.arange(len(labels)).chunk(3)
        i, j = torch.cat([anchor, anchor]), torch.cat([positive, negative])
    return i, j, labels[i] == labels[j]


@torch.no_grad()
def _seen(learner: Learner, drawn: Draw, images: Tensor, i: Tensor, j: Tensor, same: Tensor) -> dict[str, Tensor]:
    experiment = learner.experiment
    first, second = embedded(learner, images)
    measure, takes = MEASURES[experiment.measure], LOSSES[experiment.loss].takes
    parts = tuple(learner.head.parameters()) if measure.kind == "similarity" else ()
    found = {"d": measure.between(first[i], second[j], *parts)}
    if takes in ("distance", "similarity"):
        found["loss"] = values(experiment, found["d"], same)
        found["easy"] = _easy(found["loss"])
    elif drawn.kind == "triplets":
        found["easy"] = _easy(values(experiment, *found["d"].chunk(2)))
    if drawn.kind == "batch":
        every = measure.between(first[:, None], second[None], *parts)
        labels = _labels(experiment, drawn.images)
        found |= _mined(1 - every if measure.kind == "similarity" else every, labels)
        if takes == "triplet":
            anchor, positive, negative = mine("all", every, labels, torch.Generator())
            found["easy"] = _easy(values(experiment, every[anchor, positive], every[anchor, negative]))
    return found


def _easy(losses: Tensor) -> Tensor:
    return (losses == 0).float().mean()[None]


def _mined(apart: Tensor, labels: Tensor) -> dict[str, Tensor]:
    counts = torch.zeros(len(MINERS), dtype=torch.int64)
    triplets = torch.full((len(MINERS), 3, SHOWN_TRIPLETS), -1)
    for number, key in enumerate(MINERS):
        found = torch.stack(mine(key, apart, labels, torch.Generator().manual_seed(0)))
        counts[number] = found.shape[1]
        # Evenly out of all: the first ones would all be of one anchor.
        chosen = torch.linspace(0, found.shape[1] - 1, min(SHOWN_TRIPLETS, found.shape[1])).long()
        triplets[number, :, : len(chosen)] = found[:, chosen]
    return {"counts": counts, "triplets": triplets}
