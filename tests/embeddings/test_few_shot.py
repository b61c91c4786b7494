"""Few-shot accuracy against a loop over its episodes, hand-countable cases and plain chance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamese_core.embeddings import few_shot as few_shot_module
from siamese_core.embeddings.few_shot import FewShot, draw, few_shot_accuracy, most_ways


def noisy_classes(noise: float, classes: int = 8, each: int = 12, dim: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(classes), each))
    return rng.normal(size=(classes, dim))[labels] + noise * rng.normal(size=(len(labels), dim)), labels


def score(embeddings: np.ndarray, labels: np.ndarray, ways: int, shots: int, episodes: int = 400) -> FewShot:
    found = few_shot_accuracy(embeddings, labels, ways, shots, episodes=episodes)
    assert found is not None
    return found


def naive_shares(embeddings: np.ndarray, support: np.ndarray, queries: np.ndarray) -> list[float]:
    """Episode by episode and query by query."""
    shares = []
    for classes, drawn in zip(support, queries, strict=True):
        prototypes = [sum(embeddings[index] for index in images) / len(images) for images in classes]
        right = 0
        for true_class, index in enumerate(drawn):
            away = [float(np.linalg.norm(embeddings[index] - prototype)) for prototype in prototypes]
            right += all(away[true_class] < away[other] for other in range(len(away)) if other != true_class)
        shares.append(right / len(drawn))
    return shares


@pytest.mark.parametrize(("ways", "shots"), [(2, 1), (5, 1), (5, 5), (8, 3)])
def test_accuracy_is_what_a_loop_over_the_same_episodes_finds(ways: int, shots: int) -> None:
    embeddings, labels = noisy_classes(1.0)
    shares = naive_shares(embeddings, *draw(labels, ways, shots, 50, np.random.default_rng(7)))
    found = few_shot_accuracy(embeddings, labels, ways, shots, episodes=50, seed=7)
    assert found is not None
    assert found.accuracy == pytest.approx(np.mean(shares))
    margin = 1.96 * np.std(shares, ddof=1) / np.sqrt(50)
    assert (found.low, found.high) == pytest.approx((np.mean(shares) - margin, min(1, np.mean(shares) + margin)))
    assert (found.chance, found.ways, found.shots) == (1 / ways, ways, shots)


def test_with_one_shot_a_query_goes_to_its_nearest_image() -> None:
    """scikit-learn's nearest neighbour, taught the support of each episode anew."""
    from sklearn.neighbors import KNeighborsClassifier

    embeddings, labels = noisy_classes(1.0)
    support, queries = draw(labels, 5, 1, 40, np.random.default_rng(0))
    shares = [
        KNeighborsClassifier(1).fit(embeddings[s[:, 0]], labels[s[:, 0]]).score(embeddings[q], labels[q])
        for s, q in zip(support, queries, strict=True)
    ]
    assert score(embeddings, labels, 5, 1, episodes=40).accuracy == pytest.approx(np.mean(shares))


def test_with_more_shots_a_query_goes_to_the_nearest_centroid() -> None:
    from sklearn.neighbors import NearestCentroid

    embeddings, labels = noisy_classes(1.0)
    support, queries = draw(labels, 5, 4, 40, np.random.default_rng(0))
    shares = [
        NearestCentroid().fit(embeddings[s.ravel()], labels[s.ravel()]).score(embeddings[q], labels[q])
        for s, q in zip(support, queries, strict=True)
    ]
    assert score(embeddings, labels, 5, 4, episodes=40).accuracy == pytest.approx(np.mean(shares))


@pytest.mark.parametrize("shots", [1, 5])
def test_classes_far_apart_are_always_told_apart(shots: int) -> None:
    embeddings, labels = noisy_classes(1e-3)
    assert score(embeddings, labels, 5, shots) == FewShot(1, 1, 1, 0.2, 5, shots)


@pytest.mark.parametrize("ways", [2, 5, 8])
def test_random_embeddings_get_what_guessing_gets(ways: int) -> None:
    rng = np.random.default_rng(1)
    found = score(rng.normal(size=(4000, 6)), np.arange(4000) % 8, ways, 1, episodes=2000)
    assert found.low <= 1 / ways <= found.high
    assert found.high - found.low < 0.05


@pytest.mark.parametrize("point", [0.0, 0.1, 1 / 3, 3e38])
@pytest.mark.parametrize("shots", [1, 3])
def test_a_collapsed_embedding_scores_nothing(point: float, shots: int) -> None:
    labels = np.arange(40) % 5
    assert score(np.full((40, 7), point), labels, 5, shots) == FewShot(0, 0, 0, 0.2, 5, shots)


def test_classes_that_share_their_points_are_ties_and_ties_are_wrong() -> None:
    """All classes lie half on one point, half on another. Of two classes in one shot, a query is right where its own
    support lies with it and the other's does not: 3/7 (of the 7 others of its class 3 lie with it) times 1/2.
    """
    embeddings = np.repeat([[0.1, 0.2], [5.3, 5.9]], 16, axis=0)
    found = score(embeddings, np.arange(32) % 4, 2, 1, episodes=4000)
    assert found.low <= 3 / 14 <= found.high


def test_means_of_the_same_points_in_another_order_are_ties() -> None:
    """The one place where adding up in another order could leave a difference."""
    rng = np.random.default_rng(0)
    for points in rng.normal(size=(200, 5, 4)).astype(np.float32).astype(np.float64):
        support = np.stack([points, points[rng.permutation(5)]])
        assert not few_shot_module._right(support, points[:2]).any()


