"""A download that fails says in one message which set, why, and what to do; nothing that is not whole is left."""

from __future__ import annotations

import errno
import io
import socket
from email.message import Message
from itertools import count
from pathlib import Path
from typing import IO, Any
from urllib.request import Request

import pytest

from siamese_core.datasets.download import Download, _StayEncrypted, _Stopped
from tests.support.dataset_server import CONTENT, Attempt, DatasetServer, Served, attempt, dataset_server, remote


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.mark.parametrize(
    ("served", "cause", "step"),
    [
        (Served(CONTENT, sends=100_000), "the connection to 127.0.0.1 broke off after 0.10 MB", "goes on where"),
        (Served(CONTENT, sends=1000, tells_length=False), "broke off after 0.00 MB", "goes on where"),
        (Served(CONTENT[:-1] + b"x"), "images.bin from 127.0.0.1 is not the published file", "press Download again"),
        (Served(CONTENT[:-1]), "is not the published file", "press Download again"),
        (Served(b"<html>log in here</html>"), "is not the published file", "press Download again"),
        (Served(CONTENT + b"x"), "127.0.0.1 sends more than the 0.26 MB that images.bin should have", "try again"),
        (Served(CONTENT + b"x", tells_length=False), "127.0.0.1 sends more than", "try again later"),
        (Served(CONTENT, status=404), "127.0.0.1 answered with status 404 (Not Found)", "try again later"),
        (Served(CONTENT, status=503), "status 503 (Service Unavailable)", "try again later"),
    ],
)
def test_a_bad_response_is_named_with_the_next_step(tmp_path: Path, served: Served, cause: str, step: str) -> None:
    with attempt(tmp_path, served) as tiny:
        message = tiny.failure()
    assert cause in message and step in message


@pytest.mark.parametrize("content", [CONTENT[:-1] + b"x", CONTENT + b"x"], ids=["other", "longer"])
def test_bytes_of_another_file_are_deleted(tmp_path: Path, content: bytes) -> None:
    with attempt(tmp_path, Served(content)) as tiny:
        tiny.failure()
        assert list(tiny.folder.iterdir()) == []


def test_more_than_announced_is_not_written(tmp_path: Path) -> None:
    with attempt(tmp_path, Served(CONTENT * 20, tells_length=False), size_bytes=1000) as tiny:
        assert "sends more than the 0.00 MB" in tiny.failure()
        assert tiny.progress == [(0, 1000)]


def test_a_silent_server_is_given_up_and_its_bytes_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("siamese_core.datasets.download.STALL_SECONDS", 1.0)
    with attempt(tmp_path, Served(CONTENT, sends=1000, then="stall")) as tiny:
        message = tiny.failure()
        assert "127.0.0.1 sent nothing for 1 s: press Download again and it goes on where it stopped" in message
        assert tiny.part.read_bytes() == CONTENT[:1000]


def test_a_slow_download_stops_at_the_limit_and_goes_on_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = count()
    monkeypatch.setattr("siamese_core.datasets.download.LIMIT_SECONDS", 2.0)
    with attempt(tmp_path, Served(CONTENT)) as tiny:
        with monkeypatch.context() as slow:
            slow.setattr("siamese_core.datasets.download.monotonic", lambda: float(next(ticks)))
            message = tiny.failure()
        assert "it took longer than 2 s: press Download again and it goes on where it stopped" in message
        assert CONTENT.startswith(tiny.part.read_bytes()) and tiny.part.stat().st_size > 0
        tiny.download_files()
        assert tiny.path.read_bytes() == CONTENT


def test_an_unreachable_host_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound but not listening: nobody replies here
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/x"
        download = Download("tiny", "Tiny", "digits", (remote(CONTENT, url),))
        tiny = Attempt(DatasetServer(url, {}), tmp_path / "tiny", download)
        message = tiny.failure()
    assert "127.0.0.1 cannot be reached (Connection refused)" in message
    assert "look whether this machine is online" in message


def test_a_name_that_no_server_knows_is_a_host_that_cannot_be_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", offline)
    download = Download("tiny", "Tiny", "digits", (remote(CONTENT, "http://data.example/x"),))
    message = Attempt(DatasetServer("", {}), tmp_path / "tiny", download).failure()
    assert "data.example cannot be reached (Name or service not known)" in message


def test_the_causes_of_all_mirrors_are_named(tmp_path: Path) -> None:
    with attempt(tmp_path, Served(CONTENT, status=404), Served(CONTENT, status=500)) as tiny:
        message = tiny.failure()
    assert "status 404 (Not Found) and 127.0.0.1 answered with status 500" in message


class FullDisk(io.BytesIO):
    def write(self, _: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_named_with_the_room_that_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def full(path: Path, mode: str = "r", *rest: Any) -> IO[Any]:
        return FullDisk() if path.suffix == ".part" and mode != "rb" else opened(path, mode, *rest)

    with attempt(tmp_path, Served(CONTENT), Served(CONTENT)) as tiny:
        with monkeypatch.context() as patched:
            patched.setattr(Path, "open", full)
            message = tiny.failure()
        assert f"because the disk is full: make room for 0.26 MB under {tiny.folder}" in message
        assert tiny.server.files["mirror1"].ranges == [], "no mirror helps against that"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    with attempt(tmp_path, Served(CONTENT)) as tiny:
        tiny.folder.write_bytes(b"a file where the folder should be")
        message = tiny.failure()
    assert f"{tiny.folder} cannot be written (File exists)" in message and "SIAMESE_DATA" in message


def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path, mode: str = "r") -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    with attempt(tmp_path, Served(CONTENT)) as tiny:
        monkeypatch.setattr(Path, "open", refused)
        assert f"{tiny.folder} cannot be written (Permission denied)" in tiny.failure()


# Encryption


def redirected(url: str, target: str) -> Request | None:
    return _StayEncrypted().redirect_request(Request(url), io.BytesIO(), 302, "Found", Message(), target)  # type: ignore[arg-type]


def test_a_redirection_out_of_https_is_refused() -> None:
    with pytest.raises(_Stopped, match=r"data\.example redirects to an address without encryption"):
        redirected("https://data.example/x", "http://data.example/x")


def test_a_redirection_within_https_is_followed_with_its_range() -> None:
    request = redirected("https://data.example/x", "https://store.example/y")
    assert request is not None and request.full_url == "https://store.example/y"


def test_a_redirection_is_looked_at_and_keeps_the_part_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[str] = []
    redirect = _StayEncrypted.redirect_request

    def spy(handler: _StayEncrypted, req: Request, *rest: Any) -> Request | None:
        looked_at.append(req.full_url)
        return redirect(handler, req, *rest)

    monkeypatch.setattr(_StayEncrypted, "redirect_request", spy)
    with dataset_server({"whole": Served(CONTENT)}) as server:
        server.files["moved"] = Served(b"", status=302, knows_range=False, location=server.address("whole"))
        download = Download("tiny", "Tiny", "digits", (remote(CONTENT, server.address("moved")),))
        tiny = Attempt(server, tmp_path, download)
        tiny.part.write_bytes(CONTENT[:1000])
        tiny.download_files()
        assert tiny.path.read_bytes() == CONTENT and server.files["whole"].ranges == ["bytes=1000-"]
        assert looked_at == [server.address("moved")]
