"""The last layout of a run as a thumbnail for lists."""

from __future__ import annotations

import io

import numpy as np

from siamese_core.export.figures.base import class_style

SIDE = 96
SCALE = 2
"""Drawn so many times larger, then made smaller: Pillow's dots have no smooth edge."""
RADIUS = 1.6
EDGE = 5


def layout_png(xy: np.ndarray, labels: np.ndarray) -> bytes:
    """Draw a transparent PNG of `SIDE` pixels a side, the points (N, 2 or 3) in the colours of their classes (N,)."""
    from PIL import Image, ImageDraw

    side = SIDE * SCALE
    image = Image.new("RGBA", (side, side))
    draw = ImageDraw.Draw(image)
    points = np.asarray(xy, np.float64)[:, :2]
    finite = np.isfinite(points).all(axis=1)
    points, shown = points[finite], np.asarray(labels)[finite]
    if len(points):
        low, high = points.min(axis=0), points.max(axis=0)
        room = side - 2 * EDGE * SCALE
        at = (points - (low + high) / 2) / (max(float((high - low).max()), 1e-9)) * room + side / 2
        r = RADIUS * SCALE
        for (x, y), label in zip(at.tolist(), shown.tolist(), strict=True):
            draw.ellipse((x - r, y - r, x + r, y + r), fill=class_style(label)[0])
    png = io.BytesIO()
    image.resize((SIDE, SIDE), Image.Resampling.BOX).save(png, "PNG")
    return png.getvalue()
