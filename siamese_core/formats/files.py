"""Atomic writes, and zips that are always the same bytes."""

from __future__ import annotations

import io
import os
import secrets
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path

PART = ".part"
"""Ends the name of a file that is being written; a kill leaves it behind."""


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file so that, after a kill or a power cut too, it has its old content or all of the new.

    Raises OSError.
    """
    # Another name each time: two processes may write the same file at once.
    unfinished = path.with_name(f"{path.name}.{secrets.token_hex(8)}{PART}")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    _sync_folder(path.parent)


def size_of(path: Path) -> int:
    """Return the bytes of a file; 0 where there is none, or none that may be seen."""
    try:
        found = path.stat()
    except OSError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def zipped(files: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip of name → content, without dates: the same bytes every time."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return packed.getvalue()


def _sync_folder(folder: Path) -> None:
    """The new name too is on the disk; Windows has no such thing, and does it by itself."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
