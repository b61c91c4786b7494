"""Read an upload: class folders, image by image, into one file of squares."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from siamese_core.datasets import uploaded
from siamese_core.datasets.uploaded import RAW_SIDE, UploadedImages
from siamese_core.engine.uploads.decoder_client import Decoder
from siamese_core.errors import Rejected
from siamese_core.formats import archives
from siamese_core.formats.images import ImageRejected

TOO_HARD = (
    "Several of these pictures take too long or too much to open: leave out the unusual ones, or save all of them anew "
    "as PNG, and upload the zip again."
)
HARD = ("too_slow", "broke_the_decoder")
MOST_HARD = 3
"""Each costs everybody ten seconds, or a new decoder."""

Status = Literal["reading", "ready", "failed", "cancelled"]


@dataclass
class UploadProgress:
    """An upload that is being read, or has been.

    `total` is 0 where nobody knows how many images there will be. `skipped` counts what was not looked at, by the
    codes of `archives.SKIPPED`; `refused` what is no image, by those of `images.REASONS`; `alone`
    images that are the only one of their class; `message` says why all failed.
    """

    id: str
    owner: str
    seen_at: float
    status: Status = "reading"
    done: int = 0
    total: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    alone: int = 0
    first_frames: int = 0
    message: str = ""
    images: UploadedImages | None = None

    def view(self) -> UploadProgress:
        """Return the upload as it is now, which does not change any more."""
        return replace(self, skipped=self.skipped.copy(), refused=self.refused.copy())


Source = Callable[[Counter[str]], tuple[int, Iterator[archives.LabelledImage]]]
"""Given a counter of what is skipped: how many images there will be at most, 0 if nobody knows, and the images."""


def read(upload: UploadProgress, source: Source, decoder: Decoder, raw: Path) -> UploadedImages | None:
    """Return the images of a upload, mapped from its raw file; None where it was cancelled meanwhile.

    Raises archives.ArchiveRejected, uploaded.TooFew, OSError, and Rejected where they keep the decoder from others.
    """
    upload.total, given = source(upload.skipped)
    waiting: deque[str] = deque()
    labels: list[int] = []
    indices: dict[str, int] = {}

    def contents() -> Iterator[bytes]:
        for image in given:
            if upload.status != "reading":
                return
            waiting.append(image.label)
            yield image.data

    with raw.open("wb") as file:
        for square in decoder.squares(contents(), RAW_SIDE):
            if upload.status != "reading":
                return None
            label = waiting.popleft()
            upload.done += 1
            if isinstance(square, ImageRejected):
                upload.refused[square.reason] += 1
                if sum(upload.refused[reason] for reason in HARD) > MOST_HARD:
                    raise Rejected(TOO_HARD)
                continue
            # The process that made it opens what strangers send.
            assert square.pixels.shape == (3, RAW_SIDE, RAW_SIDE)
            upload.first_frames += square.first_frame_only
            labels.append(indices.setdefault(label, len(indices)))
            file.write(square.pixels.tobytes())
    return _images(upload, raw, np.array(labels, np.int64), list(indices))


def _images(upload: UploadProgress, raw: Path, labels: np.ndarray, names: list[str]) -> UploadedImages:
    """Return them with classes in alphabetical order, "person 2" before "person 10"."""
    order = sorted(range(len(names)), key=lambda index: archives.natural_key(names[index]))
    number = np.empty(len(names), np.int64)
    number[order] = np.arange(len(names))
    images = UploadedImages(_pixels(raw, len(labels)), number[labels], tuple(names[index] for index in order))
    paired = uploaded.without_singletons(images)
    if paired is images:
        return images
    upload.alone = len(labels) - len(paired.labels)
    raw.write_bytes(paired.pixels.tobytes())
    return replace(paired, pixels=_pixels(raw, len(paired.labels)))


def _pixels(raw: Path, count: int) -> np.ndarray:
    """Mapped, not read: thirty people's images would be gigabytes."""
    shape = (count, 3, RAW_SIDE, RAW_SIDE)
    return np.memmap(raw, np.uint8, "r", shape=shape) if count else np.zeros(shape, np.uint8)
