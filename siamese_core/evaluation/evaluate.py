"""How good a model is on images that it was not trained on, and where its threshold comes from: generators that yield
their progress, and at last what they found."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from siamese_core.datasets import DatasetMissing, Images, select_eval_subset
from siamese_core.embeddings import neighbours
from siamese_core.embeddings.retrieval import retrieval_metrics, verification_metrics
from siamese_core.embeddings.thresholds import EER, Rule, Threshold, choose_threshold
from siamese_core.embeddings.verification import Distances, Intervals, curves, halves, intervals, summary
from siamese_core.evaluation.inference import TrainedModel, branch_input, embed
from siamese_core.evaluation.report import GroupReport, Hardest, MetricValues, Progress, Report
from siamese_core.training.eval_subset import Group, Pairs, eval_subset_of, group_of, is_exact, scored_pairs
from siamese_core.training.sampling import ClassIndex
from siamese_core.training.siamese import EVALUATION_BATCH, Siamese, encode_both, network_of

GALLERY_SIZE = 10_000
"""Training images among which neighbours are searched, at most: the first of each class."""

UNLIKE = 0.995
"""An image further from every training image than this share of the test images are is unlike what was trained on: for
the network, which may have drawn strange images into its classes, or by its pixels."""

COARSE = 14
"""Pixels a side by which images are compared without a network."""

COMPARED = 1_000
"""Test images, at most, by which the usual distance of pixels is measured."""

NEIGHBOURS = 10

HARDEST = 24

RESAMPLED_PAIRS = 500_000
"""Pairs whose weights are drawn again and again for an interval: it is the images that are few."""

BASELINE_PAIRS = 100_000

NUMBERS_AT_ONCE = 4_000_000
"""Of pixels, a pair is thousands of numbers."""

NO_IMAGES = (
    "The pictures that this model was trained on are not here (any more), and only with them it can be measured: "
    "upload them on the Data page, then open the model again."
)

NO_CLASSES = (
    "Fewer than two of the classes that this model was trained on have test images, so nothing can be measured: "
    "prepare the pictures again with a larger share for testing."
)


@dataclass(frozen=True, eq=False)
class Gallery:
    """What a pair is compared with.

    The training images `indices` (G,), their embeddings (branches, G, D) and `coarse` pixels (branches, G, K); for each
    branch the distances beyond which an image is unlike them all, `unlike` and `unlike_coarse` (branches,). The
    distances of test pairs, and the threshold that they give.
    """

    indices: np.ndarray
    embeddings: np.ndarray
    coarse: np.ndarray
    unlike: np.ndarray
    unlike_coarse: np.ndarray
    reported_on: Distances
    threshold: Threshold | None


def build_gallery(trained: TrainedModel) -> Iterator[Progress | Gallery]:
    """Yield the progress, then the gallery. Raises DatasetMissing where the images of the model are not here."""
    experiment = trained.model.experiment
    images = _images(trained)
    index = ClassIndex.of(torch.tensor(images.train_labels), experiment.seen, experiment.train_per_class or None)
    each = max(1, GALLERY_SIZE // max(1, len(index)))
    ends = zip(index.starts.tolist(), index.counts.tolist(), strict=True)
    indices = torch.cat([index.images[start : start + min(count, each)] for start, count in ends]).numpy()
    gallery = yield from _rows(trained, images.train_images[indices], "gallery")
    test = yield from _rows(trained, images.test_images, "test")
    by_branch = gallery.reshape(experiment.branches, len(indices), -1).numpy()
    group = eval_subset_of(experiment, images).groups.get("seen")
    if group is None:
        raise DatasetMissing(NO_CLASSES)
    yield Progress("threshold", 0, 1)
    tested = test[group.indices].reshape(experiment.branches, len(group.index.images), -1).numpy()
    nearest = [neighbours.nearest(rows, known, 1)[1] for rows, known in zip(tested, by_branch, strict=True)]
    pixels, unlike_coarse = _coarse_gallery(trained, images, indices, group)
    chosen_on, reported_on = _halves(trained, test, images, group)
    yield Gallery(
        indices,
        by_branch,
        pixels,
        np.array([np.quantile(d, UNLIKE) for d in nearest], np.float32),
        unlike_coarse,
        reported_on,
        choose_threshold(chosen_on, reported_on, EER, "seen", trained.model.is_similarity),
    )


def _coarse_gallery(
    trained: TrainedModel, images: Images, indices: np.ndarray, group: Group
) -> tuple[np.ndarray, np.ndarray]:
    """The coarse pixels of training images (branches, G, K), and the limits (branches,) of how far others are."""
    chosen = group.index.images[:: -(-len(group.index.images) // COMPARED)].numpy()
    known, tested = (
        [coarse(inputs) for inputs in _inputs(trained, given)]
        for given in (images.train_images[indices], images.test_images[chosen])
    )
    limits = [np.quantile(from_nearest(pixels, near), UNLIKE) for pixels, near in zip(tested, known, strict=True)]
    return np.stack(known), np.array(limits, np.float32)


def coarse(inputs: Tensor) -> np.ndarray:
    """Return (N, K) pixels from 0 to 1 of images (N, C, H, W), at most `COARSE` a side."""
    height, width = (min(COARSE, size) for size in inputs.shape[2:])
    pixels: np.ndarray = adaptive_avg_pool2d(inputs.float() / 255, (height, width)).flatten(1).numpy()
    return pixels


def from_nearest(pixels: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return (N,) Euclidean distances of `pixels` (N, K) from the nearest of `known` (G, K)."""
    chunks = torch.split(torch.tensor(pixels), EVALUATION_BATCH)
    distances: np.ndarray = torch.cat([torch.cdist(chunk, torch.tensor(known)).amin(1) for chunk in chunks]).numpy()
    return distances


