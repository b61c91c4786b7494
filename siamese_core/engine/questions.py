"""What the training worker is asked beside its training: one after the other, in a thread of its own."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

import numpy as np

from siamese_core.experiment import Experiment
from siamese_core.snapshot import State

Answer = Future[dict[str, np.ndarray]]
"""Cancelled where the worker dies, or cannot answer."""


class Questions:
    """`say(meta, **arrays)` hands a message to the worker."""

    def __init__(self, say: Callable[..., None]) -> None:
        self._say = say
        self._lock = threading.Lock()
        self._open: dict[int, Answer] = {}
        self._numbers = itertools.count(1)

    def curve(self, loss: str, params: Mapping[str, float], at: np.ndarray) -> Answer:
        """The arrays of `curves.curve`, or of `curves.surface` for a loss on triplets, at (n,) places."""
        return self._ask({"do": "curve", "loss": loss, "params": dict(params)}, at=at)

    def pairs(self, measure: str, embeddings: np.ndarray, labels: np.ndarray, branches: int) -> Answer:
        """`same` and `different` (P,): what another measure says of a run's embeddings (N, D), labels (N,)."""
        question = {"do": "pairs", "measure": measure, "branches": branches}
        return self._ask(question, embeddings=embeddings, labels=labels)

    def next_step(self, experiment: Experiment, state: State | None, ahead: int) -> Answer:
        """The arrays of `next_step.next_step`."""
        question = {
            "do": "next_step", "query": experiment.to_query(), "ahead": ahead, "step": state.step if state else 0,
        }  # fmt: skip
        tensors = state.tensors if state else {}
        # What the optimiser remembers is two thirds of a state, and says nothing of the next batch.
        return self._ask(question, **{name: tensors[name] for name in tensors if not name.startswith("optimiser.")})

    def viewed(self, view: str, images: np.ndarray) -> Answer:
        """`images` uint8 (N, C, H, W) as second inputs see them."""
        return self._ask({"do": "view", "view": view}, images=images)

    def augmented(self, chosen: tuple[str, ...], images: np.ndarray) -> Answer:
        """`images` uint8 (N, C, H, W) as augmentations change them."""
        return self._ask({"do": "augment", "chosen": list(chosen)}, images=images)

    def answered(self, number: int, arrays: dict[str, np.ndarray]) -> None:
        if answer := self._take(number):
            answer.set_result(arrays)

    def unanswered(self, number: int) -> None:
        if answer := self._take(number):
            answer.cancel()

    def let_go(self) -> None:
        """The worker is gone: nothing that is open will be answered."""
        with self._lock:
            for answer in self._open.values():
                answer.cancel()
            self._open.clear()

    def _ask(self, question: dict[str, Any], **arrays: np.ndarray) -> Answer:
        answer = Answer()
        with self._lock:
            number = next(self._numbers)
            self._open[number] = answer
        self._say(question | {"id": number}, **arrays)
        return answer

    def _take(self, number: int) -> Answer | None:
        """None for one that was let go while the next worker already had it."""
        with self._lock:
            return self._open.pop(number, None)
