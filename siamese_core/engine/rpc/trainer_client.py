"""All that the training worker is told and asked: its runs begin, pause, step and stop here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np

from siamese_core.engine.rpc.client import PendingReply, RpcClient
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.machine import Machine
from siamese_core.experiment.snapshot import TrainingState


class TrainerClient(RpcClient):
    """What is about a run gets no reply: the worker tells what became of it by the messages of that run."""

    def start(
        self, run: str, experiment: Experiment, machine: Machine, state: TrainingState | None, steps_left: int | None
    ) -> None:
        """Have a run trained, from its `state` where it has one; None of `steps_left` trains it to its end."""
        about = {
            "query": experiment.to_query(), "machine": asdict(machine), "steps_left": steps_left,
            "step": state.step if state else 0,
        }  # fmt: skip
        self._send({"do": "start", "run": run, **about}, **(dict(state.tensors) if state else {}))

    def command(self, run: str, command: str) -> None:
        """Pause, resume, step, park or stop a run; what is stopped is forgotten."""
        self._send({"do": command, "run": run})

    def forget_images(self) -> None:
        """Have the images of deleted uploads forgotten."""
        self._send({"do": "forget_images"})

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

    def transformed(self, input_transform: str, images: np.ndarray) -> PendingReply:
        """Return `images`, uint8 (N, C, H, W), as second inputs see them."""
        return self.call("transform", {"input_transform": input_transform}, {"images": images})

    def augmented(self, chosen: tuple[str, ...], images: np.ndarray) -> PendingReply:
        """Return `images`, uint8 (N, C, H, W), as augmentations change them."""
        return self.call("augment", {"chosen": list(chosen)}, {"images": images})
