"""How good an embedding is: retrieval by Euclidean distance, verification by the model's own distance. Numpy only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

CHUNK = 1024
"""Queries ranked at once: the distances of a chunk to 10,000 images take 40 MB."""

ROUNDING = np.float32(1e-6)
"""Share of |q|² by which the squared distance of two equal embeddings can miss 0 in float32."""


class RetrievalMetrics(NamedTuple):
    precision_at_1: float
    map_at_r: float


def retrieval_metrics(embeddings: npt.ArrayLike, labels: npt.ArrayLike) -> RetrievalMetrics | None:
    """Precision@1 and MAP@R (Musgrave, Belongie & Lim 2020) of embeddings (N, D) with labels (N,).

    Each image is a query against all the others; R is the number of others of its class, and
    MAP@R = (1/R) Σ_{i ≤ R} P(i)·rel(i). Queries without another image of their class do not count.
    Where two neighbours are equally far, the one of another class comes first: a collapsed embedding scores 0.
    None where fewer than two classes are left, for every neighbour would be right, and for embeddings not finite.
    """
    h = np.asarray(embeddings, np.float32)
    _, y, counts = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    if len(counts) < 2 or counts.max() < 2 or not np.isfinite(h).all():
        return None
    # Scaled by a power of two, which rounds nothing, so that no square overflows; centred, so that few digits cancel.
    h = np.ldexp(h, -np.frexp(np.abs(h).max())[1])
    h = h - h.mean(axis=0)
    first, average = [], []
    for start in range(0, len(h), CHUNK):
        queries = np.arange(start, min(start + CHUNK, len(h)))
        r = counts[y[queries]] - 1
        hits = _nearest_hits(h, y, queries, int(r.max()))
        ranks = np.arange(1, hits.shape[1] + 1)
        precision = hits.cumsum(axis=1) / ranks
        counted = hits & (ranks <= r[:, None])
        has_others = r > 0
        average.append((precision * counted).sum(axis=1)[has_others] / r[has_others])
        first.append(hits[has_others, 0])
    return RetrievalMetrics(float(np.concatenate(first).mean()), float(np.concatenate(average).mean()))


def _nearest_hits(h: Floats, y: npt.NDArray[np.intp], queries: npt.NDArray[np.intp], k: int) -> npt.NDArray[np.bool_]:
    """(Q, k): whether the i-th nearest of the other images is of the query's class."""
    # |q|² − 2 q·x + |x|² is one matrix product.
    squares = np.square(h).sum(axis=1, keepdims=True)
    ones = np.ones_like(squares)
    squared = np.hstack([-2 * h[queries], squares[queries], ones[queries]]) @ np.hstack([h, ones, squares]).T
    # What rounding leaves of the distance of two equal embeddings is 0: they are ties.
    squared[squared < ROUNDING * squares[queries]] = 0
    # The answer rides in the last bit of the number that is sorted: a third of the time of sorting indices. The bits of
    # numbers that are not negative are in the order of the numbers.
    bits = squared.view(np.int32)
    bits &= ~1
    bits |= y[queries, None] == y[None]
    bits[np.arange(len(queries)), queries] = np.finfo(np.float32).max.view(np.int32) - 1
    nearest = np.sort(np.partition(squared, k - 1, axis=1)[:, :k], axis=1)
    return (nearest.view(np.int32) & 1).astype(bool)


class VerificationMetrics(NamedTuple):
    auc: float
    eer: float


def verification_metrics(
    same_distances: npt.ArrayLike, different_distances: npt.ArrayLike
) -> VerificationMetrics | None:
    """Area under the ROC curve and equal error rate of "the smaller the distance, the more likely the same".

    Distances (P,) of same and of different pairs; None where one of them is empty or a distance is not finite.
    """
    from sklearn.metrics import auc, roc_curve

    same, different = np.asarray(same_distances), np.asarray(different_distances)
    if not len(same) or not len(different) or not (np.isfinite(same).all() and np.isfinite(different).all()):
        return None
    is_same = np.r_[np.ones(len(same), bool), np.zeros(len(different), bool)]
    false_accept, true_accept, _ = roc_curve(is_same, -np.r_[same, different])
    return VerificationMetrics(float(auc(false_accept, true_accept)), equal_error(false_accept, 1 - true_accept))


def equal_error(false_accept: npt.ArrayLike, false_reject: npt.ArrayLike) -> float:
    """Where the two rates (K,), one rising and one falling along the thresholds, cross: on the line between the last
    threshold that rejects too much and the first that accepts too much."""
    accept, reject = np.asarray(false_accept), np.asarray(false_reject)
    return float(np.interp(0, accept - reject, accept))
