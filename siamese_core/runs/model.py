"""A trained network in memory: its experiment, its tensors, and what it takes to use them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from siamese_core.embeddings.thresholds import Threshold
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.snapshot import TrainingState
from siamese_core.losses.distances import MEASURES, Measure


@dataclass(frozen=True, eq=False)
class Model:
    """`tensors`: the network's, and under "head." those of the loss's head. `classes` and `shape` (C, H, W), `mean` and
    `std` of the pixels are those of the images it was trained on.

    `has_images` is False where these images are not here (any more). Where they were uploaded, `experiment` then
    names the default dataset in their place, and its `held_out` says nothing.
    """

    experiment: Experiment
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    mean: float
    std: float
    steps: int
    tensors: Mapping[str, np.ndarray] = field(repr=False)
    has_images: bool = True
    threshold: Threshold | None = None

    @property
    def measure(self) -> Measure:
        return MEASURES[self.experiment.measure]

    @property
    def is_similarity(self) -> bool:
        return self.measure.is_similarity

    def says_same(self, value: np.ndarray | float, threshold: float) -> np.ndarray | np.bool_:
        """Return the verdict on pairs (P,) at this distance or similarity: at the threshold itself the same."""
        # In float64: beside float32 values numpy would round the threshold to theirs.
        values = np.asarray(value, np.float64)
        return values >= threshold if self.is_similarity else values <= threshold


def model_of(experiment: Experiment, state: TrainingState) -> Model:
    """Return the model that a run has come to. Raises DatasetMissing where its images have gone."""
    dataset = experiment.data
    tensors = {
        name.removeprefix("network."): np.asarray(array, order="C")
        for name, array in state.tensors.items()
        if name.startswith(("network.", "head."))
    }
    return Model(experiment, dataset.classes, dataset.shape, dataset.mean, dataset.std, state.step, tensors)
