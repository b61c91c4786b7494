"""Thumbnails for the browser: many small images in one PNG."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def reduced(images: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return uint8 (N, C, H, W) at most `side` pixels high and wide; images that are not larger stay as they are."""
    factor = -(-max(images.shape[2:]) // side)
    if factor == 1:
        return images
    height, width = (size // factor for size in images.shape[2:])
    tiles = images[:, :, : height * factor, : width * factor].reshape(*images.shape[:2], height, factor, width, factor)
    smaller: NDArray[np.uint8] = tiles.mean(axis=(3, 5)).round().astype(np.uint8)
    return smaller


def atlas_png(images: NDArray[np.uint8], columns: int = 32) -> bytes:
    """Lay uint8 (N, C, H, W) images out row by row; C is 1 (grey) or 3 (RGB).

    Image i lies at column i % columns, row i // columns. The PNG is always columns · W pixels wide and
    ceil(N / columns) · H high, black where no image is left. Browsers draw no image above 16,384 pixels a
    side on some devices: choose `columns` by that. Raises ValueError for other shapes, types and no image.
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3) or images.dtype != np.uint8 or not images.size:
        raise ValueError(f"an atlas takes uint8 (N, 1 or 3, H, W) with N ≥ 1, not {images.dtype} {images.shape}")
    if columns < 1:
        raise ValueError(f"columns must be at least 1, not {columns}")
    count, channels, height, width = images.shape
    rows = -(-count // columns)
    tiles = np.zeros((rows * columns, channels, height, width), np.uint8)
    tiles[:count] = images
    grid = tiles.reshape(rows, columns, channels, height, width).transpose(0, 3, 1, 4, 2)
    pixels = grid.reshape(rows * height, columns * width, channels)
    atlas = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
    png = io.BytesIO()
    atlas.save(png, format="PNG")
    return png.getvalue()
