"""The batch of a step: the images that are drawn, and their order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

from siamese_core.experiment.experiment import IMAGES_PER_CLASS, Experiment
from siamese_core.losses import LOSSES
from siamese_core.training.sampling import ClassIndex, pk_batch, random_pairs, random_triplets


@dataclass(frozen=True)
class Batch:
    """`images` (B,): indices among the training images.

    kind "classes": K images of each of P classes, class after class. "pairs": the first inputs, then the second ones,
    with `same` (B/2,). "triplets": the anchors, the positives, the negatives.
    """

    kind: Literal["classes", "pairs", "triplets"]
    images: Tensor
    same: Tensor | None = None


def draw_batch(experiment: Experiment, index: ClassIndex, generator: Generator) -> Batch:
    """Draw the images of the next step."""
    if experiment.sampling == "all_pairs":
        return Batch("classes", pk_batch(index, experiment.batch_size, IMAGES_PER_CLASS, generator))
    if LOSSES[experiment.loss].input_kind == "triplet":
        return Batch("triplets", torch.cat(random_triplets(index, experiment.batch_size // 3, generator)))
    first, second, same = random_pairs(index, experiment.batch_size // 2, generator)
    return Batch("pairs", torch.cat([first, second]), same)
