"""What a step makes smaller, against loops that a reader can check."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import pytest
import torch
from torch import Tensor

from siamese_core.experiment.experiment import Experiment
from siamese_core.losses import LOSSES
from siamese_core.losses.distances import MEASURES
from siamese_core.training.batches import Batch
from siamese_core.training.objective import (
    all_triplets,
    balanced,
    of_all_pairs,
    of_batch,
    of_random_pairs,
    of_random_triplets,
    of_two_branches,
    same_pairs,
)

PER_CLASS = 3
GROUPS = [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
"""The classes of a batch of four classes with three images each."""

WITH_PAIRS = [key for key, loss in LOSSES.items() if loss.input_kind in ("distance", "triplet")]
PAIR_LOSSES = [(loss, measure) for loss in ("contrastive", "exponential") for measure in LOSSES[loss].measures]


def embeddings(n: int = 12, seed: int = 0) -> Tensor:
    return torch.randn(n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def distance(experiment: Experiment, a: Tensor, b: Tensor, parts: tuple[Tensor, ...] = ()) -> Tensor:
    return MEASURES[experiment.measure].between(a[None], b[None], *parts)[0]


def loss_of(experiment: Experiment, *inputs: Any) -> Tensor:
    return LOSSES[experiment.loss].fn(*(torch.as_tensor(x) for x in inputs), **experiment.params)


def mean(values: list[Tensor]) -> Tensor:
    return torch.stack(values).mean()


@pytest.mark.parametrize(("loss", "measure"), PAIR_LOSSES)
@pytest.mark.parametrize("labels", ["right", "flipped"])
def test_all_pairs_average_the_same_ones_and_the_different_ones_apart(loss: str, measure: str, labels: str) -> None:
    experiment, h = Experiment(loss=loss, measure=measure, labels=labels), embeddings()
    by_side: dict[bool, list[Tensor]] = {True: [], False: []}
    for i, j in combinations(range(12), 2):
        same = GROUPS[i] == GROUPS[j]
        named = same if labels == "right" else not same
        by_side[same].append(loss_of(experiment, distance(experiment, h[i], h[j]), named))
    assert len(by_side[True]) == 12
    assert len(by_side[False]) == 54
    torch.testing.assert_close(of_all_pairs(experiment, h, PER_CLASS).value, mean(by_side[True]) + mean(by_side[False]))


@pytest.mark.parametrize(("loss", "measure"), PAIR_LOSSES)
@pytest.mark.parametrize("labels", ["right", "flipped"])
def test_random_pairs_average_all_pairs_alike(loss: str, measure: str, labels: str) -> None:
    experiment = Experiment(loss=loss, measure=measure, labels=labels, sampling="random_pairs")
    h1, h2, same = embeddings(seed=1), embeddings(seed=2), torch.arange(12) < 5
    named = same if labels == "right" else ~same
    each = [loss_of(experiment, distance(experiment, h1[p], h2[p]), named[p]) for p in range(12)]
    torch.testing.assert_close(of_random_pairs(experiment, h1, h2, same).value, mean(each))


def test_every_triplet_of_a_batch_is_there_once() -> None:
    """Twelve anchors, two positives and nine negatives each."""
    h = embeddings()
    d = MEASURES["squared_euclidean"].within(h)
    d_ap, d_an = torch.broadcast_tensors(*all_triplets(d, 12, PER_CLASS))
    assert d_ap.shape == (12, 2, 9)
    distances = (h[:, None] - h[None]).square().sum(-1)
    naive = [
        (distances[a, p], distances[a, n])
        for a, p, n in product(range(12), repeat=3)
        if a != p and GROUPS[a] == GROUPS[p] and GROUPS[a] != GROUPS[n]
    ]
    found = torch.stack([d_ap.flatten(), d_an.flatten()], dim=1)
    torch.testing.assert_close(
        torch.tensor(sorted(found.tolist())), torch.tensor(sorted((float(x), float(y)) for x, y in naive))
    )


@pytest.mark.parametrize("labels", ["right", "flipped"])
def test_triplets_average_over_all_of_them(labels: str) -> None:
    experiment, h = Experiment(loss="triplet", labels=labels), embeddings()
    each = []
    for a, p, n in product(range(12), repeat=3):
        if a != p and GROUPS[a] == GROUPS[p] and GROUPS[a] != GROUPS[n]:
            near, far = distance(experiment, h[a], h[p]), distance(experiment, h[a], h[n])
            each.append(loss_of(experiment, *((near, far) if labels == "right" else (far, near))))
    torch.testing.assert_close(of_all_pairs(experiment, h, PER_CLASS).value, mean(each))


@pytest.mark.parametrize("labels", ["right", "flipped"])
def test_random_triplets_average_over_all_of_them(labels: str) -> None:
    experiment = Experiment(loss="triplet", labels=labels, sampling="random_pairs")
    a, p, n = (embeddings(seed=seed) for seed in range(3))
    sides = (p, n) if labels == "right" else (n, p)
    each = [loss_of(experiment, *(distance(experiment, a[t], side[t]) for side in sides)) for t in range(12)]
    torch.testing.assert_close(of_random_triplets(experiment, a, p, n).value, mean(each))


def test_which_pairs_of_a_batch_are_the_same() -> None:
    expected = [GROUPS[i] == GROUPS[j] for i, j in combinations(range(12), 2)]
    assert same_pairs(12, PER_CLASS, torch.device("cpu")).tolist() == expected


def test_balanced_is_the_sum_of_two_means() -> None:
    each, same = torch.tensor([1.0, 3.0, 10.0]), torch.tensor([True, True, False])
    assert balanced(each, same) == 2 + 10
    assert balanced(each[:2], same[:2]) == 2
    assert balanced(each[2:], same[2:]) == 10


# First and second inputs that differ


SIMILARITY = [("log", measure) for measure in LOSSES["log"].measures]
HEAD = torch.tensor([[-0.5, -0.4, -0.6]], dtype=torch.float64), torch.ones(1, dtype=torch.float64)


@pytest.mark.parametrize(("loss", "measure"), PAIR_LOSSES + SIMILARITY)
@pytest.mark.parametrize("labels", ["right", "flipped"])
def test_two_branches_average_every_first_input_with_every_second_one(loss: str, measure: str, labels: str) -> None:
    """144 pairs of twelve images; an image's own second form is of its class."""
    experiment = Experiment(loss=loss, measure=measure, labels=labels, view="edges")
    h1, h2, parts = embeddings(seed=1), embeddings(seed=2), HEAD if measure == "similarity_head" else ()
    by_side: dict[bool, list[Tensor]] = {True: [], False: []}
    for i, j in product(range(12), repeat=2):
        same = GROUPS[i] == GROUPS[j]
        named = same if labels == "right" else not same
        by_side[same].append(loss_of(experiment, distance(experiment, h1[i], h2[j], parts), named))
    assert [len(side) for side in by_side.values()] == [36, 108]
    found = of_two_branches(experiment, h1, h2, PER_CLASS, parts)
    torch.testing.assert_close(found.value, mean(by_side[True]) + mean(by_side[False]))
    active = [bool(value != 0) for side in by_side.values() for value in side]
    assert found.active == pytest.approx(sum(active) / 144)


