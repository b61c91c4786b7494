"""Geometric shapes, drawn here: a set without a file, whose difficulty has knobs."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from siamese_core.datasets.record import Dataset, Images

TRAIN_PER_CLASS = 200
TEST_PER_CLASS = 50
SIZE = 28
_RADIUS = 11.0
"""Pixels from the middle of an unchanged shape to its farthest point."""
_ROOM = SIZE / 2 - 1
_SHRINKS_BY = 0.7
"""At scale 1 the smallest shapes have 0.3 of the full size: three pixels to either side are still a shape."""
_SEED = 0

Points = NDArray[np.float32]
"""Coordinates (..., 2), x to the right and y downwards; a shape lies within the unit circle."""
Distance = NDArray[np.float32]
"""How far points lie outside a shape, negative inside."""


def _polygon(*corners: tuple[float, float]) -> Callable[[Points], Distance]:
    """The signed distance to a polygon: to its nearest edge, negative where a ray crosses an odd number of edges."""

    def distance(points: Points) -> Distance:
        x, y = points[..., 0], points[..., 1]
        nearest = np.full(x.shape, np.inf, np.float32)
        inside = np.zeros(x.shape, bool)
        for (x1, y1), (x2, y2) in zip(corners, corners[1:] + corners[:1], strict=True):
            dx, dy = x2 - x1, y2 - y1
            along = np.clip(((x - x1) * dx + (y - y1) * dy) / (dx * dx + dy * dy), 0, 1)
            np.minimum(nearest, np.hypot(x - x1 - along * dx, y - y1 - along * dy), out=nearest)
            if y1 != y2:
                inside ^= ((y1 > y) != (y2 > y)) & (x < x1 + (y - y1) * (dx / dy))
        return np.where(inside, -nearest, nearest)

    return distance


def _regular(corners: int, inner: float | None = None) -> Callable[[Points], Distance]:
    """Corners on the unit circle, the first one at the top; with ``inner``, a star's other corners lie between them."""
    radii = [1.0] * corners if inner is None else [1.0, inner] * corners
    angles = [2 * np.pi * i / len(radii) - np.pi / 2 for i in range(len(radii))]
    return _polygon(*((float(r * np.cos(a)), float(r * np.sin(a))) for r, a in zip(radii, angles, strict=True)))


def _circle(points: Points) -> Distance:
    return _disc(points, 0.0, 0.0, 0.9)


def _ring(points: Points) -> Distance:
    return np.maximum(_circle(points), -_disc(points, 0.0, 0.0, 0.5))


def _moon(points: Points) -> Distance:
    return np.maximum(_disc(points, 0.0, 0.0, 0.95), -_disc(points, 0.5, 0.0, 0.8))


def _disc(points: Points, x: float, y: float, radius: float) -> Distance:
    distance: Distance = np.hypot(points[..., 0] - x, points[..., 1] - y) - radius
    return distance


_SHAPES: dict[str, Callable[[Points], Distance]] = {
    "circle": _circle,
    "square": _polygon((-0.7, -0.7), (0.7, -0.7), (0.7, 0.7), (-0.7, 0.7)),
    "triangle": _regular(3),
    "cross": _polygon(
        *((-0.3, -0.95), (0.3, -0.95), (0.3, -0.3), (0.95, -0.3), (0.95, 0.3), (0.3, 0.3)),
        *((0.3, 0.95), (-0.3, 0.95), (-0.3, 0.3), (-0.95, 0.3), (-0.95, -0.3), (-0.3, -0.3)),
    ),
    "star": _regular(5, inner=0.4),
    "ring": _ring,
    "moon": _moon,
    "arrow": _polygon(
        *((0.0, -1.0), (0.7, -0.2), (0.25, -0.2), (0.25, 0.95), (-0.25, 0.95), (-0.25, -0.2), (-0.7, -0.2))
    ),
    "hexagon": _regular(6),
    "letter L": _polygon((-0.6, -0.8), (-0.1, -0.8), (-0.1, 0.3), (0.6, 0.3), (0.6, 0.8), (-0.6, 0.8)),
}


