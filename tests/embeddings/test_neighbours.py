"""Neighbours, and what is counted from them, against loops, scikit-learn and pytorch-metric-learning."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from siamese_core.embeddings import neighbours
from siamese_core.embeddings.neighbours import confusion, hardest, nearest, recall_at_k
from siamese_core.embeddings.retrieval import retrieval_metrics


def clusters(n: int, classes: int, dim: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping classes of unequal size."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n) * rng.integers(0, 2, n)
    centres = rng.normal(size=(classes, dim))
    return (centres[labels] + rng.normal(size=(n, dim))).astype(np.float32), labels


def naive_nearest(queries: np.ndarray, gallery: np.ndarray, k: int, own: bool) -> tuple[list[list[int]], np.ndarray]:
    """Query by query; of images equally far the lower index first."""
    near, distances = [], []
    for i, q in enumerate(queries.astype(np.float64)):
        all_of_them = np.sqrt(np.square(gallery.astype(np.float64) - q).sum(axis=1))
        ranked = sorted((d, j) for j, d in enumerate(all_of_them) if not (own and i == j))[:k]
        near.append([j for _, j in ranked])
        distances.append([d for d, _ in ranked])
    return near, np.array(distances)


def line(*places: float) -> np.ndarray:
    return np.array(places, np.float32)[:, None]


# ---- nearest


def test_neighbours_on_a_line() -> None:
    near, distances = nearest(line(0.9, 6), line(0, 1, 3, 7), 2)
    assert near.tolist() == [[1, 0], [3, 2]]
    assert distances.tolist() == [pytest.approx([0.1, 0.9]), [1, 3]]
    assert (near.dtype, distances.dtype) == (np.int32, np.float32)


def test_an_image_of_the_gallery_is_not_its_own_neighbour() -> None:
    points = line(0, 1, 3, 7)
    assert nearest(points, points, 1, exclude_self=True)[0].tolist() == [[1], [0], [1], [2]]
    assert nearest(points, points, 1)[0].tolist() == [[0], [1], [2], [3]]


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(("n", "dim", "k"), [(60, 2, 5), (41, 32, 1), (7, 3, 100), (1, 2, 3), (2, 1, 1)])
def test_neighbours_are_what_a_loop_over_the_queries_finds(n: int, dim: int, k: int, own: bool) -> None:
    gallery, _ = clusters(n, 4, dim, seed=n)
    queries = gallery if own else clusters(9, 4, dim, seed=1)[0]
    near, distances = nearest(queries, gallery, k, exclude_self=own)
    expected, measured = naive_nearest(queries, gallery, k, own)
    assert near.tolist() == expected
    assert distances == pytest.approx(measured, rel=1e-6)


def test_neighbours_are_what_scikit_learn_finds() -> None:
    from sklearn.neighbors import NearestNeighbors

    gallery, queries = clusters(500, 8, 16, 0)[0], clusters(90, 8, 16, 1)[0]
    theirs = NearestNeighbors(n_neighbors=7, algorithm="kd_tree").fit(gallery)
    for found, (measured, expected) in (
        (nearest(queries, gallery, 7), theirs.kneighbors(queries)),
        (nearest(gallery, gallery, 7, exclude_self=True), theirs.kneighbors()),
    ):
        np.testing.assert_array_equal(found[0], expected)
        np.testing.assert_allclose(found[1], measured, rtol=1e-5)


GRID = hnp.arrays(np.float32, st.tuples(st.integers(1, 30), st.just(2)), elements=st.integers(-3, 3).map(float))


@settings(max_examples=100, deadline=None)
@given(points=GRID, k=st.integers(1, 8))
def test_of_images_equally_far_the_lower_index_comes_first(points: np.ndarray, k: int) -> None:
    """On a grid most distances are ties, and many points are duplicates."""
    near, distances = nearest(points, points, k, exclude_self=True)
    expected, measured = naive_nearest(points, points, k, own=True)
    assert near.tolist() == expected
    assert (distances == measured.astype(np.float32)).all()


@pytest.mark.parametrize("point", [0.0, 0.1, -1e3, 3e38])
def test_a_collapsed_embedding_is_neighbours_at_distance_0(point: float) -> None:
    points = np.full((20, 5), point, np.float32)
    near, distances = nearest(points, points, 2, exclude_self=True)
    assert near.tolist() == [[1, 2], [0, 2], *[[0, 1]] * 18]
    assert not distances.any()


@pytest.mark.parametrize("seed", range(3))
def test_duplicates_far_from_the_origin_are_exactly_0_apart(seed: int) -> None:
    points = np.random.default_rng(seed).normal(size=(3, 16)).astype(np.float32) + 1e3
    near, distances = nearest(points, np.repeat(points, 4, axis=0), 4)
    assert near.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert not distances.any()


def test_of_more_duplicates_than_are_asked_for_the_lowest_indices_come() -> None:
    """In some sizes a matrix product rounds equal columns differently."""
    rng = np.random.default_rng(0)
    for _ in range(150):
        places = np.arange(rng.integers(9, 400)) % 3
        points = rng.normal(size=(3, rng.integers(2, 200))).astype(np.float32)
        near, distances = nearest(points, points[places], 3)
        assert near.tolist() == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]
        assert not distances.any()


@pytest.mark.parametrize("spread", [1e-3, 1e-5, 1e-6, 3e-7])
@pytest.mark.parametrize("own", [False, True])
def test_tight_classes_far_apart_keep_the_order_within(spread: float, own: bool) -> None:
    """Between classes 1 apart, a product of float64 has few or no digits left for distances like these."""
    rng = np.random.default_rng(0)
    gallery = (np.repeat(rng.normal(size=(4, 8)), 40, axis=0) + spread * rng.normal(size=(160, 8))).astype(np.float32)
    rng.shuffle(gallery)
    queries = gallery if own else gallery[::7] + np.float32(spread)
    near, distances = nearest(queries, gallery, 3, exclude_self=own)
    expected, measured = naive_nearest(queries, gallery, 3, own)
    assert near.tolist() == expected
    assert distances == pytest.approx(measured, rel=1e-6)


def test_one_image_far_out_does_not_blur_the_others() -> None:
    points = line(0, 1.3125, 3, 1e15)
    assert nearest(points, points, 1, exclude_self=True)[1][:2].tolist() == [[1.3125], [1.3125]]


@pytest.mark.parametrize("scale", [1e-40, 1e-20, 1e18, 3e38])
def test_neighbours_do_not_depend_on_the_unit(scale: float) -> None:
    points = line(0, 1, -0.25, -1)
    near, distances = nearest(points * scale, points * scale, 3, exclude_self=True)
    assert near.tolist() == nearest(points, points, 3, exclude_self=True)[0].tolist()
    assert np.isfinite(distances).all()


def test_how_many_queries_are_searched_at_once_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    points, _ = clusters(100, 5, 4, 0)
    for own in (False, True):
        near, distances = nearest(points, points, 5, exclude_self=own)
        for rows in (1, 7, 99):
            with monkeypatch.context() as patch:
                patch.setattr(neighbours, "BLOCK_BYTES", 8 * 100 * rows)
                again, measured = nearest(points, points, 5, exclude_self=own)
            assert (again == near).all() and (measured == distances).all()


def test_without_images_there_are_no_neighbours() -> None:
    nobody, points = np.zeros((0, 2)), np.zeros((3, 2))
    assert nearest(nobody, points, 2)[0].shape == (0, 2)
    assert nearest(points, nobody, 2)[0].shape == (3, 0)
    assert nearest(nobody, nobody, 2, exclude_self=True)[1].shape == (0, 0)
    assert nearest(points[:1], points[:1], 2, exclude_self=True)[1].shape == (1, 0)


@pytest.mark.parametrize(
    ("queries", "gallery", "own", "said"),
    [
        (np.zeros((2, 3)), np.zeros((2, 4)), False, "3 dimensions"),
        (np.zeros((2, 3)), np.zeros((4, 3)), True, "must be the gallery"),
        (np.zeros(3), np.zeros((4, 3)), False, "one row an image"),
        (np.zeros((2, 3)), np.full((4, 3), np.nan), False, "not finite"),
        (np.full((2, 3), 1e300), np.zeros((4, 3)), False, "not finite"),
    ],
)
def test_what_has_no_neighbours_is_refused(queries: np.ndarray, gallery: np.ndarray, own: bool, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        nearest(queries, gallery, 1, exclude_self=own)


# ---- recall@k


def recall_on_a_line(places: list[float], labels: str, k: int) -> float | None:
    points = line(*places)
    return recall_at_k(nearest(points, points, k, exclude_self=True)[0], np.array(list(labels)), k)


def test_recall_counted_by_hand() -> None:
    """The b's have each other first. Each a has the two b's between itself and the other a."""
    places, labels = [0, 3, 0.6, 1], "aabb"
    assert [recall_on_a_line(places, labels, k) for k in (1, 2, 3)] == [0.5, 0.5, 1]


@pytest.mark.parametrize("k", [1, 2, 5])
def test_recall_is_what_a_loop_finds(k: int) -> None:
    points, labels = clusters(80, 12, 4, 0)
    near, _ = nearest(points, points, 5, exclude_self=True)
    having = [i for i in range(80) if (labels == labels[i]).sum() > 1]
    found = [any(labels[j] == labels[i] for j in near[i][:k]) for i in having]
    assert recall_at_k(near, labels, k) == pytest.approx(np.mean(found))


def test_recall_at_1_is_precision_at_1() -> None:
    points, labels = clusters(150, 20, 4, 3)
    found = retrieval_metrics(points, labels)
    assert found is not None
    assert recall_at_k(nearest(points, points, 1, exclude_self=True)[0], labels, 1) == pytest.approx(
        found.precision_at_1
    )


def test_recall_at_1_and_the_neighbours_are_those_of_pytorch_metric_learning() -> None:
    import torch
    from pytorch_metric_learning.distances import LpDistance
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    points, labels = clusters(150, 6, 8, 0)
    near, distances = nearest(points, points, 4, exclude_self=True)
    search_of_theirs = CustomKNN(LpDistance(normalize_embeddings=False))
    measured, expected = search_of_theirs(torch.tensor(points), 5, torch.tensor(points), ref_includes_query=True)
    np.testing.assert_array_equal(near, expected[:, :4].numpy())
    np.testing.assert_allclose(distances, measured[:, :4].numpy(), atol=1e-3)
    theirs = AccuracyCalculator(
        include=("precision_at_1",), k=1, knn_func=search_of_theirs, device=torch.device("cpu")
    ).get_accuracy(torch.tensor(points), torch.tensor(labels))
    assert recall_at_k(near, labels, 1) == pytest.approx(theirs["precision_at_1"])


def test_an_image_alone_in_its_class_is_found_but_does_not_count() -> None:
    assert recall_on_a_line([0, 1, 0.4], "aab", 1) == 0
    assert recall_on_a_line([0, 1, 9], "aab", 1) == 1


@pytest.mark.parametrize("labels", ["aaa", "abc"])
def test_one_class_or_nobody_with_a_classmate_has_no_recall(labels: str) -> None:
    assert recall_on_a_line([0, 1, 3], labels, 1) is None


def test_recall_needs_as_many_neighbours_as_it_counts() -> None:
    near = np.array([[1], [0], [3], [2]])
    for k in (0, 2):
        with pytest.raises(ValueError, match=f"k is {k}"):
            recall_at_k(near, [0, 0, 1, 1], k)


def test_recall_among_all_there_are_may_ask_for_more() -> None:
    assert recall_on_a_line([0, 1, 3, 4], "abab", 50) == 1


# ---- confusion


def test_confusion_counted_by_hand() -> None:
    """Class 0 at 0, 1 and 2; class 1 at 2.6; class 2 at 9, nearest to class 1; nobody in class 3."""
    points = line(0, 1, 2, 2.6, 9)
    near, _ = nearest(points, points, 2, exclude_self=True)
    assert confusion(near, [0, 0, 0, 1, 2], 4).tolist() == [[2, 1, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]


def test_confusion_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import confusion_matrix

    points, labels = clusters(200, 7, 3, 0)
    near, _ = nearest(points, points, 3, exclude_self=True)
    found = confusion(near, labels, 7)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, confusion_matrix(labels, labels[near[:, 0]], labels=range(7)))


def test_without_neighbours_nothing_is_confused() -> None:
    assert not confusion(np.zeros((1, 0), np.int32), [1], 2).any()
    assert not confusion(np.zeros((0, 3), np.int32), [], 2).any()


@pytest.mark.parametrize("labels", [[0, 2], [-1, 0]])
def test_a_label_that_is_no_class_is_refused(labels: list[int]) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        confusion([[1], [0]], labels, 2)


# ---- hardest pairs


def naive_hardest(d: list[float], pairs: list[tuple[int, int]], count: int) -> list[int]:
    taken: set[int] = set()
    found: list[int] = []
    for place in sorted(np.flatnonzero(np.isfinite(d)).tolist(), key=lambda p: (d[p], p)):
        if len(found) < count and not taken & set(pairs[place]):
            found.append(place)
            taken |= set(pairs[place])
    return found


def test_the_hardest_pairs_counted_by_hand() -> None:
    """Image 0 is in the two hardest same pairs, and only the harder shows it; different pairs may show it again."""
    pairs = [(0, 1), (0, 2), (2, 3), (0, 4), (1, 4), (3, 4), (3, 5)]
    d = [9, 8, 1, 0.5, 0.4, 0.6, 0.7]
    same = [True, True, True, False, False, False, False]
    alike, unlike = hardest(d, same, *zip(*pairs, strict=True), 5)
    assert alike.tolist() == [0, 2]
    assert unlike.tolist() == [4, 6]
    assert (alike.dtype, unlike.dtype) == (np.int64, np.int64)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), count=st.integers(0, 6), wanted=st.sampled_from([1, 2, 16]))
def test_the_hardest_pairs_are_what_a_loop_finds(data: st.DataObject, count: int, wanted: int) -> None:
    """However few are ranked at once, with ties and with distances that are not numbers."""
    rows = data.draw(
        st.lists(st.tuples(st.sampled_from([0, 1, 2, 3, np.nan, np.inf]), st.booleans(), *[st.integers(0, 7)] * 2))
    )
    d, same = [float(row[0]) for row in rows], np.array([row[1] for row in rows], bool)
    pairs = [row[2:] for row in rows]
    first, second = np.array(pairs, int).reshape(-1, 2).T
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "SLICE", wanted)
        alike, unlike = hardest(d, same, first, second, count)
    infinite = float("inf")
    assert alike.tolist() == naive_hardest([-x if s else infinite for x, s in zip(d, same, strict=True)], pairs, count)
    assert unlike.tolist() == naive_hardest([infinite if s else x for x, s in zip(d, same, strict=True)], pairs, count)


def test_one_odd_image_in_all_the_hardest_pairs_is_shown_once() -> None:
    """More of its pairs than are ranked at once: the others are found all the same."""
    first, second = np.triu_indices(200, 1)
    d = np.where(first == 0, 0, 1 + np.arange(len(first)) / len(first)).astype(np.float32)
    _, unlike = hardest(d, np.zeros(len(d), bool), first, second, 5)
    assert list(zip(first[unlike], second[unlike], strict=True)) == [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]


def test_without_pairs_of_a_kind_there_are_no_hardest() -> None:
    assert [places.tolist() for places in hardest([1.0], [True], [0], [1], 3)] == [[0], []]
    assert [places.tolist() for places in hardest([], [], [], [], 3)] == [[], []]
