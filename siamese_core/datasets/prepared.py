"""Caches beside a slow archive what was read from it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from siamese_core.datasets.record import Images
from siamese_core.formats.files import write_atomic
from siamese_core.formats.safetensors import Damaged, packed, unpacked


def cached(path: Path, make: Callable[[], Images]) -> Images:
    """Return what `make` does: from `path` where that is intact, else made, and written there if the folder allows it.

    The file is written as those of a run are, with a SHA-256 of its arrays.
    """
    with suppress(OSError, Damaged):
        return Images(**unpacked(path.read_bytes())[1])
    content = packed({}, vars(make()))
    with suppress(OSError):
        write_atomic(path, content)
    # As it will lie in memory when it comes from the file: torch picks its convolutions, and so the last bits, by that.
    return Images(**unpacked(content)[1])
