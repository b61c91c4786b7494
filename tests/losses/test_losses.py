"""Every loss on distances is the formula of its paper, with a slope everywhere."""

from __future__ import annotations

import inspect
import math
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from siamese_core.losses import LOSSES, Loss
from siamese_core.losses.distances import MEASURES

ROOT = Path(__file__).resolve().parents[2]

NAIVE: dict[str, Callable[..., float]] = {
    "contrastive": lambda d, same, margin: d * d / 2 if same else max(margin - d, 0.0) ** 2 / 2,
    "contrastive_mean": lambda d, same, margin: d * d if same else max(margin - d, 0.0) ** 2,
    "quality": lambda d, same, margin: d * d if same else max(margin - d, 0.0) ** 2,
    "exponential": lambda d, same, q: 2 / q * d * d if same else 2 * q * math.exp(-2.77 * d / q),
    "triplet": lambda d_ap, d_an, margin: max(d_ap - d_an + margin, 0.0),
}
"""The formulas, one number at a time: a second opinion, written from the papers."""

GRID = torch.cat([torch.zeros(1), torch.logspace(-12, 6, 37), torch.linspace(0.01, 12, 61)]).sort().values.double()
"""Distances (99,) from 0 to 10⁶, close together where the margins are."""

ON_DISTANCES = {key: loss for key, loss in LOSSES.items() if loss.input_kind in ("distance", "triplet")}
every_loss = pytest.mark.parametrize("loss", ON_DISTANCES.values(), ids=ON_DISTANCES)
both_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def settings(loss: Loss) -> list[dict[str, float]]:
    """Each parameter at its lowest, default and highest value."""
    values = ((p.low, p.default, p.high) for p in loss.params)
    return [dict(zip((p.name for p in loss.params), chosen, strict=True)) for chosen in product(*values)]


def defaults(loss: Loss) -> dict[str, float]:
    return {p.name: p.default for p in loss.params}


def arguments(loss: Loss, a: Tensor) -> list[tuple[Tensor, Tensor]]:
    """What `fn` may be called with where its first distance is `a`: both branches, or negatives near and far."""
    if loss.input_kind == "distance":
        return [(a, torch.full(a.shape, same)) for same in (True, False)]
    return [(a, torch.full_like(a, negative)) for negative in (0.0, 0.7, 1e6)]


def rising(loss: Loss, params: dict[str, float]) -> list[Callable[[Tensor], Tensor]]:
    """The loss as functions of the one distance that should be small."""
    if loss.input_kind == "distance":
        return [lambda d: loss.fn(d, torch.full(d.shape, True), **params)]
    return [lambda d, n=n: loss.fn(d, torch.full_like(d, n), **params) for n in (0.0, 1.0, 4.0)]


def falling(loss: Loss, params: dict[str, float]) -> list[Callable[[Tensor], Tensor]]:
    """The loss as functions of the one distance that should be large."""
    if loss.input_kind == "distance":
        return [lambda d: loss.fn(d, torch.full(d.shape, False), **params)]
    return [lambda d, p=p: loss.fn(torch.full_like(d, p), d, **params) for p in (0.0, 1.0, 4.0)]


def slope(fn: Callable[[Tensor], Tensor], d: Tensor) -> Tensor:
    d = d.clone().requires_grad_()
    return torch.autograd.grad(fn(d).sum(), d)[0]


