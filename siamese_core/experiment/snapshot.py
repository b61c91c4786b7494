"""What a run shows of itself after a step: numpy only, so that a page reads it without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Scores = dict[str, float | None]
"""{"seen": …, "held_out": …}: None where no such class exists."""


@dataclass(frozen=True)
class Frame:
    """The images of the eval subset as the network sees them after a step.

    `embeddings` (N, D). `same_distances`, `different_distances` (P,): pairs of these images, by the run's measure.
    `triplet_distances` (2, T): anchor–positive and anchor–negative; empty for a loss on pairs.
    """

    embeddings: Array
    same_distances: Array
    different_distances: Array
    triplet_distances: Array
    metrics: Mapping[str, Scores]


@dataclass(frozen=True)
class TrainingState:
    """All that a run needs to be resumed bit for bit: weights, buffers, optimiser, generator, counters."""

    step: int
    tensors: Mapping[str, np.ndarray] = field(repr=False)


@dataclass(frozen=True)
class Snapshot:
    """One optimiser step. `loss` is the batch's before the step, `active` the share of its pairs with a slope:
    NaN for a loss on a whole batch.

    `images` counts the images of the batches that were trained on, each once, however many branches it passed;
    `seconds` the time that its optimiser steps took.
    `halted` is the message with which a run ended early, `alarm` one that names a failing embedding.
    """

    step: int
    loss: float
    active: float
    images: int
    seconds: float
    frame: Frame | None = None
    state: TrainingState | None = None
    alarm: str | None = None
    halted: str | None = None
