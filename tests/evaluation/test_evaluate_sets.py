"""Evaluations of sets and settings of another kind: hardly any images, too many pairs, classes out of order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from siamese_core.datasets import DatasetMissing, uploaded
from siamese_core.embeddings.thresholds import EER
from siamese_core.embeddings.verification import Distances
from siamese_core.evaluation import evaluate as evaluation
from siamese_core.evaluation.evaluate import build_gallery, evaluate, threshold_of
from siamese_core.evaluation.report import GroupReport, Hardest
from siamese_core.training import eval_subset
from tests.support.small_models import few_digits, gallery_of, report_of, untrained


@pytest.fixture(scope="module", autouse=True)
def _uploads_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(uploaded.FOLDER, str(tmp_path_factory.mktemp("uploads")))
        yield
        uploaded.clear_cache()


@pytest.mark.parametrize("settings", [{}, {"loss": "log"}, {"shared": False, "view": "edges"}])
@pytest.mark.parametrize("test", [(1, 1), (1, 1, 1, 1), (2, 1), (2, 2), (2, 1, 1, 2), (3, 2, 1), (5, 1)])
def test_classes_of_one_or_two_test_images_are_no_error(test: tuple[int, ...], settings: dict[str, str]) -> None:
    trained = untrained(few_digits(4, test), **settings)
    group = report_of(trained).groups["seen"]
    n, branches = sum(test), trained.model.experiment.branches
    assert group.confusion.sum() == branches * n
    assert group.neighbours.shape == (branches * n, min(10, branches * n - 1))
    assert gallery_of(trained).threshold == threshold_of(trained, EER, "seen")
    has_same_pairs = branches == 2 or max(test) > 1
    assert (group.summary is not None) == has_same_pairs
    assert (group.curves is not None) == (len(group.reported_on.same) > 0 and len(group.reported_on.different) > 0)
    # An image held against itself would be a pair that everybody gets right.
    assert (group.baselines["pixels"]["auc"] is not None) == has_same_pairs


def test_where_fewer_than_two_classes_have_test_images_it_is_reported() -> None:
    trained = untrained(few_digits(4, (3, 0)))
    for work in (build_gallery, evaluate):
        with pytest.raises(DatasetMissing, match="Fewer than two"):
            list(work(trained))  # type: ignore[operator]


def test_with_one_test_image_a_class_there_is_no_score_and_no_threshold_but_neighbours() -> None:
    trained = untrained(few_digits(4, (1, 1, 1)))
    group = report_of(trained).groups["seen"]
    assert (group.summary, group.curves, group.rate_intervals, group.score_intervals) == (None, None, None, {})
    assert set(group.scores.values()) == {None}
    assert all(set(scores.values()) == {None} for scores in group.baselines.values())
    assert threshold_of(trained, EER, "seen") is None
    assert len(group.hardest_same.value) == 0
    assert len(group.hardest_different.value) == 1
    assert group.distances.shape == (3, 2)


def test_classes_without_any_test_image_are_in_no_group() -> None:
    group = report_of(untrained(few_digits(4, (3, 0, 3, 2)))).groups["seen"]
    assert group.classes == (0, 2, 3)
    assert group.confusion.shape == (3, 3)


@pytest.mark.parametrize("held_out", [(), (3,)])
def test_fewer_than_two_classes_held_out_are_no_group(held_out: tuple[int, ...]) -> None:
    trained = untrained(few_digits(4, (3, 3, 3, 3)), held_out=held_out)
    report = report_of(trained)
    assert list(report.groups) == ["seen"]
    assert len(report.groups["seen"].indices) == 12 - 3 * len(held_out)
    assert threshold_of(trained, EER, "held_out") is None


@pytest.mark.parametrize("settings", [{}, {"shared": False}])
def test_of_too_many_pairs_a_sample_is_taken_always_the_same_one(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = untrained(few_digits(6, (9, 9, 9)), **settings)
    everything = report_of(trained).groups["seen"]
    monkeypatch.setattr(eval_subset, "EXACT_UP_TO", 200)
    one, two = (report_of(trained).groups["seen"] for _ in range(2))
    assert (everything.exact, one.exact, one.pairs) == (True, False, 200)
    assert one.summary == two.summary
    assert one.score_intervals == two.score_intervals
    for name in ("chosen_on", "reported_on"):
        for kind in ("same", "different"):
            np.testing.assert_array_equal(getattr(getattr(one, name), kind), getattr(getattr(two, name), kind))
    assert_pairs_are_of_the_group(one)
    np.testing.assert_array_equal(one.neighbours, everything.neighbours)
    assert one.summary is not None
    assert everything.summary is not None
    assert one.summary.auc == pytest.approx(everything.summary.auc, abs=0.12)


def assert_pairs_are_of_the_group(group: GroupReport) -> None:
    n = len(group.indices)
    for is_same, pairs in ((True, group.hardest_same), (False, group.hardest_different)):
        assert isinstance(pairs, Hardest)
        assert ((group.labels[pairs.first % n] == group.labels[pairs.second % n]) == is_same).all()


def test_intervals_and_baselines_of_many_pairs_are_of_some_of_each_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 27 images in three classes 108 pairs are the same and 243 different; at most 50 of each are weighed."""
    trained = untrained(few_digits(6, (9, 9, 9)))
    everything = report_of(trained).groups["seen"]
    monkeypatch.setattr(evaluation, "RESAMPLED_PAIRS", 100)
    monkeypatch.setattr(evaluation, "BASELINE_PAIRS", 100)
    some = report_of(trained).groups["seen"]
    assert some.summary == everything.summary
    assert some.score_intervals != everything.score_intervals
    for name, scores in some.baselines.items():
        assert scores["auc"] == pytest.approx(everything.baselines[name]["auc"], abs=0.15)
        assert scores["map_at_r"] == everything.baselines[name]["map_at_r"]


