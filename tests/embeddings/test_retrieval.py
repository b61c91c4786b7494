"""Scores against loops, against hand-counted cases and against the libraries that people trust."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from siamese_core.embeddings import retrieval as metrics
from siamese_core.embeddings.retrieval import retrieval_metrics, verification_metrics


def clusters(n: int, classes: int, dim: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping classes of unequal size."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n) * rng.integers(0, 2, n)
    centres = rng.normal(size=(classes, dim))
    return centres[labels] + rng.normal(size=(n, dim)), labels


def naive_retrieval(embeddings: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Query by query; of neighbours equally far, those of another class first."""
    first, average = [], []
    for q in range(len(labels)):
        others = [x for x in range(len(labels)) if x != q]
        r = sum(labels[x] == labels[q] for x in others)
        if r == 0:
            continue
        others.sort(key=lambda x: (((embeddings[q] - embeddings[x]) ** 2).sum(), labels[x] == labels[q]))
        hits = [labels[x] == labels[q] for x in others]
        first.append(hits[0])
        average.append(sum(sum(hits[:i]) / i for i in range(1, r + 1) if hits[i - 1]) / r)
    return float(np.mean(first)), float(np.mean(average))


@pytest.mark.parametrize(
    ("n", "classes", "dim", "seed"), [(80, 4, 2, 0), (61, 10, 32, 1), (30, 25, 3, 2), (5, 3, 1, 3)]
)
def test_retrieval_is_what_a_loop_over_the_queries_finds(n: int, classes: int, dim: int, seed: int) -> None:
    embeddings, labels = clusters(n, classes, dim, seed)
    assert retrieval_metrics(embeddings, labels) == pytest.approx(naive_retrieval(embeddings, labels))


@pytest.mark.parametrize("seed", range(3))
def test_retrieval_is_what_pytorch_metric_learning_finds(seed: int) -> None:
    import torch
    from pytorch_metric_learning.distances import LpDistance
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    embeddings, labels = clusters(150, 6, 8, seed)
    names = ("precision_at_1", "mean_average_precision_at_r")
    theirs = AccuracyCalculator(
        include=names,
        k="max_bin_count",
        knn_func=CustomKNN(LpDistance(normalize_embeddings=False)),
        device=torch.device("cpu"),
    ).get_accuracy(torch.tensor(embeddings), torch.tensor(labels))
    assert retrieval_metrics(embeddings, labels) == pytest.approx([theirs[name] for name in names], abs=1e-5)


def on_a_line(places: list[float], labels: str) -> Any:
    return retrieval_metrics(np.array(places)[:, None], np.array(list(labels)))


def test_two_classes_far_apart_are_perfect() -> None:
    assert on_a_line([0, 1, 2, 10, 11, 12], "aaabbb") == (1, 1)


def test_classes_that_alternate_on_a_line() -> None:
    """The nearest neighbour of each point is of the other class, and each has one other of its class, so R = 1."""
    assert on_a_line([0, 1, 3, 4], "abba") == (0, 0)


def test_a_hit_at_rank_two_of_two_counts_a_quarter() -> None:
    """a's at 0, 2 and 3 with a b at 0.5. The a at 0 finds b, a: (0 + 1/2)/2. The a at 2 finds a, b: 1/2. The a at 3
    finds a, then b: 1/2. The b's have each other at rank 2 or 1 with R = 1: at 0.5 misses, at 9 finds an a first.
    """
    found = on_a_line([0, 2, 3, 0.5, 9], "aaabb")
    assert found.map_at_r == pytest.approx((0.25 + 0.5 + 0.5 + 0 + 0) / 5)
    assert found.precision_at_1 == pytest.approx(2 / 5)


def test_of_neighbours_equally_far_the_wrong_one_comes_first() -> None:
    """The a at 0 has an a at −1 and a b at 1."""
    assert on_a_line([-1, 0, 1], "aab") == (0.5, 0.5)
    assert on_a_line([1, 0, -1], "aab") == (0.5, 0.5)


def test_duplicates_are_neighbours_like_all_others() -> None:
    assert on_a_line([0, 0, 5, 5], "aabb") == (1, 1)
    assert on_a_line([0, 0, 0, 5], "aabb") == (0, 0)


@pytest.mark.parametrize("point", [[0.0, 0.0], [0.1, 0.3], [-1e3, 1 / 3], np.linspace(-1, 1, 256)])
def test_a_collapsed_embedding_scores_nothing(point: Any) -> None:
    """The mean of many 0.1 is not 0.1 in float32: what rounding leaves must not be taken for a result."""
    assert retrieval_metrics(np.tile(point, (50, 1)), np.arange(50) % 5) == (0, 0)


