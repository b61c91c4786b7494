"""What is trained beside the encoder: plain layers, whose weights are drawn from the run's generator.

Each is made for embeddings of `dim` numbers and for the C classes that are trained on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from torch import nn

Head: TypeAlias = "Callable[[int, int], nn.Module]"
"""head(dim, classes)."""


def similarity_layer(dim: int, classes: int) -> nn.Module:
    """Return the layer of w (1, D) and b (1,) of σ(w · |h1 − h2| + b)."""
    from torch import nn

    return nn.Linear(dim, 1)


def classifier(dim: int, classes: int) -> nn.Module:
    """Return the layer of weight (C, D) and bias (C,) of the C classes that are trained on."""
    from torch import nn

    return nn.Linear(dim, classes)


def class_proxies(dim: int, classes: int) -> nn.Module:
    """Return a layer with a point (C, D) for each of the C classes that are trained on."""
    from torch import nn

    return nn.Embedding(classes, dim)
