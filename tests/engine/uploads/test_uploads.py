"""Uploads: what is read out of zips and folders, what goes wrong, and cancelling."""

from __future__ import annotations

import errno
import io
import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
import pytest

from siamese_core.datasets import find_uploaded
from siamese_core.datasets.uploaded import RAW_SIDE
from siamese_core.engine.uploads.decoder_client import IN_FLIGHT
from siamese_core.engine.uploads.uploads import Uploads
from siamese_core.formats import archives
from siamese_core.formats.zip_format import Entry
from tests.support.hostile_images import animated_png
from tests.support.hostile_zips import CASES
from tests.support.uploads import (
    ANN,
    Clock,
    a_zip,
    clear,
    dot,
    files,
    held,
    names,
    prepared,
    read,
    server,
    until_nobody_reads,
    until_read,
)  # fmt: skip
from tests.support.waiting import PATIENCE, until
from tests.support.zip_maker import File


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def gone() -> list[str]:
    return []


@pytest.fixture(scope="module")
def shared(clock: Clock, gone: list[str]) -> Iterator[Uploads]:
    with server(gone, clock) as uploads:
        yield uploads


@pytest.fixture
def uploads(shared: Uploads, clock: Clock, gone: list[str]) -> Iterator[Uploads]:
    yield shared
    clear(shared, gone, clock)


def test_a_zip_of_class_folders_is_ready_with_its_images_and_classes(uploads: Uploads) -> None:
    uploads.read_zip(ANN, a_zip(Ben=2, Anna=3))
    upload = until_read(uploads)
    assert (upload.status, upload.done, upload.total, upload.message) == ("ready", 5, 5, "")
    assert (upload.skipped, upload.refused, upload.first_frames) == ({}, {}, 0)
    assert upload.images is not None
    assert upload.images.classes == ("Anna", "Ben")
    assert upload.images.pixels.shape == (5, 3, RAW_SIDE, RAW_SIDE)
    assert upload.images.pixels.dtype == np.uint8 and upload.images.labels.dtype == np.int64
    assert dict(zip(names(upload.images.pixels), upload.images.labels.tolist(), strict=True)) == {
        0: 1, 1: 1, 2: 0, 3: 0, 4: 0,
    }  # fmt: skip


def test_classes_are_in_the_order_in_which_people_count(uploads: Uploads) -> None:
    folders = ("person 10", "person 2", "Person 1", "anna", "person 2b", "person")
    images = read(uploads, **dict.fromkeys(folders, 2))
    assert images.classes == ("anna", "person", "Person 1", "person 2", "person 2b", "person 10")
    assert [images.classes[label] for label in images.labels] == [name for name in folders for _ in range(2)]


def test_what_is_no_image_is_counted_by_its_reason_and_the_others_are_read(uploads: Uploads) -> None:
    file = a_zip(
        File("Anna/.DS_Store"), File("__MACOSX/Anna/1.png"), File("Anna/notes.txt"), File("1.png", dot(9)),
        File("Anna/a.png", b"<html></html>"), File("Anna/b.png", b"no picture"), File("Eva/c.png", b""),
        File("Ben/moving.gif", animated_png(3)), Anna=2, Ben=2,
    )  # fmt: skip
    uploads.read_zip(ANN, file)
    upload = until_read(uploads)
    assert upload.status == "ready" and upload.images is not None
    assert upload.skipped == {"hidden": 2, "ending": 1, "no_folder": 1}
    assert upload.refused == {"not_an_image": 2, "empty": 1}
    assert upload.first_frames == 1
    assert (upload.done, upload.total) == (8, 8), "pictures and what claimed to be one"
    assert names(upload.images.pixels) == [0, 1, 2, 3, 7]
    assert upload.images.classes == ("Anna", "Ben"), "Eva has no picture"


def test_too_few_images_are_a_failure_with_its_counts(uploads: Uploads) -> None:
    uploads.read_zip(ANN, a_zip(File("Ben/a.png", b"no picture"), Anna=2, Ben=1))
    upload = until_read(uploads)
    assert (upload.status, upload.images, upload.refused) == ("failed", None, {"not_an_image": 1})
    assert upload.message.startswith("Pairs need at least 2 classes with 2 pictures each, and here are 1:")
    assert files(uploads) == []


