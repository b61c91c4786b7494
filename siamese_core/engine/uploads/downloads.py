"""Published datasets, downloaded in the background: one download of a set at a time, whoever asks for it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import Literal

from siamese_core.datasets import DOWNLOADS
from siamese_core.datasets.download import Download, DownloadFailed, download_files
from siamese_core.datasets.full import cache_root

OUR_ERROR = "The download stopped by an error of ours ({name}). Press Download again."

Status = Literal["downloading", "done", "failed", "cancelled"]


@dataclass(frozen=True)
class DownloadProgress:
    """`done`, `total` in bytes; `message` says why it failed. Who asked for it may cancel it."""

    owner: str
    status: Status = "downloading"
    done: int = 0
    total: int = 0
    message: str = ""


@dataclass(eq=False)
class _Attempt:
    shown: DownloadProgress
    ended: threading.Event = field(default_factory=threading.Event)


class Downloads:
    """The downloads of published datasets, for all owners."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._attempts: dict[str, _Attempt] = {}

    def start(self, owner: str, key: str) -> None:
        """Begin to download a set, unless somebody is at it already; where one was cancelled, when that has ended."""
        with self._lock:
            if self._is_downloading(key):
                return
            download, before = DOWNLOADS[key], self._attempts.get(key)
            this = self._attempts[key] = _Attempt(DownloadProgress(owner, total=download.size_bytes))
        threading.Thread(target=self._download, args=(download, this, before), name=f"get {key}", daemon=True).start()

    def poll(self, key: str) -> DownloadProgress | None:
        """Return how far a set is; None where nobody has asked for it."""
        with self._lock:
            return self._attempts[key].shown if key in self._attempts else None

    def cancel(self, owner: str, key: str) -> None:
        """Stop a download, if this owner has begun it."""
        with self._lock:
            if self._is_downloading(key) and self._attempts[key].shown.owner == owner:
                self._attempts[key].shown = replace(self._attempts[key].shown, status="cancelled")

    def is_busy(self) -> bool:
        """Return whether any set is being downloaded."""
        with self._lock:
            return any(self._is_downloading(key) for key in self._attempts)

    def _is_downloading(self, key: str) -> bool:
        return key in self._attempts and self._attempts[key].shown.status == "downloading"

    def _download(self, download: Download, this: _Attempt, before: _Attempt | None) -> None:
        def progress(done: int, total: int) -> None:
            with self._lock:
                this.shown = replace(this.shown, done=done, total=total)

        if before:
            # Cancelled, it may still wait for a silent server; two would write into the same file.
            before.ended.wait()
        try:
            download_files(download, cache_root() / download.key, progress, lambda: this.shown.status == "cancelled")
        except DownloadFailed as failure:
            self._end(this, "failed", str(failure))
        except Exception as error:
            self._end(this, "failed", OUR_ERROR.format(name=type(error).__name__))
            raise
        else:
            self._end(this, "done", "")

    def _end(self, this: _Attempt, status: Status, message: str) -> None:
        with self._lock:
            ended = "cancelled" if this.shown.status == "cancelled" else status
            this.shown = replace(this.shown, status=ended, message=message)
        this.ended.set()
