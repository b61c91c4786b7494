"""The drawn shapes are the same in every process, and their knobs do what they say."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from siamese_core.datasets.shapes import SHAPES, shapes

MIDDLE = 13.5


def of_class(name: str, rotation: float = 0, scale: float = 0, noise: float = 0) -> NDArray[np.float64]:
    """The training images of a class, (N, H, W), black 0 to white 1."""
    dataset = shapes(10, rotation, scale, noise)
    images = dataset.load()
    return images.train_images[images.train_labels == dataset.classes.index(name), 0] / 255


def area(images: NDArray[np.float64]) -> NDArray[np.float64]:
    total: NDArray[np.float64] = images.sum((1, 2))
    return total


def centre(images: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 2), x and y of the mean of the white."""
    places = np.arange(28)
    x, y = (np.einsum(f"nyx,{axis}->n", images, places) / area(images) for axis in "xy")
    return np.stack([x, y], axis=1)


@pytest.mark.parametrize("classes", [2, 10])
def test_sizes_types_and_shapes(classes: int) -> None:
    dataset = shapes(classes, 30, 0.5, 0.1)
    images = dataset.load()
    assert dataset.find()
    assert dataset.key == "shapes"
    assert "MIT" in dataset.licence
    assert len(set(dataset.classes)) == classes
    assert dataset.shape == (1, 28, 28)
    assert images.train_images.shape == (200 * classes, 1, 28, 28)
    assert images.test_images.shape == (50 * classes, 1, 28, 28)
    assert images.train_images.dtype == images.test_images.dtype == np.uint8
    assert images.train_labels.dtype == images.test_labels.dtype == np.int64
    assert np.bincount(images.train_labels).tolist() == [200] * classes
    assert np.bincount(images.test_labels).tolist() == [50] * classes


def test_mean_and_std_are_those_of_the_training_images_of_the_defaults() -> None:
    pixels = SHAPES.load().train_images / 255
    assert (SHAPES.mean, SHAPES.std) == pytest.approx((pixels.mean(), pixels.std()), abs=1e-12)


@pytest.mark.parametrize("knobs", [(2, 0, 0, 0), (10, 180, 1, 0), (10, 0, 0, 1)], ids=str)
def test_the_defaults_mean_and_std_are_near_enough_for_every_setting(knobs: tuple[int, float, float, float]) -> None:
    """So that what a network is fed lies about zero, about one wide."""
    dataset = shapes(*knobs)
    fed = (dataset.load().train_images / 255 - dataset.mean) / dataset.std
    assert abs(fed.mean()) < 1
    assert 0.5 < fed.std() < 2


