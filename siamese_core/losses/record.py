"""What the app knows of a loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from siamese_core.params import Citation, Param

if TYPE_CHECKING:
    from torch import Tensor

Takes = Literal["distance", "triplet"]


@dataclass(frozen=True)
class Loss:
    """A loss, defined once: training, the curve and its slope all call `fn`.

    `takes="distance"`: fn(d, same, *, ...) with d (...) a distance and same (...) bool.
    `takes="triplet"`: fn(d_ap, d_an, *, ...) with both (...) a distance of anchor and positive, anchor and negative.
    `fn` is elementwise, on float32 or float64 tensors of any shape; its keywords are the names of `params`.
    `measures` are the distances it may be used with, its default first.
    """

    key: str
    title: str
    takes: Takes
    fn: Callable[..., Tensor]
    params: tuple[Param, ...]
    formula: str
    citation: Citation
    measures: tuple[str, ...]
