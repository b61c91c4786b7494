"""Runs generators in worker processes. The server's side of it knows neither torch nor umap."""

from siamese_core.engine.engine import Engine
from siamese_core.engine.run import Layout, RunView

__all__ = ["Engine", "Layout", "RunView"]
