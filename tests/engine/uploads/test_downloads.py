"""Published sets downloaded in the background: how far each is, who may cancel it, and never two of one at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from siamese_core.datasets.download import Download, DownloadFailed
from siamese_core.engine.uploads import downloads as module
from siamese_core.engine.uploads.downloads import DownloadProgress, Downloads
from tests.support.dataset_server import CONTENT, NAME, DatasetServer, Served, dataset_server, remote
from tests.support.waiting import PATIENCE, until

ANN, BEN = "ann" * 8, "ben" * 8


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("SIAMESE_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture
def server() -> Iterator[DatasetServer]:
    """One set is there, of one there is a part, and one is not there."""
    files = {"whole": Served(CONTENT), "part": Served(CONTENT, sends=1000, then="stall")}
    with dataset_server(files) as server:
        yield server
    until(lambda: not any(thread.name.startswith("get ") for thread in threading.enumerate()), "the downloads to end")


@pytest.fixture
def downloads(server: DatasetServer, monkeypatch: pytest.MonkeyPatch) -> Downloads:
    published = {
        key: Download(key, key.capitalize(), "digits", (remote(CONTENT, server.address(key)),))
        for key in ("whole", "part", "absent")
    }
    monkeypatch.setattr(module, "DOWNLOADS", published)
    return Downloads()


def until_ended(downloads: Downloads, key: str) -> DownloadProgress:
    return until(lambda: (p := downloads.poll(key)) and p.status != "downloading" and p, f"the end of {key}")


def until_thousand(downloads: Downloads) -> DownloadProgress:
    return until(lambda: (f := downloads.poll("part")) is not None and f.done == 1000 and f, "1000 bytes")


def test_nobody_has_asked_for_anything_at_first(downloads: Downloads) -> None:
    assert downloads.poll("whole") is None and not downloads.is_busy()
    downloads.cancel(ANN, "whole")
    assert downloads.poll("whole") is None


def test_a_set_that_is_downloaded_lies_in_its_folder(downloads: Downloads, cache: Path) -> None:
    downloads.start(ANN, "whole")
    assert until_ended(downloads, "whole") == DownloadProgress(ANN, "done", len(CONTENT), len(CONTENT), "")
    assert (cache / "whole" / NAME).read_bytes() == CONTENT
    assert not downloads.is_busy()


def test_what_is_downloading_says_how_far_it_is(downloads: Downloads) -> None:
    downloads.start(ANN, "part")
    assert until_thousand(downloads) == DownloadProgress(ANN, "downloading", 1000, len(CONTENT), "")
    assert downloads.is_busy()
    downloads.cancel(ANN, "part")


def test_the_size_is_known_from_the_first_moment(downloads: Downloads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "download_files", lambda *_: None)
    monkeypatch.setattr(threading.Thread, "start", lambda thread: None)
    downloads.start(ANN, "whole")
    assert downloads.poll("whole") == DownloadProgress(ANN, "downloading", 0, len(CONTENT), "")


def test_a_failure_is_its_message_and_can_be_tried_again(downloads: Downloads, server: DatasetServer) -> None:
    downloads.start(ANN, "absent")
    failed = until_ended(downloads, "absent")
    assert (failed.owner, failed.status) == (ANN, "failed")
    assert failed.message == (
        "Absent: not downloaded, because 127.0.0.1 answered with status 404 (Not Found): try again later; "
        "until then there is the bundled digits."
    )
    server.files["absent"] = Served(CONTENT)
    downloads.start(BEN, "absent")
    assert until_ended(downloads, "absent") == DownloadProgress(BEN, "done", len(CONTENT), len(CONTENT), "")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_of_ours_is_a_message_too(downloads: Downloads, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(module, "download_files", broken)
    downloads.start(ANN, "whole")
    failed = until_ended(downloads, "whole")
    assert failed.status == "failed"
    assert failed.message == "The download stopped by an error of ours (ZeroDivisionError). Press Download again."
    monkeypatch.undo()


def test_only_who_began_it_cancels_it(downloads: Downloads) -> None:
    downloads.start(ANN, "part")
    until_thousand(downloads)
    downloads.cancel(BEN, "part")
    assert downloads.poll("part") == DownloadProgress(ANN, "downloading", 1000, len(CONTENT), "")
    downloads.cancel(ANN, "part")
    cancelled = downloads.poll("part")
    assert cancelled is not None and cancelled.status == "cancelled" and not downloads.is_busy()


def test_cancelling_keeps_what_came_and_the_next_goes_on_there(
    server: DatasetServer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dataset_server({"part": Served(CONTENT, sends=1000, then="stall")}) as silent:
        file = remote(CONTENT, silent.address("part"), server.address("whole"))
        monkeypatch.setattr(module, "DOWNLOADS", {"part": Download("part", "Part", "digits", (file,))})
        downloads = Downloads()
        downloads.start(ANN, "part")
        until_thousand(downloads)
        downloads.cancel(ANN, "part")
    downloads.start(BEN, "part")
    assert until_ended(downloads, "part") == DownloadProgress(BEN, "done", len(CONTENT), len(CONTENT), "")
    assert (cache / "part" / NAME).read_bytes() == CONTENT
    assert server.files["whole"].ranges[0] == "bytes=1000-", "nothing that is here was asked for again"
    assert None not in server.files["whole"].ranges


def test_what_is_done_is_not_cancelled(downloads: Downloads) -> None:
    downloads.start(ANN, "whole")
    done = until_ended(downloads, "whole")
    downloads.cancel(ANN, "whole")
    assert downloads.poll("whole") == done


def test_a_set_is_downloaded_once_whoever_asks_for_it(downloads: Downloads, server: DatasetServer) -> None:
    downloads.start(ANN, "part")
    until_thousand(downloads)
    downloads.start(BEN, "part")
    downloads.start(ANN, "part")
    assert downloads.poll("part") == DownloadProgress(ANN, "downloading", 1000, len(CONTENT), "")
    assert server.files["part"].ranges == [None]
    downloads.cancel(ANN, "part")


def test_two_sets_are_downloaded_at_the_same_time(downloads: Downloads) -> None:
    downloads.start(ANN, "part")
    until_thousand(downloads)
    downloads.start(BEN, "whole")
    assert until_ended(downloads, "whole").status == "done"
    assert downloads.poll("part") == DownloadProgress(ANN, "downloading", 1000, len(CONTENT), "")
    downloads.cancel(ANN, "part")


def test_a_cancelled_download_ends_before_the_next_of_its_set_begins(
    downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first waits for a silent server; what it does when it wakes changes nothing of the second."""
    began = [threading.Event(), threading.Event()]
    woken = threading.Event()
    happened: list[str] = []
    turns = iter(range(2))

    def download_files(
        download: Download, folder: Path, progress: Callable[[int, int], None], cancelled: Callable[[], bool]
    ) -> None:
        turn = next(turns)
        happened.append(f"{turn} begins")
        began[turn].set()
        if turn == 0:
            assert woken.wait(PATIENCE)
            progress(999, 1000)
            happened.append(f"0 ends, cancelled: {cancelled()}")
            raise DownloadFailed("you cancelled it")
        happened.append(f"1 ends, cancelled: {cancelled()}")
        progress(5, 5)

    monkeypatch.setattr(module, "download_files", download_files)
    downloads.start(ANN, "whole")
    assert began[0].wait(PATIENCE)
    downloads.cancel(ANN, "whole")
    downloads.start(BEN, "whole")
    # As long as it would take to begin; it must not.
    began[1].wait(0.2)
    assert downloads.poll("whole") == DownloadProgress(BEN, "downloading", 0, len(CONTENT), "")
    woken.set()
    assert until_ended(downloads, "whole") == DownloadProgress(BEN, "done", 5, 5, "")
    assert happened == ["0 begins", "0 ends, cancelled: True", "1 begins", "1 ends, cancelled: False"]
    monkeypatch.undo()
