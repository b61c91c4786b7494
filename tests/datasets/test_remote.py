"""The downloadable sets promise complete records, and are read from files that matched their checksums only."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from siamese_core.datasets import DATASETS, Dataset, DatasetMissing, Images, formats
from siamese_core.datasets.download import Download, RemoteFile, download_files
from siamese_core.datasets.full import FASHION_MNIST_FULL_SET, MNIST_FULL_SET
from siamese_core.datasets.prepared import cached
from siamese_core.datasets.published import DOWNLOADS
from siamese_core.datasets.remote import LFW_PEOPLE, REMOTE, _lfw, find_remote, load_remote
from tests.support.dataset_files import (
    FILES,
    LFW_TWO,
    PARSE,
    kmnist_files,
    lfw_files,
    mat,
    olivetti_files,
    parsed,
    svhn_files,
    tarred,
)
from tests.support.dataset_server import Served, dataset_server, put


def small(key: str, contents: dict[str, bytes]) -> Download:
    """The published record, for these contents in place of the published ones."""
    files = tuple(
        replace(
            file, size_bytes=len(contents[file.name]), checksum=f"md5:{hashlib.md5(contents[file.name]).hexdigest()}"
        )
        for file in DOWNLOADS[key].files
    )
    return replace(DOWNLOADS[key], files=files)


def refusal(load: Callable[[], Images]) -> str:
    with pytest.raises(DatasetMissing) as caught:
        load()
    message = str(caught.value)
    assert re.search(r"; until then there is the bundled \w+\.$|, or use the bundled \w+ meanwhile\.$", message)
    assert "\n" not in message
    return message


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIAMESE_DATA", str(tmp_path))
    return tmp_path


# The records


@pytest.mark.parametrize("download", DOWNLOADS.values(), ids=lambda download: download.key)
def test_a_download_is_encrypted_checked_and_named_plainly(download: Download) -> None:
    assert DOWNLOADS[download.key] is download and download.key in DATASETS
    assert DATASETS[download.bundle].find(), "the set that works meanwhile is always here"
    for file in download.files:
        assert file.urls and all(url.startswith("https://") for url in file.urls)
        assert re.fullmatch(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", file.checksum)
        assert re.fullmatch(r"[\w.-]+", file.name) and not file.name.startswith(".")
        assert file.size_bytes > 0
    assert download.size_bytes == sum(file.size_bytes for file in download.files)


def test_what_is_downloaded_of_the_full_sets_is_what_their_loaders_look_for() -> None:
    for full in (MNIST_FULL_SET, FASHION_MNIST_FULL_SET):
        names = [file.name for file in full.download.files]
        assert names == [f"{file.name}.gz" for file in full.files]


@pytest.mark.parametrize("record", REMOTE, ids=lambda record: record.key)
def test_a_record_names_its_paper_and_licence_and_each_class_once(record: Dataset) -> None:
    assert DATASETS[record.key] is record
    assert re.search(r"\((19|20)\d\d\)", record.source) and record.licence and record.title
    assert len(set(record.classes)) == len(record.classes)


def test_the_sets_have_as_many_classes_as_their_papers_say() -> None:
    assert {record.key: len(record.classes) for record in REMOTE} == {
        "kmnist": 10, "emnist_letters": 26, "cifar10": 10, "svhn": 10, "omniglot": 72, "olivetti": 40, "lfw": 62,
    }  # fmt: skip


def test_the_people_of_lfw_are_the_62_with_at_least_20_images() -> None:
    """scikit-learn gives (3023, 62, 47) for fetch_lfw_people(min_faces_per_person=20)."""
    assert sum(count for _, count in LFW_PEOPLE) == 3023
    assert min(count for _, count in LFW_PEOPLE) == 20
    assert [name for name, _ in LFW_PEOPLE] == sorted(name for name, _ in LFW_PEOPLE)
    # Those that its guide prints for 70 images, 1,288 in all.
    many = {name: count for name, count in LFW_PEOPLE if count >= 70}
    assert sum(many.values()) == 1288 and set(many) == {
        "Ariel_Sharon", "Colin_Powell", "Donald_Rumsfeld", "George_W_Bush", "Gerhard_Schroeder", "Hugo_Chavez",
        "Tony_Blair",
    }  # fmt: skip


def test_listing_the_sets_loads_neither_pillow_nor_scipy() -> None:
    code = "import sys, siamese_core.datasets.remote; print({'PIL', 'scipy', 'sklearn', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# From the folder


@pytest.mark.parametrize("key", FILES)
def test_a_folder_filled_by_hand_is_found_and_read_once(key: str, cache: Path) -> None:
    contents = FILES[key]()
    download = small(key, contents)
    assert not find_remote(download)
    put(cache / key, download.files, contents)
    assert find_remote(download)
    images = load_remote(download, PARSE[key])
    assert load_remote(download, PARSE[key]) is images
    assert np.array_equal(images.train_images, parsed(key).train_images)


@pytest.mark.parametrize("key", FILES)
def test_one_changed_byte_is_not_read(key: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = FILES[key]()
    download = small(key, contents)
    name = download.files[-1].name
    damaged = bytearray(contents[name])
    damaged[len(damaged) // 2] ^= 1
    put(cache / key, download.files, contents | {name: bytes(damaged)})

    def never(*_: object) -> Images:
        raise AssertionError("what did not match was read")

    message = refusal(lambda: load_remote(download, never))
    assert message.startswith(f"{cache / key / name} is not the published file (its checksum differs): delete it and")
    assert f"or use the bundled {download.bundle} meanwhile." in message
    put(cache / key, download.files, contents)
    assert len(load_remote(download, PARSE[key]).train_labels) > 0


@pytest.mark.parametrize("record", REMOTE, ids=lambda record: record.key)
def test_a_set_that_is_not_here_says_how_to_get_it(record: Dataset, cache: Path) -> None:
    assert not record.find()
    message = refusal(record.load)
    assert "press Download on the Data page" in message and str(cache / record.key) in message
    assert all(file.name in message for file in DOWNLOADS[record.key].files)


def test_only_what_lacks_is_named(cache: Path) -> None:
    contents = svhn_files()
    download = small("svhn", contents)
    put(cache / "svhn", download.files[:1], contents)
    (cache / "svhn" / "test_32x32.mat").write_bytes(b"")
    assert not find_remote(download), "an empty file is none"
    message = refusal(lambda: load_remote(download, formats.svhn))
    assert "put test_32x32.mat into" in message and "train" not in message


def test_a_file_that_may_not_be_read_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = olivetti_files()
    download = small("olivetti", contents)
    folder = put(cache / "olivetti", download.files, contents)

    def refused(path: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refused)
    message = refusal(lambda: load_remote(download, formats.olivetti))
    assert message.startswith(f"{folder / 'olivettifaces.mat'} cannot be read (Permission denied): ")


@pytest.mark.parametrize(
    ("key", "content", "flaw"),
    [
        ("cifar10", b"no archive", "not a gzip file"),
        ("omniglot", b"no archive", "not a zip file"),
        ("olivetti", mat(faces=np.zeros((4096, 399), np.uint8)), "faces is (4096, 399)"),
        ("olivetti", mat(other=np.zeros(3)), "it lacks one of faces"),
        (
            "lfw",
            tarred({f"lfw_funneled/{n}/{n}_{i:04d}.jpg": b"x" for n, c in LFW_TWO for i in range(1, c + 1)}),
            "PNG",
        ),
    ],
)
def test_a_checked_file_that_is_none_of_its_kind_is_a_message_too(
    key: str, content: bytes, flaw: str, cache: Path
) -> None:
    """It takes a wrong record to come here: a learner still reads one message."""
    contents = {DOWNLOADS[key].files[0].name: content}
    download = small(key, contents)
    put(cache / key, download.files, contents)
    message = refusal(lambda: load_remote(download, PARSE[key]))
    assert message.startswith(f"{download.title} in {cache / key} cannot be understood (") and flaw in message


def test_what_is_downloaded_can_be_loaded(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    contents = kmnist_files()
    with dataset_server({name: Served(content) for name, content in contents.items()}) as server:

        def local(file: RemoteFile) -> RemoteFile:
            return replace(file, urls=(server.address(file.name),))

        download = small("kmnist", contents)
        download = replace(download, files=tuple(map(local, download.files)))
        download_files(download, cache / "kmnist", lambda *_: None, lambda: False)
    assert load_remote(download, formats.idx_images).train_labels.tolist() == [9, 0]


# What is cached beside a slow archive


def tiny_images(label: int) -> Images:
    pixels, labels = np.full((1, 1, 2, 2), 7, np.uint8), np.array([label], np.int64)
    return Images(pixels, labels, pixels, labels)


def test_what_was_read_once_is_not_made_again(tmp_path: Path) -> None:
    path = tmp_path / "cached.bin"
    assert cached(path, lambda: tiny_images(3)).train_labels.tolist() == [3]
    again = cached(path, lambda: pytest.fail("made again"))
    assert again.train_labels.tolist() == [3] and again.test_images.tolist() == [[[[7, 7], [7, 7]]]]
    assert [entry.name for entry in tmp_path.iterdir()] == ["cached.bin"]


@pytest.mark.parametrize("change", [lambda c: c[:-1], lambda c: c[:-1] + b"\xff", lambda c: b""])
def test_a_damaged_one_is_made_again(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "cached.bin"
    cached(path, lambda: tiny_images(3))
    path.write_bytes(change(path.read_bytes()))
    assert cached(path, lambda: tiny_images(4)).train_labels.tolist() == [4]
    assert cached(path, lambda: pytest.fail("made again")).train_labels.tolist() == [4]


def test_a_folder_that_may_not_be_written_keeps_nothing(tmp_path: Path) -> None:
    assert cached(tmp_path / "nowhere" / "cached.bin", lambda: tiny_images(3)).train_labels.tolist() == [3]


def test_lfw_is_cached_beside_its_archive(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = lfw_files()
    download = small("lfw", contents)
    folder = put(cache / "lfw", download.files, contents)
    monkeypatch.setattr("siamese_core.datasets.remote.LFW_PEOPLE", LFW_TWO)
    images = load_remote(download, _lfw)
    (name,) = {entry.name for entry in folder.iterdir()} - {"lfw-funneled.tgz"}
    assert name == "prepared-64-b47c8422c8cded88.bin"
    with (folder / "lfw-funneled.tgz").open("rb") as archive:
        monkeypatch.setattr(formats, "lfw", lambda *_: pytest.fail("read again"))
        assert np.array_equal(_lfw(archive).train_images, images.train_images)
