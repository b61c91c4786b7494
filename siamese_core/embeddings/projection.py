"""Embeddings in, points on a screen out: UMAP that moves from frame to frame, PCA, or the embedding itself.

Importing this is light; umap is imported by the first frame that needs it, or by `warm_up`.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from siamese_core.embeddings.neighbours import nearest
from siamese_core.errors import Rejected

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

# Chosen by `python -m tests.benchmarks.projection`. 30 epochs a frame win little and cost a third more time, 15 follow
# too slowly; from alpha 0.5 on, a layout at rest trembles more and preserves fewer neighbours.
FIRST_EPOCHS, FIRST_ALPHA = 200, 1.0
FRAME_EPOCHS, FRAME_ALPHA = 20, 0.2
NEGATIVE_SAMPLES = 5

# Repulsion inflates a warm-started layout without end, and only its shape means something: so it keeps one size,
# about that which UMAP gives 1,000 points by itself.
SIZE = 5.0

LARGEST = 1e18
"""Beyond it, the square of a coordinate does not fit float32, in which a browser would draw it."""


# numba's workqueue layer aborts the process when two threads run parallel code at once.
_one_umap_at_a_time = threading.RLock()


class NotProjectable(Rejected):
    """Says why these embeddings have no layout."""


class Projector(Protocol):
    """Made once a run. Each frame follows the one before it; the same frames in the same order give the same bits."""

    def frame(self, embeddings: npt.ArrayLike) -> Floats:
        """Return finite float32 (n, dim) of (n, D), or raise NotProjectable and forget nothing."""
        ...


class LiveUmap:
    """UMAP that starts each frame where the last one ended, so that a moving embedding can be followed.

    Neighbours are exact. The first frame starts from PCA, each later one is turned onto the one before. The centre
    is the origin and the standard deviation of the coordinates 5. Another number of points starts afresh.
    McInnes, Healy & Melville, "UMAP: Uniform Manifold Approximation and Projection", 2018; umap-learn's code.
    """

    def __init__(self, n_neighbors: int = 15, dim: int = 2, seed: int = 0) -> None:
        if n_neighbors < 2 or dim < 1:
            raise ValueError(f"n_neighbors must be at least 2 and dim at least 1, not {n_neighbors} and {dim}")
        self._n_neighbors, self._dim, self._seed = n_neighbors, dim, seed
        self._random = np.random.RandomState(seed)
        self._layout: Doubles | None = None

    def frame(self, embeddings: npt.ArrayLike) -> Floats:
        """Return float32 (n, dim) of (n, D). Raises NotProjectable."""
        points = _checked(embeddings)
        if not np.ptp(points, axis=0).any():
            # A collapsed embedding is one dot. UMAP would blow it up into a disc that means nothing.
            self._layout = None
            return np.zeros((len(points), self._dim), np.float32)
        previous = self._layout
        with _one_umap_at_a_time:
            if previous is None or len(previous) != len(points):
                self._random = np.random.RandomState(self._seed)
                start = _principal(points, self._dim)
                start *= 10 / np.abs(start).max()
                start += self._random.normal(scale=1e-4, size=start.shape)
                layout = _centred(self._optimised(points, start, FIRST_EPOCHS, FIRST_ALPHA))
            else:
                layout = _centred(self._optimised(points, previous, FRAME_EPOCHS, FRAME_ALPHA))
                layout = _aligned(layout, previous)
        layout *= SIZE / (np.sqrt(np.square(layout).mean()) or SIZE)
        self._layout = layout
        return layout.astype(np.float32)

    def _optimised(self, points: Doubles, start: Doubles, epochs: int, alpha: float) -> Doubles:
        """`simplicial_set_embedding` without its stretch of every start to [0, 10] per axis."""
        umap, layouts, a, b = _umap()
        graph = self._graph(umap, points)
        # As there: an edge too weak to be pulled once in so many epochs is left out.
        pulled = graph.data >= graph.data.max() / epochs
        layout = np.array(start, np.float32, order="C")
        layouts.optimize_layout_euclidean(
            *(layout, layout, graph.row[pulled], graph.col[pulled], epochs, len(points)),
            *(umap.make_epochs_per_sample(graph.data[pulled], epochs), a, b),
            self._random.randint(umap.INT32_MIN, umap.INT32_MAX, 3).astype(np.int64),
            initial_alpha=alpha,
            negative_sample_rate=NEGATIVE_SAMPLES,
            move_other=True,
        )
        return layout.astype(np.float64)

    def _graph(self, umap: Any, points: Doubles) -> Any:
        k = min(self._n_neighbors, len(points))
        near, distances = neighbours(points, k - 1)
        # umap counts a point as its own first neighbour.
        near = np.column_stack([np.arange(len(points), dtype=np.int32), near])
        wide = np.column_stack([np.zeros(len(points)), distances])
        # UMAP means the same at every scale, but its float32 search for a bandwidth does not reach all of them.
        wide /= wide.mean() or 1.0
        graph, _, _ = umap.fuzzy_simplicial_set(
            points, k, self._random, "euclidean", knn_indices=near, knn_dists=wide.astype(np.float32)
        )
        graph = graph.tocoo()
        graph.sum_duplicates()
        return graph


class Pca:
    """The plane (or space) of largest variance, turned and mirrored onto its previous frame.

    Without that, the sign of an axis is arbitrary and two axes of like variance change places. Pearson 1901;
    orthogonal Procrustes: Schönemann 1966.
    """

    def __init__(self, dim: int = 2) -> None:
        self._dim = dim
        self._layout: Doubles | None = None

    def frame(self, embeddings: npt.ArrayLike) -> Floats:
        """Return float32 (n, dim) of (n, D). Raises NotProjectable."""
        layout = _principal(_checked(embeddings), self._dim)
        previous = self._layout
        if previous is not None and len(previous) == len(layout):
            layout = _aligned(layout, previous)
        # A collapsed frame has no direction to follow, so the one before it stays the model.
        if layout.any() or previous is None or len(previous) != len(layout):
            self._layout = layout
        return layout.astype(np.float32)


class Identity:
    """A 2-D embedding as it is."""

    def frame(self, embeddings: npt.ArrayLike) -> Floats:
        """Return float32 (n, dim) of (n, D). Raises NotProjectable."""
        points = _checked(embeddings)
        if points.shape[1] != 2:
            raise NotProjectable("Raw shows embeddings of dimension 2, and these have {dim}.", dim=points.shape[1])
        return points.astype(np.float32)


def neighbours(embeddings: npt.ArrayLike, k: int) -> tuple[npt.NDArray[np.int32], Floats]:
    """Return the exact Euclidean k nearest neighbours of each point, the nearest first, itself excluded.

    Returns indices int32 and distances float32, both (n, k), or (n, n - 1) where there are fewer points than k.
    """
    points = _checked(embeddings)
    return nearest(points, points, k, exclude_self=True)


def _checked(embeddings: npt.ArrayLike) -> Doubles:
    points = np.array(embeddings, np.float64)
    if points.ndim != 2:
        raise NotProjectable(
            "Embeddings come as a table with one row a point, not in the shape {shape}.", shape=points.shape
        )
    if not len(points):
        raise NotProjectable("There are no points to draw.")
    if not np.isfinite(points).all():
        raise NotProjectable("Some embeddings are not finite numbers (NaN or infinity), so there is no picture.")
    if points.size and np.abs(points).max() > LARGEST:
        raise NotProjectable("Some embeddings are larger than {largest:.0e}, too far out to draw.", largest=LARGEST)
    # What float32 cannot tell apart is no difference: below, quotients could overflow.
    return points.astype(np.float32).astype(np.float64)


def _principal(points: Doubles, dim: int) -> Doubles:
    """The coordinates along the `dim` axes of largest variance, zeros where D < dim. (n, D) → (n, dim)."""
    n, width = points.shape
    layout = np.zeros((n, dim))
    if not np.ptp(points, axis=0).any():
        return layout
    centred = _centred(points)
    _, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, ::-1][:, :dim]
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    layout[:, : min(dim, width)] = centred @ (axes * signs)
    return layout


def _aligned(layout: Doubles, previous: Doubles) -> Doubles:
    """Turned and mirrored, not scaled, to lie as near to `previous` as it can. Both centred, (n, dim)."""
    u, _, vt = np.linalg.svd(layout.T @ previous)
    return np.asarray(layout @ (u @ vt))


def _centred(points: Doubles) -> Doubles:
    return np.asarray(points - points.mean(axis=0))


@cache
def _umap() -> tuple[Any, Any, float, float]:
    """umap-learn's two modules, and the curve of its default `min_dist=0.1, spread=1`."""
    with warnings.catch_warnings():
        # Its parametric variant wants TensorFlow, which nothing here uses.
        warnings.filterwarnings("ignore", message="Tensorflow not installed", category=ImportWarning)
        from umap import layouts, umap_
    a, b = umap_.find_ab_params(1.0, 0.1)
    return umap_, layouts, float(a), float(b)


