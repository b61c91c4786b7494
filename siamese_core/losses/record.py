"""What the app knows of a loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy.typing as npt

from siamese_core.losses.heads import Head
from siamese_core.losses.param import Citation, FloatField

if TYPE_CHECKING:
    from torch import Tensor

InputKind = Literal["distance", "similarity", "triplet", "logits", "batch"]

Convention = Literal["zero", "one", "classes"]
"""What a source calls a similar pair: y = 0, y = 1; or it has class labels and no pairs."""


@dataclass(frozen=True)
class Curve:
    """A loss `at` distances, or similarities; all fields (n,). The slopes are the autograd of the two branches."""

    at: npt.NDArray[Any]
    same: npt.NDArray[Any]
    different: npt.NDArray[Any]
    same_slope: npt.NDArray[Any]
    different_slope: npt.NDArray[Any]


@dataclass(frozen=True)
class Library:
    """The loss in pytorch-metric-learning: the call, with the names of `params` in braces, and what differs there."""

    call: str
    note: str = ""


@dataclass(frozen=True)
class Loss:
    """A loss, defined once: training, the curve, its slope and the code to copy all come from `fn`."""

    key: str
    """Its name in links, in files and on the command line."""
    title: str
    """Its name on the screen."""
    input_kind: InputKind
    """What `fn` takes first; the rest are keywords, the names of `params`.

    "distance": fn(d, same), with d (...) a distance and same (...) bool.
    "similarity": fn(p, same), with p (...) a similarity in 0 to 1.
    "triplet": fn(d_ap, d_an), with both (...) a distance of anchor and positive, anchor and negative.
    "logits": fn(logits, labels), with logits (..., C) and labels (...) int64, in 0 to C − 1.
    These are elementwise, on float32 or float64 tensors of any shape.
    "batch": fn(h, labels, *head_params), with h (B, D) and labels (B,) int64, gives one number.
    """
    fn: Callable[..., Tensor]
    """The formula, in torch; autograd gives its slope."""
    written: str | tuple[str, str]
    """LaTeX: one expression, or that of a same pair and that of a different one."""
    citation: Citation
    """Where the formula comes from."""
    measures: tuple[str, ...]
    """The keys of the measures that it may be used with, its default first."""
    gradient: str
    """What the slope does to a pair, in two sentences."""
    params: tuple[FloatField, ...] = ()
    """The numbers that a person may set, such as a margin."""
    convention: Convention = "classes"
    """What its source calls a similar pair."""
    head: Head | None = None
    """What is trained beside the encoder: a classifier, proxies. A similarity head is its measure's."""
    library: Library | None = None
    """The loss in pytorch-metric-learning, where that has it."""

    @property
    def on_pairs(self) -> bool:
        """Return whether it is a number of each pair, by its distance or similarity."""
        return self.input_kind in ("distance", "similarity")

    @property
    def on_classes(self) -> bool:
        """Return whether it takes classes, and no pairs or triplets: a classifier, or a loss on a whole batch."""
        return self.input_kind in ("logits", "batch")

    def param(self, name: str) -> FloatField | None:
        """Return the parameter of this name; None where the loss has no such parameter."""
        return next((param for param in self.params if param.name == name), None)

    def with_labels(self, one_is_similar: bool) -> str:
        """Return the formula with a label y in {0, 1}, in either convention; as it is for a loss without pairs."""
        if isinstance(self.written, str):
            return self.written
        same, different = self.written
        first, second = ("y", "(1-y)") if one_is_similar else ("(1-y)", "y")
        return rf"{first}\cdot \left[{same}\right] \;+\; {second}\cdot \left[{different}\right]"
