"""What a notebook or a script needs, in eleven names; `siamese_core` exports them, loaded on first use."""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from siamese_core.datasets import DATASETS
from siamese_core.datasets.uploaded import RAW_SIDE, fitted
from siamese_core.embeddings.projection import LiveUmap
from siamese_core.evaluation.report import Report
from siamese_core.experiment.experiment import Experiment, ExperimentError
from siamese_core.experiment.machine import Machine, checked
from siamese_core.experiment.snapshot import Snapshot
from siamese_core.formats import images, safetensors
from siamese_core.formats.images import ImageRejected
from siamese_core.losses import LOSSES
from siamese_core.networks.encoders import ENCODERS
from siamese_core.runs.model_file import read_model

if TYPE_CHECKING:
    from siamese_core.engine.uploads.decoder_client import Decoder
    from siamese_core.evaluation.inference import TrainedModel

__all__ = [
    "DATASETS", "ENCODERS", "LOSSES", "Experiment", "ImageRejected", "LiveUmap", "compare", "decode_image", "evaluate",
    "load_model", "train",
]  # fmt: skip

File: TypeAlias = bytes | str | Path
"""The content of a file, or where it lies."""


@dataclass(frozen=True)
class Comparison:
    """Two images compared by a model: `value` is their distance, or similarity where its measure is one.

    `same` is whether that lies on the near side of `threshold`; both are None for a model without one.
    """

    value: float
    threshold: float | None
    same: bool | None


def train(
    experiment: Experiment | str = "",
    *,
    machine: Machine = Machine(),  # noqa: B008 (frozen)
    frame_every: int = 10,
) -> Iterator[Snapshot]:
    """Train an experiment, or that of a query such as "dataset=mnist&steps=100", and yield after each step.

    Every `frame_every` steps a snapshot has a frame: the embeddings (N, D) of test images, and metrics. The last one
    also has the state, and its metrics are over all test images; `halted` says why a run ended early.

    Raises ExperimentError for a field that cannot be used, MachineError for a device that is not here, at once; and
    DatasetMissing, at the first step, where the images are not on this machine.
    """
    from siamese_core.training import loop

    if isinstance(experiment, str):
        experiment, ignored = Experiment.from_query(experiment)
        if ignored:
            raise ExperimentError(ignored[0])
    return loop.train(experiment, machine=checked(machine), wants_frame=loop.every(frame_every))


def load_model(file: File) -> TrainedModel:
    """Load a model that `train --out` or a page has saved, with its experiment and threshold (`.model.threshold`).

    The file may come from anybody: nothing in it is run. Raises ModelRejected where it is no model of this app,
    OSError where it cannot be read.
    """
    from siamese_core.evaluation import inference

    return inference.load(read_model(_content(file, safetensors.MAX_BYTES)))


def evaluate(model: TrainedModel) -> Report:
    """Measure a model on the test images of its dataset, for classes that it was trained on and for held-out ones.

    Raises DatasetMissing where these images are not on this machine.
    """
    from siamese_core.evaluation import evaluate as evaluation

    *_, report = evaluation.evaluate(model)
    assert isinstance(report, Report), "an evaluation ends with its report"
    return report


def compare(model: TrainedModel, first: NDArray[np.uint8] | File, second: NDArray[np.uint8] | File) -> Comparison:
    """Return the distance of two images by a model, and its verdict.

    Each is a file, as for `decode_image`, which is made smaller, or grey, as the model needs it; or uint8 (C, H, W) of
    the model's own shape. Raises ImageRejected, OSError, and ValueError for an array of another shape.
    """
    from siamese_core.evaluation import compare as comparison

    one, other = (_pixels(image, model.model.shape)[None] for image in (first, second))
    value = float(comparison.compare(model, one, other, None)["value"][0])
    threshold = model.model.threshold
    if threshold is None:
        return Comparison(value, None, None)
    return Comparison(value, threshold.value, bool(model.model.says_same(value, threshold.value)))


def decode_image(file: File, size: int = RAW_SIDE) -> NDArray[np.uint8]:
    """Return the largest centred square of a PNG, JPEG, GIF, BMP or WebP image: read-only uint8 (3, size, size).

    It is opened in a process of its own, with a limit of memory and time, which starts with the first image. Raises
    ImageRejected, with a sentence that says what to do, and OSError where the file cannot be read.
    """
    return _decoder().square(_content(file, images.MAX_BYTES), size).pixels


@cache
def _decoder() -> Decoder:
    from siamese_core.engine.uploads.decoder_client import Decoder

    decoder = Decoder()
    atexit.register(decoder.close)
    return decoder


def _content(file: File, at_most: int) -> bytes:
    """One byte more than that where there is more: enough for whoever reads it to refuse it."""
    if isinstance(file, bytes):
        return file
    with Path(file).open("rb") as opened:
        return opened.read(at_most + 1)


def _pixels(image: NDArray[np.uint8] | File, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    if not isinstance(image, np.ndarray):
        return fitted(decode_image(image), shape)
    if image.shape != shape or image.dtype != np.uint8:
        raise ValueError(f"expected uint8 pixels {shape}, as the model was trained on, not {image.dtype} {image.shape}")
    return image