def threshold_of(trained: TrainedModel, rule: Rule, group: str) -> Threshold | None:
    """Return the threshold by a rule, on the classes "seen" or "held_out"; None where there are too few of them, or of
    their images. Raises DatasetMissing where the images of the model are not here.
    """
    images = _images(trained)
    found = eval_subset_of(trained.model.experiment, images).groups.get(group)
    if found is None:
        return None
    inputs = _inputs(trained, images.test_images)
    test = torch.cat([embed(trained, shown, bool(branch)) for branch, shown in enumerate(inputs)])
    return choose_threshold(*_halves(trained, test, images, found), rule, group, trained.model.is_similarity)


def evaluate(trained: TrainedModel) -> Iterator[Progress | Report]:
    """Yield the progress, then the report. Raises DatasetMissing where the images of the model are not here."""
    experiment = trained.model.experiment
    images = _images(trained)
    rows = yield from _rows(trained, images.test_images, "test")
    untrained_rows = yield from _rows(_untrained(trained, images), images.test_images, "untrained")
    groups = {}
    for name, group in eval_subset_of(experiment, images).groups.items():
        groups[name] = yield from _group(trained, name, group, images, rows, untrained_rows)
    if not groups:
        raise DatasetMissing(NO_CLASSES)
    subset = select_eval_subset(images)
    shown = np.concatenate([subset + branch * len(images.test_labels) for branch in range(experiment.branches)])
    yield Report(groups, subset, images.test_labels[subset], rows[shown].numpy())


def _images(trained: TrainedModel) -> Images:
    """Those that the model was trained on. Raises DatasetMissing where they are not here."""
    images = trained.model.experiment.data.load()
    # Where an uploaded set is gone, these are the default dataset's.
    if not trained.model.has_images:
        raise DatasetMissing(NO_IMAGES)
    return images


def _inputs(trained: TrainedModel, images: np.ndarray) -> list[Tensor]:
    """For each branch what it is shown of uint8 images (N, C, H, W)."""
    shown = torch.tensor(images)
    return [branch_input(trained, shown, bool(branch)) for branch in range(trained.model.experiment.branches)]


def _rows(trained: TrainedModel, images: np.ndarray, stage: str) -> Generator[Progress, None, Tensor]:
    """(N, D) embeddings of uint8 images (N, C, H, W); with two branches (2N, D), as first inputs, then as second."""
    branches = trained.model.experiment.branches
    total, rows = branches * len(images), []
    for branch in range(branches):
        for start in range(0, len(images), EVALUATION_BATCH):
            yield Progress(stage, branch * len(images) + start, total)
            part = torch.tensor(images[start : start + EVALUATION_BATCH])
            rows.append(embed(trained, branch_input(trained, part, bool(branch)), bool(branch)))
    return torch.cat(rows)


def _group(
    trained: TrainedModel, name: str, group: Group, images: Images, rows: Tensor, untrained_rows: Tensor
) -> Generator[Progress, None, GroupReport]:
    n = len(images.test_labels)
    yield Progress(f"verification {name}", 0, 1)
    d, pairs = _measured(trained, rows, group)
    same, first, second = pairs.same.numpy(), pairs.first.numpy(), pairs.second.numpy()
    everything = Distances.of(d, same)
    chosen_on, reported_on = _halves(trained, rows, images, group)
    yield Progress(f"intervals {name}", 0, 2)
    score_intervals = _intervals(d, pairs, n)
    yield Progress(f"intervals {name}", 1, 2)
    half = _half(images, group, chosen=False)
    rate_intervals = None if half is None else _intervals(*_measured(trained, rows, half), n)
    yield Progress(f"retrieval {name}", 0, 1)
    labels, h = group.labels.numpy(), rows[group.indices].numpy()
    near, distances = neighbours.nearest(h, h, NEIGHBOURS, exclude_self=True)
    classes = tuple(np.unique(labels).tolist())
    local = np.searchsorted(classes, labels)
    in_group = np.searchsorted(group.indices.numpy(), np.stack([first, second])).astype(np.int32)
    worst = neighbours.hardest(d, same, first % n, second % n, HARDEST)
    hardest = [Hardest(in_group[0, some], in_group[1, some], d[some]) for some in worst]
    found = summary(everything)
    yield Progress(f"baselines {name}", 0, 1)
    pixels = torch.cat(_inputs(trained, images.test_images)).flatten(1).float() / 255
    baselines = {"untrained": _baseline(untrained_rows, group, pairs), "pixels": _baseline(pixels, group, pairs)}
    return GroupReport(
        indices=group.index.images.sort().values.numpy().astype(np.int32),
        labels=labels[: len(group.index.images)].astype(np.int32),
        classes=classes,
        pairs=len(d),
        exact=is_exact(group),
        curves=curves(reported_on) if summary(reported_on) else None,
        chosen_on=chosen_on,
        reported_on=reported_on,
        summary=found,
        score_intervals={} if score_intervals is None else score_intervals.summary,
        rate_intervals=rate_intervals,
        scores=_retrieved(h, labels)
        | {
            "recall_at_5": neighbours.recall_at_k(near, labels, min(5, near.shape[1])),
            "auc": found.auc if found else None,
        },
        baselines=baselines,
        neighbours=near,
        distances=distances,
        confusion=neighbours.confusion(near, local, len(classes)),
        hardest_same=hardest[0],
        hardest_different=hardest[1],
    )


