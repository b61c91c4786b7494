"""Uploaded sets: under which key they are saved, that they can go, and links to them."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from siamese_core.datasets import DATASETS, dataset_of
from siamese_core.datasets.record import DatasetMissing, Images
from siamese_core.datasets.uploaded import (
    FOLDER,
    GONE,
    clear_cache,
    delete,
    find_uploaded,
    is_uploaded,
    save,
    uploaded_dataset,
)
from siamese_core.experiment.experiment import Experiment, ExperimentError

CLASSES = ("Anna", "Ben")

MALFORMED = (
    "own-../../x", "own-" + "A" * 24, "own-" + "a" * 23, "own-" + "a" * 25, "own-" + "a" * 24 + "\n", "own-", "",
    "../own-" + "a" * 24, "digits",
)  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the sets lie."""
    inside = tmp_path / "server" / "own"
    inside.mkdir(parents=True)
    monkeypatch.setenv(FOLDER, str(inside))
    yield inside
    # What the process remembers is of this folder.
    clear_cache()


def two(*train: int) -> Images:
    """Training images of 2 × 2 pixels of these greys, of Anna and Ben in turn, and one test image of each."""
    images = np.broadcast_to(np.array(train, np.uint8)[:, None, None, None], (len(train), 1, 2, 2)).copy()
    return Images(images, np.arange(len(train)) % 2, images[:2], np.array([0, 1]))


def test_a_set_comes_back_as_it_was_saved() -> None:
    images = two(51, 255)
    key = save("My pictures", CLASSES, images)
    dataset = dataset_of(key)
    assert dataset.key == key
    assert (dataset.title, dataset.classes, dataset.shape) == ("My pictures", CLASSES, (1, 2, 2))
    loaded = dataset.load()
    for name, array in vars(images).items():
        np.testing.assert_array_equal(getattr(loaded, name), array)
        assert getattr(loaded, name).dtype == array.dtype
    assert dataset.load() is loaded, "the same arrays each time"
    assert dataset.find()


def test_what_is_loaded_cannot_be_written_to() -> None:
    loaded = uploaded_dataset(save("t", CLASSES, two(1, 2))).load()
    for name, array in vars(loaded).items():
        assert not array.flags.writeable, name


def test_mean_and_std_are_those_of_the_training_pixels() -> None:
    """51 / 255 is 0.2 and 255 / 255 is 1: half and half their mean is 0.6, and each is 0.4 from it."""
    dataset = uploaded_dataset(save("t", CLASSES, two(51, 255)))
    assert (dataset.mean, dataset.std) == pytest.approx((0.6, 0.4), abs=1e-12)


def test_mean_and_std_of_noise_are_numpys() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (7, 3, 9, 9), np.uint8)
    dataset = uploaded_dataset(save("t", CLASSES, Images(noise, np.arange(7) % 2, noise[:2], np.array([0, 1]))))
    assert (dataset.mean, dataset.std) == pytest.approx((np.mean(noise / 255.0), np.std(noise / 255.0)), abs=1e-12)


@pytest.mark.parametrize("grey", [0, 51, 77, 255])
def test_images_all_alike_are_not_divided_by_nothing(grey: int) -> None:
    dataset = uploaded_dataset(save("t", CLASSES, two(*[grey] * 3_000)))
    assert (dataset.mean, dataset.std) == pytest.approx((grey / 255, 1.0))


def test_the_key_is_of_the_content(folder: Path) -> None:
    key = save("t", CLASSES, two(1, 2))
    assert re.fullmatch(r"own-[0-9a-f]{24}", key) and is_uploaded(key) and find_uploaded(key)
    assert save("t", CLASSES, two(1, 2)) == key
    assert [path.name for path in folder.iterdir()] == [f"{key}.images"]


def test_any_other_content_has_another_key() -> None:
    images = two(1, 2)
    pixels = images.train_images.copy()
    pixels[0, 0, 1, 1] += 1
    pixel, label = replace(images, train_images=pixels), replace(images, test_labels=np.array([1, 1]))
    keys = [
        save("t", CLASSES, two(1, 2)), save("t", CLASSES, pixel), save("t", CLASSES, label),
        save("t", ("Anna", "Eva"), two(1, 2)), save("u", CLASSES, two(1, 2)),
    ]  # fmt: skip
    assert len(set(keys)) == 5


def test_two_who_write_the_same_set_at_once_both_have_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync, meanwhile = os.fsync, []

    def while_another_does(file: int) -> None:
        monkeypatch.setattr(os, "fsync", fsync)
        meanwhile.append(save("t", CLASSES, two(1, 2)))

    monkeypatch.setattr(os, "fsync", while_another_does)
    assert [save("t", CLASSES, two(1, 2))] == meanwhile
    assert [path.name for path in folder.iterdir()] == [f"{meanwhile[0]}.images"]