@pytest.mark.parametrize("labels", ["right", "flipped"])
def test_two_branches_have_their_anchors_in_the_first_and_the_others_in_the_second(labels: str) -> None:
    """Twelve anchors, three positives (one of them the anchor's own second form) and nine negatives."""
    experiment, h1, h2 = Experiment(loss="triplet", labels=labels, view="edges"), embeddings(seed=1), embeddings(seed=2)
    each = []
    for a, p, n in product(range(12), repeat=3):
        if GROUPS[a] == GROUPS[p] != GROUPS[n]:
            near, far = distance(experiment, h1[a], h2[p]), distance(experiment, h1[a], h2[n])
            each.append(loss_of(experiment, *((near, far) if labels == "right" else (far, near))))
    assert len(each) == 12 * 3 * 9
    found = of_two_branches(experiment, h1, h2, PER_CLASS)
    torch.testing.assert_close(found.value, mean(each))
    assert found.active == pytest.approx(sum(bool(value != 0) for value in each) / len(each))


@pytest.mark.parametrize("loss", WITH_PAIRS)
@pytest.mark.parametrize(("n", "per_class"), [(4, 4), (4, 1)])
def test_two_branches_without_one_of_the_sides_have_a_finite_gradient(loss: str, n: int, per_class: int) -> None:
    h1, h2 = embeddings(n, 1).requires_grad_(), embeddings(n, 2).requires_grad_()
    found = of_two_branches(Experiment(loss=loss, shared=False), h1, h2, per_class)
    found.value.backward()
    assert found.value.isfinite()
    assert all(h.grad is not None and h.grad.isfinite().all() for h in (h1, h2))


NOT_LOOKED_AT = torch.full((12, 3), torch.nan, dtype=torch.float64)
"""What the branch gives for the images that it need not see."""


