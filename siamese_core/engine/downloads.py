"""Published datasets, fetched in the background: one fetch of a set at a time, whoever asks for it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from siamese_core.datasets import DOWNLOADS
from siamese_core.datasets.download import Download, DownloadFailed, fetch
from siamese_core.datasets.full import cache_root

OUR_ERROR = "The download stopped by an error of ours ({name}). Press Download again."

Status = Literal["fetching", "done", "failed", "cancelled"]


@dataclass(frozen=True)
class Fetching:
    """`done`, `total` in bytes; `sentence` says why it failed. Who asked for it may cancel it."""

    owner: str
    status: Status = "fetching"
    done: int = 0
    total: int = 0
    sentence: str = ""


class Downloads:
    def __init__(self, catalogue: Mapping[str, Download] = DOWNLOADS) -> None:
        self._catalogue = catalogue
        self._lock = threading.Lock()
        self._fetching: dict[str, Fetching] = {}

    def start(self, owner: str, key: str) -> None:
        """Begins to fetch a set, unless somebody else is at it already."""
        with self._lock:
            if self._is_fetching(key):
                return
            download = self._catalogue[key]
            self._fetching[key] = Fetching(owner, total=download.size_bytes)
        threading.Thread(target=self._fetch, args=(download,), name=f"fetch {key}", daemon=True).start()

    def look(self, key: str) -> Fetching | None:
        with self._lock:
            return self._fetching.get(key)

    def cancel(self, owner: str, key: str) -> None:
        with self._lock:
            if self._is_fetching(key) and self._fetching[key].owner == owner:
                self._fetching[key] = replace(self._fetching[key], status="cancelled")

    def is_busy(self) -> bool:
        with self._lock:
            return any(self._is_fetching(key) for key in self._fetching)

    def _is_fetching(self, key: str) -> bool:
        return key in self._fetching and self._fetching[key].status == "fetching"

    def _fetch(self, download: Download) -> None:
        key = download.key

        def progress(done: int, total: int) -> None:
            with self._lock:
                self._fetching[key] = replace(self._fetching[key], done=done, total=total)

        try:
            fetch(download, cache_root() / key, progress, lambda: not self._is_fetching(key))
        except DownloadFailed as failure:
            self._end(key, "failed", str(failure))
        except Exception as error:
            self._end(key, "failed", OUR_ERROR.format(name=type(error).__name__))
            raise
        else:
            self._end(key, "done", "")

    def _end(self, key: str, status: Status, sentence: str) -> None:
        with self._lock:
            ended = "cancelled" if self._fetching[key].status == "cancelled" else status
            self._fetching[key] = replace(self._fetching[key], status=ended, sentence=sentence)
