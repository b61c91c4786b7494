"""From a zip of two thousand images to a set that can be trained on."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Iterator

import numpy as np
from PIL import Image

from siamese_core.engine.uploads.uploads import Uploads
from tests.support.waiting import until

Row = tuple[str, str, str]

IMAGES, CLASSES, SIDE = 2_000, 40, 300


def measure() -> Iterator[Row]:
    packed = zip_of_images()
    uploads = Uploads(on_gone=lambda key: None)
    try:
        # The decoder is there after the first upload of a server.
        _ready(uploads, zip_of_images(8))
        started = time.perf_counter()
        _ready(uploads, packed)
        read = time.perf_counter() - started
        uploads.prepare("owner", 64, colour=True, test_percent=30, title="")
        ready = time.perf_counter() - started
    finally:
        uploads.close()
    size = f"{IMAGES:,} JPEGs of {SIDE} × {SIDE}, {len(packed) / 1e6:.0f} MB"
    yield f"zip of {size}: read, then ready to train on", f"{read:.1f} s, {ready:.1f} s", "< 10 s"


def zip_of_images(count: int = IMAGES) -> bytes:
    """Noise over a colour: of about the size of a photograph of as many pixels."""
    random = np.random.default_rng(0)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(count):
            coarse = random.integers(0, 255, (30, 30, 3), dtype=np.uint8)
            image = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
            grain = random.normal(0, 8, (SIDE, SIDE, 3))
            grainy = np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8)
            jpeg = io.BytesIO()
            Image.fromarray(grainy).save(jpeg, "JPEG", quality=80)
            archive.writestr(f"class {number % min(CLASSES, count // 2)}/{number}.jpg", jpeg.getvalue())
    return packed.getvalue()


def _ready(uploads: Uploads, packed: bytes) -> None:
    uploads.read_zip("owner", io.BytesIO(packed))
    until(lambda: (reading := uploads.poll("owner")) is not None and reading.status == "ready", "the upload")
