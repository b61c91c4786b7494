"""What a child process is asked beside its work, and the answers that pages wait for."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

import numpy as np

from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.snapshot import TrainingState

Answer = Future[dict[str, np.ndarray]]
"""Cancelled where the process that is asked dies, or cannot answer; raises Refused where it says why it does not."""


class Refused(Exception):
    """A question that is not answered: the sentence says why, and what to do."""


class RpcClient:
    """`say(meta, **arrays)` hands a message to the child."""

    def __init__(self, say: Callable[..., None]) -> None:
        self._say = say
        self._lock = threading.Lock()
        self._open: dict[int, Answer] = {}
        self._numbers = itertools.count(1)

    def ask(self, question: dict[str, Any], **arrays: np.ndarray) -> Answer:
        answer = Answer()
        with self._lock:
            number = next(self._numbers)
            self._open[number] = answer
        self._say(question | {"id": number}, **arrays)
        return answer

    def heard(self, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> bool:
        """Whether a message of the child was about a question; who asked has its answer then."""
        if meta["is"] not in ("answer", "no_answer", "refused"):
            return False
        answer = self._take(meta["id"])
        if answer is None or answer.cancelled():
            pass
        elif meta["is"] == "answer":
            answer.set_result(arrays)
        elif meta["is"] == "refused":
            answer.set_exception(Refused(meta["message"]))
        else:
            answer.cancel()
        return True

    def let_go(self) -> None:
        """The child is gone: nothing that is open will be answered."""
        with self._lock:
            for answer in self._open.values():
                answer.cancel()
            self._open.clear()

    def _take(self, number: int) -> Answer | None:
        """None for one that was let go while the next child already had it."""
        with self._lock:
            return self._open.pop(number, None)


class TrainerClient(RpcClient):
    """What the training worker is asked."""

    def curve(self, loss: str, params: Mapping[str, float], at: np.ndarray) -> Answer:
        """The arrays of `curves.curve`, or of `curves.surface` for a loss on triplets, at (n,) places."""
        return self.ask({"do": "curve", "loss": loss, "params": dict(params)}, at=at)

    def pairs(self, measure: str, embeddings: np.ndarray, labels: np.ndarray, branches: int) -> Answer:
        """`same` and `different` (P,): what another measure says of a run's embeddings (N, D), labels (N,)."""
        question = {"do": "pairs", "measure": measure, "branches": branches}
        return self.ask(question, embeddings=embeddings, labels=labels)

    def next_step(self, experiment: Experiment, state: TrainingState | None, ahead: int) -> Answer:
        """The arrays of `next_step.next_step`."""
        question = {
            "do": "next_step", "query": experiment.to_query(), "ahead": ahead, "step": state.step if state else 0,
        }  # fmt: skip
        tensors = state.tensors if state else {}
        # What the optimiser remembers is two thirds of a state, and says nothing of the next batch.
        return self.ask(question, **{name: tensors[name] for name in tensors if not name.startswith("optimiser.")})

    def viewed(self, view: str, images: np.ndarray) -> Answer:
        """`images` uint8 (N, C, H, W) as second inputs see them."""
        return self.ask({"do": "view", "view": view}, images=images)

    def augmented(self, chosen: tuple[str, ...], images: np.ndarray) -> Answer:
        """`images` uint8 (N, C, H, W) as augmentations change them."""
        return self.ask({"do": "augment", "chosen": list(chosen)}, images=images)
