"""Intervals by drawing images again, against the same bootstrap by loops and against data made again."""

from __future__ import annotations

import numpy as np
import pytest

from siamese_core.embeddings import verification
from siamese_core.embeddings.verification import Distances, Summary, intervals, rate_intervals_at, rates, summary


def all_pairs(n: int, classes: int, seed: int) -> tuple[np.ndarray, ...]:
    """d (P,), same (P,) and the images of all pairs of n images; some images lie farther from all than others."""
    rng = np.random.default_rng(seed)
    first, second = np.triu_indices(n, 1)
    labels, outlying = np.arange(n) % classes, 0.5 * rng.normal(size=n)
    same = labels[first] == labels[second]
    d = np.where(same, 3, 5) + outlying[first] + outlying[second] + 0.7 * rng.normal(size=len(first))
    return np.abs(d).astype(np.float32), same, first, second


def score(d: np.ndarray, same: np.ndarray, thresholds: np.ndarray) -> list[float] | None:
    """The fields of the summary, then both rates at each threshold."""
    distances = Distances.of(d, same)
    found = summary(distances)
    return found and [*found, *(rate for threshold in thresholds for rate in rates(distances, threshold))]


def bootstrapped(pairs: tuple[np.ndarray, ...], thresholds: np.ndarray, replicates: int, by: str) -> np.ndarray:
    """(R, 4 + 2T): images, or pairs, drawn with replacement; each pair as often as it is drawn."""
    d, same, first, second = pairs
    rng = np.random.default_rng(1234)
    drawn = []
    for _ in range(replicates):
        if by == "pairs":
            listed = [int(i) for i in rng.integers(len(d), size=len(d))]
        else:
            images = np.unique([first, second])
            times = dict.fromkeys(images.tolist(), 0)
            for image in rng.choice(images, len(images)):
                times[int(image)] += 1
            listed = [i for i in range(len(d)) for _ in range(times[int(first[i])] * times[int(second[i])])]
        drawn.append(score(d[listed], same[listed], thresholds))
    return np.array([row for row in drawn if row is not None])


def limits(found: verification.Intervals, thresholds: np.ndarray) -> np.ndarray:
    """(4 + 2T, 2), in the order of `score`."""
    return np.array([*found.summary.values(), *(limit for t in thresholds for limit in rate_intervals_at(found, t))])


@pytest.fixture(scope="module")
def thirty() -> dict[str, np.ndarray]:
    """Of all pairs of 30 images: our limits and what two bootstraps by loops drew."""
    pairs = all_pairs(30, 5, seed=3)
    found = intervals(*pairs, replicates=3000)
    assert found is not None
    thresholds = np.quantile(found.thresholds, [0.25, 0.5, 0.75])
    return {
        "ours": limits(found, thresholds),
        "images": bootstrapped(pairs, thresholds, 500, "images"),
        "pairs": bootstrapped(pairs, thresholds, 200, "pairs"),
    }


def test_intervals_are_those_of_drawing_images_by_loops(thirty: dict[str, np.ndarray]) -> None:
    """A 2.5 % point of 500 numbers is known to about a tenth of their spread."""
    theirs = np.percentile(thirty["images"], [2.5, 97.5], axis=0).T
    assert (np.abs(thirty["ours"] - theirs) <= 0.4 * thirty["images"].std(axis=0)[:, None] + 1e-6).all()


def test_drawing_pairs_would_promise_too_much(thirty: dict[str, np.ndarray]) -> None:
    """Some images lie far from all others: the pairs that share one go wrong together."""
    low, high = np.percentile(thirty["pairs"], [2.5, 97.5], axis=0)
    ratio = (thirty["ours"][:, 1] - thirty["ours"][:, 0]) / (high - low)
    assert (ratio > 1.4).all() and np.median(ratio) > 1.8


