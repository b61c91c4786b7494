"""The evaluation images of an experiment as the embedding view needs them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np

from pages.ui.session.engine import engine, sprites_stem
from pages.ui.shims import assets
from pages.ui.shims.futures import request_once
from siamese_core.datasets import Dataset
from siamese_core.datasets.atlas import atlas_png
from siamese_core.experiment.experiment import Experiment
from siamese_core.runs.disk_format import eval_images_of

COLUMNS = 40
WAIT = 0.3
LARGEST = 48
"""Pixels a side of a thumbnail."""


@dataclass(frozen=True)
class EvalSprites:
    """`labels` (N,) int32, with two branches (2N,): the images as first inputs, then as second ones."""

    key: str
    classes: list[str]
    labels: np.ndarray
    sprite: dict[str, Any]


def eval_sprites(experiment: Experiment) -> EvalSprites:
    """Return them with all thumbnails in one image, which is published as a file."""
    asked = (experiment.data, experiment.view, experiment.branches)
    try:
        if not assets.is_there(_published(*asked).sprite["url"]):
            # An uploaded set was deleted, and uploaded again.
            _published.cache_clear()
        return _published(*asked)
    except _Pending:
        # For a moment second inputs look like first ones.
        return _published(experiment.data, "none", experiment.branches)


class _Pending(Exception):
    """The worker has not sent yet what second inputs look like."""


@lru_cache(maxsize=16)
def _published(record: Dataset, input_transform: str, branches: int) -> EvalSprites:
    """Raises `_Pending`, which is not cached."""
    found = eval_images_of(record, input_transform, branches, partial(_transformed, record), LARGEST)
    sprite = publish_sprite(sprites_stem(record.key), found.thumbnails)
    return EvalSprites(f"{record.key} {input_transform} {branches}", list(record.classes), found.labels, sprite)


def publish_sprite(stem: str, thumbnails: np.ndarray) -> dict[str, Any]:
    """Publish uint8 images (N, C, H, W) as one file; return where it is, and how they lie in it."""
    height, width = thumbnails.shape[2:]
    url = assets.publish(stem, ".png", atlas_png(thumbnails, COLUMNS))
    return {"url": url, "columns": COLUMNS, "width": width, "height": height}


def _transformed(record: Dataset, input_transform: str, images: np.ndarray) -> np.ndarray:
    """Requested of the worker: the server has no torch."""
    found = request_once(
        "transformed", (record, input_transform), lambda: engine().trainer.transformed(input_transform, images), WAIT
    )
    if found is None:
        raise _Pending
    return found["images"]
