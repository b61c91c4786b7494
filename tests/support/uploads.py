"""What tests of uploads share: two owners, a clock, zips of tiny images, and waiting for what is read."""

from __future__ import annotations

import io
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
import pytest

from siamese_core.datasets import uploaded
from siamese_core.datasets.uploaded import UploadedImages
from siamese_core.engine.uploads.uploads import FORGET_AFTER, UploadProgress, Uploads
from siamese_core.formats import archives
from siamese_core.formats.zip_format import Entry
from tests.support.engines import ANN, Clock
from tests.support.hostile_images import GREY, png
from tests.support.waiting import PATIENCE, until
from tests.support.zip_maker import File, zipped


@contextmanager
def server(gone: list[str], clock: Clock) -> Iterator[Uploads]:
    """Uploads with one decoding process, which writes into `gone` the keys for which `on_gone` was called."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(uploaded.FOLDER, "")
        uploads = Uploads(gone.append, clock)
        yield uploads
        uploads.close()


def clear(uploads: Uploads, gone: list[str], clock: Clock) -> None:
    """As if nobody had been here for long."""
    until_nobody_reads()
    clock.now += FORGET_AFTER + 1
    uploads.sweep_expired()
    gone.clear()
    assert files(uploads) == []


def dot(value: int) -> bytes:
    """A grey image of one pixel: its value is its name."""
    return png(np.array([[value]]), GREY)


def a_zip(*entries: File, **folders: int) -> io.BytesIO:
    """So many dots in each folder, then `entries`."""
    names = [f"{folder}/{n}.png" for folder, count in folders.items() for n in range(count)]
    return io.BytesIO(zipped(*(File(name, dot(value)) for value, name in enumerate(names)), *entries))


def files(uploads: Uploads) -> list[str]:
    return sorted(path.name for path in uploads.folder.iterdir())


def until_read(uploads: Uploads, owner: str = ANN) -> UploadProgress:
    return until(lambda: (r := uploads.poll(owner)) is not None and r.status != "reading" and r, "the end of reading")


def until_nobody_reads() -> None:
    until(lambda: all(thread.name != "reading" for thread in threading.enumerate()), "the readers to end")


def read(uploads: Uploads, owner: str = ANN, **folders: int) -> UploadedImages:
    uploads.read_zip(owner, a_zip(**folders or {"Anna": 2, "Ben": 2}))
    upload = until_read(uploads, owner)
    assert upload.images is not None, upload.message
    return upload.images


def prepared(uploads: Uploads, owner: str = ANN, title: str = "t") -> str:
    return uploads.prepare(owner, 28, False, 50, title)


def names(pixels: np.ndarray) -> list[int]:
    return [int(image[0, 0, 0]) for image in pixels]


@contextmanager
def held(monkeypatch: pytest.MonkeyPatch, after: int) -> Iterator[None]:
    """Readers get so many images of a zip, and the others when this ends."""
    given, real = threading.Event(), archives.zip_images

    def zip_images(
        file: BinaryIO, skipped: Counter[str], wanted: Sequence[tuple[Entry, int]]
    ) -> Iterator[archives.LabelledImage]:
        for number, image in enumerate(real(file, skipped, wanted)):
            if number >= after:
                assert given.wait(PATIENCE)
            yield image

    with monkeypatch.context() as patch:
        patch.setattr(archives, "zip_images", zip_images)
        try:
            yield
        finally:
            given.set()
            until_nobody_reads()
