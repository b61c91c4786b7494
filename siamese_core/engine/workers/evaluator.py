"""The examining process: evaluates models, one after the other, and beside that compares pairs and explains them.

A message carries the model as its file; what was found out about a model is kept under the hash of that, for a while.
"""

from __future__ import annotations

import gc
import hashlib
import queue
import sys
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch

from siamese_core.datasets import DatasetMissing
from siamese_core.engine.rpc.client import Refused
from siamese_core.engine.rpc.pipes import Parent
from siamese_core.engine.workers.rpc_server import Arrays, RpcServer
from siamese_core.evaluation.compare import compare, explain
from siamese_core.evaluation.evaluate import Gallery, build_gallery, evaluate
from siamese_core.evaluation.inference import TrainedModel, load
from siamese_core.evaluation.report import Progress, Report, to_wire
from siamese_core.runs.model_file import ModelRejected, read_model
from siamese_core.training.learner import forget_images

KEPT_MODELS = 8

KEPT_REFERENCES = 24
"""A few megabytes each."""

SAY_EVERY = 0.1
"""Seconds between two words on how far a work is."""


Key = tuple[str, tuple[str, ...]]
"""The hash of a model's file, and the sets of somebody's own pictures that it may be used with."""


@dataclass(frozen=True)
class _Found:
    """A reference, and the work that found it."""

    job: int
    reference: Gallery


class _Examiner:
    def __init__(self, parent: Parent) -> None:
        self._parent = parent
        self._lock = threading.Lock()
        self._models: OrderedDict[Key, TrainedModel] = OrderedDict()
        self._references: OrderedDict[Key, _Found] = OrderedDict()
        self._jobs: queue.SimpleQueue[tuple[dict[str, Any], Arrays]] = queue.SimpleQueue()
        self._cancelled: set[int] = set()
        self._answers = RpcServer(
            parent,
            {
                "check": self._check,
                "compare": self._compare,
                "explain": lambda meta, arrays: explain(self._of(meta, arrays), arrays["first"], arrays["second"]),
            },
        )
        parent.listen(self._hear)

    def run_forever(self) -> None:
        while True:
            meta, arrays = self._jobs.get()
            try:
                if meta["job"] not in self._cancelled:
                    self._work(meta, arrays)
            except (Refused, ModelRejected, DatasetMissing) as problem:
                self._parent.say({"is": "failed", "job": meta["job"], "message": str(problem)})
            except Exception as error:
                traceback.print_exc(file=sys.stderr)
                message = f"This ended by an error of ours ({type(error).__name__}). Try it again, or another model."
                self._parent.say({"is": "failed", "job": meta["job"], "message": message})
            self._cancelled.discard(meta["job"])
            gc.collect()

    def _hear(self, meta: dict[str, Any], arrays: Arrays) -> None:
        if meta["do"] == "cancel":
            self._cancelled.add(meta["job"])
        elif meta["do"] == "forget_images":
            with self._lock:
                for kept in (self._models, self._references):
                    for key in [key for key in kept if meta["dataset"] in key[1]]:
                        del kept[key]
            forget_images()
        elif not self._answers.accepts(meta, arrays):
            self._jobs.put((meta, arrays))

    def _work(self, meta: dict[str, Any], arrays: Arrays) -> None:
        steps: Iterator[Progress | Gallery | Report] = WORKS[meta["do"]](self._of(meta, arrays))
        said = 0.0
        for step in steps:
            if meta["job"] in self._cancelled:
                return
            if isinstance(step, Progress):
                if time.monotonic() - said > SAY_EVERY:
                    said = time.monotonic()
                    self._parent.say({"is": "progress", "job": meta["job"], **asdict(step)})
            elif isinstance(step, Gallery):
                self._keep(_key(meta, arrays), _Found(meta["job"], step))
                threshold = None if step.threshold is None else asdict(step.threshold)
                found = vars(step.reported_on)
                about = {"threshold": threshold, "gallery": len(step.indices)}
                self._parent.say({"is": "done", "job": meta["job"], "about": about}, **found, unlike=step.unlike)
            else:
                about, found = to_wire(step)
                self._parent.say({"is": "done", "job": meta["job"], "about": about}, **found)

    def _of(self, meta: dict[str, Any], arrays: Arrays) -> TrainedModel:
        """The model of a message. Raises Refused where its file cannot be used."""
        key = _key(meta, arrays)
        with self._lock:
            trained = self._models.get(key)
            # For a work, one that had no images is read again: they may have come since.
            if trained is not None and (trained.model.has_images or meta["do"] not in WORKS):
                self._models.move_to_end(key)
                return trained
        try:
            trained = load(read_model(arrays["file"].tobytes(), meta["own_sets"]))
        except ModelRejected as rejected:
            raise Refused(str(rejected)) from None
        with self._lock:
            self._models[key] = trained
            self._models.move_to_end(key)
            while len(self._models) > KEPT_MODELS:
                self._models.popitem(last=False)
        return trained

    def _keep(self, key: Key, found: _Found) -> None:
        """Says which references are lost where this one takes their place."""
        lost = []
        with self._lock:
            # Asked under the lock: what is put here now goes with the pictures that are forgotten later.
            if found.job not in self._cancelled:
                self._references[key] = found
            while len(self._references) > KEPT_REFERENCES:
                lost.append(self._references.popitem(last=False)[1].job)
        for job in lost:
            self._parent.say({"is": "lost", "job": job})

    def _check(self, meta: dict[str, Any], arrays: Arrays) -> Arrays:
        self._of(meta, arrays)
        return {}

    def _compare(self, meta: dict[str, Any], arrays: Arrays) -> Arrays:
        key = _key(meta, arrays)
        with self._lock:
            found = self._references.get(key)
            if found is not None:
                self._references.move_to_end(key)
        known = found.reference if found is not None else None
        return compare(self._of(meta, arrays), arrays["first"], arrays["second"], known)


WORKS = {"reference": build_gallery, "evaluate": evaluate}


def _key(meta: dict[str, Any], arrays: Arrays) -> Key:
    return hashlib.sha256(arrays["file"].data).hexdigest(), tuple(meta["own_sets"])


def main() -> None:
    parent = Parent()
    torch.set_num_threads(1)
    examiner = _Examiner(parent)
    gc.freeze()
    parent.say({"is": "ready"})
    examiner.run_forever()


if __name__ == "__main__":
    main()
