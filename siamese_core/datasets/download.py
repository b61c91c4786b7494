"""Downloads the published files of a dataset, and never leaves one under its name before its checksum matched."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from io import BufferedReader
from pathlib import Path
from time import monotonic
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from siamese_core.errors import Rejected, reason

STALL_SECONDS = 20.0
"""A server that sends no byte for so long is given up."""

LIMIT_SECONDS = 3600.0
"""One press of Download lasts at most so long; the next goes on where it stopped."""

CHUNK = 1 << 16

AGAIN = "press Download again and it goes on where it stopped"


class DownloadFailed(Rejected):
    """The set was not downloaded, or the download was cancelled: the message has set, cause and next step."""


@dataclass(frozen=True)
class RemoteFile:
    """`urls` are tried in turn; `checksum` is "md5:…" or "sha256:…" of the file as it is published.

    Where no exact size is published, `approximate` says that `size_bytes` is a rough one.
    """

    name: str
    urls: tuple[str, ...]
    size_bytes: int
    checksum: str
    approximate: bool = False

    @property
    def most_bytes(self) -> int:
        """Return the most bytes that this file can have."""
        return 2 * self.size_bytes if self.approximate else self.size_bytes


@dataclass(frozen=True)
class Download:
    """The files of the dataset `key`; `bundle` is the key of the small set that works without them."""

    key: str
    title: str
    bundle: str
    files: tuple[RemoteFile, ...]

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


class _Stopped(Exception):
    """Ends the download: the cause, and what to do next."""

    def __init__(self, cause: str, step: str) -> None:
        super().__init__(cause)
        self.cause, self.step = cause, step


class _AddressFailed(_Stopped):
    """Ends the try of one address; the next may work."""


def download_files(
    download: Download,
    folder: Path,
    progress: Callable[[int, int], None],
    cancelled: Callable[[], bool],
) -> None:
    """Download all files of `download` into `folder`; those that are there and whole stay as they are.

    Blocks. `progress(bytes_done, bytes_total)` is called after every piece, `cancelled` asked before the next.
    A piece lies in NAME.part until the file is whole. Raises DownloadFailed.
    """
    ends, done, total = monotonic() + LIMIT_SECONDS, 0, download.size_bytes

    def arrived(here: int) -> None:
        """After every piece of a file; `here` counts the bytes of this file."""
        progress(min(done + here, total), total)
        if cancelled():
            raise _Stopped("you cancelled it", "press Download and it goes on where it stopped")
        if monotonic() >= ends:
            raise _Stopped(f"it took longer than {_duration(LIMIT_SECONDS)}", AGAIN)

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in download.files:
            arrived(0)
            if not is_whole(folder / file.name, file.checksum):
                _download_file(file, folder, arrived)
            done += file.size_bytes
        progress(total, total)
        return
    except _Stopped as stopped:
        cause, step = stopped.cause, stopped.step
    except OSError as error:
        # The errors of the network have become _AddressFailed: this one is of the disk.
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            cause = "the disk is full"
            step = f"make room for {megabytes(total - done)} under {folder} and press Download again"
        else:
            cause = f"{folder} cannot be written ({reason(error)})"
            step = "allow writing there, or set SIAMESE_DATA to another folder, and press Download again"
    raise DownloadFailed(
        f"{download.title}: not downloaded, because {cause}: {step}; until then there is the bundled {download.bundle}."
    )


def is_whole(path: Path, checksum: str) -> bool:
    """Return whether the file is there and has this "algorithm:hex digits"."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return matches(stream, checksum)


def matches(stream: BufferedReader, checksum: str) -> bool:
    """Return whether all that `stream` holds has this "algorithm:hex digits"; reads it to its end."""
    algorithm, _, digits = checksum.partition(":")
    return hashlib.file_digest(stream, algorithm).hexdigest() == digits


def megabytes(size: int) -> str:
    """Return bytes as "12 MB", or "0.12 MB"."""
    return f"{size / 1e6:,.0f} MB" if size >= 1e6 else f"{size / 1e6:.2f} MB"