def test_more_shots_help_where_images_are_noisy() -> None:
    embeddings, labels = noisy_classes(1.5, each=40)
    one, five = score(embeddings, labels, 5, 1), score(embeddings, labels, 5, 5)
    assert five.low > one.high


def test_more_ways_are_harder() -> None:
    embeddings, labels = noisy_classes(1.5)
    assert score(embeddings, labels, 2, 1).low > score(embeddings, labels, 8, 1).high


def test_the_interval_stays_between_0_and_1() -> None:
    """Two classes that only a few odd images tell apart, and two that are told apart but for the same few."""
    labels = np.arange(40) % 2
    seldom = score(np.eye(40)[:, :4], labels, 2, 1, episodes=20)
    assert 0 == seldom.low < seldom.accuracy < seldom.high < 1
    nearly = score(labels[:, None] + 3 * np.eye(40)[:, :4].sum(axis=1, keepdims=True), labels, 2, 1, episodes=20)
    assert 0 < nearly.low < nearly.accuracy < nearly.high == 1


def test_the_interval_holds_what_many_more_episodes_find_nearly_always() -> None:
    embeddings, labels = noisy_classes(1.0)
    truth = score(embeddings, labels, 5, 1, episodes=8_000).accuracy
    found = [few_shot_accuracy(embeddings, labels, 5, 1, episodes=50, seed=seed) for seed in range(150)]
    held = np.mean([f.low <= truth <= f.high for f in found if f is not None])
    assert 0.9 <= held <= 0.99


def test_a_seed_draws_the_same_episodes_and_another_draws_others() -> None:
    embeddings, labels = noisy_classes(1.0)
    first, again, other = (few_shot_accuracy(embeddings, labels, 5, 1, seed=seed) for seed in (3, 3, 4))
    assert first == again != other


def test_neither_scale_nor_place_nor_the_names_of_classes_change_the_score() -> None:
    embeddings, labels = noisy_classes(1.0)
    expected = score(embeddings, labels, 5, 3)
    assert score(embeddings * 2.0**30, labels, 5, 3) == expected
    assert score(embeddings - 4, labels, 5, 3).accuracy == pytest.approx(expected.accuracy, abs=0.005)
    assert score(embeddings, np.array(list("abcdefgh"))[labels], 5, 3) == expected


# ---- drawing

SIZES = st.lists(st.integers(1, 9), min_size=2, max_size=8)


@settings(max_examples=100, deadline=None)
@given(sizes=SIZES, shots=st.integers(1, 6), seed=st.integers(0, 99))
def test_an_episode_has_different_classes_and_different_images_of_each(sizes: list[int], shots: int, seed: int) -> None:
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    ways = most_ways(labels, shots)
    assert ways == sum(size >= shots + 1 for size in sizes)
    support, queries = draw(labels, ways, shots, 5, np.random.default_rng(seed))
    assert support.shape == (5, ways, shots) and queries.shape == (5, ways)
    for classes, drawn in zip(support, queries, strict=True):
        assert len(set(labels[drawn])) == ways
        assert (labels[classes] == labels[drawn][:, None]).all()
        assert len({*classes.ravel(), *drawn}) == ways * (shots + 1)


def test_every_choice_is_as_likely_as_any_other() -> None:
    """Four classes of four images, two of each as support and one as query: 6 pairs of classes and 4·3·2 draws."""
    labels = np.arange(16) % 4
    support, queries = draw(labels, 2, 2, 24_000, np.random.default_rng(0))
    pairs, counts = np.unique(np.sort(labels[queries], axis=1), axis=0, return_counts=True)
    assert len(pairs) == 6
    assert counts == pytest.approx(np.full(6, 4000), abs=250)
    drawn = np.concatenate([support, queries[..., None]], axis=-1)[labels[queries] == 0]
    triples, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(triples) == 24
    assert counts == pytest.approx(np.full(24, 500), abs=110)


# ---- what has no score


def test_a_class_is_usable_with_one_image_more_than_shots() -> None:
    labels = ["a"] * 3 + ["b"] * 2 + ["c"]
    assert [most_ways(labels, shots) for shots in (1, 2, 3)] == [2, 1, 0]
    assert most_ways([], 1) == 0


def test_a_class_of_one_image_is_never_asked_about() -> None:
    labels = np.array([0, 0, 1, 2, 2])
    _, queries = draw(labels, 2, 1, 50, np.random.default_rng(0))
    assert set(labels[queries].ravel()) == {0, 2}
    assert few_shot_accuracy(np.eye(5), labels, 3, 1) is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_embedding_that_is_not_finite_has_no_score(bad: float) -> None:
    embeddings, labels = noisy_classes(1.0)
    embeddings[3, 2] = bad
    assert few_shot_accuracy(embeddings, labels, 5, 1) is None


@pytest.mark.parametrize(("ways", "shots", "episodes"), [(1, 1, 400), (2, 0, 400), (2, 1, 1)])
def test_an_episode_without_meaning_is_refused(ways: int, shots: int, episodes: int) -> None:
    with pytest.raises(ValueError, match="at least"):
        few_shot_accuracy(np.eye(4), [0, 0, 1, 1], ways, shots, episodes=episodes)
