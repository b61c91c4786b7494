"""Names the file in whatever a disk, or a reader of files, refuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from siamese_core.errors import Rejected, reason
from siamese_core.formats.images import ImageRejected
from siamese_core.formats.safetensors import ModelRejected

WRITABLE = "name a folder that can be written to"


@contextmanager
def naming(file: str, remedy: str) -> Iterator[None]:
    """Begin messages with `file`; `remedy` says what to do where the disk fails. Raises Rejected."""
    try:
        yield
    except OSError as error:
        raise Rejected(f"{file}: {reason(error)}; {remedy}") from None
    except (ModelRejected, ImageRejected) as rejected:
        raise Rejected(f"{file}: {rejected}") from None
