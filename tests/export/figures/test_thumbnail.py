"""A stamp of an embedding: its classes where they lie, in their colours."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from siamese_core.export.figures.base import class_style
from siamese_core.export.figures.thumbnail import SIDE, layout_png


def drawn(xy: np.ndarray, labels: list[int]) -> np.ndarray:
    image = Image.open(io.BytesIO(layout_png(xy, np.array(labels))))
    assert image.size == (SIDE, SIDE)
    return np.asarray(image)


def test_each_class_lies_on_its_side_in_its_colour() -> None:
    xy = np.array([[-3.0, -1.0], [-3.0, 1.0], [3.0, -1.0], [3.0, 1.0]])
    pixels = drawn(xy, [0, 0, 1, 1])
    for side, label in ((pixels[:, : SIDE // 2], 0), (pixels[:, SIDE // 2 :], 1)):
        colour = tuple(int(class_style(label)[0][at : at + 2], 16) for at in (1, 3, 5))
        solid = side[side[..., 3] > 250][:, :3]
        assert len(solid)
        assert np.abs(solid.astype(int) - colour).max() <= 2


@pytest.mark.parametrize("xy", [np.zeros((3, 2)), np.full((3, 3), np.nan), np.zeros((0, 2))])
def test_a_collapsed_or_empty_embedding_has_a_stamp(xy: np.ndarray) -> None:
    pixels = drawn(xy, [0] * len(xy))
    assert bool(pixels[..., 3].any()) == bool(len(xy) and np.isfinite(xy).all())