def _half(images: Images, group: Group, chosen: bool) -> Group | None:
    """The group in one half of the test images; None where that has fewer than two classes."""
    labels = torch.tensor(images.test_labels)
    in_half = torch.tensor(halves(images.test_labels) == chosen)
    return group_of(labels.where(in_half, -1), tuple(np.unique(group.labels.numpy()).tolist()), group.offset)


def _halves(trained: TrainedModel, rows: Tensor, images: Images, group: Group) -> tuple[Distances, Distances]:
    """Of pairs within the half that a threshold is chosen on, and within the one that it is reported on."""
    chosen_on, reported_on = (_distances(trained, rows, _half(images, group, chosen)) for chosen in (True, False))
    return chosen_on, reported_on


def _distances(trained: TrainedModel, rows: Tensor, group: Group | None) -> Distances:
    if group is None:
        return Distances.of(np.zeros(0, np.float32), np.zeros(0, bool))
    d, pairs = _measured(trained, rows, group)
    return Distances.of(d, pairs.same.numpy())


def _measured(trained: TrainedModel, rows: Tensor, group: Group) -> tuple[np.ndarray, Pairs]:
    """The distances (P,) of the pairs of a group, and these."""
    value, pairs = scored_pairs(rows, trained.model.experiment, group, trained.head_params)
    return trained.model.measure.as_distance(value).numpy(), pairs


def _intervals(d: np.ndarray, pairs: Pairs, n: int) -> Intervals | None:
    """Of some of the pairs: an image is an index modulo n."""
    same = pairs.same.numpy()
    some = _sampled(same, RESAMPLED_PAIRS)
    return intervals(d[some], same[some], pairs.first.numpy()[some] % n, pairs.second.numpy()[some] % n)


def _sampled(same: np.ndarray, at_most: int) -> np.ndarray:
    """Indices of pairs, in their order: of each kind all, or half of `at_most`. A rate is of one kind only."""
    rng, half = np.random.default_rng(0), at_most // 2
    kinds = [np.flatnonzero(same), np.flatnonzero(~same)]
    sampled = [kind if len(kind) <= half else rng.choice(kind, half, replace=False) for kind in kinds]
    return np.sort(np.concatenate(sampled))


def _untrained(trained: TrainedModel, images: Images) -> TrainedModel:
    """The same network with the weights that its run began with; BatchNorm has met a batch of training images, from
    all over the set: they may lie class by class."""
    model = trained.model
    network = network_of(model.experiment, model.shape, torch.Generator().manual_seed(model.experiment.seed))
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.momentum = None
    siamese = Siamese(model.experiment, network, model.mean, model.std)
    every = max(1, len(images.train_images) // EVALUATION_BATCH)
    with torch.no_grad():
        encode_both(siamese, torch.tensor(images.train_images[::every][:EVALUATION_BATCH]))
    network.eval()
    return TrainedModel(model, siamese, trained.head_params)


def _baseline(rows: Tensor, group: Group, pairs: Pairs) -> MetricValues:
    """Retrieval, and verification of the same pairs as the model's, or some of them, by Euclidean distance."""
    some = torch.from_numpy(_sampled(pairs.same.numpy(), BASELINE_PAIRS))
    size = max(1, NUMBERS_AT_ONCE // rows.shape[1])
    chunks = zip(torch.split(pairs.first[some], size), torch.split(pairs.second[some], size), strict=True)
    d, same = torch.cat([(rows[i] - rows[j]).norm(dim=1) for i, j in chunks]), pairs.same[some]
    verified = verification_metrics(d[same].numpy(), d[~same].numpy())
    return _retrieved(rows[group.indices].numpy(), group.labels.numpy()) | {"auc": verified.auc if verified else None}


def _retrieved(rows: np.ndarray, labels: np.ndarray) -> MetricValues:
    found = retrieval_metrics(rows, labels)
    return {"precision_at_1": found.precision_at_1 if found else None, "map_at_r": found.map_at_r if found else None}
