"""Datasets of this browser: the sets it has uploaded, and the downloads it has started."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from pages.ui.session.engine import downloads, uploads
from pages.ui.session.session import token
from siamese_core.datasets import is_uploaded
from siamese_core.engine.uploads.decoder_client import Square
from siamese_core.engine.uploads.downloads import Fetching
from siamese_core.engine.uploads.uploads import Reading
from siamese_core.formats.images import ImageRejected


def may_use(dataset: str) -> bool:
    """Return whether this browser may use a dataset: one of the catalogue, or one it has uploaded. Asking renews the
    lease of an uploaded one."""
    return not is_uploaded(dataset) or uploads().use(token(), dataset)


def uploaded_sets(deleted: bool = False) -> dict[str, str]:
    """Return key → title of the sets that this browser has uploaded, or of those it has deleted and can restore."""
    return uploads().sets(token(), deleted)


def read_zip(file: BinaryIO) -> None:
    """Begin to read a zip of images, in place of what is being read."""
    uploads().read_zip(token(), file)


def read_folder(root: Path, name: str) -> None:
    """Begin to read a folder of images of the server."""
    uploads().read_folder(token(), root, name)


def poll_reading() -> Reading | None:
    """Return what is being read, or was read last, as it is now."""
    return uploads().poll(token())


def cancel_reading() -> None:
    uploads().cancel(token())


def make_dataset(side: int, colour: bool, test_percent: int, title: str) -> str:
    """Return the key of a set made of the images that were read. Raises OSError."""
    return uploads().prepare(token(), side, colour, test_percent, title)


def delete_dataset(key: str) -> None:
    uploads().discard(token(), key)


def restore_dataset(key: str) -> bool:
    """Take a deletion back; False where it is too late."""
    return uploads().restore(token(), key)


def decode_square(data: bytes) -> Square:
    """Return an image that somebody gave, decoded and cut square. Raises ImageRejected."""
    return uploads().square(data)


def decode_squares(files: Iterable[bytes]) -> Iterator[Square | ImageRejected]:
    """Yield what `decode_square` returns or raises for each file, in order."""
    return uploads().squares(files)


def start_download(key: str) -> None:
    downloads().start(token(), key)


def poll_download(key: str) -> Fetching | None:
    return downloads().poll(key)


def cancel_download(key: str) -> None:
    downloads().cancel(token(), key)


def may_cancel(download: Fetching) -> bool:
    """Return whether this browser has started it."""
    return download.owner == token()


def is_downloading() -> bool:
    """Return whether any dataset is being downloaded, by any browser."""
    return downloads().is_busy()
