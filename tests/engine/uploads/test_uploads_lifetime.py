"""Uploaded images: whose they are, how long they are stored, where they lie, and that they go."""

from __future__ import annotations

import os
import re
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from siamese_core.datasets import DatasetMissing, find_uploaded, uploaded
from siamese_core.datasets.uploaded import uploaded_dataset
from siamese_core.engine.uploads import uploads as module
from siamese_core.engine.uploads.decoder_client import IN_FLIGHT
from siamese_core.engine.uploads.uploads import DEAD_AFTER, FOLDER_PREFIX, MAX_SETS, Uploads
from tests.support.engines import ANN, BEN, Clock
from tests.support.uploads import a_zip, clear, files, held, names, prepared, read, server, until_read
from tests.support.waiting import until

HALF_AN_HOUR = 1800.0
HALF_A_MINUTE = 30.0


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


def test_a_prepared_set_is_a_dataset(uploads: Uploads) -> None:
    read(uploads, Anna=4, Ben=2)
    key = uploads.prepare(ANN, 32, True, 25, "My pictures")
    dataset = uploaded_dataset(key)
    assert (dataset.title, dataset.classes, dataset.shape) == ("My pictures", ("Anna", "Ben"), (3, 32, 32))
    assert np.bincount(dataset.load().test_labels).tolist() == [1, 1], "a quarter of four, and one at least of two"
    assert np.bincount(dataset.load().train_labels).tolist() == [3, 1]
    assert uploads.sets(ANN) == {key: "My pictures"}


def test_two_owners_never_see_each_others_images(uploads: Uploads) -> None:
    read(uploads)
    key = prepared(uploads)
    assert uploads.poll(BEN) is None
    assert uploads.sets(BEN) == {} and not uploads.use(BEN, key)
    uploads.cancel(BEN)
    uploads.delete(BEN, key)
    assert uploads.sets(ANN) == {key: "t"} and uploads.use(ANN, key) and uploads.poll(ANN) is not None
    uploads.delete(ANN, key)
    uploads.restore(BEN, key)
    assert uploads.sets(ANN) == {} and uploads.sets(BEN, deleted=True) == {}
    assert uploads.sets(ANN, deleted=True) == {key: "t"}