def of(experiment: Experiment, batch: Batch, h1: Tensor, h2: Tensor) -> Tensor:
    return of_batch(experiment, batch, h1, h2, PER_CLASS, (), torch.Generator()).value


def test_of_a_random_pair_the_second_image_goes_through_the_second_branch() -> None:
    experiment, same = Experiment(sampling="random_pairs", shared=False), torch.arange(12) < 6
    first, second = embeddings(seed=1), embeddings(seed=2)
    batch = Batch("pairs", torch.arange(24), same)
    found = of(experiment, batch, torch.cat([first, NOT_LOOKED_AT]), torch.cat([NOT_LOOKED_AT, second]))
    each = [loss_of(experiment, distance(experiment, first[p], second[p]), same[p]) for p in range(12)]
    torch.testing.assert_close(found, mean(each))


def test_of_a_random_triplet_the_anchor_goes_through_the_first_branch_alone() -> None:
    experiment = Experiment(loss="triplet", sampling="random_pairs", shared=False)
    a, p, n = (embeddings(seed=seed) for seed in range(3))
    batch = Batch("triplets", torch.arange(36))
    found = of(experiment, batch, torch.cat([a, NOT_LOOKED_AT, NOT_LOOKED_AT]), torch.cat([NOT_LOOKED_AT, p, n]))
    each = [loss_of(experiment, *(distance(experiment, a[t], side[t]) for side in (p, n))) for t in range(12)]
    torch.testing.assert_close(found, mean(each))


@pytest.mark.parametrize("loss", WITH_PAIRS)
def test_of_a_batch_one_branch_counts_each_pair_once_and_two_every_pair_of_inputs(loss: str) -> None:
    batch, h1, h2 = Batch("classes", torch.arange(12)), embeddings(seed=1), embeddings(seed=2)
    one, two = Experiment(loss=loss), Experiment(loss=loss, view="edges")
    assert of(one, batch, h1, h1) == of_all_pairs(one, h1, PER_CLASS).value
    assert of(two, batch, h1, h2) == of_two_branches(two, h1, h2, PER_CLASS).value


LINE = torch.tensor([[0.0], [0.25], [1.25], [1.5]])
"""Two classes with two images each. Same pairs are 0.25 apart; different pairs 1.25, 1.5, 1 and 1.25."""


@pytest.mark.parametrize(("margin", "active"), [(1.0, 2 / 6), (1.2, 3 / 6), (1.3, 5 / 6), (2.0, 6 / 6)])
def test_a_different_pair_beyond_the_margin_is_not_active(margin: float, active: float) -> None:
    experiment = Experiment(params={"margin": margin})
    assert of_all_pairs(experiment, LINE, 2).active == pytest.approx(active)


def test_a_triplet_whose_negative_is_far_enough_is_not_active() -> None:
    """Of eight triplets, d⁺ = 0.0625; d⁻ is 1.5625 four times, 2.25 twice, 1 twice."""
    for margin, active in ((0.9, 0), (1.0, 2 / 8), (1.6, 6 / 8), (3.0, 1)):
        experiment = Experiment(loss="triplet", params={"margin": margin})
        assert of_all_pairs(experiment, LINE, 2).active == pytest.approx(active)
        triplet = LINE[[0]], LINE[[1]], LINE[[2]]
        assert of_random_triplets(experiment, *triplet).active == (1 if margin > 1.5 else 0)


def test_identical_images_of_one_class_are_not_active() -> None:
    h, same = torch.zeros(4, 2), torch.ones(4, dtype=torch.bool)
    assert of_random_pairs(Experiment(), h, h, same).active == 0
    assert of_random_pairs(Experiment(), h, h, ~same).active == 1


@pytest.mark.parametrize("loss", WITH_PAIRS)
@pytest.mark.parametrize(("n", "per_class"), [(4, 4), (4, 1), (2, 1)])
def test_a_batch_without_one_of_the_sides_has_a_finite_value_and_gradient(loss: str, n: int, per_class: int) -> None:
    h = embeddings(n).requires_grad_()
    found = of_all_pairs(Experiment(loss=loss), h, per_class)
    found.value.backward()
    assert found.value.isfinite()
    assert found.active.isfinite()
    assert h.grad is not None
    assert h.grad.isfinite().all()


@pytest.mark.parametrize("loss", WITH_PAIRS)
def test_a_collapsed_batch_has_a_finite_gradient(loss: str) -> None:
    h = torch.zeros(12, 3, requires_grad=True)
    of_all_pairs(Experiment(loss=loss), h, PER_CLASS).value.backward()
    assert h.grad is not None
    assert h.grad.isfinite().all()