@pytest.mark.parametrize("seed", range(5))
def test_a_class_that_lies_in_two_points_with_another_is_ties_all_over(seed: int) -> None:
    """Far from the origin, rounding leaves something of the distance of equal points."""
    points = np.random.default_rng(seed).normal(size=(2, 16))
    labels = np.arange(40) % 2
    assert retrieval_metrics(np.repeat(points, 20, axis=0), labels) == retrieval_metrics(
        np.repeat([[0], [1]], 20, axis=0), labels
    )


def test_one_class_alone_has_no_score() -> None:
    assert on_a_line([0, 1, 2], "aaa") is None


def test_classes_of_one_image_each_have_no_score() -> None:
    assert on_a_line([0, 1, 2], "abc") is None


def test_an_image_that_is_alone_in_its_class_is_a_neighbour_but_no_query() -> None:
    assert on_a_line([0, 1, 0.4], "aab") == (0, 0)
    assert on_a_line([0, 1, 9], "aab") == (1, 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_embedding_that_is_not_finite_has_no_score(bad: float) -> None:
    assert on_a_line([0, 1, 2, bad], "aabb") is None


def test_how_many_queries_are_ranked_at_once_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings, labels = clusters(100, 5, 4, 0)
    at_once = retrieval_metrics(embeddings, labels)
    for chunk in (1, 7, 99):
        monkeypatch.setattr(metrics, "CHUNK", chunk)
        assert retrieval_metrics(embeddings, labels) == pytest.approx(at_once)


@pytest.mark.parametrize("factor", [2.0**-60, 2.0**10, 2.0**100])
def test_the_scale_of_an_embedding_changes_no_neighbour(factor: float) -> None:
    embeddings, labels = clusters(100, 5, 4, 0)
    assert retrieval_metrics(embeddings * factor, labels) == retrieval_metrics(embeddings, labels)


def test_moving_or_shuffling_an_embedding_changes_no_neighbour() -> None:
    embeddings, labels = clusters(100, 5, 4, 0)
    order = np.random.default_rng(0).permutation(100)
    assert retrieval_metrics(embeddings[order], labels[order]) == pytest.approx(retrieval_metrics(embeddings, labels))
    assert retrieval_metrics(embeddings + 100, labels) == pytest.approx(
        retrieval_metrics(embeddings, labels), abs=0.005
    )


@pytest.mark.parametrize(
    ("same", "different", "auc", "eer"),
    [
        ([1, 2, 3], [4, 5], 1, 0),
        ([4, 5], [1, 2, 3], 0, 1),
        ([1, 1, 1], [1, 1], 0.5, 0.5),
        ([1, 2], [1, 2], 0.5, 0.5),
        ([1, 3], [2, 4], 0.75, 0.5),
        ([1, 2, 3, 9], [4, 5, 6, 7], 0.75, 0.25),
    ],
    ids=["perfect", "reversed", "all equal", "the same two", "interleaved", "one in four"],
)
def test_verification_counted_by_hand(same: list[float], different: list[float], auc: float, eer: float) -> None:
    assert verification_metrics(same, different) == pytest.approx((auc, eer))


def spread_pairs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.gamma(2, 1, 300).round(1), rng.gamma(4, 1, 700).round(1)


@pytest.mark.parametrize("seed", range(3))
def test_auc_is_what_scikit_learn_finds_and_where_the_rates_cross_is_the_eer(seed: int) -> None:
    same, different = spread_pairs(seed)
    found = verification_metrics(same, different)
    assert found is not None
    assert found.auc == pytest.approx(roc_auc_score([1] * 300 + [0] * 700, -np.r_[same, different]))
    thresholds = np.unique(np.r_[same, different])
    reject = np.array([(same > t).mean() for t in thresholds])
    accept = np.array([(different <= t).mean() for t in thresholds])
    before = int(np.flatnonzero(accept < reject)[-1])
    assert accept[before] <= found.eer <= accept[before + 1]
    assert reject[before + 1] <= found.eer <= reject[before]


def test_neither_the_order_of_pairs_nor_their_scale_changes_verification() -> None:
    same, different = spread_pairs(0)
    expected = verification_metrics(same, different)
    assert verification_metrics(same[::-1], np.random.default_rng(0).permutation(different)) == expected
    assert verification_metrics(same * 1e-6, different * 1e-6) == pytest.approx(expected)


@pytest.mark.parametrize(("same", "different"), [([], [1.0]), ([1.0], []), ([np.nan], [1.0]), ([1.0], [np.inf])])
def test_without_finite_distances_of_both_kinds_there_is_no_verification(same: Any, different: Any) -> None:
    assert verification_metrics(same, different) is None
