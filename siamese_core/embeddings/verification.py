"""Same or different by a threshold on a distance: error rates, how to choose it, how sure to be. Numpy only.

False accept: a different pair taken for the same; false reject: the reverse (ISO/IEC 19795-1).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from siamese_core.embeddings.retrieval import Floats, equal_error, verification_metrics

Doubles = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

MAX_STORED = 200_000
"""Distances of each kind that are stored, at most: a rate is then off by at most 1 / MAX_STORED."""

POINTS = 1_000
"""Points of a drawn curve."""

GRID = 256
"""Thresholds at which the rates have an interval."""

BINS = 16_384
"""Steps told apart in a resampled curve: at a false accept rate of 0.1 % they lie 0.4 % of that rate apart."""

CHUNK = 1_024
"""Pairs weighed at once: with 200 replicates 0.8 MB, which stays in a core's cache."""

MIDDLE_95 = (2.5, 97.5)
"""Percentiles."""

NEARLY = 1 + 1e-9
"""Costs that differ by no more than this factor differ by rounding."""


@dataclass(frozen=True, eq=False)
class Distances:
    """Sorted distances of pairs of one class, `same` (P,), and of two classes, `different` (Q,).

    `counts` (2,): of how many pairs they are, where they were thinned.
    """

    same: Floats
    different: Floats
    counts: npt.NDArray[np.int64]

    @classmethod
    def of(cls, d: npt.ArrayLike, same: npt.ArrayLike) -> Distances:
        """Return the sorted distances of d (P,), by whether each pair is the same (P,).

        A kind with more than MAX_STORED pairs is thinned evenly in rank; its smallest and its largest distance stay.
        """
        d, same = np.asarray(d, np.float32), np.asarray(same, bool)
        alike, others = d[same], d[~same]
        return cls(_thinned(np.sort(alike)), _thinned(np.sort(others)), np.array([len(alike), len(others)]))

    def similarities(self) -> Distances:
        """Return the similarities: p where these are 1 − p."""
        return Distances(1 - self.same, 1 - self.different, self.counts)


