"""What the app knows of a dataset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from siamese_core.errors import Rejected

EVAL_PER_CLASS = 200
"""At most so many test images of each class are in every frame of a run."""


class DatasetMissing(Rejected):
    """The images are not on this machine, or damaged; the message is one sentence that names the remedy."""


@dataclass(frozen=True, eq=False)
class Images:
    """Read-only arrays, shared by everybody who loads the dataset: copy before writing.

    `*_images` are uint8 (N, C, H, W), `*_labels` int64 (N,), indices into the dataset's `classes`.
    """

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        for array in vars(self).values():
            array.setflags(write=False)


@dataclass(frozen=True)
class Dataset:
    """`mean` and `std` are what pixels / 255 are normalised by: those of all training images, where they were measured.

    `shape` is (C, H, W). `load` gives equal `Images` each time, and mostly the same ones, or raises DatasetMissing.
    Two records of the same words and numbers are of the same images.
    `find` says cheaply whether the files are there; it does not open them.
    """

    key: str
    title: str
    source: str
    licence: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    mean: float
    std: float
    load: Callable[[], Images] = field(compare=False)
    find: Callable[[], bool] = field(compare=False)


def select_eval_subset(images: Images, per_class: int = EVAL_PER_CLASS) -> NDArray[np.int64]:
    """Return the test images that every frame of a run shows: the first `per_class` of each class.

    They are int64 indices into `test_images`, ascending, so the classes stay mixed as the test set mixes
    them. A class that has fewer images gives all it has. Raises ValueError for `per_class` below 1.
    """
    if per_class < 1:
        raise ValueError(f"per_class must be at least 1, not {per_class}")
    labels = images.test_labels
    chosen = [np.flatnonzero(labels == label)[:per_class] for label in np.unique(labels)]
    return np.sort(np.concatenate(chosen)).astype(np.int64)