def test_a_full_disk_leaves_nothing_half_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = save("before", CLASSES, two(1, 2))

    def until_it_is_full(file: int) -> None:
        os.truncate(file, os.fstat(file).st_size // 2)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", until_it_is_full)
        for title in ("before", "another"):
            with pytest.raises(OSError, match="No space left"):
                save(title, CLASSES, two(1, 2))
    assert [path.name for path in folder.iterdir()] == [f"{before}.images"]
    assert uploaded_dataset(before).load().train_labels.tolist() == [0, 1]


# What is not here


def test_a_forgotten_set_is_gone_also_for_who_had_it_in_hand(folder: Path) -> None:
    key, other = save("t", CLASSES, two(1, 2)), save("t", CLASSES, two(3, 4))
    dataset = uploaded_dataset(key)
    dataset.load()
    delete(key)
    assert not find_uploaded(key) and not dataset.find()
    for load in (dataset.load, lambda: uploaded_dataset(key), lambda: dataset_of(key)):
        with pytest.raises(DatasetMissing) as caught:
            load()
        assert str(caught.value) == GONE
    assert [path.name for path in folder.iterdir()] == [f"{other}.images"]
    assert uploaded_dataset(other).load().train_images[0, 0, 0, 0] == 3


def test_a_set_that_another_process_deleted_is_gone_once_this_one_lets_go(folder: Path) -> None:
    key = save("t", CLASSES, two(1, 2))
    uploaded_dataset(key).load()
    (folder / f"{key}.images").unlink()
    clear_cache()
    with pytest.raises(DatasetMissing, match="Upload them again"):
        uploaded_dataset(key)
    assert save("t", CLASSES, two(1, 2)) == key
    clear_cache()
    assert find_uploaded(key), "and letting go deletes nothing"


def test_a_forgotten_set_can_be_saved_again() -> None:
    key = save("t", CLASSES, two(1, 2))
    delete(key)
    with pytest.raises(DatasetMissing):
        uploaded_dataset(key)
    assert save("t", CLASSES, two(1, 2)) == key
    assert uploaded_dataset(key).load().train_labels.tolist() == [0, 1]


def test_an_unknown_key_is_like_a_set_that_is_gone() -> None:
    key = "own-" + "0" * 24
    assert is_uploaded(key) and not find_uploaded(key)
    with pytest.raises(DatasetMissing) as caught:
        uploaded_dataset(key)
    assert str(caught.value) == GONE
    delete(key)


@pytest.mark.parametrize("key", MALFORMED)
def test_a_malformed_key_leads_nowhere_even_if_a_file_is_there(key: str, folder: Path) -> None:
    here = folder / f"{save('t', CLASSES, two(1, 2))}.images"
    there = folder / f"{key}.images"
    there.parent.mkdir(parents=True, exist_ok=True)
    there.write_bytes(here.read_bytes())
    assert not find_uploaded(key)
    with pytest.raises(DatasetMissing) as caught:
        uploaded_dataset(key)
    assert str(caught.value) == GONE
    delete(key)
    assert there.read_bytes() == here.read_bytes()


@pytest.mark.parametrize("key", MALFORMED)
def test_only_own_and_24_small_hexadecimal_digits_are_a_key(key: str) -> None:
    assert not is_uploaded(key)


def test_where_no_folder_is_named_nothing_is_here_and_nothing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    key = save("t", CLASSES, two(1, 2))
    monkeypatch.delenv(FOLDER)
    delete(key)
    assert not find_uploaded(key)
    with pytest.raises(DatasetMissing, match="Upload them again"):
        uploaded_dataset(key)
    with pytest.raises(NotADirectoryError):
        save("t", CLASSES, two(1, 2))


def test_the_message_says_how_long_and_where_to_go() -> None:
    assert "30 minutes" in GONE and GONE.endswith("Upload them again on the Data page.")


# In a link


def test_a_link_to_a_saved_set_is_read_and_written() -> None:
    key = save("t", CLASSES, two(1, 2))
    experiment, ignored = Experiment.from_query(f"dataset={key}&steps=7")
    assert (experiment.dataset, experiment.steps, ignored) == (key, 7, [])
    assert experiment.data.title == "t" and experiment.seen == (0, 1)
    assert Experiment.from_query(experiment.to_query()) == (experiment, [])


def test_a_link_to_a_set_that_is_gone_falls_back_and_names_it() -> None:
    key = save("t", ("Anna", "Ben", "Eva"), two(1, 2))
    query = Experiment(dataset=key, held_out=(2,), steps=7).to_query()
    delete(key)
    experiment, ignored = Experiment.from_query(query)
    assert experiment.dataset == Experiment().dataset in DATASETS and experiment.steps == 7
    assert [(each.name, each.value, each.why) for each in ignored] == [("dataset", key, GONE)]
    with pytest.raises(ExperimentError) as caught:
        Experiment(dataset=key)
    assert str(caught.value) == f"dataset={key}: {GONE}"


def test_a_link_with_a_malformed_key_is_an_unknown_dataset() -> None:
    experiment, (ignored,) = Experiment.from_query("dataset=own-../../x")
    assert experiment == Experiment()
    assert (ignored.name, ignored.value) == ("dataset", "own-../../x")
    assert "digits" in ignored.why and ignored.why != GONE
