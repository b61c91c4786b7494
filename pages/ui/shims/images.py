"""Images inside of the page that shows them: one, or several as one PNG, large enough for a screen."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import numpy as np
import streamlit as st

from siamese_core.datasets.atlas import atlas_png

TILE = 56
"""Pixels a side, at least, of an image on the screen."""


def data_uri(png: bytes) -> str:
    """Return the address of a PNG that holds all of it."""
    return f"data:image/png;base64,{b64encode(png).decode()}"


def show_png(png: bytes, **layout: Any) -> None:
    """Draw a PNG. As a file of Streamlit's it would be gone when anybody's next draw ends, fetched or not."""
    st.image(data_uri(png), **layout)


def grid_png(images: np.ndarray, columns: int) -> bytes:
    """Return a PNG of uint8 images (N, C, H, W), row by row; small ones are enlarged, pixel by pixel."""
    factor = max(1, -(-TILE // max(images.shape[2:])))
    return atlas_png(images.repeat(factor, axis=2).repeat(factor, axis=3), columns)


def show_grid(images: np.ndarray, columns: int, **layout: Any) -> None:
    """Draw them as `grid_png` does."""
    show_png(grid_png(images, columns), **layout)
