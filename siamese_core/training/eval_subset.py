"""The test images that a run is measured on: the same ones, and the same pairs of them, for the whole run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from siamese_core.datasets import EVAL_PER_CLASS, Dataset, Images, select_eval_subset
from siamese_core.embeddings.retrieval import retrieval_metrics, verification_metrics
from siamese_core.experiment.experiment import IMAGES_PER_CLASS, Experiment
from siamese_core.experiment.snapshot import Frame, Scores
from siamese_core.losses import LOSSES
from siamese_core.losses.distances import MEASURES
from siamese_core.networks.input_transforms import INPUT_TRANSFORMS
from siamese_core.training.objective import HeadParams, balanced, of_classes, values
from siamese_core.training.sampling import ClassIndex, all_pairs, pk_batch, random_pairs, random_triplets, sampled_pairs

SHOWN_PAIRS = 4_000
"""Pairs in a frame, half same, half different: enough for a smooth histogram."""

SHOWN_TRIPLETS = 500

SCORED_BATCHES = 4
"""P×K batches over which the test loss of a loss on whole batches is averaged."""

EXACT_UP_TO = 2_000_000
"""More pairs than this are sampled when a run is scored at its end."""

PAIRS_AT_ONCE = 50_000

GROUPS = ("seen", "held_out")
LIVE_METRICS = ("loss", "map_at_r", "precision_at_1")
METRICS = (*LIVE_METRICS, "auc", "eer")


@dataclass(frozen=True)
class Pairs:
    """Indices of P pairs, `same` (P,) bool."""

    first: Tensor
    second: Tensor
    same: Tensor


@dataclass(frozen=True)
class Group:
    """The images of the eval subset of the classes that were seen, or of those held out.

    Indices are rows of the embeddings: with two branches, those of N images as first inputs, then as second ones; every
    pair and triplet goes from the first to the second.
    """

    indices: Tensor
    labels: Tensor
    index: ClassIndex
    pairs: Pairs
    triplets: tuple[Tensor, Tensor, Tensor]
    batches: tuple[Tensor, ...]
    """SCORED_BATCHES of (P·K,) indices."""
    offset: int
    """How much further down an image stands as a second input; 0 where there is no difference."""


@dataclass(frozen=True)
class EvalSubset:
    indices: np.ndarray
    """(N,) into the test images."""
    labels: Tensor
    """The classes of the rows of the embeddings: (N,), with two branches (2N,)."""
    groups: dict[str, Group]
    """Of `GROUPS` those with two classes or more that have images."""


def eval_subset_of(experiment: Experiment, images: Images, per_class: int | None = None) -> EvalSubset:
    """Return the eval subset of a run; `per_class=None` takes every test image."""
    return _eval_subset(images, experiment.seen, experiment.held_out, experiment.branches, per_class)


def _eval_subset(
    images: Images, seen: tuple[int, ...], held_out: tuple[int, ...], branches: int, per_class: int | None
) -> EvalSubset:
    chosen = np.arange(len(images.test_labels)) if per_class is None else select_eval_subset(images, per_class)
    labels = torch.tensor(images.test_labels[chosen])
    offset = len(labels) if branches == 2 else 0
    groups = {name: group_of(labels, of, offset) for name, of in zip(GROUPS, (seen, held_out), strict=True)}
    return EvalSubset(chosen, labels.repeat(branches), {name: group for name, group in groups.items() if group})


def group_of(labels: Tensor, classes: tuple[int, ...], offset: int) -> Group | None:
    """Return the group of some classes, None where fewer than two have images. `offset` is where the images as
    second inputs begin; 0 where there is no difference."""
    index = ClassIndex.of(labels, classes)
    if len(index) < 2:
        return None
    # Not the run's generator: what is measured must not change what is learnt.
    generator = torch.Generator().manual_seed(0)
    images = index.images.sort().values
    first, second, same = random_pairs(index, SHOWN_PAIRS, generator)
    anchor, positive, negative = random_triplets(index, SHOWN_TRIPLETS, generator)
    size = IMAGES_PER_CLASS * len(index)
    batches = [pk_batch(index, size, IMAGES_PER_CLASS, generator) for _ in range(SCORED_BATCHES)]
    indices = torch.cat([images, images + offset]) if offset else images
    return Group(
        indices,
        labels[images].repeat(len(indices) // len(images)),
        index,
        Pairs(first, second + offset, same),
        (anchor, positive + offset, negative + offset),
        tuple(torch.stack([batch, batch + offset], dim=1).flatten() if offset else batch for batch in batches),
        offset,
    )


def frame_of(
    embeddings: Tensor,
    experiment: Experiment,
    eval_subset: EvalSubset,
    scored: bool = True,
    head_params: HeadParams = (),
) -> Frame:
    """Return what a page draws of embeddings (N, D) of the eval subset; `head_params` are of the loss's head.

    All are float32, on the CPU.
    """
    groups, seen = eval_subset.groups, eval_subset.groups["seen"]
    is_triplet = LOSSES[experiment.loss].input_kind == "triplet"
    triplets = torch.stack(_triplets(embeddings, experiment, seen)) if is_triplet else torch.zeros(2, 0)
    of_measure = measure_params(experiment, head_params)
    distances = {name: _distances(embeddings, experiment, group.pairs, of_measure) for name, group in groups.items()}
    live = {
        name: _scores(embeddings, experiment, eval_subset, name, distances[name], group.pairs.same, head_params)
        for name, group in groups.items()
        if scored
    }
    d = distances["seen"]
    return Frame(
        embeddings=embeddings.numpy(),
        same_distances=d[seen.pairs.same].numpy(),
        different_distances=d[~seen.pairs.same].numpy(),
        triplet_distances=triplets.numpy(),
        metrics=_by_metric(live, LIVE_METRICS) if scored else {},
    )


def final_metrics(
    embeddings: Tensor, experiment: Experiment, eval_subset: EvalSubset, head_params: HeadParams = ()
) -> dict[str, Scores]:
    """Return all of `METRICS`, over all pairs where there are at most `EXACT_UP_TO`."""
    found = {}
    for name, group in eval_subset.groups.items():
        d, pairs = scored_pairs(embeddings, experiment, group, head_params)
        distances = MEASURES[experiment.measure].as_distance(d)
        verified = verification_metrics(distances[pairs.same].numpy(), distances[~pairs.same].numpy())
        found[name] = _scores(embeddings, experiment, eval_subset, name, d, pairs.same, head_params)
        found[name] |= {} if verified is None else verified._asdict()
    return _by_metric(found, METRICS)


def pairs_by(measure: str, embeddings: np.ndarray, labels: np.ndarray, branches: int = 1) -> dict[str, np.ndarray]:
    """Return `same` and `different` (P,): pairs of embeddings (N, D), labels (N,), by a measure without weights.

    The pairs are those of a frame whose classes were all seen: with two branches, from the first half of the embeddings
    to the second. Empty where there are fewer than two classes.
    """
    classes = tuple(np.unique(labels).tolist())
    images = len(labels) // branches
    group = group_of(torch.tensor(labels[:images]).long(), classes, len(labels) - images)
    if group is None:
        return {"same": np.zeros(0, np.float32), "different": np.zeros(0, np.float32)}
    h, pairs = torch.tensor(embeddings), group.pairs
    values, same = MEASURES[measure].between(h[pairs.first], h[pairs.second]).numpy(), pairs.same.numpy()
    return {"same": values[same], "different": values[~same]}


def pixels_map_at_r(experiment: Experiment) -> Scores:
    """Return MAP@R of the eval subset without a network: nearest neighbours on raw pixels, first and second inputs
    alike."""
    return _pixels(experiment.data, experiment.seen, experiment.held_out, experiment.view, experiment.branches)


@lru_cache(maxsize=64)
def _pixels(
    data: Dataset, seen: tuple[int, ...], held_out: tuple[int, ...], input_transform: str, branches: int
) -> Scores:
    images = data.load()
    eval_subset = _eval_subset(images, seen, held_out, branches, EVAL_PER_CLASS)
    shown = torch.tensor(images.test_images[eval_subset.indices])
    if branches == 2:
        shown = torch.cat([shown, shown if input_transform == "none" else INPUT_TRANSFORMS[input_transform].fn(shown)])
    pixels = shown.flatten(1).float() / 255
    found = {name: _retrieval_scores(pixels, group) for name, group in eval_subset.groups.items()}
    return _by_metric(found, ("map_at_r",))["map_at_r"]


def _by_metric(by_group: dict[str, dict[str, float]], metrics: tuple[str, ...]) -> dict[str, Scores]:
    return {metric: {name: by_group.get(name, {}).get(metric) for name in GROUPS} for metric in metrics}


def scored_pairs(
    embeddings: Tensor, experiment: Experiment, group: Group, head_params: HeadParams = ()
) -> tuple[Tensor, Pairs]:
    """Return (P,) by the run's measure, and the pairs: all of the group where at most `EXACT_UP_TO`, else a sample."""
    of_measure = measure_params(experiment, head_params)
    pairs = every_pair(group)
    if is_exact(group) and not group.offset and not of_measure:
        return MEASURES[experiment.measure].within(embeddings[group.indices]), pairs
    return _distances(embeddings, experiment, pairs, of_measure), pairs


