"""A run is evaluated on the same test images and pairs throughout, and scored on what it was not trained on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from siamese_core.datasets import DATASETS
from siamese_core.embeddings.retrieval import retrieval_metrics, verification_metrics
from siamese_core.experiment.experiment import Experiment
from siamese_core.losses import LOSSES
from siamese_core.training import eval_subset as eval_subset_module
from siamese_core.training.eval_subset import (
    METRICS,
    eval_subset_of,
    final_metrics,
    frame_of,
    pairs_by,
    pixels_map_at_r,
)

DIGITS = DATASETS["digits"].load()
HELD_OUT = Experiment(dataset="digits", held_out=(7, 8, 9))
LABELS = DIGITS.test_labels


def points(n: int, dim: int = 3) -> Tensor:
    """Noise around a centre for each class, which all tests of this file embed the images as."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(10, dim, generator=generator)
    return centres[torch.tensor(LABELS[:n])] + torch.randn(n, dim, generator=generator)


def test_a_subset_takes_so_many_test_images_of_each_class_held_out_or_not() -> None:
    eval_subset = eval_subset_of(HELD_OUT, DIGITS, per_class=5)
    assert np.bincount(LABELS[eval_subset.indices]).tolist() == [5] * 10
    assert len(eval_subset_of(HELD_OUT, DIGITS).indices) == len(LABELS)


def test_the_groups_of_a_subset_are_the_seen_classes_and_those_held_out() -> None:
    eval_subset = eval_subset_of(HELD_OUT, DIGITS, per_class=5)
    for name, classes in (("seen", set(range(7))), ("held_out", {7, 8, 9})):
        group = eval_subset.groups[name]
        labels = torch.tensor(LABELS[eval_subset.indices])
        assert torch.equal(labels[group.indices], group.labels)
        for indices in (group.indices, group.pairs.first, group.pairs.second, *group.triplets):
            assert set(labels[indices].tolist()) == classes
        assert torch.equal(labels[group.pairs.first] == labels[group.pairs.second], group.pairs.same)


@pytest.mark.parametrize("held_out", [(), (3,)])
def test_fewer_than_two_classes_held_out_are_no_group(held_out: tuple[int, ...]) -> None:
    assert "held_out" not in eval_subset_of(Experiment(dataset="digits", held_out=held_out), DIGITS).groups


def test_two_runs_of_an_experiment_are_looked_at_through_the_same_pairs() -> None:
    one, two = (eval_subset_of(Experiment(dataset="digits", seed=seed), DIGITS).groups["seen"] for seed in (0, 1))
    assert torch.equal(one.pairs.first, two.pairs.first)
    assert torch.equal(one.pairs.second, two.pairs.second)


def test_a_frame_has_the_distances_of_its_pairs_in_the_measure_of_the_run() -> None:
    experiment = Experiment(dataset="digits", measure="manhattan")
    eval_subset = eval_subset_of(experiment, DIGITS)
    h, pairs = points(len(LABELS)), eval_subset.groups["seen"].pairs
    frame = frame_of(h, experiment, eval_subset)
    distances = (h[pairs.first] - h[pairs.second]).abs().sum(1)
    np.testing.assert_allclose(frame.same_distances, distances[pairs.same])
    np.testing.assert_allclose(frame.different_distances, distances[~pairs.same])
    assert frame.triplet_distances.shape == (2, 0)
    assert frame.embeddings.dtype == frame.same_distances.dtype == np.float32


def test_a_frame_of_a_triplet_loss_has_the_distances_of_triplets() -> None:
    experiment = Experiment(dataset="digits", loss="triplet")
    eval_subset = eval_subset_of(experiment, DIGITS)
    h = points(len(LABELS))
    anchor, positive, negative = eval_subset.groups["seen"].triplets
    expected = torch.stack([(h[anchor] - h[other]).square().sum(1) for other in (positive, negative)])
    np.testing.assert_allclose(frame_of(h, experiment, eval_subset).triplet_distances, expected, rtol=1e-6)


