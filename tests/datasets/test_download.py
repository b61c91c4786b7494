"""A download promises: whole files by their checksum or none, and going on where it stopped."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from siamese_core.datasets.download import megabytes
from tests.support.dataset_server import CONTENT, NAME, Served, attempt


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


# What arrives


def test_a_whole_file_arrives_under_its_name_with_all_its_bytes(tmp_path: Path) -> None:
    with attempt(tmp_path, Served(CONTENT)) as tiny:
        tiny.download_files()
        assert tiny.path.read_bytes() == CONTENT
        assert [path.name for path in tiny.folder.iterdir()] == [NAME]


def test_an_md5_is_a_checksum_too(tmp_path: Path) -> None:
    with attempt(tmp_path, Served(CONTENT), checksum=f"md5:{hashlib.md5(CONTENT).hexdigest()}") as tiny:
        tiny.download_files()
        assert tiny.path.read_bytes() == CONTENT


def test_progress_grows_from_nothing_to_all_bytes_of_all_files(tmp_path: Path) -> None:
    with attempt(tmp_path, Served(CONTENT)) as tiny:
        second = replace(tiny.download.files[0], name="labels.bin")
        tiny.download = replace(tiny.download, files=(*tiny.download.files, second))
        tiny.download_files()
    done = [done for done, _ in tiny.progress]
    assert {total for _, total in tiny.progress} == {512_000}
    assert done == sorted(done) and done[0] == 0 and done[-1] == 512_000
    assert 256_000 in done and len(set(done)) > 4


def test_a_file_of_unpublished_size_arrives_by_its_checksum(tmp_path: Path) -> None:
    for size in (200_000, 300_000):
        with attempt(tmp_path / str(size), Served(CONTENT), size_bytes=size, approximate=True) as tiny:
            tiny.download_files()
            assert tiny.path.read_bytes() == CONTENT
            assert tiny.progress[-1] == (size, size) and all(done <= size for done, _ in tiny.progress)


def test_a_server_that_tells_no_length_is_read_to_its_end(tmp_path: Path) -> None:
    with attempt(tmp_path, Served(CONTENT, tells_length=False)) as tiny:
        tiny.download_files()
        assert tiny.path.read_bytes() == CONTENT


def test_a_file_that_is_there_and_whole_is_not_asked_for(tmp_path: Path) -> None:
    with attempt(tmp_path, Served(CONTENT)) as tiny:
        tiny.folder.mkdir()
        tiny.path.write_bytes(CONTENT)
        tiny.download_files()
        assert tiny.server.files["mirror0"].ranges == []
        assert tiny.progress[-1] == (256_000, 256_000)


def test_a_damaged_file_that_is_there_is_replaced(tmp_path: Path) -> None:
    with attempt(tmp_path, Served(CONTENT)) as tiny:
        tiny.folder.mkdir()
        tiny.path.write_bytes(CONTENT[:-1] + b"x")
        tiny.download_files()
        assert tiny.path.read_bytes() == CONTENT


# Going on where it stopped


def test_the_rest_of_a_part_is_asked_for_and_appended(tmp_path: Path) -> None:
    with attempt(tmp_path, Served(CONTENT)) as tiny:
        tiny.folder.mkdir()
        tiny.part.write_bytes(CONTENT[:1000])
        tiny.download_files()
        assert tiny.path.read_bytes() == CONTENT and not tiny.part.exists()
        assert tiny.server.files["mirror0"].ranges == ["bytes=1000-"]
        assert tiny.progress[1][0] > 1000


def test_a_server_without_ranges_sends_it_all_again(tmp_path: Path) -> None:
    with attempt(tmp_path, Served(CONTENT, knows_range=False)) as tiny:
        tiny.folder.mkdir()
        tiny.part.write_bytes(b"y" * 1000)
        tiny.download_files()
        assert tiny.path.read_bytes() == CONTENT


def test_a_complete_part_is_only_checked_and_renamed(tmp_path: Path) -> None:
    with attempt(tmp_path, Served(CONTENT)) as tiny:
        tiny.folder.mkdir()
        tiny.part.write_bytes(CONTENT)
        tiny.download_files()
        assert tiny.path.read_bytes() == CONTENT and tiny.server.files["mirror0"].ranges == []


@pytest.mark.parametrize(
    ("lies", "changes", "asked"),
    [
        # Longer than the file may be: not even asked for.
        pytest.param(600_000, {}, [None], id="longer than the record"),
        # As long as a rough size allows, longer than the server's file: status 416, then all of it.
        pytest.param(300_000, {"approximate": True}, ["bytes=300000-", None], id="longer than the file"),
    ],
)
def test_a_part_that_is_no_beginning_of_the_file_is_written_anew(
    tmp_path: Path, lies: int, changes: dict[str, Any], asked: list[str | None]
) -> None:
    with attempt(tmp_path, Served(CONTENT), **changes) as tiny:
        tiny.folder.mkdir()
        tiny.part.write_bytes(bytes(lies))
        tiny.download_files()
        assert tiny.path.read_bytes() == CONTENT and tiny.server.files["mirror0"].ranges == asked


def test_another_part_than_asked_for_is_not_appended(tmp_path: Path) -> None:
    with attempt(tmp_path, Served(CONTENT, lies_about_range=True)) as tiny:
        tiny.folder.mkdir()
        tiny.part.write_bytes(CONTENT[:1000])
        assert "127.0.0.1 sent another part of images.bin than asked for" in tiny.failure()
        assert not tiny.part.exists()
        tiny.download_files()
        assert tiny.path.read_bytes() == CONTENT


def test_the_second_mirror_goes_on_where_the_first_broke_off(tmp_path: Path) -> None:
    with attempt(tmp_path, Served(CONTENT, sends=100_000), Served(CONTENT)) as tiny:
        tiny.download_files()
        assert tiny.path.read_bytes() == CONTENT
        assert tiny.server.files["mirror1"].ranges == ["bytes=100000-"]


def test_the_second_mirror_is_not_asked_when_the_first_delivers(tmp_path: Path) -> None:
    with attempt(tmp_path, Served(CONTENT), Served(CONTENT)) as tiny:
        tiny.download_files()
        assert tiny.server.files["mirror1"].ranges == []


def test_cancelling_keeps_a_part_that_the_next_press_goes_on_from(tmp_path: Path) -> None:
    with attempt(tmp_path, Served(CONTENT)) as tiny:
        message = tiny.failure(cancelled=lambda: bool(tiny.progress and tiny.progress[-1][0] > 0))
        assert "because you cancelled it: press Download and it goes on where it stopped" in message
        got = tiny.part.read_bytes()
        assert 0 < len(got) < len(CONTENT) and CONTENT.startswith(got)
        tiny.download_files()
        assert tiny.path.read_bytes() == CONTENT
        assert tiny.server.files["mirror0"].ranges == [None, f"bytes={len(got)}-"]


def test_what_is_cancelled_before_it_begins_asks_nobody(tmp_path: Path) -> None:
    with attempt(tmp_path, Served(CONTENT)) as tiny:
        assert "you cancelled it" in tiny.failure(cancelled=lambda: True)
        assert tiny.server.files["mirror0"].ranges == []


# Words


@pytest.mark.parametrize(
    ("size", "words"), [(561_753_746, "562 MB"), (1_234_567_890, "1,235 MB"), (9_464_212, "9 MB"), (28_881, "0.03 MB")]
)
def test_sizes_are_shown_in_megabytes(size: int, words: str) -> None:
    assert megabytes(size) == words


def test_a_trickle_is_seen_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read that waited for a full piece would hide a trickle from the clock and from a cancel."""
    monkeypatch.setattr(HTTPResponse, "read", lambda *_: pytest.fail("read waits for all that it was asked for"))
    with attempt(tmp_path, Served(CONTENT)) as tiny:
        tiny.download_files()
        assert tiny.path.read_bytes() == CONTENT