@every_loss
def test_agrees_with_a_naive_loop(loss: Loss) -> None:
    for params in settings(loss):
        for a, b in arguments(loss, GRID):
            expected = [NAIVE[loss.key](x, y, **params) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
            torch.testing.assert_close(loss.fn(a, b, **params), torch.tensor(expected, dtype=torch.float64))


@every_loss
def test_autograd_gives_the_slope_of_finite_differences(loss: Loss) -> None:
    d = torch.linspace(0.013, 4.1, 40, dtype=torch.float64).requires_grad_()
    for a, b in arguments(loss, d):
        assert torch.autograd.gradcheck(lambda x, b=b: loss.fn(x, b, **defaults(loss)), (a,))
    if loss.input_kind == "triplet":
        near = d.detach().flip(0) / 2
        assert torch.autograd.gradcheck(lambda x: loss.fn(near, x, **defaults(loss)), (d,))


@every_loss
def test_what_should_be_near_costs_more_the_farther_it_is(loss: Loss) -> None:
    for params in settings(loss):
        for fn in rising(loss, params):
            assert (fn(GRID).diff() >= 0).all(), params
            assert (slope(fn, GRID) >= 0).all(), params
    assert all(fn(GRID)[-1] > fn(GRID)[0] for fn in rising(loss, defaults(loss)))


@every_loss
def test_what_should_be_far_costs_less_the_farther_it_is(loss: Loss) -> None:
    for params in settings(loss):
        for fn in falling(loss, params):
            assert (fn(GRID).diff() <= 0).all(), params
            assert (slope(fn, GRID) <= 0).all(), params
    assert all(fn(GRID)[-1] < fn(GRID)[0] for fn in falling(loss, defaults(loss)))


@both_dtypes
@every_loss
def test_value_and_slope_are_finite_at_extreme_distances(loss: Loss, dtype: torch.dtype) -> None:
    extremes = torch.tensor([0.0, 1e-12, 1e6], dtype=dtype)
    for params in settings(loss):
        for fn in rising(loss, params) + falling(loss, params):
            assert fn(extremes).isfinite().all(), params
            assert slope(fn, extremes).isfinite().all(), params


@both_dtypes
@pytest.mark.parametrize(("key", "measure"), [(loss.key, m) for loss in ON_DISTANCES.values() for m in loss.measures])
def test_identical_images_get_a_finite_gradient_through_every_measure(
    key: str, measure: str, dtype: torch.dtype
) -> None:
    loss, between = LOSSES[key], MEASURES[measure].between
    for point in (torch.zeros(3, 4), torch.ones(3, 4), torch.linspace(-2, 2, 12).reshape(3, 4)):
        for params in settings(loss):
            h1, h2 = point.to(dtype).requires_grad_(), point.to(dtype).clone().requires_grad_()
            d = between(h1, h2)
            for a, b in arguments(loss, d) + ([(d, d)] if loss.input_kind == "triplet" else []):
                for gradient in torch.autograd.grad(loss.fn(a, b, **params).sum(), (h1, h2), retain_graph=True):
                    assert gradient.isfinite().all(), params


@pytest.mark.parametrize("shape", [(), (0,), (1,), (7,), (3, 5), (2, 0, 4), (2, 3, 4)], ids=str)
@every_loss
def test_is_elementwise_on_any_shape(loss: Loss, shape: tuple[int, ...]) -> None:
    d = 3 * torch.rand(shape, generator=torch.Generator().manual_seed(7))
    for a, b in arguments(loss, d):
        value = loss.fn(a, b, **defaults(loss))
        assert value.shape == shape
        one_by_one = [loss.fn(x, y, **defaults(loss)) for x, y in zip(a.flatten(), b.flatten(), strict=True)]
        assert value.flatten().tolist() == pytest.approx([float(v) for v in one_by_one])
        assert torch.equal(loss.fn(a.mT, b.mT, **defaults(loss)), value.mT) if len(shape) > 1 else True


@pytest.mark.parametrize("key", [loss.key for loss in LOSSES.values() if loss.input_kind == "distance"])
def test_same_and_different_pairs_mix_in_one_tensor(key: str) -> None:
    loss = LOSSES[key]
    d, same = torch.tensor([0.2, 0.2, 0.9]), torch.tensor([True, False, True])
    expected = [NAIVE[key](x, y, **defaults(loss)) for x, y in ((0.2, True), (0.2, False), (0.9, True))]
    assert loss.fn(d, same, **defaults(loss)).tolist() == pytest.approx(expected, rel=1e-6)


@both_dtypes
@every_loss
def test_keeps_the_precision_it_is_given(loss: Loss, dtype: torch.dtype) -> None:
    for fn in rising(loss, defaults(loss)) + falling(loss, defaults(loss)):
        assert fn(GRID.to(dtype)).dtype == dtype
        assert slope(fn, GRID.to(dtype)).dtype == dtype


@every_loss
def test_the_keywords_of_fn_are_the_names_of_its_params(loss: Loss) -> None:
    keywords = [p.name for p in inspect.signature(loss.fn).parameters.values() if p.kind is p.KEYWORD_ONLY]
    assert keywords == [param.name for param in loss.params]


def test_each_loss_starts_with_the_measure_and_the_number_of_its_paper() -> None:
    found: dict[str, Any] = {key: (loss.measures[0], defaults(loss)) for key, loss in ON_DISTANCES.items()}
    assert found == {
        "contrastive": ("euclidean", {"margin": 1.0}),
        "contrastive_mean": ("euclidean", {"margin": 1.0}),
        "quality": ("euclidean", {"margin": 0.5}),
        "exponential": ("manhattan", {"q": 5.0}),
        "triplet": ("squared_euclidean", {"margin": 1.0}),
    }


def test_triplet_is_torchs_own_on_squared_distances() -> None:
    anchor, positive, negative = torch.randn(3, 50, 6, generator=torch.Generator().manual_seed(0))
    squared = MEASURES["squared_euclidean"].between
    expected = torch.nn.functional.triplet_margin_with_distance_loss(
        anchor, positive, negative, distance_function=squared, margin=1.3, reduction="none"
    )
    ours = LOSSES["triplet"].fn(squared(anchor, positive), squared(anchor, negative), margin=1.3)
    torch.testing.assert_close(ours, expected)
    assert 0 < (ours > 0).sum() < 50


@pytest.mark.parametrize("margin", [0.3, 1.0, 2.5])
def test_the_keras_form_is_twice_hadsells_and_quality_is_the_same_function(margin: float) -> None:
    for same in (True, False):
        labels = torch.full(GRID.shape, same)
        hadsell = LOSSES["contrastive"].fn(GRID, labels, margin=margin)
        for key in ("contrastive_mean", "quality"):
            torch.testing.assert_close(LOSSES[key].fn(GRID, labels, margin=margin), 2 * hadsell)


def test_without_a_margin_a_collapsed_network_is_a_minimum_of_the_triplet_loss() -> None:
    d = torch.linspace(0, 5, 11)
    assert torch.equal(LOSSES["triplet"].fn(d, d, margin=0.0), torch.zeros(11))


@pytest.mark.parametrize("margin", [0.2, 1.0, 10.0])
def test_the_contrastive_branches_cross_at_half_the_margin(margin: float) -> None:
    d = torch.tensor([margin / 2]).double()
    fn = LOSSES["contrastive"].fn
    assert fn(d, torch.tensor([True]), margin=margin).item() == pytest.approx(margin**2 / 8)
    assert fn(d, torch.tensor([False]), margin=margin).item() == pytest.approx(margin**2 / 8)


def test_beyond_the_margin_the_contrastive_loss_leaves_different_pairs_alone() -> None:
    d = torch.tensor([1.0, 1.5, 100.0])
    assert LOSSES["contrastive"].fn(d, torch.zeros(3, dtype=torch.bool), margin=1.0).tolist() == [0, 0, 0]


def test_with_margin_0_the_contrastive_loss_asks_nothing_of_different_pairs() -> None:
    """It is not the mean squared error: everything may collapse to one point."""
    assert not LOSSES["contrastive"].fn(GRID, torch.full(GRID.shape, False), margin=0.0).any()


@pytest.mark.parametrize("q", [0.1, 5.0, 50.0])
def test_the_exponential_branches_cross_at_half_of_q(q: float) -> None:
    """2.77 is 4 ln 2 = 2.7726 rounded, so they cross there to three digits."""
    fn = LOSSES["exponential"].fn
    half, whole = torch.tensor([q / 2]).double(), torch.tensor([q]).double()
    assert fn(half, torch.tensor([True]), q=q).item() == pytest.approx(q / 2)
    assert fn(half, torch.tensor([False]), q=q).item() == pytest.approx(q / 2, rel=2e-3)
    assert fn(whole, torch.tensor([False]), q=q).item() == pytest.approx(0.125 * q, rel=4e-3)


def test_the_catalogue_is_listed_without_torch() -> None:
    code = "import sys, siamese_core.losses; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
