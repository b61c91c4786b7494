"""The test images that a run is looked at through: the same ones, and the same pairs of them, for the whole run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from siamese_core.datasets import DATASETS, PROBE_PER_CLASS, Images, select_probe
from siamese_core.distances import MEASURES
from siamese_core.experiment import IMAGES_PER_CLASS, Experiment
from siamese_core.losses import LOSSES
from siamese_core.metrics import retrieval, verification
from siamese_core.objective import Parts, balanced, of_classes, values
from siamese_core.sampling import ClassIndex, all_pairs, pk_batch, random_pairs, random_triplets
from siamese_core.snapshot import Frame, Scores

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
    """Places of P pairs, `same` (P,) bool."""

    first: Tensor
    second: Tensor
    same: Tensor


@dataclass(frozen=True)
class Group:
    """The probe images of the classes that were seen, or of those held out."""

    places: Tensor
    labels: Tensor
    index: ClassIndex
    pairs: Pairs
    triplets: tuple[Tensor, Tensor, Tensor]
    batches: tuple[Tensor, ...]
    """SCORED_BATCHES of (P·K,) places."""


@dataclass(frozen=True)
class Probe:
    indices: np.ndarray
    """(N,) into the test images."""
    labels: Tensor
    """(N,) their classes."""
    groups: dict[str, Group | None]


def probe_of(experiment: Experiment, images: Images, per_class: int | None = None) -> Probe:
    """The probe of a run; `per_class=None` takes every test image."""
    chosen = np.arange(len(images.test_labels)) if per_class is None else select_probe(images, per_class)
    labels = torch.tensor(images.test_labels[chosen])
    groups = dict(zip(GROUPS, (experiment.seen, experiment.held_out), strict=True))
    return Probe(chosen, labels, {name: _group(labels, classes) for name, classes in groups.items()})


def _group(labels: Tensor, classes: tuple[int, ...]) -> Group | None:
    index = ClassIndex.of(labels, classes)
    if len(index) < 2:
        return None
    # Not the run's generator: what is looked at must not change what is learnt.
    generator = torch.Generator().manual_seed(0)
    places = index.images.sort().values
    pairs = Pairs(*random_pairs(index, SHOWN_PAIRS, generator))
    triplets = random_triplets(index, SHOWN_TRIPLETS, generator)
    size = IMAGES_PER_CLASS * len(index)
    batches = tuple(pk_batch(index, size, IMAGES_PER_CLASS, generator) for _ in range(SCORED_BATCHES))
    return Group(places, labels[places], index, pairs, triplets, batches)


def frame_of(embeddings: Tensor, experiment: Experiment, probe: Probe, scored: bool = True, parts: Parts = ()) -> Frame:
    """What a page draws. `embeddings` (N, D) of the probe images, `parts` of the loss's head: float32 on the CPU."""
    seen = probe.groups["seen"]
    assert seen is not None, "an experiment has at least two seen classes"
    is_triplet = LOSSES[experiment.loss].takes == "triplet"
    triplets = torch.stack(_triplets(embeddings, experiment, seen)) if is_triplet else torch.zeros(2, 0)
    groups = {name: group for name, group in probe.groups.items() if group}
    own = _of_measure(experiment, parts)
    distances = {name: _distances(embeddings, experiment, group.pairs, own) for name, group in groups.items()}
    live = {
        name: _retrieval_scores(embeddings, group)
        | _test_loss(embeddings, experiment, probe, name, distances[name], group.pairs.same, parts)
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


def final_metrics(embeddings: Tensor, experiment: Experiment, probe: Probe, parts: Parts = ()) -> dict[str, Scores]:
    """All of `METRICS`, over all pairs where there are at most `EXACT_UP_TO`."""
    groups = [name for name, group in probe.groups.items() if group]
    return _by_metric({name: _final_scores(embeddings, experiment, probe, name, parts) for name in groups}, METRICS)


def pairs_by(measure: str, embeddings: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """`same` and `different` (P,): what a measure without weights says of pairs of embeddings (N, D), labels (N,).

    The pairs are those of a frame whose classes were all seen. Empty where there are fewer than two classes.
    """
    classes = tuple(np.unique(labels).tolist())
    index = ClassIndex.of(torch.tensor(labels).long(), classes)
    if len(index) < 2:
        return {"same": np.zeros(0, np.float32), "different": np.zeros(0, np.float32)}
    first, second, same = random_pairs(index, SHOWN_PAIRS, torch.Generator().manual_seed(0))
    h = torch.tensor(embeddings)
    values = MEASURES[measure].between(h[first], h[second]).numpy()
    return {"same": values[same.numpy()], "different": values[~same.numpy()]}


def pixels_map_at_r(experiment: Experiment) -> Scores:
    """MAP@R of the probe images without a network: nearest neighbours on raw pixels."""
    return _pixels(experiment.dataset, experiment.held_out)


@lru_cache(maxsize=64)
def _pixels(dataset: str, held_out: tuple[int, ...]) -> Scores:
    experiment = Experiment(dataset=dataset, held_out=held_out)
    images = DATASETS[dataset].load()
    probe = probe_of(experiment, images, PROBE_PER_CLASS)
    pixels = torch.tensor(images.test_images[probe.indices]).flatten(1).float() / 255
    found = {name: _retrieval_scores(pixels, group) for name, group in probe.groups.items() if group}
    return _by_metric(found, ("map_at_r",))["map_at_r"]


def _by_metric(by_group: dict[str, dict[str, float]], metrics: tuple[str, ...]) -> dict[str, Scores]:
    return {metric: {name: by_group.get(name, {}).get(metric) for name in GROUPS} for metric in metrics}


def _final_scores(
    embeddings: Tensor, experiment: Experiment, probe: Probe, name: str, parts: Parts
) -> dict[str, float]:
    group = probe.groups[name]
    assert group is not None
    d, same = _scored_pairs(embeddings, experiment, group, _of_measure(experiment, parts))
    apart = 1 - d if MEASURES[experiment.measure].kind == "similarity" else d
    verified = verification(apart[same].numpy(), apart[~same].numpy())
    return (
        _retrieval_scores(embeddings, group)
        | _test_loss(embeddings, experiment, probe, name, d, same, parts)
        | ({} if verified is None else verified._asdict())
    )


def _scored_pairs(embeddings: Tensor, experiment: Experiment, group: Group, own: Parts) -> tuple[Tensor, Tensor]:
    """(P,) by the run's own measure, and (P,) bool `same`: all pairs of the group, or a sample of them."""
    n = len(group.places)
    if n * (n - 1) // 2 > EXACT_UP_TO:
        pairs = Pairs(*random_pairs(group.index, EXACT_UP_TO, torch.Generator().manual_seed(0)))
    else:
        first, second, same = all_pairs(group.labels)
        if not own:
            return MEASURES[experiment.measure].within(embeddings[group.places]), same
        pairs = Pairs(group.places[first], group.places[second], same)
    return _distances(embeddings, experiment, pairs, own), pairs.same


def _of_measure(experiment: Experiment, parts: Parts) -> Parts:
    """The trained tensors that belong to the measure: a classifier's do not."""
    return parts if MEASURES[experiment.measure].kind == "similarity" else ()


def _retrieval_scores(embeddings: Tensor, group: Group) -> dict[str, float]:
    found = retrieval(embeddings[group.places].numpy(), group.labels.numpy())
    return {} if found is None else found._asdict()


def _test_loss(
    embeddings: Tensor, experiment: Experiment, probe: Probe, name: str, d: Tensor, same: Tensor, parts: Parts
) -> dict[str, float]:
    """The loss of a group with the right labels, averaged as over all pairs of a batch; left out where not finite.

    Of the group's triplets or batches, or of pairs whose distance or similarity is `d` (P,), with `same` (P,). A
    classifier and proxies know the classes that were seen, and no others.
    """
    group, takes = probe.groups[name], LOSSES[experiment.loss].takes
    assert group is not None
    if takes == "triplet":
        loss = float(values(experiment, *_triplets(embeddings, experiment, group)).mean())
    elif takes not in ("logits", "batch"):
        loss = float(balanced(values(experiment, d, same), same))
    elif parts and name != "seen":
        return {}
    else:
        numbered = torch.searchsorted(torch.tensor(getattr(experiment, name)), probe.labels)
        batches = (group.places,) if takes == "logits" else group.batches
        each = [of_classes(experiment, embeddings[batch], numbered[batch], parts).value for batch in batches]
        loss = float(torch.stack(each).mean())
    return {"loss": loss} if math.isfinite(loss) else {}


def _distances(embeddings: Tensor, experiment: Experiment, pairs: Pairs, own: Parts = ()) -> Tensor:
    """(P,), by the run's own measure; `own` are its trained tensors."""
    between = MEASURES[experiment.measure].between
    # In parts: the embeddings of two million pairs are gigabytes.
    chunks = zip(torch.split(pairs.first, PAIRS_AT_ONCE), torch.split(pairs.second, PAIRS_AT_ONCE), strict=True)
    return torch.cat([between(embeddings[i], embeddings[j], *own) for i, j in chunks])


def _triplets(embeddings: Tensor, experiment: Experiment, group: Group) -> tuple[Tensor, Tensor]:
    anchor, positive, negative = (embeddings[places] for places in group.triplets)
    between = MEASURES[experiment.measure].between
    return between(anchor, positive), between(anchor, negative)