def test_images_are_drawn_once_and_cannot_be_written() -> None:
    assert shapes(3, 0, 0, 0) is shapes(3, 0, 0, 0)
    images = shapes(3, 0, 0, 0).load()
    assert shapes(3, 0, 0, 0).load() is images
    for array in (images.train_images, images.train_labels, images.test_images, images.test_labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_another_process_draws_the_same_pixels() -> None:
    code = (
        "import hashlib; from siamese_core.datasets.shapes import shapes; images = shapes(4, 30, 0.5, 0.1).load();"
        "print(hashlib.sha256(images.train_images.tobytes() + images.test_images.tobytes()).hexdigest())"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    images = shapes(4, 30, 0.5, 0.1).load()
    assert there == hashlib.sha256(images.train_images.tobytes() + images.test_images.tobytes()).hexdigest()


def test_a_class_looks_the_same_however_many_others_there_are() -> None:
    few, many = shapes(2, 45, 0.5, 0.1).load(), shapes(10, 45, 0.5, 0.1).load()
    assert np.array_equal(few.train_images, many.train_images[many.train_labels < 2])


def test_without_knobs_the_images_of_a_class_are_equal_and_the_classes_differ() -> None:
    images = shapes(10, 0, 0, 0).load()
    for part, labels in ((images.train_images, images.train_labels), (images.test_images, images.test_labels)):
        assert all(len(np.unique(part[labels == label], axis=0)) == 1 for label in range(10))
    assert len(np.unique(images.train_images, axis=0)) == 10


@pytest.mark.parametrize("knobs", [(90, 0, 0), (0, 1, 0), (0, 0, 0.1)], ids=str)
def test_each_knob_makes_the_images_of_a_class_differ(knobs: tuple[float, float, float]) -> None:
    assert len(np.unique(of_class("arrow", *knobs), axis=0)) > 190


def test_the_square_has_the_area_of_a_square_and_the_circle_that_of_a_circle() -> None:
    """Their sides are 2 · 0.7 · 11 pixels, their radius 0.9 · 11: a pixel at the edge counts by its share."""
    assert area(of_class("square"))[0] == pytest.approx((2 * 0.7 * 11) ** 2, rel=0.01)
    assert area(of_class("circle"))[0] == pytest.approx(np.pi * (0.9 * 11) ** 2, rel=0.01)
    assert area(of_class("ring"))[0] == pytest.approx(np.pi * (0.9**2 - 0.5**2) * 11**2, rel=0.01)
    assert area(of_class("hexagon"))[0] == pytest.approx(1.5 * 3**0.5 * 11**2, rel=0.01)


def test_an_unturned_arrow_points_up_and_an_l_stands_upright() -> None:
    arrow, letter = of_class("arrow")[0], of_class("letter L")[0]
    assert np.array_equal(arrow, arrow[:, ::-1])
    assert arrow[:14].sum() > 1.2 * arrow[14:].sum(), "the head is the heavier half"
    assert letter[:14, :14].sum() > 10 * letter[:14, 14:].sum()
    assert letter[14:, 14:].sum() > 10


def test_shapes_are_white_on_black_with_soft_edges() -> None:
    """White on the outline of a circle only where it passes: grey lies between black and white."""
    circle = of_class("circle")[0]
    assert circle[0].max() == 0
    assert circle[13:15, 13:15].min() == 1
    grey = (circle > 0) & (circle < 1)
    distance = np.hypot(*(np.indices((28, 28)) - MIDDLE))
    assert grey.any()
    assert np.abs(distance[grey] - 9.9).max() <= 0.5


def test_rotation_turns_by_up_to_so_many_degrees_and_no_further() -> None:
    """An arrow's axis, from its second moments, leans as it was turned; its area stays."""
    arrows = of_class("arrow", rotation=30)
    place = np.indices((28, 28)) - MIDDLE
    x, y = (
        place[1] - (centre(arrows) - MIDDLE)[:, 0, None, None],
        place[0] - (centre(arrows) - MIDDLE)[:, 1, None, None],
    )
    xx, yy, xy = ((arrows * moment).sum((1, 2)) for moment in (x * x, y * y, x * y))
    lean = np.rad2deg(0.5 * np.arctan2(-2 * xy, yy - xx))
    assert 25 < np.abs(lean).max() < 31
    assert lean.min() < -25 and lean.max() > 25
    assert area(arrows) == pytest.approx(np.full(200, area(of_class("arrow"))[0]), rel=0.02)


def test_scale_shrinks_and_moves_shapes_but_keeps_them_in_the_frame() -> None:
    circles = of_class("circle", scale=1)
    sizes = np.sqrt(area(circles) / area(of_class("circle"))[0])
    assert 0.28 < sizes.min() < 0.35
    assert 0.95 < sizes.max() <= 1.001
    for name in ("circle", "star", "arrow"):
        framed = of_class(name, rotation=180, scale=1)
        assert np.abs(centre(framed) - MIDDLE).max() > 5
        framed[:, 1:-1, 1:-1] = 0
        assert framed.max() <= 0.5, name


def test_without_scale_every_shape_stays_in_its_place() -> None:
    assert centre(of_class("circle", rotation=180, noise=0)) == pytest.approx(np.full((200, 2), MIDDLE), abs=1e-6)


def test_noise_has_the_standard_deviation_that_it_names() -> None:
    """Half of it is cut off on black: of a normal distribution's positive half, the mean is σ / √(2π)."""
    corner = of_class("circle", noise=0.2)[:, :3, :3]
    assert corner.mean() == pytest.approx(0.2 / np.sqrt(2 * np.pi), rel=0.05)


def test_one_knob_leaves_the_random_numbers_of_the_others_as_they_are() -> None:
    clean, noisy = of_class("arrow", rotation=90, scale=0.5), of_class("arrow", rotation=90, scale=0.5, noise=0.05)
    assert np.abs(clean - noisy).max() < 0.35


def test_drawing_needs_neither_torch_nor_pillow() -> None:
    code = (
        "import sys; from siamese_core.datasets.shapes import shapes; shapes(2, 0, 0, 0).load();"
        "sys.exit(bool({'torch', 'PIL', 'sklearn'} & {*sys.modules}))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
