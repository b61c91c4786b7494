"""How a batch loss averages: over groups where the library would need gigabytes, and never by the order of a batch."""

from __future__ import annotations

import pytest
import torch
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import LiftedStructureLoss, NTXentLoss
from torch import Tensor

from siamese_core.experiment.experiment import Experiment
from siamese_core.losses import LOSSES
from siamese_core.training.objective import balanced, of_all_pairs, of_classes

THEIRS = {
    "nt_xent": NTXentLoss(temperature=0.07),
    "lifted_structure": LiftedStructureLoss(neg_margin=1.0, distance=LpDistance(normalize_embeddings=False)),
}
TOGETHER = {"nt_xent": 2, "lifted_structure": 4}
"""Images of each class that meet at a time."""

BATCH_LOSSES = [key for key, loss in LOSSES.items() if loss.input_kind == "batch"]
in_groups = pytest.mark.parametrize("key", TOGETHER)


def embeddings(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def value(key: str, h: Tensor, labels: Tensor) -> Tensor:
    parts = (embeddings(3, seed=9),) if key == "proxy_anchor" else ()
    return LOSSES[key].fn(h, labels, *parts, **Experiment(loss=key).params)


@in_groups
def test_a_batch_that_one_group_holds_is_the_librarys_own_number(key: str) -> None:
    labels = torch.arange(3).repeat(TOGETHER[key])
    h = embeddings(len(labels))
    torch.testing.assert_close(value(key, h, labels), THEIRS[key](h, labels))


@in_groups
def test_a_larger_batch_is_the_mean_of_its_groups(key: str) -> None:
    """Twelve images of each of three classes, in turns: a group is the next so many of each."""
    labels = torch.arange(3).repeat(12)
    h = embeddings(36)
    size = 3 * TOGETHER[key]
    groups = [THEIRS[key](h[start : start + size], labels[start : start + size]) for start in range(0, 36, size)]
    assert len(groups) == 12 // TOGETHER[key]
    torch.testing.assert_close(value(key, h, labels), torch.stack(groups).mean())
    assert abs(float(value(key, h, labels) - THEIRS[key](h, labels))) > 0.01, "all at once is another number"


@in_groups
def test_it_does_not_matter_whether_a_batch_goes_class_by_class_or_in_turns(key: str) -> None:
    h, labels = embeddings(36), torch.arange(3).repeat(12)
    order = labels.argsort(stable=True)
    torch.testing.assert_close(value(key, h[order], labels[order]), value(key, h, labels))


@in_groups
def test_a_class_with_fewer_images_meets_the_others_while_it_has_some(key: str) -> None:
    labels = torch.tensor([0] * 5 + [1] * 3)
    h = embeddings(8).requires_grad_()
    found = value(key, h, labels)
    (gradient,) = torch.autograd.grad(found, h)
    assert found.isfinite()
    assert gradient.isfinite().all()
    assert gradient.any()


@pytest.mark.parametrize("labels", [[0] * 6, [0], [0, 1, 2], []], ids=["one class", "one image", "strangers", "empty"])
@pytest.mark.parametrize("key", BATCH_LOSSES)
def test_a_batch_without_pairs_of_both_kinds_has_a_finite_gradient(key: str, labels: list[int]) -> None:
    h = embeddings(len(labels)).requires_grad_()
    (gradient,) = torch.autograd.grad(value(key, h, torch.tensor(labels, dtype=torch.int64)), h)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("key", BATCH_LOSSES)
def test_which_number_a_class_has_does_not_matter(key: str) -> None:
    """But for proxies, whose places are the numbers."""
    h, labels = embeddings(12), torch.arange(3).repeat(4)
    renamed = torch.tensor([2, 0, 1])[labels]
    if key == "proxy_anchor":
        assert abs(float(value(key, h, renamed) - value(key, h, labels))) > 0.01
    else:
        torch.testing.assert_close(value(key, h, renamed), value(key, h, labels))


@pytest.mark.parametrize("key", BATCH_LOSSES)
def test_the_objective_of_a_batch_loss_is_the_loss_and_has_no_active_share(key: str) -> None:
    h, labels = embeddings(12), torch.arange(3).repeat(4)
    parts = (embeddings(3, seed=9),) if key == "proxy_anchor" else ()
    found = of_classes(Experiment(loss=key), h, labels, parts)
    assert found.value == value(key, h, labels)
    assert found.active.isnan()


def test_the_objective_of_the_classifier_is_the_cross_entropy_of_its_weights() -> None:
    h, labels = embeddings(12), torch.arange(3).repeat(4)
    weight, bias = embeddings(3, seed=5), torch.tensor([0.1, -0.2, 0.3], dtype=torch.float64)
    found = of_classes(Experiment(loss="softmax"), h, labels, (weight, bias))
    torch.testing.assert_close(found.value, torch.nn.functional.cross_entropy(h @ weight.T + bias, labels))
    assert found.active == 1


@pytest.mark.parametrize("key", [key for key, loss in LOSSES.items() if loss.input_kind in ("distance", "triplet")])
def test_the_average_over_all_pairs_does_not_depend_on_the_order_of_a_batch(key: str) -> None:
    """Classes change places, and the images within each."""
    h, experiment = embeddings(12), Experiment(loss=key)
    order = torch.tensor([8, 6, 7, 0, 2, 1, 11, 9, 10, 4, 3, 5])
    torch.testing.assert_close(of_all_pairs(experiment, h[order], 3).value, of_all_pairs(experiment, h, 3).value)


@pytest.mark.parametrize("measure", LOSSES["log"].measures)
@pytest.mark.parametrize("key", [key for key, loss in LOSSES.items() if loss.input_kind == "similarity"])
def test_a_loss_on_similarities_averages_the_same_pairs_and_the_different_ones_apart(key: str, measure: str) -> None:
    h, experiment = embeddings(12), Experiment(loss=key, measure=measure)
    weight, bias = embeddings(1, seed=3), torch.tensor([0.2], dtype=torch.float64)
    parts = (weight, bias) if measure == "similarity_head" else ()
    i, j = torch.triu_indices(12, 12, offset=1)
    away, same = (h[i] - h[j]).abs(), i // 3 == j // 3
    p = (away @ weight[0] + bias).sigmoid() if parts else (-away.sum(1)).exp()
    each = LOSSES[key].fn(p, same)
    expected = each[same].mean() + each[~same].mean()
    torch.testing.assert_close(of_all_pairs(experiment, h, 3, parts).value, expected)
    order = torch.tensor([8, 6, 7, 0, 2, 1, 11, 9, 10, 4, 3, 5])
    torch.testing.assert_close(of_all_pairs(experiment, h[order], 3, parts).value, expected)


def test_balanced_does_not_depend_on_the_order_of_its_pairs() -> None:
    each, same = embeddings(10).flatten(), torch.rand(40, generator=torch.Generator().manual_seed(2)) < 0.3
    order = torch.randperm(40, generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(balanced(each[order], same[order]), balanced(each, same))
