"""All runs on this machine, as folders below one folder; each is reached only by its owner, or when it is published.

An owner is known by a hash of the browser's token: the token itself, by which a run is controlled, is on no disk.
"""

from __future__ import annotations

import hashlib
import math
import os
import secrets
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from siamese_core.engine.storage.limits import Limits
from siamese_core.formats.files import PART, size_of, write_atomic
from siamese_core.formats.safetensors import Damaged
from siamese_core.runs.disk_format import Checkpoint, FolderRejected, files_of, load, locked, run_history_of
from siamese_core.runs.history import RunHistory
from siamese_core.runs.info import INFO, MAX_NAME, RunInfo, packed_info, read_info

ABANDONED_AFTER = 3600.0
"""Seconds after which what somebody has not finished, or not finished deleting, is left over from a kill."""

THIS_RUN = "This run"
"""Names a run in messages: where it lies on the server's disk is nobody's business."""

UNDO_FOR = 30.0
"""Seconds in which a deleted run can be had back."""


def hashed(owner: str) -> str:
    """Return by what an owner is known on disk."""
    return hashlib.sha256(owner.encode()).hexdigest()


def new_id() -> str:
    """Return an id that nobody guesses, fit for the name of a folder."""
    return secrets.token_urlsafe(12)


class RunStore:
    """`skipped` names folders that hold no run, or one that is torn; they are left alone.

    `on_gone(run)` is called for a run that is deleted for good.
    """

    def __init__(
        self,
        root: Path,
        limits: Limits = Limits(),  # noqa: B008 (frozen)
        clock: Callable[[], float] = time.time,
        on_gone: Callable[[str], None] = lambda run: None,
    ) -> None:
        self.root, self.limits, self.skipped = root, limits, list[str]()
        self._clock, self._on_gone = clock, on_gone
        self._lock = threading.RLock()
        self._infos: dict[str, RunInfo] = {}
        self._bytes: dict[str, int] = {}
        self._deleted: dict[str, float] = {}
        self._busy: set[str] = set()
        self._trash: list[Path] = []
        self._find()

    def folder(self, run: str) -> Path:
        """Return where a run lies whose id is ours."""
        return self.root / run

    def infos(self, owner: str) -> list[RunInfo]:
        """Return this owner's runs, the newest first."""
        return self._listed(lambda info: info.owner == owner)

    def published(self) -> list[RunInfo]:
        """Return the runs that everybody may see, the newest first."""
        return self._listed(lambda info: info.published)

    def find(self, owner: str, run: str) -> RunInfo | None:
        """Return a run of this owner, or a published one; None for any other, as for an unknown one."""
        with self._lock:
            info = self._infos.get(run)
            seen = info is not None and run not in self._deleted and (info.published or info.owner == owner)
            return info if seen else None

    def owned(self, owner: str, run: str) -> RunInfo | None:
        """Return a run that this owner may change."""
        info = self.find(owner, run)
        return info if info is not None and secrets.compare_digest(info.owner.encode(), owner.encode()) else None

    def files(self, owner: str, run: str) -> dict[str, bytes] | None:
        """Return its files, to be handed on. Raises FolderRejected where they are damaged, as all here do."""
        return files_of(self.folder(run), THIS_RUN) if self.find(owner, run) is not None else None

    def run_history(self, owner: str, run: str) -> RunHistory | None:
        """Return what was recorded of it; None for an unknown run."""
        files = self.files(owner, run)
        return run_history_of(files, THIS_RUN) if files is not None else None

    def checkpoint(self, owner: str, run: str) -> Checkpoint | None:
        """Return its newest state, with its weights. Raises FolderRejected also where its images have gone."""
        return load(self.folder(run), THIS_RUN) if self.find(owner, run) is not None else None

    def change(self, owner: str, run: str, **changes: Any) -> bool:
        """Set `name`, `pinned`, `published`; False where it is not this owner's."""
        with self._lock:
            if self.owned(owner, run) is None:
                return False
            info = replace(self._infos[run], **changes)
            self._infos[run] = info = replace(info, name=info.name[:MAX_NAME])
            self._write(info)
            return True

    def delete(self, owner: str, run: str) -> bool:
        """Delete a run `UNDO_FOR` seconds from now; not one that is being written."""
        with self._lock:
            if self.owned(owner, run) is None or run in self._busy:
                return False
            self._deleted[run] = self._clock()
            return True

    def delete_when_idle(self, owner: str, run: str) -> None:
        """Delete a run as soon as nobody writes it, for good."""
        with self._lock:
            if self.owned(owner, run) is not None:
                self._deleted[run] = -math.inf

    def restore(self, owner: str, run: str) -> bool:
        """Take a deletion back; False where it is too late."""
        with self._lock:
            info = self._infos.get(run)
            return info is not None and info.owner == owner and self._deleted.pop(run, None) is not None

    def is_deleted(self, owner: str, run: str) -> bool:
        """Return whether it can still be had back."""
        with self._lock:
            return run in self._deleted and self._infos[run].owner == owner

    def usage(self, owner: str) -> tuple[int, int]:
        """Return how many runs this owner has, without those of sweeps, and the bytes of all runs on this machine."""
        with self._lock:
            return sum(not info.sweep for info in self.infos(owner)), sum(self._bytes.values())

    def attach(self, run: str, name: str, content: bytes) -> None:
        """Put a file that was made from a run beside it. Raises OSError."""
        write_atomic(self.folder(run) / name, content)
        with self._lock:
            if run in self._infos:
                self._measure(run)

    def has(self, run: str, name: str) -> bool:
        """Return whether a file of this name lies there."""
        return (self.folder(run) / name).is_file()

    def attached(self, run: str, name: str) -> bytes | None:
        """Return what `attach` has put there."""
        try:
            return (self.folder(run) / name).read_bytes()
        except OSError:
            return None

    def import_run(self, owner: str, files: dict[str, bytes], info: RunInfo) -> str:
        """Save a run that somebody imports, already checked; return its new id. Raises OSError."""
        run = new_id()
        unfinished = self.root / f".{run}{PART}"
        info = replace(info, id=run, owner=owner)
        try:
            for name, content in (files | {INFO: packed_info(info)}).items():
                path = unfinished / name
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(path, content)
            unfinished.rename(self.folder(run))
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        self.put(info)
        return run

    def acquire(self, run: str) -> bool:
        """Claim a run for writing: it is not deleted, and nobody else writes it. False where somebody does already.

        Waits for nobody, as the engine calls it.
        """
        is_new = run not in self._busy
        self._busy.add(run)
        return is_new

    def is_busy(self, run: str) -> bool:
        """Return whether it is being written."""
        return run in self._busy

    def release(self, run: str) -> None:
        """Take the claim of `acquire` back: the run is written to its end."""
        self._busy.discard(run)

    def put(self, info: RunInfo) -> None:
        """List a run as it has been written; the name that its owner has given it stays."""
        with self._sweeping():
            self._infos[info.id] = named = self.as_named(info)
            if named != info:
                # It was named while it was being written.
                self._write(named)
            self._measure(info.id)
            self._make_room(info)

    def as_named(self, info: RunInfo) -> RunInfo:
        """Return it with what its owner has changed meanwhile."""
        known = self._infos.get(info.id, info)
        return replace(info, name=known.name, pinned=known.pinned, published=known.published)

    def sweep_expired(self) -> None:
        """Delete what can no longer be had back."""
        self._delete_for_good(lambda at: self._clock() - at > UNDO_FOR)

    def close(self) -> None:
        """Delete for good what is deleted: the server ends."""
        self._delete_for_good(lambda at: True)

    def _delete_for_good(self, may_go: Callable[[float], bool]) -> None:
        with self._sweeping():
            for run, at in list(self._deleted.items()):
                if may_go(at) and run not in self._busy:
                    self._forget(run)

    @contextmanager
    def _sweeping(self) -> Iterator[None]:
        """Hold the lock, and delete after it what was thrown away under it: that waits for the disk and for others."""
        with self._lock:
            yield
            trash, self._trash = self._trash, []
        for folder in trash:
            shutil.rmtree(folder, ignore_errors=True)
            self._on_gone(folder.name.removeprefix(".").removesuffix(PART))

    def _listed(self, belongs: Callable[[RunInfo], bool]) -> list[RunInfo]:
        with self._lock:
            found = [r for r in self._infos.values() if belongs(r) and r.id not in self._deleted]
        return sorted(found, key=lambda info: info.created, reverse=True)

    def _find(self) -> None:
        try:
            folders = sorted(path for path in self.root.iterdir() if path.is_dir())
        except OSError:
            return
        for folder in folders:
            if folder.name.startswith(".") and folder.name.endswith(PART):
                if self._clock() - folder.stat().st_mtime > ABANDONED_AFTER:
                    shutil.rmtree(folder, ignore_errors=True)
                continue
            try:
                info = read_info((folder / INFO).read_bytes())
                if info.id != folder.name:
                    raise Damaged
            except (OSError, Damaged):
                self.skipped.append(folder.name)
                continue
            # Nobody writes it now, or its lock says so to who resumes it.
            self._infos[info.id] = replace(info, status="interrupted" if info.status == "running" else info.status)
            self._measure(info.id)

    def _write(self, info: RunInfo) -> None:
        with suppress(OSError):
            write_atomic(self.folder(info.id) / INFO, packed_info(info))

    def _measure(self, run: str) -> None:
        walked = os.walk(self.folder(run))
        self._bytes[run] = sum(size_of(Path(parent) / name) for parent, _, names in walked for name in names)

    def _make_room(self, newest: RunInfo) -> None:
        """Delete the oldest for one that has come: of its owner where there are too many, then of who takes most."""
        # A sweep may be of more runs than that; they go with it.
        alone = [info for info in self.infos(newest.owner) if not info.sweep]
        removable = [r for r in self._removable(newest.owner) if not r.sweep and r.id != newest.id]
        for info in removable[: max(0, len(alone) - self.limits.runs)]:
            self._forget(info.id)
        while True:
            taken: Counter[str] = Counter()
            for run, size in self._bytes.items():
                # What is deleted will be gone in a moment.
                if run not in self._deleted:
                    taken[self._infos[run].owner] += size
            if taken.total() <= self.limits.gigabytes * 1e9:
                return
            by_owner = (self._removable(most) for most, _ in taken.most_common())
            others = ([info for info in infos if info.id != newest.id] for infos in by_owner)
            oldest = next((infos[0] for infos in others if infos), None)
            if oldest is None:
                return
            self._forget(oldest.id)

    def _removable(self, owner: str) -> list[RunInfo]:
        """Return what may be deleted of an owner, the oldest first."""
        return [r for r in reversed(self.infos(owner)) if not r.pinned and r.id not in self._busy]

    def _forget(self, run: str) -> None:
        """Take a run out of the list, and out of sight at once: a kill leaves no half of it."""
        gone = self.root / f".{run}{PART}"
        try:
            # Another server may be writing it.
            with locked(self.folder(run)):
                self.folder(run).rename(gone)
        except (FolderRejected, OSError):
            if self.folder(run).exists():
                self._busy.add(run)
                return
        for table in (self._deleted, self._infos, self._bytes):
            table.pop(run, None)
        self._trash.append(gone)
