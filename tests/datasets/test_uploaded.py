"""Uploaded images: how they are made into a set to train on, and split."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from numpy.typing import NDArray

from siamese_core.datasets.uploaded import RAW_SIDE, TooFew, UploadedImages, prepare, without_singletons

CLASSES = ("Anna", "Ben")


def plain(*colours: tuple[int, int, int]) -> NDArray[np.uint8]:
    """One image of each colour, the same at every pixel: so it stays, however it is resized."""
    return np.tile(np.array(colours, np.uint8).reshape(-1, 3, 1, 1), (1, 1, RAW_SIDE, RAW_SIDE))


def greys(*values: int) -> NDArray[np.uint8]:
    return plain(*((value, value, value) for value in values))


def people(*counts: int) -> UploadedImages:
    """`counts` images of each class; image n of them all is of the grey n, which is its name."""
    labels = np.repeat(np.arange(len(counts)), counts)
    return UploadedImages(greys(*range(len(labels))), labels, tuple(f"person {n}" for n in range(len(counts))))


def shuffled(images: UploadedImages, seed: int) -> UploadedImages:
    order = np.random.default_rng(seed).permutation(len(images.labels))
    return UploadedImages(images.pixels[order], images.labels[order], images.classes)


def names(images: NDArray[np.uint8]) -> set[int]:
    """The greys of plain images."""
    return {int(image[0, 0, 0]) for image in images}


def for_testing(images: UploadedImages, percent: int, side: int = 28, colour: bool = False) -> set[int]:
    return names(prepare(images, side, colour, percent).test_images)


@pytest.mark.parametrize(
    ("percent", "expected"),
    [(0, [1, 1, 1]), (10, [1, 1, 1]), (30, [3, 1, 1]), (50, [5, 2, 1]), (90, [9, 3, 1]), (100, [9, 3, 1])],
)
def test_each_class_gives_its_percentage_to_the_test_and_keeps_one_on_either_side(
    percent: int, expected: list[int]
) -> None:
    """Ten images, four and two: 30 % are 3, 1.2 and 0.6 of them."""
    images = prepare(people(10, 4, 2), 28, False, percent)
    assert np.bincount(images.test_labels).tolist() == expected
    assert (np.bincount(images.train_labels) + np.bincount(images.test_labels)).tolist() == [10, 4, 2]


def test_every_image_is_on_one_side_with_its_label() -> None:
    images = prepare(people(3, 4), 28, False, 30)
    both = [*zip(images.train_images, images.train_labels, strict=True)]
    both += zip(images.test_images, images.test_labels, strict=True)
    assert sorted((int(image[0, 0, 0]), int(label)) for image, label in both) == [
        (0, 0), (1, 0), (2, 0), (3, 1), (4, 1), (5, 1), (6, 1),
    ]  # fmt: skip


def test_a_class_with_one_image_has_no_test_image() -> None:
    images = prepare(people(2, 1, 2), 28, False, 50)
    assert np.bincount(images.train_labels, minlength=3).tolist() == [1, 1, 1]
    assert np.bincount(images.test_labels, minlength=3).tolist() == [1, 0, 1]


def test_the_images_for_testing_are_those_with_the_least_hashes() -> None:
    """SHA-256 of an image's bytes, written as hexadecimal digits, sorted as words."""
    images = people(8, 5)
    digests = [hashlib.sha256(pixels.tobytes()).hexdigest() for pixels in images.pixels]
    anna, ben = sorted(range(8), key=digests.__getitem__), sorted(range(8, 13), key=digests.__getitem__)
    assert for_testing(images, 25) == {*anna[:2], *ben[:1]}


def test_the_order_of_the_images_does_not_matter() -> None:
    images = people(9, 7, 5)
    as_given = for_testing(images, 40)
    assert for_testing(shuffled(images, 0), 40) == for_testing(shuffled(images, 1), 40) == as_given


def test_side_and_colour_do_not_change_which_are_for_testing() -> None:
    images = people(9, 7)
    small = for_testing(images, 30)
    assert for_testing(images, 30, side=64) == for_testing(images, 30, side=160, colour=True) == small


def test_an_image_keeps_its_colours_or_becomes_grey() -> None:
    """Grey is 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601): 59.8 + 58.7 + 5.7 for one, 2.99 + 11.74 + 3.42 for others."""
    given = UploadedImages(
        plain((200, 100, 50), (10, 20, 30), (10, 20, 30), (10, 20, 30)), np.array([0, 0, 1, 1]), CLASSES
    )
    colour, grey = prepare(given, 32, True, 50), prepare(given, 32, False, 50)
    assert colour.train_images.shape == (2, 3, 32, 32) and grey.train_images.shape == (2, 1, 32, 32)
    for images in (colour, grey):
        assert images.train_images.dtype == images.test_images.dtype == np.uint8
        assert images.train_labels.dtype == images.test_labels.dtype == np.int64
    for images, expected in ((colour, {(200, 100, 50), (10, 20, 30)}), (grey, {(124,), (18,)})):
        both = np.concatenate([images.train_images, images.test_images])
        assert {tuple(image[:, 0, 0].tolist()) for image in both} == expected
        assert (both == both[:, :, :1, :1]).all()


def test_an_image_is_made_smaller_and_not_cut() -> None:
    """Left half black, right half white: so it stays at half the size."""
    halves = np.zeros((4, 3, RAW_SIDE, RAW_SIDE), np.uint8)
    halves[..., RAW_SIDE // 2 :] = 255
    given = UploadedImages(halves, np.array([0, 0, 1, 1]), CLASSES)
    image = prepare(given, RAW_SIDE // 2, False, 50).train_images[0, 0]
    assert image.shape == (80, 80)
    assert (image[:, :36] == 0).all() and (image[:, 44:] == 255).all()


def test_the_largest_side_is_the_image_itself() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (4, 3, RAW_SIDE, RAW_SIDE), np.uint8)
    images = prepare(UploadedImages(noise, np.array([0, 0, 1, 1]), CLASSES), RAW_SIDE, True, 50)
    both = np.concatenate([images.train_images, images.test_images])
    assert {image.tobytes() for image in both} == {pixels.tobytes() for pixels in noise}


@pytest.mark.parametrize(
    ("counts", "enough"),
    [
        ((), 0),
        ((5,), 1),
        ((1, 1, 1), 0),
        ((9, 1), 1),
    ],
)
def test_too_few_images_are_counted_with_what_is_missing_and_what_to_do(counts: tuple[int, ...], enough: int) -> None:
    images = people(*counts)
    with pytest.raises(TooFew) as caught:
        without_singletons(images)
    assert str(caught.value) == (
        f"Pairs need at least 2 classes with 2 pictures each, and here are {enough}: put the pictures of each class "
        "into a folder of its own, named like the class."
    )


def test_a_class_of_a_single_image_is_left_out() -> None:
    images = people(2, 1, 3)
    paired = without_singletons(images)
    assert paired.labels.tolist() == [0, 0, 1, 1, 1]
    assert paired.classes == (images.classes[0], images.classes[2])
    assert np.array_equal(paired.pixels, np.delete(images.pixels, 2, axis=0))


def test_two_classes_with_two_images_are_enough() -> None:
    assert without_singletons(people(2, 2)).labels.tolist() == [0, 0, 1, 1]
    assert without_singletons(people(1, 2, 1, 2)).labels.tolist() == [0, 0, 1, 1]
