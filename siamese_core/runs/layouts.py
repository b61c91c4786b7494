"""The layouts of a recorded run: one for each frame, each aligned to the one before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from siamese_core.embeddings.projection import PROJECTIONS, NotProjectable, neighbours
from siamese_core.formats.safetensors import Damaged, packed, unpacked

NEIGHBOURS = 5

LARGEST_INT = 32767
"""A coordinate is stored as an int16 up to this, times one scale for the whole film: finer than any screen."""


@dataclass(frozen=True, eq=False)
class Layouts:
    """The layouts of a film, by the projection `kind`: `xy` (F, N, dim) float32.

    `neighbours` (F, N, k) int32: nearest points in the embedding space, −1 where they are not known; k is 5, or
    N − 1 where there are fewer points.
    """

    kind: str
    xy: np.ndarray
    neighbours: np.ndarray


def chained(kind: str, embeddings: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield of embeddings (F, N, D), frame after frame, points (N, dim) float32 and their neighbours (N, k) int32.

    Each layout starts from the one before it, so that what moved is what the network moved. A frame that cannot be
    laid out repeats the one before, or is all zeros. Raises NotProjectable in the end where no frame could be.
    """
    _, n, _ = embeddings.shape
    projector = PROJECTIONS[kind].make()
    k = min(NEIGHBOURS, max(n - 1, 0))
    before = np.zeros((n, PROJECTIONS[kind].dim), np.float32), np.full((n, k), -1, np.int32)
    laid_out, problem = False, NotProjectable("There are no frames to draw.")
    for points in embeddings:
        try:
            before = projector.frame(points), neighbours(points, k)[0]
            laid_out = True
        except NotProjectable as why:
            problem = why
        yield before
    if not laid_out:
        raise problem


def packed_layouts(layouts: Layouts) -> bytes:
    """Return the content of a file of layouts."""
    whole, scale = quantised(layouts.xy)
    return packed({"kind": layouts.kind, "scale": scale}, {"xy": whole, "neighbours": layouts.neighbours})


def read_layouts(content: bytes) -> Layouts:
    """Read a file of layouts. Raises Damaged, also for what are none."""
    meta, arrays = unpacked(content)
    match meta, arrays:
        case {"kind": str(kind), "scale": float(scale)}, {"xy": whole, "neighbours": near} if kind in PROJECTIONS:
            pass
        case _:
            raise Damaged
    if whole.dtype == np.uint16:
        # Written before the format knew int16.
        whole = whole.view(np.int16)
    if whole.dtype != np.int16 or near.dtype != np.int32 or whole.ndim != 3:
        raise Damaged
    frames, n, dim = whole.shape
    if dim != PROJECTIONS[kind].dim or n == 0 or near.shape != (frames, n, min(NEIGHBOURS, n - 1)):
        raise Damaged
    with np.errstate(over="ignore", invalid="ignore"):
        xy = (whole * scale).astype(np.float32)
    if not np.isfinite(xy).all() or near.min(initial=0) < -1 or near.max(initial=0) >= n:
        raise Damaged
    return Layouts(kind, xy, near)


def quantised(xy: np.ndarray) -> tuple[np.ndarray, float]:
    """Return coordinates as int16, and the scale that they are to be multiplied by."""
    scale = float(np.abs(xy).max(initial=0)) / LARGEST_INT or 1.0
    return (xy.astype(np.float64) / scale).round().astype(np.int16), scale