def test_two_owners_read_at_the_same_time(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    with held(monkeypatch, after=IN_FLIGHT + 2):
        uploads.read_zip(ANN, a_zip(Anna=10, Ben=10))
        until(lambda: (r := uploads.poll(ANN)) is not None and r.done == 3, "three pictures")
        assert read(uploads, BEN, Cleo=2, Dora=2).classes == ("Cleo", "Dora")
        upload = uploads.poll(ANN)
        assert upload is not None and (upload.status, upload.done) == ("reading", 3)
    upload = until_read(uploads)
    assert upload.images is not None and names(upload.images.pixels) == list(range(20))


def test_the_same_images_of_two_owners_are_one_set_until_the_last_deletes_it(
    uploads: Uploads, clock: Clock, gone: list[str]
) -> None:
    read(uploads, ANN)
    read(uploads, BEN)
    key = prepared(uploads, ANN)
    assert prepared(uploads, BEN) == key
    uploads.delete(ANN, key)
    clock.now += HALF_A_MINUTE + 1
    uploads.sweep_expired()
    assert uploads.sets(ANN) == {} and not uploads.use(ANN, key)
    assert uploads.use(BEN, key) and find_uploaded(key) and gone == []
    uploads.delete(BEN, key)
    clock.now += HALF_A_MINUTE + 1
    uploads.sweep_expired()
    assert gone == [key] and not find_uploaded(key)


def test_a_set_stays_if_another_owner_prepares_it_while_it_is_deleted(
    uploads: Uploads, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(uploads, ANN)
    read(uploads, BEN)
    key = prepared(uploads, ANN)
    uploads.delete(ANN, key)
    clock.now += HALF_A_MINUTE + 1
    deleting = threading.Thread(target=uploads.sweep_expired)

    def save(*given: Any) -> str:
        written = real_save(*given)
        if not deleting.ident:
            deleting.start()
            deleting.join()
        return written

    real_save = uploaded.save
    with monkeypatch.context() as patch:
        patch.setattr(uploaded, "save", save)
        assert prepared(uploads, BEN) == key
    assert uploads.use(BEN, key) and find_uploaded(key)
    assert uploads.sets(ANN, deleted=True) == {}


# How long they are stored


def test_a_set_goes_after_half_an_hour_without_use(uploads: Uploads, clock: Clock, gone: list[str]) -> None:
    read(uploads)
    key = prepared(uploads)
    clock.now += HALF_AN_HOUR
    uploads.sweep_expired()
    assert uploads.sets(ANN) == {key: "t"} and find_uploaded(key) and gone == []
    clock.now += 1
    uploads.sweep_expired()
    assert uploads.sets(ANN) == {} and not uploads.use(ANN, key)
    assert gone == [key] and files(uploads) == []
    with pytest.raises(DatasetMissing, match="Upload them again"):
        uploaded_dataset(key)


def test_using_a_set_renews_its_half_hour(uploads: Uploads, clock: Clock, gone: list[str]) -> None:
    read(uploads)
    used, unused = prepared(uploads, title="used"), prepared(uploads, title="unused")
    clock.now += HALF_AN_HOUR - 1
    assert uploads.use(ANN, used)
    clock.now += 2
    uploads.sweep_expired()
    assert list(uploads.sets(ANN)) == [used] and gone == [unused]
    clock.now += HALF_AN_HOUR - 2
    uploads.sweep_expired()
    assert list(uploads.sets(ANN)) == [used]
    clock.now += 1
    uploads.sweep_expired()
    assert gone == [unused, used]


def test_looking_at_what_was_read_renews_its_half_hour(uploads: Uploads, clock: Clock) -> None:
    read(uploads)
    clock.now += HALF_AN_HOUR
    assert uploads.poll(ANN) is not None
    clock.now += HALF_AN_HOUR
    uploads.sweep_expired()
    assert len(files(uploads)) == 1
    clock.now += 1
    uploads.sweep_expired()
    assert files(uploads) == [] and uploads.poll(ANN) is None


def test_a_deleted_set_can_be_had_back_for_half_a_minute(uploads: Uploads, clock: Clock, gone: list[str]) -> None:
    read(uploads)
    key = prepared(uploads)
    uploads.delete(ANN, key)
    assert uploads.sets(ANN) == {} and uploads.sets(ANN, deleted=True) == {key: "t"}
    assert not uploads.use(ANN, key), "what is deleted is not used"
    clock.now += HALF_A_MINUTE
    uploads.sweep_expired()
    uploads.restore(ANN, key)
    assert uploads.sets(ANN) == {key: "t"} and uploads.sets(ANN, deleted=True) == {}
    clock.now += HALF_AN_HOUR
    uploads.sweep_expired()
    assert uploads.use(ANN, key) and gone == [], "having it back is a use"


def test_a_deleted_set_is_gone_after_half_a_minute(uploads: Uploads, clock: Clock, gone: list[str]) -> None:
    read(uploads)
    key, other = prepared(uploads), prepared(uploads, title="other")
    uploads.delete(ANN, key)
    clock.now += HALF_A_MINUTE + 1
    uploads.sweep_expired()
    assert gone == [key] and not find_uploaded(key)
    uploads.restore(ANN, key)
    assert uploads.sets(ANN) == {other: "other"} and uploads.sets(ANN, deleted=True) == {}


def test_a_deleted_set_that_is_prepared_again_stays(uploads: Uploads, clock: Clock, gone: list[str]) -> None:
    read(uploads)
    key = prepared(uploads)
    uploads.delete(ANN, key)
    assert prepared(uploads) == key
    clock.now += HALF_A_MINUTE + 1
    uploads.sweep_expired()
    assert uploads.sets(ANN) == {key: "t"} and find_uploaded(key) and gone == []


def test_an_owner_has_four_sets_and_the_oldest_makes_room(uploads: Uploads, gone: list[str]) -> None:
    assert MAX_SETS == 4
    read(uploads, ANN)
    read(uploads, BEN)
    others = prepared(uploads, BEN, title="of Ben")
    keys = [prepared(uploads, title=str(n)) for n in range(4)]
    assert list(uploads.sets(ANN)) == keys
    prepared(uploads, title="0")
    assert list(uploads.sets(ANN)) == [*keys[1:], keys[0]] and gone == [], "prepared again, it is the newest"
    fifth = prepared(uploads, title="4")
    assert list(uploads.sets(ANN)) == [keys[2], keys[3], keys[0], fifth]
    assert gone == [keys[1]] and not find_uploaded(keys[1])
    assert list(uploads.sets(BEN)) == [others]


def test_a_deleted_set_makes_room_before_the_oldest(uploads: Uploads, gone: list[str]) -> None:
    read(uploads)
    keys = [prepared(uploads, title=str(n)) for n in range(4)]
    uploads.delete(ANN, keys[2])
    fifth = prepared(uploads, title="4")
    assert list(uploads.sets(ANN)) == [keys[0], keys[1], keys[3], fifth]
    assert gone == [keys[2]] and uploads.sets(ANN, deleted=True) == {}


# Where they lie


@pytest.fixture
def new(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., Uploads]]:
    """Servers that read nothing, in a folder for temporary files of their own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv(uploaded.FOLDER, "")
    made: list[Uploads] = []

    def make(*given: Any) -> Uploads:
        made.append(Uploads(*given or (lambda key: None,)))
        return made[-1]

    yield make
    for each in made:
        each.close()


def folder_of(root: Path, name: str, hours_ago: float) -> Path:
    folder = root / name
    folder.mkdir()
    (folder / "some.images").write_bytes(b"pictures")
    then = folder.stat().st_mtime - hours_ago * 3600
    os.utime(folder, (then, then))
    return folder


def test_everything_lies_in_a_private_folder_under_the_servers_names(uploads: Uploads) -> None:
    images = read(uploads, **{"train/Anna": 2, "<b>|?*": 2})
    assert images.classes == ("<b>|?*", "Anna")
    key = uploads.prepare(ANN, 28, False, 50, "../../title")
    (raw, images_file) = sorted(files(uploads), key=lambda name: name.endswith(".images"))
    assert re.fullmatch(r"[0-9a-f]{24}\.raw", raw) and images_file == f"{key}.images"
    assert uploaded_dataset(key).title == "../../title"


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such modes")
def test_the_folder_is_its_owners_alone(uploads: Uploads) -> None:
    assert stat.S_IMODE(uploads.folder.stat().st_mode) == 0o700
    assert uploads.folder.name.startswith(FOLDER_PREFIX)


def test_a_new_folder_is_named_to_the_children(new: Callable[..., Uploads], tmp_path: Path) -> None:
    first, second = new(), new()
    assert first.folder != second.folder
    assert first.folder.parent == second.folder.parent == tmp_path
    assert os.environ[uploaded.FOLDER] == str(second.folder)


def test_nothing_is_left_when_the_server_closes(new: Callable[..., Uploads]) -> None:
    uploads = new()
    (uploads.folder / "some.raw").write_bytes(b"pictures")
    uploads.close()
    assert not uploads.folder.exists()


def test_closing_in_the_middle_of_an_upload_leaves_neither_file_nor_process(
    new: Callable[..., Uploads], monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = new()
    with held(monkeypatch, after=IN_FLIGHT + 2):
        uploads.read_zip(ANN, a_zip(Anna=10, Ben=10))
        until(lambda: (r := uploads.poll(ANN)) is not None and r.done == 3, "three pictures")
        uploads.close()
        assert not uploads.folder.exists() and uploads._decoder.child is None
    assert not uploads.folder.exists() and uploads.poll(ANN) is None
    assert uploads._decoder.child is None, "nor does its reader begin another one"


def test_what_dead_servers_left_behind_goes_and_nothing_else(new: Callable[..., Uploads], tmp_path: Path) -> None:
    assert DEAD_AFTER == 3600
    dead = folder_of(tmp_path, f"{FOLDER_PREFIX}dead", hours_ago=1.1)
    live = folder_of(tmp_path, f"{FOLDER_PREFIX}live", hours_ago=0.9)
    others = folder_of(tmp_path, "siamese", hours_ago=99)
    target = folder_of(tmp_path, "target", hours_ago=99)
    (tmp_path / f"{FOLDER_PREFIX}link").symlink_to(target, target_is_directory=True)
    new()
    assert not dead.exists()
    assert all((folder / "some.images").exists() for folder in (live, others, target))


def test_a_live_server_touches_its_folder(new: Callable[..., Uploads], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SWEEP_EVERY", 0.01)
    uploads = new()
    os.utime(uploads.folder, (0, 0))
    until(lambda: uploads.folder.stat().st_mtime > 0, "a touch")
    (uploads.folder / "some.raw").write_bytes(b"pictures")
    new()
    assert (uploads.folder / "some.raw").exists()


def test_images_end_by_themselves_even_where_somebody_removed_the_folder(
    new: Callable[..., Uploads], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SWEEP_EVERY", 0.01)
    clock, gone = Clock(), list[str]()
    uploads = new(gone.append, clock)
    uploads._sets.append(module._UploadedSet(ANN, "own-" + "0" * 24, "t", clock.now))
    uploads.folder.rmdir()
    tends = iter(range(3))
    sweep_expired = uploads.sweep_expired
    ended = threading.Event()

    def counted() -> None:
        sweep_expired()
        if next(tends, None) is None:
            ended.set()

    monkeypatch.setattr(uploads, "sweep_expired", counted)
    until(ended.is_set, "some rounds without the folder")
    clock.now += HALF_AN_HOUR + 1
    until(lambda: gone, "the end of the pictures")
