"""What is trained beside the encoder: plain layers, whose weights are drawn from the run's generator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siamese_core.losses.record import Setting

if TYPE_CHECKING:
    from torch import nn


def similarity_head(setting: Setting) -> nn.Module | None:
    """w (1, D) and b (1,) of σ(w · |h1 − h2| + b); nothing where the similarity has no weights."""
    from torch import nn

    return nn.Linear(setting.embedding_dim, 1) if setting.measure == "similarity_head" else None


def classifier(setting: Setting) -> nn.Module:
    """Weight (C, D) and bias (C,) of the C classes that are trained on."""
    from torch import nn

    return nn.Linear(setting.embedding_dim, len(setting.seen))


def proxies(setting: Setting) -> nn.Module:
    """A point (C, D) for each of the C classes that are trained on."""
    from torch import nn

    return nn.Embedding(len(setting.seen), setting.embedding_dim)
