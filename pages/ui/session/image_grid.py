"""Several images as one PNG, large enough for a screen."""

from __future__ import annotations

from typing import Any

import numpy as np

from pages.ui.shims.images import show_png
from siamese_core.datasets.atlas import atlas_png

TILE = 56
"""Pixels a side, at least, of an image on the screen."""


def grid_png(images: np.ndarray, columns: int) -> bytes:
    """Return a PNG of uint8 images (N, C, H, W), row by row; small ones are enlarged, pixel by pixel."""
    factor = max(1, -(-TILE // max(images.shape[2:])))
    return atlas_png(images.repeat(factor, axis=2).repeat(factor, axis=3), columns)


def show_grid(images: np.ndarray, columns: int, **layout: Any) -> None:
    """Draw them as `grid_png` does."""
    show_png(grid_png(images, columns), **layout)
