"""Losses on a predicted similarity, the classifier, and the heads that give them: against torch's and by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from siamese_core.losses import LOSSES, Loss
from siamese_core.losses.distances import MEASURES
from siamese_core.losses.similarities import EPSILON

SIMILARITY = {key: loss for key, loss in LOSSES.items() if loss.input_kind == "similarity"}
every_similarity_loss = pytest.mark.parametrize("loss", SIMILARITY.values(), ids=SIMILARITY)

NAIVE = {
    "log": lambda p, same: -math.log(min(max(p if same else 1 - p, EPSILON), 1 - EPSILON)),
    "absolute": lambda p, same: abs((1 if same else 0) - p),
    "squared": lambda p, same: ((1 if same else 0) - p) ** 2,
}
TORCHS_OWN = {
    "log": functional.binary_cross_entropy,
    "absolute": functional.l1_loss,
    "squared": functional.mse_loss,
}
P = torch.linspace(0, 1, 41, dtype=torch.float64)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@every_similarity_loss
@pytest.mark.parametrize("same", [True, False])
def test_agrees_with_a_naive_loop(loss: Loss, same: bool) -> None:
    expected = [NAIVE[loss.key](p, same) for p in P.tolist()]
    torch.testing.assert_close(loss.fn(P, torch.full(P.shape, same)), torch.tensor(expected, dtype=torch.float64))


@every_similarity_loss
def test_agrees_with_torchs_own(loss: Loss) -> None:
    p = torch.rand(200, dtype=torch.float64, generator=generator())
    same = torch.rand(200, generator=generator(1)) < 0.5
    expected = TORCHS_OWN[loss.key](p, same.double(), reduction="none")
    torch.testing.assert_close(loss.fn(p, same), expected)


@every_similarity_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_value_and_slope_are_finite_at_both_ends(loss: Loss, dtype: torch.dtype) -> None:
    for same in (True, False):
        p = torch.tensor([0.0, 1e-12, 0.5, 1 - 1e-7, 1.0], dtype=dtype, requires_grad=True)
        value = loss.fn(p, torch.full(p.shape, same))
        (slope,) = torch.autograd.grad(value.sum(), p)
        assert value.dtype == dtype
        assert value.isfinite().all()
        assert slope.isfinite().all()


@every_similarity_loss
def test_autograd_gives_the_slope_of_finite_differences(loss: Loss) -> None:
    p = torch.linspace(0.03, 0.97, 20, dtype=torch.float64).requires_grad_()
    for same in (True, False):
        assert torch.autograd.gradcheck(lambda x, same=same: loss.fn(x, torch.full(x.shape, same)), (p,))


@every_similarity_loss
@pytest.mark.parametrize("shape", [(), (0,), (3, 5), (2, 0, 4)], ids=str)
def test_is_elementwise_on_any_shape(loss: Loss, shape: tuple[int, ...]) -> None:
    p = torch.rand(shape, generator=generator())
    value = loss.fn(p, torch.full(shape, True))
    assert value.shape == shape
    one_by_one = [float(loss.fn(x, torch.tensor(True))) for x in p.flatten()]
    assert value.flatten().tolist() == pytest.approx(one_by_one)


def through_a_sigmoid(loss: Loss, logit: float) -> float:
    """The slope of a different pair that is taken for the same, against the logit."""
    z = torch.tensor([logit], requires_grad=True)
    (slope,) = torch.autograd.grad(loss.fn(z.sigmoid(), torch.tensor([False])).sum(), z)
    return float(slope)


def test_behind_a_sigmoid_only_the_log_loss_keeps_its_slope_until_the_clip_stops_it() -> None:
    assert through_a_sigmoid(LOSSES["log"], 8.0) == pytest.approx(1, abs=1e-2)
    assert through_a_sigmoid(LOSSES["absolute"], 8.0) < 1e-3
    assert through_a_sigmoid(LOSSES["squared"], 8.0) < 1e-3
    assert through_a_sigmoid(LOSSES["log"], 20.0) == 0


def test_softmax_is_torchs_cross_entropy() -> None:
    logits = torch.randn(30, 7, dtype=torch.float64, generator=generator(), requires_grad=True)
    labels = torch.randint(7, (30,), generator=generator(1))
    torch.testing.assert_close(
        LOSSES["softmax"].fn(logits, labels), functional.cross_entropy(logits, labels, reduction="none")
    )
    assert torch.autograd.gradcheck(lambda z: LOSSES["softmax"].fn(z, labels), (logits,))


def test_softmax_is_finite_for_huge_logits_and_empty_batches() -> None:
    huge = torch.tensor([[1e30, -1e30], [-1e30, 1e30]], requires_grad=True)
    value = LOSSES["softmax"].fn(huge, torch.tensor([0, 0]))
    (slope,) = torch.autograd.grad(value.sum(), huge)
    assert value.isfinite().all()
    assert slope.isfinite().all()
    assert LOSSES["softmax"].fn(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)).shape == (0,)


# The similarity head


def head(dim: int = 4) -> tuple[Tensor, Tensor]:
    return torch.randn(1, dim, dtype=torch.float64, generator=generator(3)), torch.tensor([0.3], dtype=torch.float64)


def test_the_similarity_head_is_a_sigmoid_of_weighted_differences() -> None:
    between, (weight, bias) = MEASURES["similarity_head"].between, head()
    h1, h2 = torch.randn(2, 9, 4, dtype=torch.float64, generator=generator())
    for a, b, p in zip(h1.tolist(), h2.tolist(), between(h1, h2, weight, bias).tolist(), strict=True):
        z = sum(w * abs(x - y) for w, x, y in zip(weight[0].tolist(), a, b, strict=True)) + 0.3
        assert p == pytest.approx(1 / (1 + math.exp(-z)))


def test_the_similarity_head_within_a_batch_is_that_between_its_pairs() -> None:
    measure, parts = MEASURES["similarity_head"], head()
    h = torch.randn(7, 4, dtype=torch.float64, generator=generator())
    i, j = torch.triu_indices(7, 7, offset=1)
    torch.testing.assert_close(measure.within(h, *parts), measure.between(h[i], h[j], *parts))


def test_identical_embeddings_get_a_finite_gradient_from_the_similarity_head() -> None:
    weight, bias = (part.requires_grad_() for part in head())
    h1, h2 = torch.ones(3, 4, dtype=torch.float64, requires_grad=True), torch.ones(3, 4, dtype=torch.float64)
    p = MEASURES["similarity_head"].between(h1, h2, weight, bias)
    for gradient in torch.autograd.grad(
        LOSSES["log"].fn(p, torch.tensor([True, False, True])).sum(), (h1, weight, bias)
    ):
        assert gradient.isfinite().all()


def test_the_exponential_similarity_is_1_where_two_embeddings_coincide() -> None:
    between = MEASURES["exponential_similarity"].between
    assert between(torch.zeros(2, 3), torch.tensor([[0.0, 0, 0], [1, -1, 1]])).tolist() == pytest.approx(
        [1, math.exp(-3)]
    )
