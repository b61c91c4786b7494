"""What is drawn of a loss is the loss itself: the same function, and the slope of that function."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from siamese_core.curves import POINTS, SURFACE_POINTS, curve, surface
from siamese_core.figures import Curve
from siamese_core.losses import LOSSES, Loss

PAIR_LOSSES = [loss for loss in LOSSES.values() if loss.takes == "distance"]
TRIPLET_LOSSES = [loss for loss in LOSSES.values() if loss.takes == "triplet"]

every_pair_loss = pytest.mark.parametrize("loss", PAIR_LOSSES, ids=lambda loss: loss.key)
every_triplet_loss = pytest.mark.parametrize("loss", TRIPLET_LOSSES, ids=lambda loss: loss.key)


def defaults(loss: Loss) -> dict[str, float]:
    return {param.name: param.default for param in loss.params}


def drawn(key: str, d_max: float, **params: float) -> tuple[Curve, np.ndarray]:
    result = curve(LOSSES[key], params, d_max)
    return result, result.distance.astype(np.float64)


@every_pair_loss
def test_the_curve_is_fn_at_every_point_of_the_grid(loss: Loss) -> None:
    drawn_curve = curve(loss, defaults(loss), 3.0)
    grid = torch.linspace(0, 3, POINTS)
    np.testing.assert_allclose(drawn_curve.distance, grid, rtol=1e-6)
    for branch, same in ((drawn_curve.same, True), (drawn_curve.different, False)):
        expected = [float(loss.fn(d, torch.tensor(same), **defaults(loss))) for d in grid]
        np.testing.assert_allclose(branch, expected, rtol=1e-5, atol=1e-7)


@every_pair_loss
def test_the_curve_goes_from_0_to_the_largest_distance_in_float32(loss: Loss) -> None:
    drawn_curve = curve(loss, defaults(loss), 2.5, points=11)
    assert drawn_curve.distance[[0, -1]].tolist() == [0.0, 2.5]
    for values in vars(drawn_curve).values():
        assert values.shape == (11,)
        assert values.dtype == np.float32


@pytest.mark.parametrize("margin", [0.3, 1.0, 2.0])
def test_the_slope_of_the_contrastive_loss_is_its_derivative(margin: float) -> None:
    result, d = drawn("contrastive", 2.0, margin=margin)
    np.testing.assert_allclose(result.same_slope, d, rtol=1e-6)
    np.testing.assert_allclose(result.different_slope, -np.maximum(margin - d, 0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("q", [0.5, 5.0])
def test_the_slope_of_the_exponential_loss_is_its_derivative(q: float) -> None:
    result, d = drawn("exponential", 2.0, q=q)
    np.testing.assert_allclose(result.same_slope, 4 / q * d, rtol=1e-5)
    np.testing.assert_allclose(result.different_slope, -2 * 2.77 * np.exp(-2.77 * d / q), rtol=1e-5)


def test_the_surface_has_the_positive_along_its_columns_and_the_negative_along_its_rows() -> None:
    """max(d⁺ − d⁻ + 1, 0) at d⁺, d⁻ = 0, 1, 2: highest where the positive is far and the negative near."""
    height = surface(LOSSES["triplet"], {"margin": 1.0}, 2.0, points=3)
    assert height.tolist() == [[1, 2, 3], [0, 1, 2], [0, 0, 1]]


@every_triplet_loss
def test_the_surface_is_fn_at_every_point_of_the_grid(loss: Loss) -> None:
    height = surface(loss, defaults(loss), 4.0)
    assert height.shape == (SURFACE_POINTS, SURFACE_POINTS)
    assert height.dtype == np.float32
    grid = torch.linspace(0, 4, SURFACE_POINTS)
    for row, column in ((0, 0), (3, 50), (50, 3), (60, 60), (20, 31)):
        expected = float(loss.fn(grid[column], grid[row], **defaults(loss)))
        assert height[row, column] == pytest.approx(expected, abs=1e-6)