def embedded(n: int, seed: int) -> tuple[np.ndarray, ...]:
    """All pairs of n images drawn from four classes in the plane, some of them wider than others."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(4, size=n)
    h = np.array([[0, 0], [3, 0], [0, 3], [3, 3]])[labels] + rng.normal(size=(n, 2)) * (0.5 + labels / 4)[:, None]
    first, second = np.triu_indices(n, 1)
    return np.linalg.norm(h[first] - h[second], axis=1), labels[first] == labels[second], first, second


def test_intervals_are_as_wide_as_scores_spread_over_other_images() -> None:
    """Four standard deviations of the scores of 60 sets of 100 images against the mean width on some of them."""
    sets = [embedded(100, seed) for seed in range(60)]
    spread = np.std([summary(Distances.of(d, same)) for d, same, *_ in sets], axis=0)
    found = [intervals(*pairs, replicates=100) for pairs in sets[:12]]
    widths = np.mean([np.diff(list(x.summary.values()))[:, 0] for x in found if x is not None], axis=0)
    assert widths[:3] == pytest.approx(2 * 1.96 * spread[:3], rel=0.35)


def test_pairs_that_share_no_image_get_an_interval_root_three_too_wide() -> None:
    rng = np.random.default_rng(0)
    n = 4000
    same = np.arange(n) % 2 == 0
    found = intervals(rng.random(n), same, np.arange(n), np.arange(n) + n, replicates=500)
    assert found is not None
    (low, high), _ = rate_intervals_at(found, 0.5)
    assert high - low == pytest.approx(3**0.5 * 3.92 * (0.25 / (n / 2)) ** 0.5, rel=0.1)


@pytest.mark.parametrize("unit", [0.1, np.finfo(np.float32).eps], ids=["ties", "neighbouring numbers"])
def test_a_replicate_is_the_list_of_pairs_with_each_as_often_as_both_its_images_were_drawn(unit: float) -> None:
    """Images that stand anywhere, some that occur in no pair, and chunks that cut through a bin."""
    d, same, first, second = all_pairs(70, 5, seed=1)
    d = (1 + (10 * d).round() * unit).astype(np.float32)
    first, second = 3 * first + 5, 3 * second + 5
    weights = verification._weights(first, second, 6, np.random.default_rng(0))
    assert (weights.sum(axis=0) == 70).all() and not weights[:5].any() and not weights[6::3].any()
    known = verification._steps(Distances.of(d, same))
    accepted = [
        verification._binned(d[kind], first[kind], second[kind], known.thresholds, weights).cumsum(axis=0)
        for kind in (~same, same)
    ]
    for r, replicate in enumerate(verification._replicates(known.thresholds, *accepted)):
        times = (weights[first, r] * weights[second, r]).astype(int)
        drawn = Distances.of(np.repeat(d, times), np.repeat(same, times))
        assert verification._scores(replicate) == pytest.approx(summary(drawn))
        for place in range(0, len(known.thresholds), 7):
            rate = replicate.false_accept[place], replicate.false_reject[place]
            assert rate == pytest.approx(rates(drawn, known.thresholds[place]))


def test_steps_that_are_not_told_apart_hardly_change_an_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = all_pairs(250, 10, seed=2)
    exact = intervals(*pairs, replicates=50)
    monkeypatch.setattr(verification, "BINS", 2000)
    coarse = intervals(*pairs, replicates=50)
    assert exact is not None and coarse is not None
    assert coarse.summary["auc"] == pytest.approx(exact.summary["auc"], abs=1e-4)
    assert coarse.summary["tar_at_01"] == pytest.approx(exact.summary["tar_at_01"], abs=2e-3)
    assert np.array(list(coarse.summary.values())) == pytest.approx(np.array(list(exact.summary.values())), abs=2e-3)


def test_the_scores_of_the_pairs_themselves_lie_within() -> None:
    pairs = all_pairs(100, 5, seed=4)
    found, scores = intervals(*pairs), summary(Distances.of(*pairs[:2]))
    assert found is not None and scores is not None and tuple(found.summary) == Summary._fields
    assert all(low < value < high for (low, high), value in zip(found.summary.values(), scores, strict=True))
    for threshold in found.thresholds[::16]:
        for (low, high), rate in zip(
            rate_intervals_at(found, threshold), rates(Distances.of(*pairs[:2]), threshold), strict=True
        ):
            assert low <= rate <= high


def test_thresholds_rise_and_cover_low_rates_of_false_accept() -> None:
    found = intervals(*all_pairs(300, 5, seed=5), replicates=20)
    assert found is not None and 180 < len(found.thresholds) <= verification.GRID
    assert (np.diff(found.thresholds) > 0).all()
    assert found.false_accept.shape == found.false_reject.shape == (2, len(found.thresholds))
    assert found.thresholds.dtype == found.false_accept.dtype == found.false_reject.dtype == np.float32
    assert ((found.false_accept[1] > 0) & (found.false_accept[0] < 0.01)).sum() > 40
    assert (found.false_accept[0] <= found.false_accept[1]).all()
    assert (np.diff(found.false_accept, axis=1) >= 0).all() and (np.diff(found.false_reject, axis=1) <= 0).all()


def test_a_band_lies_in_line_between_its_neighbours_and_is_open_beyond_them() -> None:
    at = np.array([1, 2], np.float32)
    found = verification.Intervals({}, at, np.array([[0, 0.2], [0.2, 0.6]]), np.array([[0.5, 0.1], [0.7, 0.2]]))
    assert rate_intervals_at(found, 1.5) == (pytest.approx((0.1, 0.4)), pytest.approx((0.3, 0.45)))
    assert rate_intervals_at(found, 1) == ((0, 0.2), (0.5, 0.7))
    assert rate_intervals_at(found, 2) == ((0.2, 0.6), (0.1, 0.2))
    assert rate_intervals_at(found, 0) == ((0, 0.2), (0.5, 1)) and rate_intervals_at(found, 9) == ((0.2, 1), (0, 0.2))


def test_the_seed_decides_and_nothing_else() -> None:
    pairs = all_pairs(20, 4, seed=0)
    one, again, other = (intervals(*pairs, seed=seed) for seed in (7, 7, 8))
    assert one is not None and again is not None and other is not None
    assert one.summary == again.summary != other.summary
    order = np.random.default_rng(0).permutation(len(pairs[0]))
    shuffled = intervals(*(column[order] for column in pairs), seed=7)
    assert shuffled is not None and shuffled.summary == one.summary


def test_where_no_error_was_made_the_interval_has_no_width() -> None:
    first, second = np.triu_indices(12, 1)
    same = first % 3 == second % 3
    found = intervals(np.where(same, 1, 2), same, first, second)
    assert found is not None
    assert found.summary == {"auc": (1, 1), "eer": (0, 0), "tar_at_1": (1, 1), "tar_at_01": (1, 1)}


def test_a_replicate_that_lost_all_pairs_of_a_kind_is_left_out() -> None:
    """Four images, one same pair: it is lost whenever one of its two images is not drawn."""
    first, second = np.triu_indices(4, 1)
    found = intervals([1, 2, 3, 4, 5, 6], [True] + [False] * 5, first, second)
    assert found is not None and found.summary["auc"] == (1, 1)
    assert intervals([1, 2], [True, False], [0, 1], [1, 2], replicates=1, seed=1) is None


@pytest.mark.parametrize(
    ("d", "same"),
    [
        ([], []),
        ([1, 2], [True, True]),
        ([1, 2], [False, False]),
        ([1, np.nan], [True, False]),
        ([np.inf, 1], [True, False]),
    ],
)
def test_without_finite_distances_of_both_kinds_there_are_no_intervals(d: list[float], same: list[bool]) -> None:
    places = np.arange(len(d))
    assert intervals(d, same, places, places + 1) is None


def test_an_image_seen_in_two_ways_is_drawn_as_one() -> None:
    """Every image with itself and with one of another class, as first and as second inputs: drawn twice, its own pair
    is there twice. The figure of the images themselves lies in its interval."""
    rng = np.random.default_rng(3)
    images = 40
    first, second = (side.ravel() for side in np.meshgrid(np.arange(images), np.arange(images), indexing="ij"))
    same = first % 20 == second % 20
    d = np.where(first == second, rng.normal(0.2, 0.1, images**2), rng.normal(1.0, 0.3, images**2)).astype(np.float32)
    d = np.where(same & (first != second), rng.normal(0.9, 0.3, images**2), d).astype(np.float32)
    found, whole = intervals(d, same, first, second), summary(Distances.of(d, same))
    assert found is not None
    assert whole is not None
    for name, (low, high) in found.summary.items():
        assert low <= getattr(whole, name) <= high, name


def test_beyond_the_last_threshold_of_an_interval_nothing_is_promised() -> None:
    rng = np.random.default_rng(0)
    d = rng.uniform(1, 2, 400).astype(np.float32)
    same = np.arange(400) % 2 == 0
    found = intervals(d, same, *rng.integers(0, 40, (2, 400)))
    assert found is not None
    assert rate_intervals_at(found, 0.5)[0][0] == 0
    assert rate_intervals_at(found, 0.5)[1][1] == 1
    assert rate_intervals_at(found, 2.5)[0][1] == 1
    assert rate_intervals_at(found, 2.5)[1][0] == 0
