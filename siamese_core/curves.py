"""A loss drawn: `fn` itself over a grid of distances, and autograd's slope of it. No second formula."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from siamese_core.figures import Curve
from siamese_core.losses import Loss
from siamese_core.snapshot import Array

POINTS = 201
SURFACE_POINTS = 61


def curve(loss: Loss, params: Mapping[str, float], d_max: float, points: int = POINTS) -> Curve:
    """Both branches of a loss on distances, and their slopes, at `points` distances from 0 to `d_max`."""
    d = torch.linspace(0, d_max, points, dtype=torch.float64)
    same, same_slope = _branch(loss, params, d, True)
    different, different_slope = _branch(loss, params, d, False)
    return Curve(d.numpy().astype("float32"), same, different, same_slope, different_slope)


def surface(loss: Loss, params: Mapping[str, float], d_max: float, points: int = SURFACE_POINTS) -> Array:
    """(points, points): a triplet loss, d⁺ along the columns and d⁻ along the rows, both from 0 to `d_max`."""
    d = torch.linspace(0, d_max, points)
    height: Array = loss.fn(d[None].expand(points, points), d[:, None].expand(points, points), **params).numpy()
    return height


def _branch(loss: Loss, params: Mapping[str, float], d: torch.Tensor, same: bool) -> tuple[Array, Array]:
    d = d.clone().requires_grad_()
    value = loss.fn(d, torch.full(d.shape, same), **params)
    (slope,) = torch.autograd.grad(value.sum(), d)
    return value.detach().numpy().astype("float32"), slope.numpy().astype("float32")
