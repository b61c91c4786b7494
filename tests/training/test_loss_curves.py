"""What is drawn of a loss is the loss itself: the same function, and the slope of that function."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from siamese_core.losses import LOSSES, Loss
from siamese_core.losses.record import Curve
from siamese_core.training.loss_curves import curve, surface

PAIR_LOSSES = [loss for loss in LOSSES.values() if loss.input_kind == "distance"]
TRIPLET_LOSSES = [loss for loss in LOSSES.values() if loss.input_kind == "triplet"]

every_pair_loss = pytest.mark.parametrize("loss", PAIR_LOSSES, ids=lambda loss: loss.key)
every_triplet_loss = pytest.mark.parametrize("loss", TRIPLET_LOSSES, ids=lambda loss: loss.key)


def defaults(loss: Loss) -> dict[str, float]:
    return {param.name: param.default for param in loss.params}


def drawn(key: str, d_max: float, **params: float) -> tuple[Curve, np.ndarray]:
    result = curve(LOSSES[key], params, np.linspace(0, d_max, 201))
    return result, result.at.astype(np.float64)


@every_pair_loss
def test_the_curve_is_fn_at_every_point_of_the_grid(loss: Loss) -> None:
    grid = torch.linspace(0, 3, 201)
    drawn_curve = curve(loss, defaults(loss), grid.numpy())
    np.testing.assert_allclose(drawn_curve.at, grid, rtol=1e-6)
    for branch, same in ((drawn_curve.same, True), (drawn_curve.different, False)):
        expected = [float(loss.fn(d, torch.tensor(same), **defaults(loss))) for d in grid]
        np.testing.assert_allclose(branch, expected, rtol=1e-5, atol=1e-7)


@every_pair_loss
def test_the_curve_is_drawn_where_it_is_asked_for_in_float32(loss: Loss) -> None:
    drawn_curve = curve(loss, defaults(loss), np.linspace(0, 2.5, 11))
    assert drawn_curve.at[[0, -1]].tolist() == [0.0, 2.5]
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
    height = surface(LOSSES["triplet"], {"margin": 1.0}, np.array([0.0, 1.0, 2.0]))
    assert height.tolist() == [[1, 2, 3], [0, 1, 2], [0, 0, 1]]


@every_triplet_loss
def test_the_surface_is_fn_at_every_point_of_the_grid(loss: Loss) -> None:
    grid = torch.linspace(0, 4, 61)
    height = surface(loss, defaults(loss), grid.numpy())
    assert height.shape == (61, 61)
    assert height.dtype == np.float32
    for row, column in ((0, 0), (3, 50), (50, 3), (60, 60), (20, 31)):
        expected = float(loss.fn(grid[column], grid[row], **defaults(loss)))
        assert height[row, column] == pytest.approx(expected, abs=1e-6)


def rounded(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, np.float64)


@pytest.mark.parametrize("key", [key for key, loss in LOSSES.items() if loss.input_kind == "similarity"])
def test_a_loss_on_similarities_falls_with_p_for_a_same_pair_and_rises_for_a_different_one(key: str) -> None:
    found = curve(LOSSES[key], {}, np.linspace(0, 1, 101))
    assert (np.diff(found.same) <= 0).all()
    assert (np.diff(found.different) >= 0).all()
    assert found.same[0] > found.same[-1]
    assert found.different[0] < found.different[-1]


def test_a_classifier_is_drawn_against_the_probability_that_it_gives() -> None:
    p = np.linspace(0.01, 0.99, 99)
    found = curve(LOSSES["softmax"], {}, p)
    np.testing.assert_allclose(found.same, -np.log(p), rtol=1e-5)
    np.testing.assert_allclose(found.different, -np.log(1 - p), rtol=1e-5)
    np.testing.assert_allclose(found.same_slope, -1 / p, rtol=1e-5)


BATCH_LOSSES = [key for key, loss in LOSSES.items() if loss.input_kind == "batch"]


@pytest.mark.parametrize("key", BATCH_LOSSES)
def test_the_smallest_batch_keeps_chopras_conditions(key: str) -> None:
    """The circle loss, (s + m)(s − m) for a negative, falls only down to s = 0: beyond a right angle its value rises
    again up to s = −m. Its weight s + m is a constant to the gradient, so it pushes on all the same.
    """
    loss, at = LOSSES[key], np.linspace(0, 2, 21)
    for values in product(*((param.low, param.default, param.high) for param in loss.params)):
        params = dict(zip((param.name for param in loss.params), values, strict=True))
        found = curve(loss, params, at)
        falling = found.different[at <= 1] if key == "circle" else found.different
        rounding = 1e-6 * max(1, found.same.max(), found.different.max())
        assert (np.diff(found.same) >= -rounding).all(), params
        assert (np.diff(falling) <= rounding).all(), params
    found = curve(loss, defaults(loss), at)
    assert found.same[0] < found.same[-1]
    assert found.different[0] > found.different[at <= 1][-1]


def test_the_circle_loss_pushes_a_negative_beyond_a_right_angle_though_its_value_rises() -> None:
    found = curve(LOSSES["circle"], {"margin": 0.4, "gamma": 1.0}, np.linspace(1.05, 1.35, 7))
    assert (np.diff(found.different) > 0).all()
    assert (found.different_slope < 0).all()


@pytest.mark.parametrize("key", [key for key in BATCH_LOSSES if key != "circle"])
def test_the_slope_of_the_smallest_batch_is_that_of_its_values(key: str) -> None:
    at = np.linspace(0.4, 1.6, 241)
    found = curve(LOSSES[key], defaults(LOSSES[key]), at)
    for values, slope in ((found.same, found.same_slope), (found.different, found.different_slope)):
        numeric = np.gradient(rounded(values), at)[1:-1]
        np.testing.assert_allclose(slope[1:-1], numeric, rtol=0.02, atol=0.02 * np.abs(slope).max())


@pytest.mark.parametrize("key", BATCH_LOSSES)
def test_the_smallest_batch_has_finite_slopes_at_both_ends(key: str) -> None:
    found = curve(LOSSES[key], defaults(LOSSES[key]), np.array([0.0, 2.0]))
    for values in vars(found).values():
        assert np.isfinite(values).all()