def test_pairs_stay_in_their_order_as_many_of_each_kind_as_there_may_be() -> None:
    same = np.arange(100) % 10 == 0
    for at_most in (200, 20, 6):
        sampled = evaluation._sampled(same, at_most)
        assert (np.diff(sampled) > 0).all()
        assert same[sampled].sum() == min(10, at_most // 2)
        assert (~same[sampled]).sum() == min(90, at_most // 2)


def test_a_gallery_has_the_first_images_of_each_class(monkeypatch: pytest.MonkeyPatch) -> None:
    images = few_digits(6, (3, 3, 3))
    monkeypatch.setattr(evaluation, "GALLERY_SIZE", 8)
    first = [place for c in range(3) for place in np.flatnonzero(images.train_labels == c)[:2]]
    assert gallery_of(untrained(images)).indices.tolist() == first


def test_a_gallery_has_no_image_that_was_not_trained_on() -> None:
    images = few_digits(6, (3, 3, 3))
    first = [place for c in range(3) for place in np.flatnonzero(images.train_labels == c)[:4]]
    assert gallery_of(untrained(images, train_per_class=4)).indices.tolist() == first


def test_images_that_lie_class_by_class_do_not_spoil_the_untrained_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """What BatchNorm meets is from all over the set: of six images in their order, three, one of each class."""
    met = []
    monkeypatch.setattr(evaluation, "EVALUATION_BATCH", 3)
    monkeypatch.setattr(evaluation, "encode_both", lambda _, images: met.append(images.clone()))
    images = few_digits(2, (2, 2, 2))
    order = np.argsort(images.train_labels, kind="stable")
    ordered = replace(images, train_images=images.train_images[order], train_labels=images.train_labels[order])
    report_of(untrained(ordered))
    (batch,) = met
    np.testing.assert_array_equal(batch, ordered.train_images[::2])


def test_distances_of_no_pairs_are_none() -> None:
    empty = evaluation._distances(untrained(few_digits(2, (1, 1))), torch.zeros(2, 4), None)
    assert isinstance(empty, Distances)
    assert len(empty.same) == len(empty.different) == 0


def test_a_set_is_read_where_it_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gone since it was found: the message is that of the set."""
    trained = untrained(few_digits(2, (2, 2)))
    monkeypatch.setenv(uploaded.FOLDER, str(tmp_path))
    uploaded.clear_cache()
    with pytest.raises(DatasetMissing, match="Upload them again"):
        list(evaluate(trained))