@lru_cache(maxsize=8)
def shapes(classes: int, rotation: float, scale: float, noise: float) -> Dataset:
    """Return white shapes on black, 28 x 28 pixels, 200 training and 50 test images of each class.

    Everything is drawn from a fixed seed: the same settings give the same pixels, and one setting that changes leaves
    the others' random numbers as they are. With all three at 0, all images of a class are equal.

    Args:
        classes: how many kinds of shape, 2 to 10.
        rotation: every image is turned by up to so many degrees to either side, 0 to 180.
        scale: 0 to 1, how much sizes vary and shapes leave the middle; at 1 the smallest have 0.3 of the full size,
            and a shape may lie anywhere within the frame.
        noise: 0 to 1, the standard deviation of Gaussian noise, as a share of white.
    """
    return Dataset(
        key="shapes",
        title="Shapes, drawn here",
        source=f"Geometric shapes that this app draws by itself (2026), turned by up to {rotation:g}°, size and place "
        f"varied by {scale:g}, with noise of {noise:g}; no file and no download.",
        licence="MIT, generated here",
        classes=tuple(_SHAPES)[:classes],
        shape=(1, SIZE, SIZE),
        # Of the defaults, for all knobs alike: a record must not cost a drawing.
        mean=0.2651186891423236,
        std=0.35707497778420366,
        load=partial(_draw, classes, rotation, scale, noise),
        find=lambda: True,
    )


@lru_cache(maxsize=4)
def _draw(classes: int, rotation: float, scale: float, noise: float) -> Images:
    """The classes take turns: 0, 1, 2, …, 0, 1, 2, …"""
    drawn = [_draw_class(label, rotation, scale, noise) for label in range(classes)]
    images = np.stack(drawn, axis=1).reshape(-1, 1, SIZE, SIZE)
    labels = np.resize(np.arange(classes, dtype=np.int64), len(images))
    train = TRAIN_PER_CLASS * classes
    return Images(images[:train], labels[:train], images[train:], labels[train:])


def _draw_class(label: int, rotation: float, scale: float, noise: float) -> NDArray[np.uint8]:
    """uint8 (N, H, W): the training images, then those for testing."""
    # A generator for each class, and every number drawn whatever the knobs say: so a knob changes only what it names.
    random = np.random.default_rng([_SEED, label])
    count = TRAIN_PER_CLASS + TEST_PER_CLASS
    shrink, turn = random.random(count), random.uniform(-1, 1, count)
    place, grain = random.uniform(-1, 1, (count, 2)), random.standard_normal((count, SIZE, SIZE), np.float32)

    radius = _RADIUS * (1 - _SHRINKS_BY * scale * shrink)
    middle = place * (scale * (_ROOM - radius))[:, None]
    angle = np.deg2rad(rotation * turn)
    distance = list(_SHAPES.values())[label](_points(radius, middle, angle)) * radius[:, None, None]
    # A pixel is as white as the share of it that lies inside; for a straight edge that is half a pixel's distance.
    white = np.clip(0.5 - distance, 0, 1) + noise * grain
    pixels: NDArray[np.uint8] = np.rint(np.clip(white, 0, 1) * 255).astype(np.uint8)
    return pixels


def _points(radius: NDArray[np.float64], middle: NDArray[np.float64], angle: NDArray[np.float64]) -> Points:
    """Where the pixels' centres lie in the shape's own coordinates: (N, H, W, 2) for N radii, middles and angles."""
    centres = np.arange(SIZE) - (SIZE - 1) / 2
    x = centres[None, None, :] - middle[:, 0, None, None]
    y = centres[None, :, None] - middle[:, 1, None, None]
    cosine, sine = (f(angle)[:, None, None] for f in (np.cos, np.sin))
    turned = np.stack(np.broadcast_arrays(cosine * x + sine * y, cosine * y - sine * x), axis=-1)
    return (turned / radius[:, None, None, None]).astype(np.float32)


CLASSES, ROTATION, SCALE, NOISE = 6, 45.0, 0.3, 0.2

SHAPES = shapes(CLASSES, ROTATION, SCALE, NOISE)