def _download_file(file: RemoteFile, folder: Path, arrived: Callable[[int], None]) -> None:
    part = folder / f"{file.name}.part"
    failures: list[_AddressFailed] = []
    for url in file.urls:
        try:
            _receive(url, file, part, arrived)
            if not is_whole(part, file.checksum):
                part.unlink()
                raise _AddressFailed(
                    f"{file.name} from {_host(url)} is not the published file (its checksum differs) and was deleted",
                    "press Download again, or try later",
                )
            os.replace(part, folder / file.name)
            return
        except _AddressFailed as failure:
            failures.append(failure)
    causes = dict.fromkeys(failure.cause for failure in failures)
    raise _Stopped(" and ".join(causes), failures[-1].step)


def _receive(url: str, file: RemoteFile, part: Path, arrived: Callable[[int], None]) -> None:
    """Append to `part` what it lacks, or write it anew where the server gives only the whole file."""
    have = part.stat().st_size if part.exists() else 0
    if have == file.size_bytes and not file.approximate:
        return
    if have > file.most_bytes:
        have = 0
    with _open(url, have, part) as response:
        start = have if response.status == 206 else 0
        if response.status == 206 and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            part.unlink(missing_ok=True)
            raise _AddressFailed(
                f"{_host(url)} sent another part of {file.name} than asked for", "press Download again"
            )
        announced = response.headers.get("Content-Length", "")
        whole = start + int(announced) if announced.isdecimal() else None
        _allow(start if whole is None else whole, file, part, url)
        with part.open("ab" if start else "wb") as stream:
            while piece := _read(response, url):
                _allow(start + len(piece), file, part, url)
                stream.write(piece)
                start += len(piece)
                arrived(start)
    if whole is None and not file.approximate:
        whole = file.size_bytes
    if whole is not None and start < whole:
        raise _AddressFailed(f"the connection to {_host(url)} broke off after {megabytes(start)}", AGAIN)


def _allow(size: int, file: RemoteFile, part: Path, url: str) -> None:
    if size > file.most_bytes:
        part.unlink(missing_ok=True)
        cause = f"{_host(url)} sends more than the {megabytes(file.size_bytes)} that {file.name} should have"
        raise _AddressFailed(cause, "try again later")


def _open(url: str, have: int, part: Path) -> HTTPResponse:
    headers = {"User-Agent": "siamese-playground", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        response = build_opener(_StayEncrypted()).open(Request(url, headers=headers), timeout=STALL_SECONDS)
        assert isinstance(response, HTTPResponse)
        return response
    except HTTPError as error:
        with error:
            if error.code == 416 and have:
                # The server has no such part: what lies here is no beginning of its file.
                part.unlink(missing_ok=True)
                return _open(url, 0, part)
            cause = f"{_host(url)} answered with status {error.code} ({error.reason})"
            raise _AddressFailed(cause, "try again later") from None
    except (OSError, HTTPException) as error:
        raise _network_failure(error, url) from None


def _read(response: HTTPResponse, url: str) -> bytes:
    try:
        # read1, not read: a trickle must not hide from `arrived`, which looks at the clock and for a cancel.
        return response.read1(CHUNK)
    except (OSError, HTTPException) as error:
        raise _network_failure(error, url) from None


def _network_failure(error: OSError | HTTPException, url: str) -> _AddressFailed:
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, TimeoutError):
        return _AddressFailed(f"{_host(url)} sent nothing for {_duration(STALL_SECONDS)}", AGAIN)
    if isinstance(cause, ConnectionResetError | HTTPException):
        return _AddressFailed(f"the connection to {_host(url)} broke off", AGAIN)
    words = getattr(cause, "strerror", None) or str(cause)
    return _AddressFailed(
        f"{_host(url)} cannot be reached ({words})", "look whether this machine is online and press Download again"
    )


class _StayEncrypted(HTTPRedirectHandler):
    """Follows redirections, but not out of https."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            raise _AddressFailed(f"{req.host} redirects to an address without encryption", "try again later")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _host(url: str) -> str:
    return urlsplit(url).hostname or url


def _duration(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 120 else f"{seconds / 60:g} minutes"