def test_the_only_image_of_a_class_is_left_out_and_counted(uploads: Uploads) -> None:
    uploads.read_zip(ANN, a_zip(Ann=2, Ben=1, Cid=2))
    upload = until_read(uploads)
    assert (upload.status, upload.alone) == ("ready", 1)
    assert upload.images is not None
    assert upload.images.classes == ("Ann", "Cid")
    assert names(upload.images.pixels) == [0, 1, 3, 4]


def test_a_zip_without_any_image_is_a_failure(uploads: Uploads) -> None:
    uploads.read_zip(ANN, a_zip(File("readme.txt")))
    upload = until_read(uploads)
    assert (upload.status, upload.total, upload.skipped) == ("failed", 0, {"ending": 1})
    assert upload.message.startswith("Pairs need at least 2 classes with 2 pictures each, and here are 0:")


@pytest.mark.parametrize(
    "name", ["flat bomb", "text", "cut by a byte", "all encrypted", "two names for the same bytes"]
)
def test_a_hostile_zip_fails_with_its_message_and_the_next_upload_works(uploads: Uploads, name: str) -> None:
    case = CASES[name]
    assert case.reason is not None
    uploads.read_zip(ANN, io.BytesIO(case.make()))
    upload = until_read(uploads)
    assert (upload.status, upload.message) == ("failed", archives.REASONS[case.reason])
    assert upload.images is None and files(uploads) == []
    assert len(read(uploads).labels) == 4


def test_a_folder_of_the_server_is_read_like_a_zip(uploads: Uploads, tmp_path: Path) -> None:
    for place, path in enumerate(("faces/Ben/1.png", "faces/Ben/2.png", "faces/Anna/1.png", "faces/Anna/2.png")):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(dot(place))
    (tmp_path / "faces" / "notes.txt").write_bytes(b"")
    uploads.read_folder(ANN, tmp_path, "faces")
    upload = until_read(uploads)
    assert upload.status == "ready" and upload.images is not None
    assert (upload.done, upload.total, upload.skipped) == (4, 0, {"ending": 1}), "nobody knew how many"
    assert upload.images.classes == ("Anna", "Ben")
    assert dict(zip(names(upload.images.pixels), upload.images.labels.tolist(), strict=True)) == {
        0: 1, 1: 1, 2: 0, 3: 0,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["elsewhere", "..", "../secret", "/etc", ""])
def test_a_folder_that_is_not_in_the_list_is_refused(uploads: Uploads, tmp_path: Path, name: str) -> None:
    (tmp_path / "root" / "faces").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    uploads.read_folder(ANN, tmp_path / "root", name)
    upload = until_read(uploads)
    assert (upload.status, upload.message) == ("failed", archives.REASONS["folder"])


def test_nothing_was_read_at_first(uploads: Uploads) -> None:
    assert uploads.poll(ANN) is None
    assert uploads.sets(ANN) == uploads.sets(ANN, deleted=True) == {}


# What goes wrong


