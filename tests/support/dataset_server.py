"""A server on this machine that hands out files, well or badly, and a set of one file to download from it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from siamese_core.datasets.download import Download, DownloadFailed, RemoteFile, download_files

CONTENT = bytes(range(256)) * 1000
"""256,000 bytes: several pieces, so that there is a middle to stop in."""

NAME = "images.bin"


@dataclass
class Served:
    """How a file is sent.

    The connection ends (`then="close"`) or falls silent (`then="stall"`) after `sends` bytes of the body, where that
    is less than all. With `lies_about_range` a Range gets the wrong part. `ranges` holds the requests, in order.
    """

    content: bytes
    status: int = 200
    sends: int | None = None
    then: str = "close"
    knows_range: bool = True
    lies_about_range: bool = False
    tells_length: bool = True
    location: str = ""
    ranges: list[str | None] = field(default_factory=list)


@dataclass(frozen=True)
class DatasetServer:
    url: str
    files: dict[str, Served]

    def address(self, name: str) -> str:
        return f"{self.url}/{name}"


@contextmanager
def dataset_server(files: dict[str, Served]) -> Iterator[DatasetServer]:
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served = files.get(self.path.lstrip("/"))
            if served is None:
                self.send_error(404)
                return
            requested = self.headers.get("Range")
            served.ranges.append(requested)
            start, total = 0, len(served.content)
            status = served.status
            if requested and served.knows_range:
                start = int(requested.removeprefix("bytes=").removesuffix("-"))
                if start >= total:
                    self.send_error(416)
                    return
                start -= served.lies_about_range
                status = 206
            body = served.content[start:]
            self.send_response(status)
            if status == 206:
                self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
            if served.location:
                self.send_header("Location", served.location)
            if served.tells_length:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: served.sends])
            self.wfile.flush()
            if served.sends is not None and served.then == "stall":
                over.wait()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield DatasetServer(f"http://127.0.0.1:{server.server_port}", files)
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def put(folder: Path, files: tuple[RemoteFile, ...], contents: dict[str, bytes]) -> Path:
    """Fill a dataset's folder by hand."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        (folder / file.name).write_bytes(contents[file.name])
    return folder


@dataclass
class Attempt:
    """One set of one file, and the folder it goes to."""

    server: DatasetServer
    folder: Path
    download: Download
    progress: list[tuple[int, int]] = field(default_factory=list)

    @property
    def path(self) -> Path:
        return self.folder / NAME

    @property
    def part(self) -> Path:
        return self.folder / f"{NAME}.part"

    def download_files(self, cancelled: Callable[[], bool] = lambda: False) -> None:
        download_files(self.download, self.folder, lambda done, total: self.progress.append((done, total)), cancelled)

    def failure(self, cancelled: Callable[[], bool] = lambda: False) -> str:
        """The message of the DownloadFailed, which must name the set, end with the bundled one and be one sentence."""
        with pytest.raises(DownloadFailed) as caught:
            self.download_files(cancelled)
        message = str(caught.value)
        assert message.startswith("Tiny: not downloaded, because ")
        assert message.endswith("; until then there is the bundled digits.")
        assert "\n" not in message and ". " not in message
        assert not self.path.exists(), "nothing that is not whole gets the file's name"
        return message


def remote(content: bytes, *urls: str, **changes: Any) -> RemoteFile:
    checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return replace(RemoteFile(NAME, urls, len(content), checksum), **changes)


@contextmanager
def attempt(folder: Path, *mirrors: Served, **changes: Any) -> Iterator[Attempt]:
    """A set whose one file all `mirrors` claim to have; `changes` are to its record."""
    files = {f"mirror{i}": served for i, served in enumerate(mirrors)}
    with dataset_server(files) as server:
        file = remote(CONTENT, *(server.address(name) for name in files), **changes)
        yield Attempt(server, folder / "tiny", Download("tiny", "Tiny", "digits", (file,)))