def _thinned(ordered: Floats) -> Floats:
    if len(ordered) <= MAX_STORED:
        return ordered
    return ordered[np.arange(MAX_STORED) * (len(ordered) - 1) // (MAX_STORED - 1)]


def halves(labels: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return (N,): True for the images on which a threshold is chosen, False for those on which it is judged.

    Every other image of each class in the order they stand. The halves differ by at most one image, also in each class.
    """
    # Counted through all classes one after the other: after a class of odd size, the next one starts in the other half.
    order = np.argsort(np.asarray(labels), kind="stable")
    chosen = np.empty(len(order), bool)
    chosen[order] = np.arange(len(order)) % 2 == 0
    return chosen


class Rates(NamedTuple):
    false_accept: float
    false_reject: float


def rates(distances: Distances, threshold: float) -> Rates:
    """Return the errors when every pair at a distance ≤ threshold is accepted. NaN for a kind without a pair."""
    false_accept, false_reject = _rates(distances, np.array([threshold]))
    return Rates(float(false_accept[0]), float(false_reject[0]))


def _rates(distances: Distances, thresholds: npt.NDArray[np.floating]) -> tuple[Doubles, Doubles]:
    accepted = np.searchsorted(distances.different, thresholds, side="right")
    rejected = len(distances.same) - np.searchsorted(distances.same, thresholds, side="right")
    with np.errstate(invalid="ignore"):
        return accepted / np.float64(len(distances.different)), rejected / np.float64(len(distances.same))


class _Steps(NamedTuple):
    """All that thresholds (K,) can do, in rising order: from accepting no pair to accepting all."""

    thresholds: Floats
    false_accept: Doubles
    false_reject: Doubles

    def at(self, indices: Indices) -> _Steps:
        return _Steps(self.thresholds[indices], self.false_accept[indices], self.false_reject[indices])


def _steps(distances: Distances) -> _Steps:
    """One threshold midway between neighbouring distances, one just below all, and the largest distance."""
    same, different = distances.same, distances.different
    if not len(same) or not len(different) or not (np.isfinite(same).all() and np.isfinite(different).all()):
        raise ValueError("A threshold needs pairs of both kinds, same and different, with finite distances.")
    values = np.unique(np.concatenate([same, different]))
    middle = ((values[:-1].astype(np.float64) + values[1:]) / 2).astype(np.float32)
    # Between two neighbours in float32 there is no number: the lower one does the same.
    between = np.where(middle < values[1:], middle, values[:-1])
    below = np.nextafter(values[:1], np.float32(-np.inf))
    thresholds = np.concatenate([below, between, values[-1:]])
    return _Steps(thresholds, *_rates(distances, thresholds))


def at_eer(distances: Distances) -> float:
    """Return the threshold at which false accept and false reject rate differ least."""
    steps = _steps(distances)
    return _cheapest(steps, np.abs(steps.false_accept - steps.false_reject))


def at_false_accept(distances: Distances, wanted: float) -> float:
    """Return the highest threshold whose false accept rate on these pairs is at most `wanted` (a share, 0.01 is 1 %).

    Midway to the next distance; below all distances where even the nearest different pair is one too many.
    """
    if not wanted >= 0:
        raise ValueError("The wanted false accept rate must be 0 or more.")
    steps = _steps(distances)
    return float(steps.thresholds[_last_within(steps.false_accept, wanted)])


def at_least_cost(distances: Distances, false_accept_cost: float, false_reject_cost: float, share_same: float) -> float:
    """Return the threshold of the smallest expected cost, C_FA · FAR · (1 − share) + C_FR · FRR · share.

    That is NIST's detection cost (Doddington et al. 2000). `share_same` is the share of same pairs where the
    threshold will be used. Of thresholds that cost the same, the lowest.
    """
    if not (0 <= false_accept_cost < np.inf and 0 <= false_reject_cost < np.inf and 0 <= share_same <= 1):
        raise ValueError("The costs must be 0 or more, and the share of same pairs between 0 and 1.")
    steps = _steps(distances)
    accepting = false_accept_cost * (1 - share_same) * steps.false_accept
    return _cheapest(steps, accepting + false_reject_cost * share_same * steps.false_reject)


def _cheapest(steps: _Steps, cost: Doubles) -> float:
    """The lowest of the thresholds whose cost (K,) is the smallest."""
    return float(steps.thresholds[np.argmax(cost <= cost.min() * NEARLY)])


def _last_within(rising: Doubles, bound: npt.ArrayLike) -> Indices:
    """The index of the last of the rising rates (K,), which start at 0, that is at most `bound`."""
    return np.searchsorted(rising, bound, side="right") - 1


class Curves(NamedTuple):
    """Three arrays of the same length, at most POINTS: ROC is 1 − false_reject over false_accept, DET both errors."""

    thresholds: Floats
    false_accept: Floats
    false_reject: Floats


def curves(distances: Distances) -> Curves:
    """Return the error rates, all finite, along rising thresholds: from accepting no pair to accepting all."""
    steps = _steps(distances)
    return Curves(*(values.astype(np.float32) for values in steps.at(_spread(steps, POINTS))))


def _spread(steps: _Steps, points: int) -> Indices:
    """At most `points` indices among the steps: both ends, and between them even in each rate and in its logarithm."""
    count = len(steps.thresholds)
    if count <= points:
        return np.arange(count)

    def even(rising: Doubles) -> Indices:
        lowest, each = rising[rising > 0][0], points // 4
        return _last_within(rising, np.concatenate([np.linspace(0, 1, each), np.geomspace(lowest, 1, each)]))

    return np.union1d(even(steps.false_accept), count - 1 - even(steps.false_reject[::-1]))


class Summary(NamedTuple):
    """Area under the ROC curve, equal error rate, true accept rate at a false accept rate of at most 1 % and 0.1 %."""

    auc: float
    eer: float
    tar_at_1: float
    tar_at_01: float


def summary(distances: Distances) -> Summary | None:
    """Return the scores of all thresholds together; None without pairs of both kinds, or with a distance not finite.

    The true accept rates are those of a threshold, not interpolated: with fewer than 1,000 different pairs
    `tar_at_01` is the best that accepts none of them.
    """
    verified = verification_metrics(distances.same, distances.different)
    if verified is None:
        return None
    return Summary(*verified, *_true_accepts(_steps(distances)))


def _true_accepts(steps: _Steps) -> tuple[float, float]:
    at_1, at_01 = 1 - steps.false_reject[_last_within(steps.false_accept, [0.01, 0.001])]
    return float(at_1), float(at_01)


def _scores(steps: _Steps) -> Summary:
    """`summary`, of rates that came out of weighted pairs."""
    _, false_accept, false_reject = steps
    auc = float(np.trapezoid(1 - false_reject, false_accept))
    return Summary(auc, equal_error(false_accept, false_reject), *_true_accepts(steps))


@dataclass(frozen=True, eq=False)
class Intervals:
    """95 % intervals: (low, high) of each field of Summary, and (2, G) of the rates at G ≤ GRID rising thresholds."""

    summary: dict[str, tuple[float, float]]
    thresholds: Floats
    false_accept: Floats
    false_reject: Floats


def intervals(
    d: npt.ArrayLike,
    same: npt.ArrayLike,
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    *,
    replicates: int = 200,
    seed: int = 0,
) -> Intervals | None:
    """Return how far the scores would move with other images: the percentile bootstrap over images, not over pairs.

    Of distances d (P,), same (P,), and the indices of the two images of each pair, first and second (P,). Pairs that
    share an image are not independent, so what is drawn with replacement is images (Snijders & Borgatti 1999; for
    matching, Bolle, Ratha & Pankanti 2004, who draw all scores of a subject together). Two images drawn wᵢ and wⱼ
    times make their pair count wᵢ·wⱼ times; a copy is never paired with its original, as no listed pair is.

    The network stays the same. How many images a class has is left to chance too: where that is fixed by design, the
    interval is too wide, by a third and more where classes differ in how hard they are; where each image is in one
    pair only, by √3. Where no error was made it has no width: it cannot know of errors never seen. A replicate that
    lost all pairs of a kind is left out. None without pairs of both kinds, or with a distance not finite.
    """
    d, same = np.asarray(d, np.float32), np.asarray(same, bool)
    first, second = np.asarray(first), np.asarray(second)
    # True also where there is no pair at all.
    if same.all() or not same.any() or not np.isfinite(d).all():
        return None
    known = _steps(Distances.of(d, same))
    known = known.at(_spread(known, BINS))
    weights = _weights(first, second, replicates, np.random.default_rng(seed))
    accepted = [
        np.cumsum(_binned(d[kind], first[kind], second[kind], known.thresholds, weights), axis=0, dtype=np.float64)
        for kind in (~same, same)
    ]
    grid = _spread(known, GRID)
    drawn = list(_replicates(known.thresholds, *accepted))
    if not drawn:
        return None
    low, high = np.percentile([_scores(steps) for steps in drawn], MIDDLE_95, axis=0)
    return Intervals(
        dict(zip(Summary._fields, zip(low.tolist(), high.tolist(), strict=True), strict=True)),
        known.thresholds[grid],
        np.percentile([steps.false_accept[grid] for steps in drawn], MIDDLE_95, axis=0).astype(np.float32),
        np.percentile([steps.false_reject[grid] for steps in drawn], MIDDLE_95, axis=0).astype(np.float32),
    )


def _weights(
    first: npt.NDArray[np.integer], second: npt.NDArray[np.integer], replicates: int, rng: np.random.Generator
) -> Floats:
    """(N, R): how often each image is drawn, of those that occur in a pair; an image that does not is drawn 0 times."""
    occurs = np.zeros(max(first.max(), second.max()) + 1, bool)
    occurs[first] = occurs[second] = True
    images = np.flatnonzero(occurs)
    weights = np.zeros((len(occurs), replicates), np.float32)
    for r in range(replicates):
        weights[images, r] = np.bincount(rng.integers(len(images), size=len(images)), minlength=len(images))
    return weights


def _binned(
    d: Floats, first: npt.NDArray[np.integer], second: npt.NDArray[np.integer], thresholds: Floats, weights: Floats
) -> Floats:
    """(K, R): the weight of the pairs of which each of K thresholds is the lowest that accepts them."""
    bins = np.searchsorted(thresholds, d).astype(np.uint16)
    order = np.argsort(bins, kind="stable")
    binned = np.zeros((len(thresholds), weights.shape[1]), np.float32)
    for start in range(0, len(d), CHUNK):
        pairs = order[start : start + CHUNK]
        # All replicates of a pair lie side by side: one look-up serves 200. The sums are whole numbers below 2²⁴.
        one, other = first[pairs], second[pairs]
        weight = weights[one] * weights[other]
        # An image seen in two ways is one image: drawn twice, its pair with itself is there twice, not four times.
        itself = np.flatnonzero(one == other)
        weight[itself] = weights[one[itself]]
        indices, starts = np.unique(bins[pairs], return_index=True)
        binned[indices] += np.add.reduceat(weight, starts, axis=0)
    return binned


def _replicates(thresholds: Floats, accepted: Doubles, truly_accepted: Doubles) -> Iterator[_Steps]:
    """The curve of each replicate that has pairs of both kinds, of the weights (K, R) accepted up to each threshold."""
    for false, true in zip(accepted.T, truly_accepted.T, strict=True):
        if false[-1] and true[-1]:
            yield _Steps(thresholds, false / false[-1], (true[-1] - true) / true[-1])


def rate_intervals_at(intervals: Intervals, threshold: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return (low, high) of the false accept and of the false reject rate at a threshold, between its neighbours' in
    line; beyond the last of them, anything from that one's to what accepts no pair, or all."""
    (far_low, far_high), (frr_low, frr_high) = (
        [float(np.interp(threshold, intervals.thresholds, limit)) for limit in limits]
        for limits in (intervals.false_accept, intervals.false_reject)
    )
    if threshold < intervals.thresholds[0]:
        far_low, frr_high = 0.0, 1.0
    elif threshold > intervals.thresholds[-1]:
        far_high, frr_low = 1.0, 0.0
    return (far_low, far_high), (frr_low, frr_high)