def test_a_full_disk_while_reading_is_one_message(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    really_open = Path.open

    class FullDisk(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def on_a_full_disk(path: Path, *how: Any) -> IO[Any]:
        opened = really_open(path, *how)
        if path.suffix != ".raw":
            return opened
        opened.close()
        return FullDisk()

    with monkeypatch.context() as full:
        full.setattr(Path, "open", on_a_full_disk)
        uploads.read_zip(ANN, a_zip(Anna=2, Ben=2))
        upload = until_read(uploads)
    assert (upload.status, upload.images, files(uploads)) == ("failed", None, [])
    assert upload.message == (
        "The server has no room for these pictures (No space left on device). Try fewer or wait until others are done."
    )
    assert len(read(uploads).labels) == 4


def test_a_full_disk_while_preparing_keeps_no_set(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    read(uploads)

    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            prepared(uploads)
    assert uploads.sets(ANN) == {}
    assert find_uploaded(prepared(uploads))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_of_ours_ends_the_reading_with_a_message(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Iterator[archives.LabelledImage]:
        yield archives.LabelledImage("Anna", dot(0))
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(archives, "zip_images", broken)
        uploads.read_zip(ANN, a_zip(Anna=2, Ben=2))
        upload = until_read(uploads)
        until_nobody_reads()
    assert (upload.status, files(uploads)) == ("failed", [])
    assert upload.message == (
        "Reading stopped by an error of ours (ZeroDivisionError). Upload the pictures again."
    )  # fmt: skip
    assert len(read(uploads).labels) == 4


def test_the_directory_of_a_zip_is_read_once(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    lists: list[int] = []
    members = archives.members

    def counted(file: BinaryIO, skipped: Counter[str]) -> list[tuple[Entry, int]]:
        lists.append(len(found := members(file, skipped)))
        return found

    monkeypatch.setattr(archives, "members", counted)
    read(uploads, Anna=2, Ben=3)
    assert lists == [5]


# Cancelling, and the next upload


def test_a_cancelled_upload_leaves_no_file(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    with held(monkeypatch, after=IN_FLIGHT + 2):
        uploads.read_zip(ANN, a_zip(Anna=10, Ben=10))
        upload = until(lambda: (r := uploads.poll(ANN)) is not None and r.done == 3 and r, "three pictures")
        assert (upload.status, upload.total, upload.images) == ("reading", 20, None)
        assert files(uploads) == [f"{upload.id}.raw"]
        uploads.cancel(ANN)
        assert uploads.poll(ANN) is None and files(uploads) == []
    assert uploads.poll(ANN) is None and files(uploads) == [], "nor does it when its reader ends"


def test_an_upload_cancelled_before_its_first_image_leaves_no_file(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed, members = threading.Event(), archives.members

    def late(file: BinaryIO, skipped: Counter[str]) -> list[tuple[Entry, int]]:
        assert listed.wait(PATIENCE)
        return members(file, skipped)

    with monkeypatch.context() as patch:
        patch.setattr(archives, "members", late)
        uploads.read_zip(ANN, a_zip(Anna=2, Ben=2))
        uploads.cancel(ANN)
        listed.set()
        until_nobody_reads()
    assert uploads.poll(ANN) is None and files(uploads) == []


def test_cancelling_lets_go_of_what_was_read_and_keeps_what_was_prepared(uploads: Uploads) -> None:
    read(uploads)
    key = prepared(uploads)
    uploads.cancel(ANN)
    assert uploads.poll(ANN) is None
    assert files(uploads) == [f"{key}.images"] and list(uploads.sets(ANN)) == [key]
    uploads.cancel(ANN)


def test_a_second_upload_replaces_the_first(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    first = read(uploads, Anna=2, Ben=2)
    before = uploads.poll(ANN)
    second = read(uploads, Cleo=3, Dora=3)
    after = uploads.poll(ANN)
    assert before is not None and after is not None and before.id != after.id
    assert (first.classes, second.classes) == (("Anna", "Ben"), ("Cleo", "Dora"))
    assert files(uploads) == [f"{after.id}.raw"]


def test_a_second_upload_replaces_one_that_is_still_read(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    with held(monkeypatch, after=4):
        uploads.read_zip(ANN, a_zip(Anna=3, Ben=3))
        assert read(uploads, Cleo=2, Dora=2).classes == ("Cleo", "Dora")
    upload = uploads.poll(ANN)
    assert upload is not None and upload.images is not None
    assert (upload.status, upload.done, upload.images.classes) == ("ready", 4, ("Cleo", "Dora"))
    assert files(uploads) == [f"{upload.id}.raw"]


def test_a_file_that_goes_while_the_room_is_measured_is_no_full_disk(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a second upload replaces one whose reading has just noticed."""
    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda folder: [*listed(folder), folder / "gone.raw"])
    assert read(uploads, Anna=2, Ben=2).classes == ("Anna", "Ben")
