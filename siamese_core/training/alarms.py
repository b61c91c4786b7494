"""What goes wrong in training, and the sentence that says which setting to change."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.snapshot import Frame
from siamese_core.losses import LOSSES
from siamese_core.losses.distances import MEASURES, normalised
from siamese_core.training.objective import values

COLLAPSED_BELOW = 0.05
"""Share of the spread at the start."""

PINNED_WITHIN = 0.05
"""Share of the loss of a network that sends every image to one point."""

NOT_APART_ABOVE = 0.9
"""Mean distance of the same pairs, as a share of that of the different ones. Training with flipped labels ends at 0.92
to 1, for every loss: test images cannot be learnt by heart, so their medians seldom change places."""

JUDGED_AFTER = 30
"""Steps until the running statistics of BatchNorm, which frames are made with, are those of the images."""


def spread(embeddings: Tensor, measure: str = "euclidean") -> float:
    """Root mean squared distance of embeddings (N, D) from their centre; of their directions, for the cosine."""
    if measure == "cosine":
        embeddings = normalised(embeddings)
    return float((embeddings - embeddings.mean(0)).square().sum(1).mean().sqrt())


def alarm(experiment: Experiment, step: int, start_spread: float, frame: Frame) -> str | None:
    """A sentence that names a failing embedding and its cause, or None."""
    embeddings = torch.from_numpy(frame.embeddings)
    if step < JUDGED_AFTER or not frame.metrics or not embeddings.isfinite().all():
        return None
    share = spread(embeddings, experiment.measure) / start_spread if start_spread else 1.0
    if share < COLLAPSED_BELOW and _pinned(experiment, frame):
        pinned = ", and the loss is pinned at what it is when all images are one point"
        known = LOSSES[experiment.loss].input_kind != "batch"
        return (
            f"Collapsed: the embedding has shrunk to {share:.1%} of its spread at the start{pinned if known else ''}. "
            f"{_against_collapse(experiment)}"
        )
    as_distance = MEASURES[experiment.measure].as_distance
    same, different = as_distance(frame.same_distances), as_distance(frame.different_distances)
    if np.median(same) >= np.median(different) or same.mean() > NOT_APART_ABOVE * different.mean():
        cause = (
            "The labels are flipped: set labels to right."
            if experiment.labels == "flipped"
            else "Lower the learning rate, or try another seed."
        )
        return (
            f"Inverted: same pairs are hardly closer than different ones, if at all: on average {same.mean():.3g} "
            f"against {different.mean():.3g} apart. {cause}"
        )
    return None


def _pinned(experiment: Experiment, frame: Frame) -> bool:
    at_one_point = _loss_at_one_point(experiment)
    loss = frame.metrics["loss"]["seen"]
    return at_one_point == 0 or (loss is not None and loss > at_one_point * (1 - PINNED_WITHIN))


def _loss_at_one_point(experiment: Experiment) -> float:
    """The least that a network can pay which sends every image to one point; 0 where that is not known."""
    loss = LOSSES[experiment.loss]
    if loss.input_kind == "batch":
        return 0.0
    if loss.input_kind == "logits":
        return math.log(len(experiment.seen))
    if loss.input_kind == "triplet":
        return float(values(experiment, torch.zeros(1), torch.zeros(1)))
    # A similarity head can give its one point any p.
    at = torch.linspace(0, 1, 101) if loss.input_kind == "similarity" else torch.zeros(1)
    pair = values(experiment, at, torch.full(at.shape, True)) + values(experiment, at, torch.full(at.shape, False))
    return float(pair.min())


def _against_collapse(experiment: Experiment) -> str:
    if experiment.params.get("margin") == 0:
        return "With margin 0 nothing pushes different images apart: raise the margin."
    return f"Lower the learning rate (now {experiment.learning_rate:g}), or press Reset and try another seed."


def not_finite(experiment: Experiment, step: int) -> str:
    small_q = experiment.params.get("q", math.inf) < 1
    remedy = " or raise q" if small_q else ""
    return (
        f"Stopped at step {step}: the loss is no longer a finite number. The last finite weights are kept. "
        f"Lower learning_rate (now {experiment.learning_rate:g}){remedy}."
    )


def out_of_memory(experiment: Experiment) -> str:
    images = experiment.images_per_step
    return f"The GPU ran out of memory at batch_size {images}. Try batch_size {max(images // 2, 24)}."
