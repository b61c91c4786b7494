"""Thresholds and error rates against scikit-learn, against loops and against cases counted by hand."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import det_curve, roc_auc_score, roc_curve

from siamese_core.embeddings import retrieval, verification
from siamese_core.embeddings.verification import (
    Distances,
    Rates,
    at_eer,
    at_false_accept,
    at_least_cost,
    curves,
    halves,
    rates,
    summary,
)

FOUR = Distances.of([1, 2, 3, 6, 4, 5, 7, 8], [True] * 4 + [False] * 4)
"""Same at 1, 2, 3 and 6; different at 4, 5, 7 and 8."""

# Few distinct values: ties within and between the kinds.
sides = st.lists(st.integers(0, 12), min_size=1, max_size=12)
shares = st.floats(0, 1)
costs = st.integers(0, 20)


def of(same: Any, different: Any) -> Distances:
    return Distances.of([*same, *different], [True] * len(same) + [False] * len(different))


def overlapping(p: int, q: int, seed: int = 0, decimals: int = 6) -> Distances:
    rng = np.random.default_rng(seed)
    return of(rng.gamma(2, 1, p).round(decimals), rng.gamma(5, 1, q).round(decimals))


def useful_thresholds(same: list[int], different: list[int]) -> list[float]:
    """One in every gap between whole numbers, from below all to above all."""
    return [x + 0.5 for x in range(-1, max(same + different) + 1)]


def counted(same: list[int], different: list[int], threshold: float) -> Rates:
    return Rates(sum(x <= threshold for x in different) / len(different), sum(x > threshold for x in same) / len(same))


def test_distances_are_sorted_by_kind() -> None:
    assert FOUR.same.tolist() == [1, 2, 3, 6] and FOUR.different.tolist() == [4, 5, 7, 8]
    assert FOUR.same.dtype == FOUR.different.dtype == np.float32


@pytest.mark.parametrize("n", [101, 102, 150, 1000, 12_345])
def test_a_rate_of_thinned_distances_is_off_by_at_most_one_in_kept(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "MAX_STORED", 100)
    values = np.random.default_rng(n).permutation(n)
    thinned = of(values, values)
    assert len(thinned.same) == len(thinned.different) == 100
    assert (thinned.same[0], thinned.same[-1]) == (0, n - 1)
    for threshold in np.r_[-1 : n : n / 997, n - 1]:
        within = (values <= threshold).mean()
        accept, reject = rates(thinned, threshold)
        assert abs(accept - within) <= 1 / 100 and abs(reject - (1 - within)) <= 1 / 100 + 1e-12


def test_as_many_distances_as_are_stored_all_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "MAX_STORED", 100)
    assert of(range(100), range(99)).same.tolist() == list(range(100))


def test_every_other_image_of_a_class_is_in_the_first_half() -> None:
    assert halves(list("aabbaabb")).tolist() == [True, False] * 4
    assert halves(list("abab")).tolist() == [True, True, False, False]


def test_classes_of_odd_size_take_turns() -> None:
    assert halves(list("aaabbbccc")).tolist() == [True, False, True, False, True, False, True, False, True]


@given(st.lists(st.integers(0, 5)))
def test_halves_differ_by_at_most_one_image_also_in_each_class(labels: list[int]) -> None:
    chosen = halves(labels)
    assert chosen.shape == (len(labels),) and chosen.dtype == bool
    assert abs(chosen.sum() - (~chosen).sum()) <= 1
    for label in set(labels):
        of_label = chosen[np.array(labels) == label]
        assert abs(of_label.sum() - (~of_label).sum()) <= 1
        assert (of_label[1:] != of_label[:-1]).all()


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [(0, (0, 1)), (3.5, (0, 0.25)), (4, (0.25, 0.25)), (5, (0.5, 0.25)), (6, (0.5, 0)), (8, (1, 0))],
)
def test_rates_counted_by_hand(threshold: float, expected: tuple[float, float]) -> None:
    assert rates(FOUR, threshold) == expected


def test_a_pair_at_the_threshold_is_accepted_and_one_just_beyond_is_not() -> None:
    third = np.float32(1 / 3)
    assert rates(of([third], [third]), float(third)) == (1, 0)
    assert rates(of([third], [third]), np.nextafter(float(third), 0)) == (0, 1)


@given(sides, sides, st.floats(-1, 13))
def test_rates_are_counts(same: list[int], different: list[int], threshold: float) -> None:
    assert rates(of(same, different), threshold) == counted(same, different, threshold)


def test_a_kind_without_pairs_has_no_rate() -> None:
    assert np.isnan(rates(of([], [1, 2]), 1).false_reject) and rates(of([], [1, 2]), 1).false_accept == 0.5
    assert np.isnan(rates(of([1, 2], []), 1).false_accept) and rates(of([1, 2], []), 1).false_reject == 0.5


def test_thresholds_counted_by_hand() -> None:
    """At 4.5 one of four of each kind is wrong. None is accepted falsely up to 4, one up to 5, two up to 7."""
    assert at_eer(FOUR) == 4.5
    assert [at_false_accept(FOUR, wanted) for wanted in (0, 0.24, 0.25, 0.5, 1)] == [3.5, 3.5, 4.5, 6.5, 8]
    # 3.5 costs one false reject, 6.5 two false accepts.
    assert at_least_cost(FOUR, 1, 1, 0.5) == 3.5
    assert at_least_cost(FOUR, 1, 3, 0.5) == 6.5
    assert at_least_cost(FOUR, 1, 1, 0.9) == 6.5


def test_kinds_that_do_not_overlap_are_parted_midway() -> None:
    separated = of([1, 2], [4, 9])
    assert at_eer(separated) == at_false_accept(separated, 0) == at_least_cost(separated, 3, 1, 0.1) == 3


def test_of_thresholds_that_cost_the_same_the_lowest_is_taken() -> None:
    """Each step rejects one less or accepts one more: 2 · (1 − 0.4) and 3 · 0.4 differ only by rounding."""
    tied = of([1, 3, 5], [2, 4, 6])
    assert at_least_cost(tied, 1, 1, 0.5) == 1.5
    assert at_least_cost(tied, 2, 3, 0.4) == at_least_cost(tied, 1, 9, 0.1) == 1.5
    assert at_least_cost(tied, 0, 0, 0.5) < 1


def test_where_no_false_accept_may_be_risked_nothing_is_accepted() -> None:
    for nearest in (0, 1e-40, 0.5, 1e30):
        reversed_kinds = of([nearest, 2e30], [nearest, 3e30])
        threshold = at_false_accept(reversed_kinds, 0.4)
        assert rates(reversed_kinds, threshold) == (0, 1)
        assert np.float32(threshold) == threshold


def test_between_neighbouring_numbers_the_threshold_is_the_lower_one() -> None:
    """Half of the midpoints round up, to a number that would accept the pair beyond."""
    numbers = np.arange(4, dtype=np.float32) * np.finfo(np.float32).eps + 1
    for lower, upper in pairwise(numbers):
        assert at_eer(of([lower], [upper])) == lower


@given(sides, sides, shares)
def test_a_threshold_accepts_no_more_than_wanted_and_the_next_one_does(
    same: list[int], different: list[int], wanted: float
) -> None:
    distances = of(same, different)
    threshold = at_false_accept(distances, wanted)
    assert rates(distances, threshold).false_accept <= wanted
    beyond = [counted(same, different, x) for x in useful_thresholds(same, different) if x > threshold]
    assert all(farther.false_accept > wanted for farther in beyond if farther != rates(distances, threshold))


@given(sides, sides)
def test_no_threshold_has_rates_nearer_to_each_other(same: list[int], different: list[int]) -> None:
    accept, reject = rates(of(same, different), at_eer(of(same, different)))
    gaps = [abs(a - r) for a, r in (counted(same, different, x) for x in useful_thresholds(same, different))]
    assert abs(accept - reject) == pytest.approx(min(gaps))


@given(sides, sides, costs, costs, shares)
def test_no_threshold_costs_less(
    same: list[int], different: list[int], false_accept: int, false_reject: int, share: float
) -> None:
    def cost(of_rates: Rates) -> float:
        return false_accept * of_rates[0] * (1 - share) + false_reject * of_rates[1] * share

    found = at_least_cost(of(same, different), false_accept, false_reject, share)
    least = min(cost(counted(same, different, x)) for x in useful_thresholds(same, different))
    assert cost(rates(of(same, different), found)) == pytest.approx(least)
    every = [counted(same, different, x) for x in useful_thresholds(same, different)]
    assert rates(of(same, different), found) == next(x for x in every if cost(x) <= least * (1 + 1e-12))


@given(sides, sides, shares, shares)
def test_a_larger_wanted_rate_never_lowers_the_threshold(same: Any, different: Any, one: float, other: float) -> None:
    few, many = sorted((one, other))
    assert at_false_accept(of(same, different), few) <= at_false_accept(of(same, different), many)


@given(sides, sides, costs, costs, costs, shares)
def test_a_dearer_false_accept_never_raises_the_threshold_nor_a_dearer_false_reject_lowers_it(
    same: Any, different: Any, one: int, other: int, fixed: int, share: float
) -> None:
    distances, (cheap, dear) = of(same, different), sorted((one, other))
    assert at_least_cost(distances, cheap, fixed, share) >= at_least_cost(distances, dear, fixed, share)
    # At no cost at all every threshold is as good, and the lowest is taken.
    if cheap * share > 0:
        assert at_least_cost(distances, fixed, cheap, share) <= at_least_cost(distances, fixed, dear, share)


@pytest.mark.parametrize("bad", [([], [1]), ([1], []), ([np.nan], [1]), ([1], [np.inf])])
def test_without_finite_distances_of_both_kinds_there_is_no_threshold_and_no_summary(bad: Any) -> None:
    distances = of(*bad)
    assert summary(distances) is None
    for choose in (at_eer, curves, lambda x: at_false_accept(x, 0.1), lambda x: at_least_cost(x, 1, 1, 0.5)):
        with pytest.raises(ValueError, match="both kinds"):
            choose(distances)


@pytest.mark.parametrize("wanted", [-0.1, np.nan])
def test_a_wanted_rate_below_nothing_is_refused(wanted: float) -> None:
    with pytest.raises(ValueError, match="wanted false accept rate"):
        at_false_accept(FOUR, wanted)


@pytest.mark.parametrize("bad", [(-1, 1, 0.5), (1, np.inf, 0.5), (1, np.nan, 0.5), (1, 1, 1.1), (1, 1, np.nan)])
def test_costs_that_mean_nothing_are_refused(bad: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="costs must be 0 or more"):
        at_least_cost(FOUR, *bad)


def as_scores(distances: Distances) -> tuple[np.ndarray, np.ndarray]:
    """For scikit-learn: which pairs are the same, and how near they are."""
    is_same = np.r_[np.ones(len(distances.same), bool), np.zeros(len(distances.different), bool)]
    return is_same, -np.r_[distances.same, distances.different]


@pytest.mark.parametrize("decimals", [1, 6])
def test_curves_are_those_of_scikit_learn(decimals: int) -> None:
    distances = overlapping(150, 300, decimals=decimals)
    is_same, near = as_scores(distances)
    thresholds, accept, reject = curves(distances)
    false_accept, true_accept, cuts = roc_curve(is_same, near, drop_intermediate=False)
    assert accept == pytest.approx(false_accept) and 1 - reject == pytest.approx(true_accept, abs=1e-6)
    # Its first threshold is ∞; the others are distances, ours lie between these and the next.
    assert (-cuts[1:] <= thresholds[1:]).all() and (thresholds[1:-1] < -cuts[2:]).all()
    theirs = np.c_[det_curve(is_same, near)[:2]]
    ours = np.c_[accept, reject]
    assert (np.abs(theirs[:, None] - ours[None]).max(axis=2).min(axis=1) < 1e-6).all()


def test_a_curve_of_many_distances_is_points_of_the_whole_curve_from_end_to_end() -> None:
    distances = overlapping(3_000, 40_000)
    drawn = curves(distances)
    assert all(values.dtype == np.float32 and np.isfinite(values).all() for values in drawn)
    assert 700 < len(drawn.thresholds) <= verification.POINTS and (np.diff(drawn.thresholds) > 0).all()
    assert (drawn.false_accept[0], drawn.false_reject[0]) == (0, 1)
    assert (drawn.false_accept[-1], drawn.false_reject[-1]) == (1, 0)
    for threshold, *point in zip(*(values.tolist() for values in drawn), strict=True):
        assert rates(distances, threshold) == pytest.approx(tuple(point), rel=1e-6)


def test_a_thinned_curve_keeps_its_shape_on_both_kinds_of_axis() -> None:
    _, accept, reject = curves(overlapping(3_000, 40_000))
    for rate in (accept, reject):
        rising = np.sort(rate)
        assert np.diff(rising).max() < 0.005
        positive = rising[rising > 0]
        # Where a rate is one or two pairs, the next step is far in logarithm.
        assert np.diff(np.log10(positive[positive > 20 * positive[0]])).max() < 0.05


@pytest.mark.parametrize("decimals", [1, 6])
def test_a_summary_is_what_scikit_learn_finds(decimals: int) -> None:
    distances = overlapping(1_000, 5_000, decimals=decimals)
    found = summary(distances)
    assert found is not None
    is_same, near = as_scores(distances)
    assert found.auc == pytest.approx(roc_auc_score(is_same, near))
    assert found[:2] == retrieval.verification_metrics(distances.same, distances.different)
    false_accept, true_accept, _ = roc_curve(is_same, near, drop_intermediate=False)
    assert found.tar_at_1 == pytest.approx(true_accept[false_accept <= 0.01].max())
    assert found.tar_at_01 == pytest.approx(true_accept[false_accept <= 0.001].max())


def test_a_summary_counted_by_hand() -> None:
    """14 of 16 comparisons are right; three of four same pairs are nearer than every different one."""
    assert summary(FOUR) == pytest.approx((14 / 16, 0.25, 0.75, 0.75))


def test_one_false_accept_in_a_hundred_is_one_percent() -> None:
    """The second of three same pairs lies behind the first of the different ones, the third behind the second."""
    found = summary(of([0, 1.5, 2.5], [1, 2, *range(3, 101)]))
    assert found is not None and (found.tar_at_1, found.tar_at_01) == pytest.approx((2 / 3, 1 / 3))


def test_a_summary_of_weights_is_that_of_pairs_where_each_weighs_one() -> None:
    distances = overlapping(200, 500, decimals=1)
    assert verification._scores(verification._steps(distances)) == pytest.approx(summary(distances))
