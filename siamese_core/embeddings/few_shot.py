"""Few-shot accuracy: telling classes apart from a few images of each, without training on them. Numpy only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]


class FewShot(NamedTuple):
    """A share of queries that are right, the ends of its 95 % interval, and what guessing would get."""

    accuracy: float
    low: float
    high: float
    chance: float
    ways: int
    shots: int


def most_ways(labels: npt.ArrayLike, shots: int) -> int:
    """How many classes have the `shots` images to learn from and one more to ask about."""
    _, counts = np.unique(np.asarray(labels), return_counts=True)
    return int((counts > shots).sum())


def few_shot_accuracy(
    embeddings: npt.ArrayLike, labels: npt.ArrayLike, ways: int, shots: int, *, episodes: int = 400, seed: int = 0
) -> FewShot | None:
    """N-way K-shot accuracy of embeddings (M, D) with labels (M,), by Euclidean distance.

    A class is the mean of its support embeddings (Snell, Swersky & Zemel 2017, "Prototypical Networks", eq. 1); with
    one shot, that is the nearest image (Koch, Zemel & Salakhutdinov 2015). A query is right where its own class is
    nearer than every other; ties are wrong, so a collapsed embedding scores 0. The interval is the mean over the
    episodes ± 1.96 standard errors, cut to [0, 1]: it says what other draws from these images would give.

    None where fewer than `ways` classes have more than `shots` images, and for embeddings not finite.

    Raises:
        ValueError: fewer than 2 ways, 1 shot or 2 episodes.
    """
    # From float32, sums of a few are exact in float64: means of equal embeddings are equal in any order.
    h = np.asarray(embeddings, np.float32).astype(np.float64)
    if ways < 2 or shots < 1 or episodes < 2:
        raise ValueError(f"{ways} ways, {shots} shots, {episodes} episodes; it takes at least 2, 1 and 2.")
    if most_ways(labels, shots) < ways or not np.isfinite(h).all():
        return None
    support, queries = draw(labels, ways, shots, episodes, np.random.default_rng(seed))
    shares = np.array([_right(h[s], h[q]).mean() for s, q in zip(support, queries, strict=True)])
    mean, margin = float(shares.mean()), float(1.96 * shares.std(ddof=1) / np.sqrt(episodes))
    return FewShot(mean, max(0.0, mean - margin), min(1.0, mean + margin), 1 / ways, ways, shots)


def draw(
    labels: npt.ArrayLike, ways: int, shots: int, episodes: int, generator: np.random.Generator
) -> tuple[Indices, Indices]:
    """Indices of the support images (episodes, ways, shots) and of one query of each class (episodes, ways).

    In an episode all classes differ, and all images of a class; every choice of both is as likely as any other.
    """
    _, y, counts = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    usable = np.flatnonzero(counts > shots)
    chosen = usable[generator.random((episodes, len(usable))).argsort(axis=1)[:, :ways]]
    ranks = np.zeros((episodes, ways, 0), np.int64)
    for drawn in range(shots + 1):
        rank = generator.integers(counts[chosen] - drawn)
        # The rank among the images not drawn yet becomes the rank among all of the class.
        for earlier in np.moveaxis(np.sort(ranks, axis=-1), -1, 0):
            rank += rank >= earlier
        ranks = np.concatenate([ranks, rank[..., None]], axis=-1)
    by_class = np.argsort(y, kind="stable")
    indices = by_class[(counts.cumsum() - counts)[chosen][..., None] + ranks]
    return indices[..., :shots], indices[..., shots]


def _right(support: npt.NDArray[np.float64], queries: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """(ways,): whether a query (ways, D) is nearest to the mean of the support of its class (ways, shots, D)."""
    # By differences, which lose no digits: equal embeddings must be ties.
    squared = np.square(queries[:, None] - support.mean(axis=1)).sum(axis=-1)
    to_true_class = squared.diagonal().copy()
    np.fill_diagonal(squared, np.inf)
    return np.asarray(to_true_class < squared.min(axis=1))
