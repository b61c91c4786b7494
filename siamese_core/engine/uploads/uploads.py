"""Pictures that somebody gives to this server: read in the background, kept for their owner, gone when unused.

What is kept lies in a private folder of this server, under names that the server makes.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from siamese_core.datasets import uploaded
from siamese_core.engine.uploads.decoder_client import Decoder, Square
from siamese_core.engine.uploads.reading import Job, Reading, Source, Status, read
from siamese_core.errors import Rejected
from siamese_core.formats import archives
from siamese_core.formats.images import ImageRejected

FORGET_AFTER = 1800.0
"""Seconds without use after which pictures are gone."""

TEND_EVERY = 5.0

MOST_BYTES = 8 * 2**30
"""Of all pictures of all owners together: thirty people with 2,000 pictures each."""

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
class _Kept:
    owner: str
    key: str
    title: str
    seen_at: float
    deleted_at: float | None = None


class Uploads:
    """One upload and a few prepared sets for each owner; `on_gone(key)` is called when a set is deleted.

    A set is reached only with its owner's token and its key: a wrong one of either answers like an unknown set.
    """

    def __init__(self, on_gone: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._on_gone, self._clock = on_gone, clock
        self._lock = threading.RLock()
        self._jobs: dict[str, Job] = {}
        self._kept: list[_Kept] = []
        self._decoder = Decoder()
        self._closed = threading.Event()
        self.folder = make_folder()
        threading.Thread(target=self._tend_forever, name="uploads", daemon=True).start()

    def read_zip(self, owner: str, file: BinaryIO) -> None:
        """Begins to read class folders out of a zip; replaces what the owner was reading before."""

        def source(skipped: Counter[str]) -> tuple[int, Iterator[archives.Picture]]:
            wanted = archives.members(file, skipped)
            return len(wanted), archives.pictures(file, skipped, wanted)

        self._start(owner, source)

    def read_folder(self, owner: str, root: Path, name: str) -> None:
        """The same from a folder that the operator of this server allowed."""
        self._start(owner, lambda skipped: (0, archives.folder_pictures(root, name, skipped)))

    def square(self, data: bytes) -> Square:
        """One picture, as those of a set are kept. Raises ImageRejected."""
        return self._decoder.square(data, uploaded.RAW_SIDE)

    def squares(self, files: Iterable[bytes]) -> Iterator[Square | ImageRejected]:
        """What `square` returns or raises for each of many files, in their order."""
        return self._decoder.squares(files, uploaded.RAW_SIDE)

    def poll(self, owner: str) -> Reading | None:
        with self._lock:
            job = self._jobs.get(owner)
            if job is None:
                return None
            job.seen_at = self._clock()
            return Reading(
                job.id, job.status, job.done, job.total, Counter(job.skipped), dict(job.refused), job.alone,
                job.first_frames, job.message, job.pictures,
            )  # fmt: skip

    def cancel(self, owner: str) -> None:
        """Stops reading and lets go of what was read."""
        with self._lock:
            job = self._jobs.pop(owner, None)
            if job is not None:
                job.status = "cancelled"
                self._raw(job).unlink(missing_ok=True)

    def prepare(self, owner: str, side: int, colour: bool, test_percent: int, title: str) -> str:
        """A set of what was read, to train on; its key. Raises `own.TooFew`, and OSError where the disk is full."""
        reading = self.poll(owner)
        assert reading is not None and reading.pictures is not None, "only what was read can be prepared"
        pictures = reading.pictures
        self._check_room()
        images = uploaded.prepare(pictures, side, colour, test_percent)
        key = uploaded.save(title, pictures.classes, images)
        with self._lock:
            if not uploaded.find_uploaded(key):
                # The same set of somebody else was deleted at this moment.
                uploaded.save(title, pictures.classes, images)
            self._kept = [kept for kept in self._kept if (kept.owner, kept.key) != (owner, key)]
            self._kept.append(_Kept(owner, key, title, self._clock()))
            uploaded_sets = [kept for kept in self._kept if kept.owner == owner]
            for first in sorted(uploaded_sets, key=lambda kept: (kept.deleted_at is None, kept.seen_at))[:-MAX_SETS]:
                self._drop(first)
        return key

    def sets(self, owner: str, deleted: bool = False) -> dict[str, str]:
        """Key → title of this owner's sets, the newest last, or of those that can still be had back."""
        with self._lock:
            uploaded_sets = (kept for kept in self._kept if kept.owner == owner and uploaded.find_uploaded(kept.key))
            return {kept.key: kept.title for kept in uploaded_sets if (kept.deleted_at is not None) == deleted}

    def use(self, owner: str, key: str) -> bool:
        """Renews a set's time; False where it is not this owner's, or gone."""
        with self._lock:
            kept = self._set(owner, key)
            if kept is None or kept.deleted_at is not None or not uploaded.find_uploaded(key):
                return False
            kept.seen_at = self._clock()
            return True

    def discard(self, owner: str, key: str) -> None:
        """Deletes a set `UNDO_FOR` seconds from now."""
        with self._lock:
            if kept := self._set(owner, key):
                kept.deleted_at = self._clock()

    def restore(self, owner: str, key: str) -> bool:
        """Takes a deletion back; False where it is too late."""
        with self._lock:
            kept = self._set(owner, key)
            if kept is None:
                return False
            kept.deleted_at, kept.seen_at = None, self._clock()
            return True

    def sweep_expired(self) -> None:
        """Deletes what nobody has used for `FORGET_AFTER` seconds. Called every few seconds."""
        with self._lock:
            for job in list(self._jobs.values()):
                if self._clock() - job.seen_at > FORGET_AFTER:
                    self.cancel(job.owner)
            for kept in list(self._kept):
                deleted = kept.deleted_at is not None and self._clock() - kept.deleted_at > UNDO_FOR
                if deleted or self._clock() - kept.seen_at > FORGET_AFTER:
                    self._drop(kept)

    def close(self) -> None:
        self._closed.set()
        with self._lock:
            for owner in list(self._jobs):
                self.cancel(owner)
        # Then: who still reads would begin a new process.
        self._decoder.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _set(self, owner: str, key: str) -> _Kept | None:
        return next((kept for kept in self._kept if (kept.owner, kept.key) == (owner, key)), None)

    def _drop(self, kept: _Kept) -> None:
        if all(other is kept or other.key != kept.key for other in self._kept):
            uploaded.delete(kept.key)
            self._on_gone(kept.key)
        self._kept.remove(kept)

    def _start(self, owner: str, source: Source) -> None:
        with self._lock:
            self.cancel(owner)
            job = self._jobs[owner] = Job(secrets.token_hex(12), owner, self._clock())
        threading.Thread(target=self._read, args=(job, source), name="reading", daemon=True).start()

    def _read(self, job: Job, source: Source) -> None:
        try:
            self._check_room()
            pictures = read(job, source, self._decoder, self._raw(job))
        except (archives.ArchiveRejected, uploaded.TooFew, Rejected) as error:
            self._end(job, "failed", str(error))
        except OSError as error:
            self._end(job, "failed", DISK_FULL.format(reason=error.strerror or "the disk does not answer"))
        except Exception as error:
            # Whatever it is, the page must not wait for ever.
            self._end(job, "failed", OUR_ERROR.format(name=type(error).__name__))
            raise
        else:
            with self._lock:
                job.pictures = pictures
            self._end(job, "ready", "")

    def _end(self, job: Job, status: Status, message: str) -> None:
        with self._lock:
            if job.status == "reading":
                job.status, job.message = status, message
            if job.status != "ready":
                self._raw(job).unlink(missing_ok=True)

    def _check_room(self) -> None:
        """Raises OSError where all pictures together fill the folder; makes it again where somebody emptied /tmp."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        if sum(map(_size, self.folder.iterdir())) > MOST_BYTES:
            raise OSError(errno.ENOSPC, "its folder for pictures is full")

    def _raw(self, job: Job) -> Path:
        return self.folder / f"{job.id}.raw"

    def _tend_forever(self) -> None:
        while not self._closed.wait(TEND_EVERY):
            try:
                self.sweep_expired()
                os.utime(self.folder)
            except Exception:
                # Somebody may have emptied the folder for temporary files: what else is kept must end all the same.
                traceback.print_exc(file=sys.stderr)


def _size(path: Path) -> int:
    """Bytes of a file; 0 where another upload has just let go of it."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def make_folder() -> Path:
    """A new private folder, named to the children of this process; those that dead servers left behind go."""
    for left in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > DEAD_AFTER:
                shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX))
    os.environ[uploaded.FOLDER] = str(folder)
    return folder
