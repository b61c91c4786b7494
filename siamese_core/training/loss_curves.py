"""A loss drawn: `fn` itself along a line, and autograd's slope of it. No second formula."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from siamese_core.experiment.snapshot import Array
from siamese_core.losses import LOSSES
from siamese_core.losses.record import Curve, Loss

NEARLY = 1e-6
"""A direction turned by less than this from another, or from its opposite, has no finite derivative."""


def curve(loss: Loss, params: Mapping[str, float], at: np.ndarray) -> Curve:
    """Return both branches of a loss, and their slopes, `at` (n,) distances; or similarities, for a loss on those.

    A classifier is drawn against the probability that it gives to the right class, or to a wrong one. A loss on a whole
    batch is drawn in the smallest one: an anchor, a classmate and two images of another class. Along the same branch
    the classmate moves away, the others stay 1 from the anchor; along the different branch the others move, the
    classmate lies on the anchor.
    """
    along = torch.tensor(at, dtype=torch.float64)
    same, same_slope = _branch(loss, params, along, True)
    different, different_slope = _branch(loss, params, along, False)
    return Curve(np.asarray(at, np.float32), same, different, same_slope, different_slope)


def surface(loss: Loss, params: Mapping[str, float], at: np.ndarray) -> Array:
    """Return (n, n): a triplet loss, d⁺ along the columns and d⁻ along the rows, both `at` (n,)."""
    d, n = torch.tensor(at, dtype=torch.float32), len(at)
    height: Array = loss.fn(d[None].expand(n, n), d[:, None].expand(n, n), **params).numpy()
    return height


def drawn(key: str, params: Mapping[str, float], at: np.ndarray) -> dict[str, np.ndarray]:
    """Return what a page draws: the arrays of `curve`, or the `surface` of a loss on triplets."""
    loss = LOSSES[key]
    if loss.input_kind == "triplet":
        return {"at": np.asarray(at, np.float32), "surface": surface(loss, params, at)}
    return vars(curve(loss, params, at))


def _branch(loss: Loss, params: Mapping[str, float], along: Tensor, same: bool) -> tuple[Array, Array]:
    along = along.clone().requires_grad_()
    value = _values(loss, params, along, same)
    (slope,) = torch.autograd.grad(value.sum(), along)
    return value.detach().numpy().astype("float32"), slope.numpy().astype("float32")


def _values(loss: Loss, params: Mapping[str, float], along: Tensor, same: bool) -> Tensor:
    if loss.input_kind == "batch":
        return torch.stack([loss.fn(*_smallest_batch(loss, x, same), **params) for x in along])
    if loss.input_kind == "logits":
        right = along if same else 1 - along
        p = torch.stack([right, 1 - right], dim=-1)
        p = p + (p.clamp(min=NEARLY) - p).detach()
        return loss.fn(p.log(), torch.zeros(along.shape, dtype=torch.int64), **params)
    return loss.fn(along, torch.full(along.shape, same), **params)


def _smallest_batch(loss: Loss, x: Tensor, same: bool) -> tuple[Tensor, ...]:
    """Embeddings (B, 3), classes (B,), and the proxies where the loss has some; one distance in it is `x`."""
    anchor, _, away = torch.eye(3, dtype=x.dtype)
    measure = loss.measures[0]
    moved = _turned(x) if measure == "cosine" else torch.stack([x, *x.new_zeros(2)])
    if measure != "cosine":
        anchor = torch.zeros(3, dtype=x.dtype)
    if loss.head is not None:
        # The proxy of its class is the anchor, or that of the other class is.
        return moved[None], torch.tensor([0 if same else 1]), torch.stack([anchor, away])
    mate, other = (moved, away) if same else (anchor, moved)
    return torch.stack([anchor, mate, other, other]), torch.tensor([0, 0, 1, 1])


def _turned(x: Tensor) -> Tensor:
    """(3,) of length 1, at cosine distance x from (1, 0, 0) and 1 from (0, 0, 1)."""
    cosine = 1 - x
    # Moved off the two ends, but with the slope of where it stands.
    cosine = cosine + (cosine.clamp(-1 + NEARLY, 1 - NEARLY) - cosine).detach()
    return torch.stack([cosine, (1 - cosine.square()).sqrt(), x.new_zeros(())])