def test_the_scores_of_a_group_are_those_of_its_images_alone() -> None:
    eval_subset, h = eval_subset_of(HELD_OUT, DIGITS), points(len(LABELS))
    scores = final_metrics(h, HELD_OUT, eval_subset)
    assert tuple(scores) == METRICS
    for name, classes in (("seen", range(7)), ("held_out", (7, 8, 9))):
        inside = np.isin(LABELS, classes)
        embeddings, labels = h.numpy()[inside], LABELS[inside]
        expected = retrieval_metrics(embeddings, labels)
        assert expected is not None
        assert scores["precision_at_1"][name] == expected.precision_at_1
        assert scores["map_at_r"][name] == expected.map_at_r
        i, j = np.triu_indices(len(labels), 1)
        distances = np.linalg.norm(embeddings[i] - embeddings[j], axis=1)
        same = labels[i] == labels[j]
        verified = verification_metrics(distances[same], distances[~same])
        assert verified is not None
        assert (scores["auc"][name], scores["eer"][name]) == pytest.approx(verified, abs=1e-5)
        loss = (distances[same] ** 2 / 2).mean() + (np.maximum(1 - distances[~same], 0) ** 2 / 2).mean()
        assert scores["loss"][name] == pytest.approx(loss, rel=1e-4)


def test_the_labels_of_a_score_are_right_where_those_of_the_training_are_flipped() -> None:
    flipped = Experiment(dataset="digits", labels="flipped")
    right = Experiment(dataset="digits")
    h, eval_subset = points(len(LABELS)), eval_subset_of(right, DIGITS)
    assert final_metrics(h, flipped, eval_subset) == final_metrics(h, right, eval_subset)


def test_too_many_pairs_are_sampled_and_give_nearly_the_same_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = Experiment(dataset="digits")
    h, eval_subset = points(len(LABELS)), eval_subset_of(experiment, DIGITS)
    exact = final_metrics(h, experiment, eval_subset)
    monkeypatch.setattr(eval_subset_module, "EXACT_UP_TO", 20_000)
    sampled = final_metrics(h, experiment, eval_subset)
    assert sampled != exact, "not the same pairs"
    for metric in METRICS:
        assert sampled[metric]["seen"] == pytest.approx(exact[metric]["seen"], abs=0.02, rel=0.02)


def test_a_score_that_is_not_finite_is_none() -> None:
    experiment = Experiment(dataset="digits")
    eval_subset = eval_subset_of(experiment, DIGITS)
    scores = final_metrics(torch.full((len(LABELS), 2), torch.nan), experiment, eval_subset)
    assert scores == {metric: {"seen": None, "held_out": None} for metric in METRICS}


def test_pixels_are_scored_like_an_embedding() -> None:
    pixels = DIGITS.test_images.reshape(len(LABELS), -1)
    expected = retrieval_metrics(pixels, LABELS)
    assert expected is not None
    found = pixels_map_at_r(Experiment(dataset="digits"))
    assert found == {"seen": pytest.approx(expected.map_at_r, abs=1e-4), "held_out": None}
    assert 0.3 < expected.map_at_r < 0.9


def test_shown_pairs_are_half_same_and_many_enough_for_a_histogram() -> None:
    eval_subset = eval_subset_of(Experiment(dataset="digits"), DIGITS, per_class=20)
    pairs = eval_subset.groups["seen"].pairs
    assert len(pairs.same) == 2 * int(pairs.same.sum()) == 4_000
    assert len(set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))) > 2_500


# Losses on similarities, classes and batches


HEAD = torch.tensor([[-0.5, -0.4, -0.6]]), torch.tensor([1.0])
"""Weight and bias of a similarity head on three dimensions: the nearer, the more alike."""


def test_a_frame_of_a_similarity_has_the_similarities_of_its_pairs() -> None:
    experiment = Experiment(dataset="digits", loss="log")
    eval_subset, h = eval_subset_of(experiment, DIGITS), points(len(LABELS))
    pairs = eval_subset.groups["seen"].pairs
    frame = frame_of(h, experiment, eval_subset, head_params=HEAD)
    p = ((h[pairs.first] - h[pairs.second]).abs() @ HEAD[0][0] + 1.0).sigmoid()
    np.testing.assert_allclose(frame.same_distances, p[pairs.same], rtol=1e-5)
    np.testing.assert_allclose(frame.different_distances, p[~pairs.same], rtol=1e-5)
    loss = -p[pairs.same].log().mean() - (1 - p[~pairs.same]).log().mean()
    assert frame.metrics["loss"]["seen"] == pytest.approx(float(loss), rel=1e-4)


