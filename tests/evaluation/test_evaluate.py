"""What an evaluation reports of a model: held against its run's scores, and against loops over its embeddings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from siamese_core.datasets import DatasetMissing, Images, uploaded
from siamese_core.embeddings.retrieval import retrieval_metrics, verification_metrics
from siamese_core.embeddings.thresholds import EER, Rule, choose_threshold
from siamese_core.embeddings.verification import halves, intervals
from siamese_core.evaluation import evaluate as evaluation
from siamese_core.evaluation.evaluate import build_gallery, evaluate, threshold_of
from siamese_core.evaluation.inference import TrainedModel, branch_input, load
from siamese_core.evaluation.report import Progress, Report, from_wire, to_wire
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.machine import Machine
from siamese_core.experiment.snapshot import Frame
from siamese_core.formats.wire import pack, unpack
from siamese_core.losses.distances import MEASURES
from siamese_core.runs.model import model_of
from siamese_core.training.learner import learner_of, state_of
from siamese_core.training.loop import never, train
from tests.support.small_models import few_digits, gallery_of, report_of, saved_set

RUNS = {
    "distance": "encoder=mlp",
    "head": "loss=log&encoder=lenet",
    "two inputs": "encoder=mlp&view=inverted&loss=log&measure=exponential_similarity",
    "two networks": "encoder=mlp&shared=false&view=edges&measure=manhattan",
}

HELD_OUT = (1, 4)


@pytest.fixture(scope="module", autouse=True)
def _uploads_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(uploaded.FOLDER, str(tmp_path_factory.mktemp("uploads")))
        yield
        uploaded.clear_cache()


@dataclass(frozen=True)
class Run:
    """A model, its run's last frame, with embeddings of all test images, and its evaluation."""

    trained: TrainedModel
    images: Images
    frame: Frame
    progress: list[Progress]
    report: Report

    @property
    def branches(self) -> int:
        return self.trained.model.experiment.branches

    def rows(self, name: str) -> np.ndarray:
        """The embeddings of a group's rows."""
        n, places = len(self.images.test_labels), self.report.groups[name].indices
        return self.frame.embeddings[np.concatenate([places + n * branch for branch in range(self.branches)])]

    def distances(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """By the model's measure, 1 − p for a similarity."""
        measure = MEASURES[self.trained.model.experiment.measure]
        value = measure.between(torch.tensor(first), torch.tensor(second), *self.trained.head_params).numpy()
        return 1 - value if measure.kind == "similarity" else value

    def pairs(self, name: str, among: set[int] | None = None) -> Iterator[tuple[int, int, float, bool]]:
        """Rows, distance, and whether they are the same class, of all pairs whose images are `among` these places."""
        group, rows = self.report.groups[name], self.rows(name)
        n = len(group.indices)
        listed = [
            (i, n + j if self.branches == 2 else j)
            for i, j in product(range(n), range(n))
            if (self.branches == 2 or i < j) and (among is None or {group.indices[i], group.indices[j]} <= among)
        ]
        first, second = np.array(listed).T
        d = self.distances(rows[first], rows[second])
        same = group.labels[first % n] == group.labels[second % n]
        yield from zip(first.tolist(), second.tolist(), d.tolist(), same.tolist(), strict=True)


@pytest.fixture(scope="module", params=RUNS)
def run(request: pytest.FixtureRequest, _uploads_folder: None) -> Run:
    images = few_digits(12, (10, 7, 9, 8, 11, 10))
    start = f"dataset={saved_set(images)}&embedding_dim=4&batch_size=48&steps=6&held_out={','.join(map(str, HELD_OUT))}"
    experiment, ignored = Experiment.from_query(f"{start}&{RUNS[request.param]}")
    assert not ignored
    *_, last = train(experiment, wants_frame=never)
    assert last.state is not None
    assert last.frame is not None
    trained = load(model_of(experiment, last.state))
    *progress, found = evaluate(trained)
    assert isinstance(found, Report)
    return Run(trained, images, last.frame, [step for step in progress if isinstance(step, Progress)], found)


GROUPS = pytest.mark.parametrize("name", ["seen", "held_out"])


@GROUPS
def test_a_report_scores_as_the_last_step_of_its_run_did(run: Run, name: str) -> None:
    group = run.report.groups[name]
    assert group.summary is not None
    found = group.scores | {"eer": group.summary.eer}
    assert found["auc"] == group.summary.auc
    for metric in ("auc", "eer", "precision_at_1", "map_at_r"):
        assert found[metric] == pytest.approx(run.frame.metrics[metric][name], abs=1e-6), metric


@GROUPS
def test_all_pairs_of_a_group_are_looked_at_where_they_are_few(run: Run, name: str) -> None:
    group = run.report.groups[name]
    n = len(group.indices)
    assert group.exact
    assert group.pairs == (n * n if run.branches == 2 else n * (n - 1) // 2)


@GROUPS
def test_a_group_has_the_test_images_of_its_classes_in_their_order(run: Run, name: str) -> None:
    group = run.report.groups[name]
    labels = run.images.test_labels
    expected = [place for place, label in enumerate(labels) if (label in HELD_OUT) == (name == "held_out")]
    assert group.indices.tolist() == expected
    assert group.labels.tolist() == labels[expected].tolist()
    assert group.classes == ((1, 4) if name == "held_out" else (0, 2, 3, 5))


@GROUPS
def test_a_threshold_is_chosen_and_reported_on_pairs_of_images_that_do_not_meet(run: Run, name: str) -> None:
    """Each half against a loop over the pairs within it; together the halves are all images of the group."""
    group = run.report.groups[name]
    in_first = halves(run.images.test_labels)
    places = [{int(place) for place in group.indices if in_first[place] == half} for half in (True, False)]
    assert not places[0] & places[1]
    assert places[0] | places[1] == set(group.indices.tolist())
    for half, distances in zip(places, (group.chosen_on, group.reported_on), strict=True):
        pairs = list(run.pairs(name, half))
        for is_same, found in ((True, distances.same), (False, distances.different)):
            expected = sorted(d for *_, d, same in pairs if same == is_same)
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)


@GROUPS
@pytest.mark.parametrize("rule", [EER, Rule("far", wanted=0.1), Rule("costs", accept_cost=5)])
def test_a_threshold_asked_for_by_itself_is_that_of_the_report(run: Run, name: str, rule: Rule) -> None:
    group = run.report.groups[name]
    is_similarity = run.trained.model.is_similarity
    expected = choose_threshold(group.chosen_on, group.reported_on, rule, name, is_similarity)
    assert expected is not None
    assert threshold_of(run.trained, rule, name) == expected
    assert (expected.rule, expected.group) == (rule.text, name)


@GROUPS
def test_a_row_is_an_image_as_first_input_or_after_all_of_these_as_second_one(run: Run, name: str) -> None:
    """Neighbours by Euclidean distance, each row's own images and their second inputs among them, against a loop."""
    group, rows = run.report.groups[name], run.rows(name)
    assert len(group.neighbours) == len(group.distances) == len(rows) == run.branches * len(group.indices)
    for row, (near, distances) in enumerate(zip(group.neighbours, group.distances, strict=True)):
        away = np.linalg.norm(rows - rows[row], axis=1)
        assert row not in near
        np.testing.assert_allclose(distances, away[near], rtol=1e-3, atol=1e-5)
        others = np.sort(np.delete(away, row))[: evaluation.NEIGHBOURS]
        np.testing.assert_allclose(distances, others, rtol=1e-3, atol=1e-5)


@GROUPS
def test_the_confusion_counts_the_class_of_each_rows_nearest_neighbour(run: Run, name: str) -> None:
    group = run.report.groups[name]
    labels = np.tile(group.labels, run.branches)
    expected = Counter(zip(labels.tolist(), labels[group.neighbours[:, 0]].tolist(), strict=True))
    for (row, true), (column, near) in product(enumerate(group.classes), repeat=2):
        assert group.confusion[row, column] == expected[true, near]
    counts = [run.branches * int((run.images.test_labels == c).sum()) for c in group.classes]
    assert group.confusion.sum(axis=1).tolist() == counts
    assert group.confusion.trace() / len(labels) == pytest.approx(group.scores["precision_at_1"])
    right = (labels[group.neighbours[:, :5]] == labels[:, None]).any(axis=1).mean()
    assert group.scores["recall_at_5"] == pytest.approx(right)


@GROUPS
def test_the_hardest_pairs_are_what_a_loop_from_the_worst_one_on_finds(run: Run, name: str) -> None:
    group = run.report.groups[name]
    n = len(group.indices)
    for is_same, found in ((True, group.hardest_same), (False, group.hardest_different)):
        pairs = [pair for pair in run.pairs(name) if pair[3] == is_same]
        pairs.sort(key=lambda pair: -pair[2] if is_same else pair[2])
        taken: set[int] = set()
        worst: list[float] = []
        for first, second, d, _ in pairs:
            if not taken & {first % n, second % n} and len(worst) < evaluation.HARDEST:
                taken |= {first % n, second % n}
                worst.append(d)
        np.testing.assert_allclose(found.value, worst, rtol=1e-3, atol=1e-5)


@GROUPS
def test_a_hardest_pair_names_the_rows_that_its_distance_is_between(run: Run, name: str) -> None:
    group, rows = run.report.groups[name], run.rows(name)
    n = len(group.indices)
    for is_same, pairs in ((True, group.hardest_same), (False, group.hardest_different)):
        assert len(pairs.value)
        np.testing.assert_allclose(
            run.distances(rows[pairs.first], rows[pairs.second]), pairs.value, rtol=1e-3, atol=1e-6
        )
        assert ((group.labels[pairs.first % n] == group.labels[pairs.second % n]) == is_same).all()
        assert (pairs.first < n).all(), "first inputs"
        assert ((pairs.second >= n) == (run.branches == 2)).all(), "second inputs"


@GROUPS
def test_the_curves_are_of_the_reporting_half_and_the_intervals_of_all_pairs(run: Run, name: str) -> None:
    group = run.report.groups[name]
    assert group.summary is not None
    assert group.curves is not None
    assert group.rate_intervals is not None
    area = np.trapezoid(1 - group.curves.false_reject, group.curves.false_accept)
    reported = verification_metrics(group.reported_on.same, group.reported_on.different)
    assert reported is not None
    assert area == pytest.approx(reported.auc, abs=0.01)
    for metric, (low, high) in group.score_intervals.items():
        assert low <= getattr(group.summary, metric) <= high, metric
    assert set(group.score_intervals) == set(group.summary._fields)


@GROUPS
def test_an_image_as_first_and_as_second_input_is_one_image_to_an_interval(run: Run, name: str) -> None:
    """It is drawn once for both; the intervals of the reporting half as well."""
    group = run.report.groups[name]
    places = np.tile(group.indices, run.branches)
    judged = set(np.flatnonzero(~halves(run.images.test_labels)).tolist())
    for among, found in (
        (None, group.score_intervals),
        (judged, group.rate_intervals.summary if group.rate_intervals else None),
    ):
        first, second, d, same = (np.array(column) for column in zip(*run.pairs(name, among), strict=True))
        expected = intervals(d, same, places[first], places[second])
        assert expected is not None
        assert found is not None
        for metric, interval in expected.summary.items():
            assert found[metric] == pytest.approx(interval, abs=0.01), metric


@GROUPS
def test_pixels_are_a_baseline_on_the_same_pairs(run: Run, name: str) -> None:
    """Against scikit-learn, over all pairs of what each branch is shown."""
    group = run.report.groups[name]
    inputs = [run.images.test_images, run.images.test_images]
    if run.branches == 2:
        inputs[1] = evaluation.branch_input(run.trained, torch.tensor(inputs[1]), True).numpy()
        assert run.trained.model.experiment.view != "none"
    first, second = (images[group.indices].reshape(len(group.indices), -1) / 255 for images in inputs)
    rows = np.concatenate([first, second]) if run.branches == 2 else first
    listed = list(run.pairs(name))
    d = [np.linalg.norm(rows[i] - rows[j]) for i, j, _, _ in listed]
    found = group.baselines["pixels"]
    assert found["auc"] == pytest.approx(roc_auc_score([same for *_, same in listed], -np.array(d)), abs=1e-4)
    expected = retrieval_metrics(rows, np.tile(group.labels, run.branches))
    assert expected is not None
    assert found["precision_at_1"] == pytest.approx(expected.precision_at_1)
    assert found["map_at_r"] == pytest.approx(expected.map_at_r, abs=1e-5)


@GROUPS
def test_the_untrained_network_is_the_one_that_the_run_began_with(run: Run, name: str) -> None:
    """LeNet has no BatchNorm: a network that was never trained is measured as it is."""
    experiment = run.trained.model.experiment
    found = run.report.groups[name].baselines["untrained"]
    assert set(found) == {"auc", "precision_at_1", "map_at_r"}
    if experiment.encoder == "lenet":
        start = load(model_of(experiment, state_of(learner_of(experiment, Machine()))))
        scores = report_of(start).groups[name].scores
        for metric in ("precision_at_1", "map_at_r"):
            assert found[metric] == pytest.approx(scores[metric])


def test_every_stage_is_reported_and_none_goes_beyond_its_end(run: Run) -> None:
    for step in run.progress:
        assert 0 <= step.done < step.total, step
    of_groups = [f"{stage} {name}" for name in ("seen", "held_out") for stage in
                 ("verification", "intervals", "retrieval", "baselines")]  # fmt: skip
    stages = list(dict.fromkeys(step.stage for step in run.progress))
    assert stages == ["test", "untrained", *of_groups]
    for stage in stages:
        steps = [step for step in run.progress if step.stage == stage]
        assert steps[0].done == 0
        assert [step.done for step in steps] == sorted(step.done for step in steps)
        assert len({step.total for step in steps}) == 1


def test_the_layout_has_the_embeddings_of_what_it_shows(run: Run) -> None:
    report, n = run.report, len(run.images.test_labels)
    assert report.labels.tolist() == run.images.test_labels[report.shown].tolist()
    rows = np.concatenate([report.shown + n * branch for branch in range(run.branches)])
    np.testing.assert_allclose(report.embeddings, run.frame.embeddings[rows], rtol=1e-4, atol=1e-6)


def test_a_report_goes_over_a_wire(run: Run) -> None:
    meta, arrays = to_wire(run.report)
    back = from_wire(*unpack(pack(meta, **arrays)))
    for name, group in run.report.groups.items():
        assert back.groups[name].summary == group.summary
        assert back.groups[name].classes == group.classes
        np.testing.assert_array_equal(back.groups[name].distances, group.distances)


def test_nothing_of_the_model_changes(run: Run) -> None:
    """The weights a run began with are drawn into a network of their own."""
    for name, tensor in run.trained.siamese.network.state_dict().items():
        np.testing.assert_array_equal(tensor, run.trained.model.tensors[name])
    assert not any(layer.training for layer in run.trained.siamese.network.modules())


def test_a_gallery_has_the_training_images_of_the_seen_classes_and_the_threshold_of_the_report(run: Run) -> None:
    found, seen = gallery_of(run.trained), run.report.groups["seen"]
    learnt = [place for place, label in enumerate(run.images.train_labels) if label not in HELD_OUT]
    assert sorted(found.indices.tolist()) == learnt
    assert found.embeddings.shape == (run.branches, len(learnt), 4)
    assert found.threshold == threshold_of(run.trained, EER, "seen")
    np.testing.assert_array_equal(found.reported_on.same, seen.reported_on.same)
    np.testing.assert_array_equal(found.reported_on.different, seen.reported_on.different)


def test_an_image_is_unlike_beyond_what_nearly_all_test_images_keep_to(run: Run) -> None:
    found, rows = gallery_of(run.trained), run.rows("seen").reshape(run.branches, -1, 4)
    for branch, limit in enumerate(found.unlike):
        away = [np.linalg.norm(found.embeddings[branch] - row, axis=1).min() for row in rows[branch]]
        assert limit == pytest.approx(np.quantile(away, evaluation.UNLIKE), rel=1e-3)


def test_how_far_pixels_usually_are_is_known_without_the_network(run: Run) -> None:
    found = gallery_of(run.trained)
    assert found.coarse.shape == (run.branches, len(found.indices), 64)
    seen = np.flatnonzero(np.isin(run.images.test_labels, run.trained.model.experiment.seen))
    for branch in range(run.branches):
        known, tested = (
            branch_input(run.trained, torch.tensor(images), bool(branch)).flatten(1).numpy() / 255
            for images in (run.images.train_images[found.indices], run.images.test_images[seen])
        )
        away = [np.linalg.norm(known - image, axis=1).min() for image in tested]
        assert found.unlike_coarse[branch] == pytest.approx(np.quantile(away, evaluation.UNLIKE), rel=1e-3)


def test_images_are_made_coarse_by_the_mean_of_their_tiles() -> None:
    image = torch.arange(28 * 28, dtype=torch.float32).reshape(1, 1, 28, 28).remainder(256).byte()
    tiles = image.float().reshape(14, 2, 14, 2).mean(dim=(1, 3)) / 255
    np.testing.assert_allclose(evaluation.coarse(image)[0], tiles.flatten(), rtol=1e-6)


def test_a_gallery_says_how_far_it_is(run: Run) -> None:
    progress = [step for step in build_gallery(run.trained) if isinstance(step, Progress)]
    assert list(dict.fromkeys(step.stage for step in progress)) == ["gallery", "test", "threshold"]
    assert all(0 <= step.done < step.total for step in progress)


def test_many_images_are_reported_in_parts(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "EVALUATION_BATCH", 20)
    progress = [step for step in build_gallery(run.trained) if isinstance(step, Progress) and step.stage == "test"]
    n = len(run.images.test_labels)
    starts = [n * branch + start for branch in range(run.branches) for start in range(0, n, 20)]
    assert [step.done for step in progress] == starts
    assert {step.total for step in progress} == {run.branches * n}


def test_images_that_are_not_here_are_reported_missing_and_no_others_taken_for_them(run: Run) -> None:
    """As a reader sees somebody else's model: its experiment names the default images, which would fit in size."""
    experiment = replace(run.trained.model.experiment, dataset="digits", held_out=())
    elsewhere = replace(run.trained, model=replace(run.trained.model, experiment=experiment, has_images=False))
    for work in (build_gallery, evaluate):
        with pytest.raises(DatasetMissing, match="not here"):
            list(work(elsewhere))  # type: ignore[operator]
    with pytest.raises(DatasetMissing, match="not here"):
        threshold_of(elsewhere, EER, "seen")
