"""Requests to the training worker, beside its runs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from siamese_core.engine.rpc.client import PendingReply, RpcClient
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.snapshot import TrainingState


class TrainerClient(RpcClient):
    """The requests of the training worker, by name."""

    def curve(self, loss: str, params: Mapping[str, float], at: np.ndarray) -> PendingReply:
        """Return the arrays of `loss_curves.curve`, or of `surface` for a loss on triplets, at distances (n,)."""
        return self.call("curve", {"loss": loss, "params": dict(params)}, {"at": at})

    def pairs(self, measure: str, embeddings: np.ndarray, labels: np.ndarray, branches: int) -> PendingReply:
        """Return `same` and `different` (P,): pairs of embeddings (N, D), labels (N,), by another measure."""
        arrays = {"embeddings": embeddings, "labels": labels}
        return self.call("pairs", {"measure": measure, "branches": branches}, arrays)

    def next_step(self, experiment: Experiment, state: TrainingState | None, ahead: int) -> PendingReply:
        """Return the arrays of `next_step.next_step`."""
        tensors = state.tensors if state else {}
        return self.call(
            "next_step",
            {"query": experiment.to_query(), "ahead": ahead, "step": state.step if state else 0},
            # The optimiser's memory is two thirds of a state, and says nothing of the next batch.
            {name: tensors[name] for name in tensors if not name.startswith("optimiser.")},
        )

    def viewed(self, view: str, images: np.ndarray) -> PendingReply:
        """Return `images`, uint8 (N, C, H, W), as second inputs see them."""
        return self.call("view", {"view": view}, {"images": images})

    def augmented(self, chosen: tuple[str, ...], images: np.ndarray) -> PendingReply:
        """Return `images`, uint8 (N, C, H, W), as augmentations change them."""
        return self.call("augment", {"chosen": list(chosen)}, {"images": images})
