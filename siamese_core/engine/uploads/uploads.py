"""Images that somebody uploads: read in the background, saved for their owner, deleted when unused.

They lie in a private folder of this server, under names that the server makes.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from siamese_core.datasets import uploaded
from siamese_core.engine.repeating import repeat
from siamese_core.engine.uploads.decoder_client import Decoder, Square
from siamese_core.engine.uploads.reading import Source, Status, UploadProgress, read
from siamese_core.errors import Rejected, reason
from siamese_core.formats import archives
from siamese_core.formats.files import size_of
from siamese_core.formats.images import ImageRejected

FORGET_AFTER = 1800.0
"""Seconds without use after which images are gone."""

SWEEP_EVERY = 5.0

MOST_BYTES = 8 * 2**30
"""Of all images of all owners together: thirty people with 2,000 images each."""

MAX_SETS = 4
"""Sets that one owner may have at a time; a deleted one makes room, else the one that was used longest ago."""

FOLDER_PREFIX = "siamese-playground-"

DEAD_AFTER = 3600.0
"""Seconds after which a folder that no server has touched is one that a killed server left behind."""

UNDO_FOR = 30.0
"""Seconds in which a deleted set can be had back."""

DISK_FULL = "The server has no room for these pictures ({reason}). Try fewer or wait until others are done."

OUR_ERROR = "Reading stopped by an error of ours ({name}). Upload the pictures again."


@dataclass
class _UploadedSet:
    owner: str
    key: str
    title: str
    seen_at: float
    deleted_at: float | None = None


class Uploads:
    """One upload and a few prepared sets for each owner; `on_gone(key)` is called when a set is deleted.

    A set is reached only with its owner's token and its key: a wrong one of either is treated like an unknown set.
    """

    def __init__(self, on_gone: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._closed = threading.Event()
        self._on_gone, self._clock = on_gone, clock
        self._lock = threading.RLock()
        self._uploads: dict[str, UploadProgress] = {}
        self._sets: list[_UploadedSet] = []
        self._decoder = Decoder()
        self.folder = make_folder()
        repeat(self._sweep, SWEEP_EVERY, "uploads", self._closed)

    def read_zip(self, owner: str, file: BinaryIO) -> None:
        """Begin to read class folders out of a zip; this replaces what the owner was reading before."""

        def source(skipped: Counter[str]) -> tuple[int, Iterator[archives.LabelledImage]]:
            wanted = archives.members(file, skipped)
            return len(wanted), archives.zip_images(file, skipped, wanted)

        self._start(owner, source)

    def read_folder(self, owner: str, root: Path, name: str) -> None:
        """Begin to read a folder that the operator of this server allowed."""
        self._start(owner, lambda skipped: (0, archives.folder_images(root, name, skipped)))

    def square(self, data: bytes) -> Square:
        """Return one image as those of a set are stored. Raises ImageRejected."""
        return self._decoder.square(data, uploaded.RAW_SIDE)

    def squares(self, files: Iterable[bytes]) -> Iterator[Square | ImageRejected]:
        """Yield what `square` returns or raises for each of many files, in their order."""
        return self._decoder.squares(files, uploaded.RAW_SIDE)

    def poll(self, owner: str) -> UploadProgress | None:
        """Return how far the owner's upload is; None where nothing is read."""
        with self._lock:
            upload = self._uploads.get(owner)
            if upload is None:
                return None
            upload.seen_at = self._clock()
            return upload.view()

    def cancel(self, owner: str) -> None:
        """Stop reading, and delete what was read."""
        with self._lock:
            upload = self._uploads.pop(owner, None)
            if upload is not None:
                upload.status = "cancelled"
                self._raw(upload).unlink(missing_ok=True)

    def prepare(self, owner: str, side: int, colour: bool, test_percent: int, title: str) -> str:
        """Make a set to train on of what was read, and return its key. Raises OSError on a full disk."""
        upload = self.poll(owner)
        assert upload is not None and upload.images is not None, "only what was read can be prepared"
        self._check_room()
        images = uploaded.prepare(upload.images, side, colour, test_percent)
        key = uploaded.save(title, upload.images.classes, images)
        with self._lock:
            if not uploaded.find_uploaded(key):
                # The same set of somebody else was deleted at this moment.
                uploaded.save(title, upload.images.classes, images)
            self._sets = [found for found in self._sets if (found.owner, found.key) != (owner, key)]
            self._sets.append(_UploadedSet(owner, key, title, self._clock()))
            theirs = [found for found in self._sets if found.owner == owner]
            for first in sorted(theirs, key=lambda found: (found.deleted_at is None, found.seen_at))[:-MAX_SETS]:
                self._drop(first)
        return key

    def sets(self, owner: str, deleted: bool = False) -> dict[str, str]:
        """Return key → title of this owner's sets, the newest last, or of those that can still be had back."""
        with self._lock:
            theirs = (found for found in self._sets if found.owner == owner and uploaded.find_uploaded(found.key))
            return {found.key: found.title for found in theirs if (found.deleted_at is not None) == deleted}

    def use(self, owner: str, key: str) -> bool:
        """Renew a set's time; False where it is not this owner's, or gone."""
        with self._lock:
            found = self._find(owner, key)
            if found is None or found.deleted_at is not None or not uploaded.find_uploaded(key):
                return False
            found.seen_at = self._clock()
            return True

    def delete(self, owner: str, key: str) -> None:
        """Delete a set `UNDO_FOR` seconds from now."""
        with self._lock:
            if found := self._find(owner, key):
                found.deleted_at = self._clock()

    def restore(self, owner: str, key: str) -> bool:
        """Take a deletion back; False where it is too late."""
        with self._lock:
            found = self._find(owner, key)
            if found is None:
                return False
            found.deleted_at, found.seen_at = None, self._clock()
            return True

    def sweep_expired(self) -> None:
        """Delete what nobody has used for `FORGET_AFTER` seconds. Called every few seconds."""
        with self._lock:
            for upload in list(self._uploads.values()):
                if self._clock() - upload.seen_at > FORGET_AFTER:
                    self.cancel(upload.owner)
            for found in list(self._sets):
                deleted = found.deleted_at is not None and self._clock() - found.deleted_at > UNDO_FOR
                if deleted or self._clock() - found.seen_at > FORGET_AFTER:
                    self._drop(found)

    def close(self) -> None:
        """Stop reading, and delete everything."""
        self._closed.set()
        with self._lock:
            for owner in list(self._uploads):
                self.cancel(owner)
        # Then: who still reads would begin a new process.
        self._decoder.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _find(self, owner: str, key: str) -> _UploadedSet | None:
        return next((found for found in self._sets if (found.owner, found.key) == (owner, key)), None)

    def _drop(self, found: _UploadedSet) -> None:
        if all(other is found or other.key != found.key for other in self._sets):
            uploaded.delete(found.key)
            self._on_gone(found.key)
        self._sets.remove(found)

    def _start(self, owner: str, source: Source) -> None:
        with self._lock:
            self.cancel(owner)
            upload = self._uploads[owner] = UploadProgress(secrets.token_hex(12), owner, self._clock())
        threading.Thread(target=self._read, args=(upload, source), name="reading", daemon=True).start()

    def _read(self, upload: UploadProgress, source: Source) -> None:
        try:
            self._check_room()
            images = read(upload, source, self._decoder, self._raw(upload))
        except Rejected as error:
            self._end(upload, "failed", str(error))
        except OSError as error:
            self._end(upload, "failed", DISK_FULL.format(reason=reason(error)))
        except Exception as error:
            # Whatever it is, the page must not wait for ever.
            self._end(upload, "failed", OUR_ERROR.format(name=type(error).__name__))
            raise
        else:
            with self._lock:
                upload.images = images
            self._end(upload, "ready", "")

    def _end(self, upload: UploadProgress, status: Status, message: str) -> None:
        with self._lock:
            if upload.status == "reading":
                upload.status, upload.message = status, message
            if upload.status != "ready":
                self._raw(upload).unlink(missing_ok=True)

    def _check_room(self) -> None:
        """Raise OSError where all images together fill the folder; makes it again where somebody emptied /tmp."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        if sum(map(size_of, self.folder.iterdir())) > MOST_BYTES:
            raise OSError(errno.ENOSPC, "its folder for pictures is full")

    def _raw(self, upload: UploadProgress) -> Path:
        return self.folder / f"{upload.id}.raw"

    def _sweep(self) -> None:
        self.sweep_expired()
        # Says that this server lives; fails where somebody emptied the folder for temporary files.
        os.utime(self.folder)


def make_folder() -> Path:
    """Make a private folder, named to the children of this process; delete those that dead servers left behind."""
    for left in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > DEAD_AFTER:
                shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX))
    os.environ[uploaded.FOLDER] = str(folder)
    return folder