def is_exact(group: Group) -> bool:
    """Return whether all pairs of a group are few enough to be measured."""
    n = len(group.index.images)
    return (n * n if group.offset else n * (n - 1) // 2) <= EXACT_UP_TO


def every_pair(group: Group) -> Pairs:
    """Return all pairs of a group, or `EXACT_UP_TO` of them, half same, half different, always the same ones."""
    n = len(group.index.images)
    if not is_exact(group):
        generator, two_ways = torch.Generator().manual_seed(0), bool(group.offset)
        first, second, same = sampled_pairs(group.index, EXACT_UP_TO, generator, with_itself=two_ways)
        return Pairs(first, second + group.offset, same)
    if group.offset:
        indices, labels = group.indices[:n], group.labels[:n]
        first, second = indices.repeat_interleave(n), indices.repeat(n) + group.offset
        return Pairs(first, second, (labels[:, None] == labels).flatten())
    first, second, same = all_pairs(group.labels)
    return Pairs(group.indices[first], group.indices[second], same)


def measure_params(experiment: Experiment, head_params: HeadParams) -> HeadParams:
    """Return the trained tensors that belong to the measure: a classifier's do not."""
    return head_params if MEASURES[experiment.measure].head else ()


def _retrieval_scores(embeddings: Tensor, group: Group) -> dict[str, float]:
    found = retrieval_metrics(embeddings[group.indices].numpy(), group.labels.numpy())
    return {} if found is None else found._asdict()


def _scores(
    embeddings: Tensor,
    experiment: Experiment,
    eval_subset: EvalSubset,
    name: str,
    d: Tensor,
    same: Tensor,
    head_params: HeadParams,
) -> dict[str, float]:
    """What retrieval scores in a group, and its loss with the right labels, averaged as over all pairs of a batch; left
    out where not finite.

    The loss is of the group's triplets or batches, or of pairs whose distance or similarity is `d` (P,), with `same`
    (P,). A classifier and proxies know the classes that were seen, and no others.
    """
    group, loss = eval_subset.groups[name], LOSSES[experiment.loss]
    scores = _retrieval_scores(embeddings, group)
    if loss.on_pairs:
        value = balanced(values(experiment, d, same), same)
    elif loss.input_kind == "triplet":
        value = values(experiment, *_triplets(embeddings, experiment, group)).mean()
    elif head_params and name != "seen":
        return scores
    else:
        numbered = torch.searchsorted(torch.tensor(getattr(experiment, name)), eval_subset.labels)
        batches = (group.indices,) if loss.input_kind == "logits" else group.batches
        each = [of_classes(experiment, embeddings[batch], numbered[batch], head_params).value for batch in batches]
        value = torch.stack(each).mean()
    return scores | ({"loss": float(value)} if value.isfinite() else {})


def _distances(embeddings: Tensor, experiment: Experiment, pairs: Pairs, of_measure: HeadParams) -> Tensor:
    """(P,), by the run's measure; with its trained tensors."""
    between = MEASURES[experiment.measure].between
    # In chunks: the embeddings of two million pairs are gigabytes.
    chunks = zip(torch.split(pairs.first, PAIRS_AT_ONCE), torch.split(pairs.second, PAIRS_AT_ONCE), strict=True)
    return torch.cat([between(embeddings[i], embeddings[j], *of_measure) for i, j in chunks])


def _triplets(embeddings: Tensor, experiment: Experiment, group: Group) -> tuple[Tensor, Tensor]:
    anchor, positive, negative = (embeddings[indices] for indices in group.triplets)
    between = MEASURES[experiment.measure].between
    return between(anchor, positive), between(anchor, negative)
