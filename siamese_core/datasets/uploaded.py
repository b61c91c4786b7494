"""Datasets made of uploaded images, which lie for a while in a private folder of the server.

A set is one file named by the hash of what is in it. The server names the folder for its children by `FOLDER`.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from siamese_core.datasets.record import Dataset, DatasetMissing, Images
from siamese_core.errors import Rejected
from siamese_core.formats.files import write_atomic
from siamese_core.formats.wire import pack, unpack

FOLDER = "SIAMESE_UPLOADED_IMAGES"

RAW_SIDE = 160
"""Pixels a side of an image between reading and preparing: the largest that can be chosen."""

SMALLEST_SIDE = 28

PREFIX = "own"
"""In links and in the names of files since the first version."""

KEY = re.compile(PREFIX + r"-[0-9a-f]{24}")

GONE = (
    "These pictures are not here (any more): uploaded pictures are kept for 30 minutes after they were last used. "
    "Upload them again on the Data page."
)


class TooFew(Rejected):
    """There are too few images for a set to train on."""


@dataclass(frozen=True)
class UploadedImages:
    """`pixels` uint8 (N, 3, RAW_SIDE, RAW_SIDE), `labels` int64 (N,), indices into `classes`."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]


def is_uploaded(key: str) -> bool:
    """Return whether this is the key of an uploaded set, here or not."""
    return KEY.fullmatch(key) is not None


def find_uploaded(key: str) -> bool:
    """Return whether this set is here."""
    return is_uploaded(key) and _path(key).is_file()


def prepare(given: UploadedImages, side: int, colour: bool, test_percent: int) -> Images:
    """Return images (C, side, side), split class by class: `test_percent` of each, but at least one on either side.

    Which are for testing is decided by their content, so the same images are always split in the same way. A class
    with a single one has no test image.
    """
    images = np.stack([resized(pixels, side, colour) for pixels in given.pixels])
    order = np.array([int.from_bytes(hashlib.sha256(p.tobytes()).digest()[:7], "big") for p in given.pixels])
    test = np.zeros(len(images), dtype=bool)
    for label in range(len(given.classes)):
        indices = np.flatnonzero(given.labels == label)
        count = min(max(1, round(len(indices) * test_percent / 100)), len(indices) - 1)
        test[indices[np.argsort(order[indices], kind="stable")[:count]]] = True
    return Images(images[~test], given.labels[~test], images[test], given.labels[test])


def without_singletons(given: UploadedImages) -> UploadedImages:
    """Return all classes but those of a single image: it has no partner to learn with, and none to be found by.

    Raises TooFew where not enough is left to make a pair of the same class, and one of different classes.
    """
    counts = np.bincount(given.labels, minlength=len(given.classes))
    classes = np.flatnonzero(counts >= 2)
    if len(classes) < 2:
        raise TooFew(
            f"Pairs need at least 2 classes with 2 pictures each, and here are {len(classes)}: "
            "put the pictures of each class into a folder of its own, named like the class."
        )
    if len(classes) == len(counts):
        return given
    chosen = np.isin(given.labels, classes)
    labels = np.searchsorted(classes, given.labels[chosen])
    return UploadedImages(given.pixels[chosen], labels, tuple(given.classes[c] for c in classes))


def save(title: str, classes: tuple[str, ...], images: Images) -> str:
    """Write a set and return its key. Raises OSError."""
    mean, std = _mean_and_std(images.train_images)
    meta = {"title": title, "classes": classes, "mean": mean, "std": std or 1.0}
    message = pack(meta, **vars(images))
    key = f"{PREFIX}-{hashlib.sha256(message).hexdigest()[:24]}"
    write_atomic(_path(key), message)
    return key


def delete(key: str) -> None:
    """Delete a set, and what this process has cached of it."""
    if find_uploaded(key):
        _path(key).unlink(missing_ok=True)
    clear_cache()


def clear_cache() -> None:
    """Drop all cached sets, one of which another process has deleted."""
    uploaded_dataset.cache_clear()
    _load.cache_clear()


@lru_cache(maxsize=32)
def uploaded_dataset(key: str) -> Dataset:
    """Return a set. Raises DatasetMissing where nobody has uploaded it, or its time is over."""
    meta, arrays = _read(key)
    return Dataset(
        key=key,
        title=meta["title"],
        source="Pictures that were uploaded here; they stay on this server and are deleted 30 minutes after their use.",
        licence="That of the pictures",
        classes=tuple(meta["classes"]),
        shape=arrays["train_images"].shape[1:],
        mean=meta["mean"],
        std=meta["std"],
        load=partial(_load, key),
        find=partial(find_uploaded, key),
    )


@lru_cache(maxsize=4)
def _load(key: str) -> Images:
    return Images(**_read(key)[1])


def _read(key: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    if not is_uploaded(key):
        raise DatasetMissing(GONE)
    try:
        meta, arrays = unpack(_path(key).read_bytes())
    except OSError:
        raise DatasetMissing(GONE) from None
    return meta, arrays


def _path(key: str) -> Path:
    return Path(os.environ.get(FOLDER, os.devnull)) / f"{key}.images"


def _mean_and_std(images: NDArray[np.uint8]) -> tuple[float, float]:
    """Of pixels / 255, from how often each of the 256 values occurs: as floats, many images would be gigabytes."""
    shares = np.sum([np.bincount(image.ravel(), minlength=256) for image in images], axis=0) / images.size
    values = np.arange(256) / 255
    mean = float(shares @ values)
    return mean, float(np.sqrt(shares @ (values - mean) ** 2))


def resized(pixels: NDArray[np.uint8], side: int, colour: bool) -> NDArray[np.uint8]:
    """Return (3, RAW_SIDE, RAW_SIDE) as (3 or 1, side, side)."""
    from PIL import Image

    image = Image.fromarray(pixels.transpose(1, 2, 0))
    small = (image if colour else image.convert("L")).resize((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    array = np.asarray(small)
    return array.transpose(2, 0, 1).copy() if colour else array[None].copy()


def fitted(pixels: NDArray[np.uint8], shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Return (3, RAW_SIDE, RAW_SIDE) in the `shape` (C, H, W) of a network: the middle, where that is no square."""
    channels, height, width = shape
    image = resized(pixels, max(height, width), channels == 3)
    top, left = (image.shape[1] - height) // 2, (image.shape[2] - width) // 2
    return image[:, top : top + height, left : left + width]