@pytest.mark.parametrize("measure", LOSSES["log"].measures)
def test_a_similarity_verifies_as_well_as_the_distance_that_it_falls_with(measure: str) -> None:
    """exp(−L1), or σ(1 − L1): the order of the pairs is that of L1, so AUC and EER are its own."""
    similar = Experiment(dataset="digits", loss="log", measure=measure)
    distance = Experiment(dataset="digits", measure="manhattan")
    head_params = (-torch.ones(1, 3), torch.ones(1)) if measure == "similarity_head" else ()
    h, eval_subset = points(len(LABELS)), eval_subset_of(distance, DIGITS)
    found, expected = final_metrics(h, similar, eval_subset, head_params), final_metrics(h, distance, eval_subset)
    for metric in ("auc", "eer", "map_at_r", "precision_at_1"):
        assert found[metric]["seen"] == pytest.approx(expected[metric]["seen"], abs=1e-4)
    assert expected["auc"]["seen"] > 0.6  # type: ignore[operator]


def test_the_test_loss_of_a_classifier_is_over_all_images_of_the_classes_seen() -> None:
    """Seven classes of ten: number 7 of the labels has no place among the weights."""
    experiment = Experiment(dataset="digits", loss="softmax", held_out=(0, 1, 2))
    h, eval_subset = points(len(LABELS)), eval_subset_of(experiment, DIGITS)
    weight, bias = torch.randn(7, 3, generator=torch.Generator().manual_seed(1)), torch.zeros(7)
    inside = torch.tensor(LABELS) >= 3
    expected = torch.nn.functional.cross_entropy(h[inside] @ weight.T, torch.tensor(LABELS)[inside] - 3)
    found = final_metrics(h, experiment, eval_subset, (weight, bias))
    assert found["loss"]["seen"] == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("loss", [key for key, loss in LOSSES.items() if loss.on_classes])
def test_classes_held_out_have_a_test_loss_unless_a_head_would_have_to_know_them(loss: str) -> None:
    experiment = Experiment(dataset="digits", loss=loss, held_out=(7, 8, 9))
    h, eval_subset = points(len(LABELS)), eval_subset_of(experiment, DIGITS)
    weights = torch.randn(7, 3, generator=torch.Generator().manual_seed(1))
    head_params = {"softmax": (weights, torch.zeros(7)), "proxy_anchor": (weights,)}.get(loss, ())
    scores = final_metrics(h, experiment, eval_subset, head_params)
    assert scores["loss"]["seen"] is not None
    assert (scores["loss"]["held_out"] is None) == bool(head_params)
    assert scores["map_at_r"]["held_out"] is not None


def test_a_batch_loss_is_scored_on_batches_that_stay_the_same() -> None:
    experiment = Experiment(dataset="digits", loss="supcon")
    eval_subset, h = eval_subset_of(experiment, DIGITS), points(len(LABELS))
    batches = eval_subset.groups["seen"].batches
    assert [np.bincount(LABELS[batch]).tolist() for batch in batches] == [[12] * 10] * 4
    fn, params = LOSSES["supcon"].fn, experiment.params
    each = [float(fn(h[batch], torch.tensor(LABELS)[batch], **params)) for batch in batches]
    assert frame_of(h, experiment, eval_subset).metrics["loss"]["seen"] == pytest.approx(np.mean(each), rel=1e-5)


def test_another_measure_sees_the_pairs_of_a_frame() -> None:
    experiment = Experiment(dataset="digits", measure="manhattan")
    h = points(len(LABELS))
    found, frame = pairs_by("manhattan", h.numpy(), LABELS), frame_of(h, experiment, eval_subset_of(experiment, DIGITS))
    np.testing.assert_array_equal(found["same"], frame.same_distances)
    np.testing.assert_array_equal(found["different"], frame.different_distances)


def test_one_class_alone_makes_no_pairs_to_measure() -> None:
    found = pairs_by("euclidean", np.ones((5, 2), np.float32), np.zeros(5, np.int64))
    assert {side: values.shape for side, values in found.items()} == {"same": (0,), "different": (0,)}
