"""Reads image sets of four IDX files, gzipped or not, without trusting them.

The format (http://yann.lecun.com/exdb/mnist/): two zero bytes, the type (8: unsigned byte), the number of
dimensions, each dimension as a big-endian uint32, then the data.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
import zlib
from dataclasses import dataclass
from functools import cache
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from siamese_core.datasets.record import DatasetMissing, Images
from siamese_core.errors import reason


@dataclass(frozen=True)
class IdxFile:
    """What one file must hold; `sha256` is that of its content without gzip, header included."""

    name: str
    shape: tuple[int, ...]
    sha256: str

    @property
    def header(self) -> bytes:
        return struct.pack(f">HBB{len(self.shape)}I", 0, 8, len(self.shape), *self.shape)

    @property
    def size(self) -> int:
        return len(self.header) + prod(self.shape)


IdxSet = tuple[IdxFile, IdxFile, IdxFile, IdxFile]
"""Training images (N, H, W), their labels (N,), test images and their labels."""


def mnist_like(train: int, test: int, *sha256: str) -> IdxSet:
    """Return the layout that MNIST and Fashion-MNIST share; `sha256` in the order of `IdxSet`."""
    return (
        IdxFile("train-images-idx3-ubyte", (train, 28, 28), sha256[0]),
        IdxFile("train-labels-idx1-ubyte", (train,), sha256[1]),
        IdxFile("t10k-images-idx3-ubyte", (test, 28, 28), sha256[2]),
        IdxFile("t10k-labels-idx1-ubyte", (test,), sha256[3]),
    )


def locate(file: IdxFile, folder: Path) -> Path | None:
    """Return the file in `folder`, as it is or with .gz; None where neither is."""
    paths = (folder / file.name, folder / f"{file.name}.gz")
    # Path.is_file raises for a folder that may not be entered; it holds nothing for us.
    return next((path for path in paths if os.path.isfile(path)), None)


def missing(files: IdxSet, folder: Path) -> tuple[str, ...]:
    """Return the names of those of the four files that `folder` lacks."""
    return tuple(file.name for file in files if locate(file, folder) is None)


@cache
def read_set(files: IdxSet, folder: Path, remedy: str) -> Images:
    """Read, check and cache a set. Raises DatasetMissing, whose message ends with `remedy`, for a bad file."""
    train, train_labels, test, test_labels = (_read(file, folder, remedy) for file in files)
    return Images(train[:, None], train_labels.astype(np.int64), test[:, None], test_labels.astype(np.int64))


def _read(file: IdxFile, folder: Path, remedy: str) -> NDArray[np.uint8]:
    path = locate(file, folder)
    if path is None:
        raise DatasetMissing(f"{folder / file.name} is missing: {remedy}.")
    try:
        content = _content(path, limit=file.size + 1)
    except EOFError:
        raise DatasetMissing(f"{path} is cut short: {remedy}.") from None
    except (gzip.BadGzipFile, zlib.error):
        raise DatasetMissing(f"{path} is damaged, or no gzip file: {remedy}.") from None
    except OSError as error:
        raise DatasetMissing(f"{path} cannot be read ({reason(error)}): {remedy}.") from None
    if flaw := _flaw(content, file):
        raise DatasetMissing(f"{path} {flaw}: {remedy}.")
    return np.frombuffer(content, np.uint8, offset=len(file.header)).reshape(file.shape)


def _content(path: Path, limit: int) -> bytes:
    """At most `limit` bytes, so that a small file cannot unpack into all of memory."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
        return stream.read(limit)


def _flaw(content: bytes, file: IdxFile) -> str | None:
    header = file.header
    if content[:4] != header[: len(content[:4])]:
        return f"is no IDX file of {'images' if len(file.shape) == 3 else 'labels'}"
    if len(content) < len(header):
        return "is cut short"
    if not content.startswith(header):
        found = struct.unpack(f">{len(file.shape)}I", content[4 : len(header)])
        return f"holds {_times(found)} values instead of {_times(file.shape)}"
    if len(content) < file.size:
        return "is cut short"
    if len(content) > file.size:
        return "is longer than it says"
    if hashlib.sha256(content).hexdigest() != file.sha256:
        return "has the right shape but other contents than the published file (its SHA-256 differs)"
    return None


def _times(shape: tuple[int, ...]) -> str:
    return " × ".join(str(size) for size in shape)
