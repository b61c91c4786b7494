"""Caches beside a slow archive what was read from it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from siamese_core.datasets.record import Images
from siamese_core.formats import wire
from siamese_core.formats.files import write_atomic


def cached(path: Path, make: Callable[[], Images]) -> Images:
    """Return what `make` does: from `path` where that is intact, else made, and written there if the folder allows it.

    `path` holds a SHA-256 (32 bytes) and the wire message that it belongs to.
    """
    with suppress(OSError):
        content = path.read_bytes()
        if hashlib.sha256(content[32:]).digest() == content[:32]:
            return Images(**wire.unpack(content[32:])[1])
    images = make()
    message = wire.pack(None, **asdict(images))
    with suppress(OSError):
        write_atomic(path, hashlib.sha256(message).digest() + message)
    # As it will lie in memory when it comes from the file: torch picks its convolutions, and so the last bits, by that.
    return Images(**wire.unpack(message)[1])