def warm_up() -> None:
    """Import and compile all that a first frame needs, in 2-D and 3-D: 5–20 s of one core."""
    points = np.random.RandomState(0).normal(size=(50, 4))
    for dim in (2, 3):
        live = LiveUmap(dim=dim)
        live.frame(points)
        live.frame(points)


@dataclass(frozen=True)
class Projection:
    """`only_dim` is the one embedding dimension it can lay out, None where it lays out all.

    One that `needs_warm_up` has `Pca(dim)` stand in for it until `warm_up` has returned.
    """

    title: str
    dim: int
    help: str
    make: Callable[[], Projector]
    needs_warm_up: bool = False
    only_dim: int | None = None


_UMAP_HELP = "Keeps neighbours together and follows the embedding as it moves. Distances between groups say little."
_PCA_HELP = "The directions in which the embedding spreads most. Distances are true as far as they go."

PROJECTIONS: dict[str, Projection] = {
    "umap": Projection("UMAP", 2, _UMAP_HELP, LiveUmap, needs_warm_up=True),
    "umap_3d": Projection("UMAP, 3-D", 3, _UMAP_HELP, lambda: LiveUmap(dim=3), needs_warm_up=True),
    "pca": Projection("PCA", 2, _PCA_HELP, Pca),
    "pca_3d": Projection("PCA, 3-D", 3, _PCA_HELP, lambda: Pca(dim=3)),
    "raw": Projection("Raw", 2, "The embedding as it is, for dimension 2 only.", Identity, only_dim=2),
}
