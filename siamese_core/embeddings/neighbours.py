"""Which images lie next to which: neighbours by Euclidean distance, what can be counted from them, hardest pairs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

BLOCK_BYTES = 16 * 2**20

ROUNDING = 1e-12
"""Share of |q|² by which the squared distance of two equal points can miss 0 in float64."""

SLICE = 16
"""Pairs ranked for each one wanted: enough unless a few odd images are in most of them."""


def nearest(
    queries: npt.ArrayLike, gallery: npt.ArrayLike, k: int, *, exclude_self: bool = False
) -> tuple[npt.NDArray[np.int32], Floats]:
    """Return the k nearest of a gallery (N, D) to each of the queries (Q, D), the nearest first, by Euclidean distance.

    With `exclude_self` the queries are the gallery, and no image is its own neighbour. Equal embeddings are exactly 0
    apart; of equally far ones, up to rounding, the lower index comes first.

    Returns:
        Indices into the gallery and distances, (Q, k) each; k is cut to the images that there are.

    Raises:
        ValueError: shapes that do not fit, or embeddings not finite in float32.
    """
    q, x = _points(queries), _points(gallery)
    if q.shape[1] != x.shape[1]:
        raise ValueError(f"The queries have {q.shape[1]} dimensions and the gallery {x.shape[1]}; make them the same.")
    if exclude_self and len(q) != len(x):
        raise ValueError(f"With exclude_self the {len(q)} queries must be the gallery, and that has {len(x)} images.")
    k = max(0, min(k, len(x) - exclude_self))
    near, distances = np.zeros((len(q), k), np.int32), np.zeros((len(q), k), np.float32)
    if k:
        rows = max(1, BLOCK_BYTES // (8 * max(len(x), k * x.shape[1])))
        # A product of points keeps the more digits the nearer most of them are to the origin.
        middle = np.median(x, axis=0)
        for start in range(0, len(q), rows):
            block = slice(start, start + rows)
            itself = np.arange(len(q))[block] if exclude_self else None
            near[block], squared = _nearest(q[block], x, k, itself, middle)
            distances[block] = np.minimum(np.sqrt(squared), np.finfo(np.float32).max)
    return near, distances


def _points(embeddings: npt.ArrayLike) -> Doubles:
    with np.errstate(over="ignore"):
        points = np.asarray(embeddings, np.float32)
    if points.ndim != 2:
        raise ValueError(f"Embeddings come as a table with one row an image, not in the shape {points.shape}.")
    if not np.isfinite(points).all():
        raise ValueError("Some embeddings are not finite numbers (NaN or infinity), so they have no neighbours.")
    return points.astype(np.float64)


def _nearest(q: Doubles, x: Doubles, k: int, itself: Indices | None, middle: Doubles) -> tuple[Indices, Doubles]:
    """Neighbours and their squared distances (Q, k). Queries whose neighbours are so near, as seen from the middle,
    that a product cannot tell them apart are measured again from one of them.
    """
    near, squared = _nearest_from(middle, q, x, k, itself)
    scale = np.square(q - middle).sum(axis=1)
    while (unsure := (squared[:, -1] > 0) & (squared[:, -1] < 1e-8 * scale)).any():
        origin = q[np.argmax(unsure)]
        nearby = np.square(q - origin).sum(axis=1)
        again = np.flatnonzero(unsure & (nearby <= 1e-4 * scale))
        itself_again = None if itself is None else itself[again]
        near[again], squared[again] = _nearest_from(origin, q[again], x, k, itself_again)
        scale[again] = nearby[again]
    return near, squared


def _nearest_from(origin: Doubles, q: Doubles, x: Doubles, k: int, itself: Indices | None) -> tuple[Indices, Doubles]:
    """Chosen by |q|² − 2 q·x + |x|², one product, then measured by differences, which lose no digits."""
    a, b = q - origin, x - origin
    a2, b2 = np.square(a).sum(axis=1, keepdims=True), np.square(b).sum(axis=1, keepdims=True)
    rough = np.hstack([-2 * a, a2, np.ones_like(a2)]) @ np.hstack([b, np.ones_like(b2), b2]).T
    rough[rough < ROUNDING * a2] = 0
    if itself is not None:
        rough[np.arange(len(q)), itself] = np.inf
    # The index rides in the last bits of the number that is sorted: faster than sorting indices, and ties are in order.
    # The bits of numbers that are not negative are in the order of the numbers.
    mask = (1 << (len(x) - 1).bit_length()) - 1
    bits = rough.view(np.int64)
    bits &= ~mask
    bits |= np.arange(len(x))
    bits.partition(k - 1, axis=1)
    near = np.sort(bits[:, :k] & mask, axis=1)
    squared = np.square(x[near] - q[:, None]).sum(axis=-1)
    order = np.argsort(squared, axis=1, kind="stable")
    return np.take_along_axis(near, order, axis=1), np.take_along_axis(squared, order, axis=1)


def recall_at_k(neighbours: npt.ArrayLike, labels: npt.ArrayLike, k: int) -> float | None:
    """Return the share of the images that have one of their class among their k nearest (Jégou, Douze & Schmid 2011;
    for embeddings Oh Song et al. 2016). Images alone in their class do not count.

    Takes the neighbours (N, at least k) of `nearest(…, exclude_self=True)` and labels (N,). Ties stay as they lie
    there, while `retrieval_metrics` counts them as wrong. None where fewer than two classes are left, for every
    neighbour would be right, or where every image is alone in its class.
    """
    near, y = np.asarray(neighbours), np.asarray(labels)
    if k < 1 or near.shape[1] < min(k, len(y) - 1):
        raise ValueError(f"k is {k}; it may be from 1 to the {near.shape[1]} neighbours that were searched for.")
    _, inverse, counts = np.unique(y, return_inverse=True, return_counts=True)
    if len(counts) < 2 or counts.max() < 2:
        return None
    hits = (y[near[:, :k]] == y[:, None]).any(axis=1)
    return float(hits[counts[inverse] > 1].mean())


def confusion(neighbours: npt.ArrayLike, labels: npt.ArrayLike, classes: int) -> Indices:
    """Count the images of each class (row) whose nearest neighbour is in each class (column): int64 (C, C).

    Takes the neighbours (N, k) of `nearest(…, exclude_self=True)` and labels (N,) from 0 to `classes` - 1.
    """
    near, y = np.asarray(neighbours), np.asarray(labels, np.int64)
    if len(y) and not 0 <= y.min() <= y.max() < classes:
        raise ValueError(f"Labels must be from 0 to {classes - 1}, and these are from {y.min()} to {y.max()}.")
    cells = y[:, None] * classes + y[near[:, :1]]
    return np.bincount(cells.ravel(), minlength=classes**2).astype(np.int64).reshape(classes, classes)


def hardest(
    d: npt.ArrayLike, same: npt.ArrayLike, first: npt.ArrayLike, second: npt.ArrayLike, count: int
) -> tuple[Indices, Indices]:
    """Return the same pairs farthest apart and the different pairs nearest, the hardest first, at most `count` each.

    An image is in one same pair and in one different pair at most, so that an odd one does not fill the list: a pair
    is passed over where a harder one has taken one of its images. Ties in the order of the pairs; pairs whose distance
    is not finite are left out.

    Args:
        d: (P,) distances.
        same: (P,) bool.
        first, second: (P,) indices of the two images, not negative.
        count: how many pairs of each kind.

    Returns:
        Indices in `d`, int64, of the same and of the different pairs.
    """
    distances, is_same = np.asarray(d), np.asarray(same, bool)
    a, b = np.asarray(first, np.int64), np.asarray(second, np.int64)
    measured = np.isfinite(distances)
    return (
        _smallest_disjoint(-distances, np.flatnonzero(measured & is_same), a, b, count),
        _smallest_disjoint(distances, np.flatnonzero(measured & ~is_same), a, b, count),
    )


def _smallest_disjoint(d: npt.NDArray[np.floating], remaining: Indices, a: Indices, b: Indices, count: int) -> Indices:
    """Of the remaining indices, those of the smallest d of which no two share an image."""
    taken = np.zeros(max(a.max(initial=-1), b.max(initial=-1)) + 1, bool)
    found: list[int] = []
    while len(remaining) and len(found) < count:
        values = d[remaining]
        size = min(len(remaining), SLICE * count)
        top = remaining[values <= np.partition(values, size - 1)[size - 1]]
        for pair in top[np.argsort(d[top], kind="stable")]:
            if not (taken[a[pair]] or taken[b[pair]]):
                taken[[a[pair], b[pair]]] = True
                found.append(int(pair))
                if len(found) == count:
                    break
        remaining = remaining[~(taken[a[remaining]] | taken[b[remaining]])]
    return np.array(found, np.int64)
