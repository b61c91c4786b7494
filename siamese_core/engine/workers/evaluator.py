"""The evaluation process: evaluates models, one after the other, and beside that compares pairs and explains them.

A model comes as its file, once; what was found out about it is remembered under the file's key, for a while.
"""

from __future__ import annotations

import gc
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from siamese_core.datasets import DatasetMissing
from siamese_core.engine.recent import recall, remember
from siamese_core.engine.rpc.client import Reply, RequestRejected
from siamese_core.engine.rpc.model_files import received
from siamese_core.engine.rpc.pipes import Parent
from siamese_core.engine.workers.rpc_server import Arrays, RpcServer, Steps
from siamese_core.evaluation.compare import compare, explain
from siamese_core.evaluation.evaluate import Gallery, build_gallery, evaluate
from siamese_core.evaluation.inference import TrainedModel, load
from siamese_core.evaluation.report import Progress, Report, to_wire
from siamese_core.runs.model_file import ModelRejected, read_model
from siamese_core.training.learner import forget_images

MOST_MODELS = 8

MOST_GALLERIES = 24
"""A few megabytes each."""

SEND_EVERY = 0.1
"""Seconds between two messages on how far an evaluation is."""

OUR_ERROR = "This ended by an error of ours ({name}). Try it again, or another model."

Key = tuple[str, tuple[str, ...]]
"""The key of a model's file, and the uploaded sets that it may be used with."""


class _Evaluator:
    def __init__(self, parent: Parent) -> None:
        self._parent = parent
        self._lock = threading.Lock()
        self._files: dict[str, np.ndarray] = {}
        self._models: dict[Key, TrainedModel] = {}
        self._galleries: dict[Key, Gallery] = {}
        self._jobs = RpcServer(parent, dict.fromkeys(JOBS, self._evaluate))
        self._requests = RpcServer(
            parent,
            {
                "check": self._check,
                "compare": self._compare,
                "explain": lambda meta, arrays: explain(self._model(meta, arrays), arrays["first"], arrays["second"]),
            },
        )
        parent.listen(self._on_message)

    def run_forever(self) -> None:
        self._requests.serve_beside()
        while True:
            self._jobs.serve_next()
            gc.collect()

    def _on_message(self, meta: dict[str, Any], arrays: Arrays) -> None:
        if meta["do"] == "forget_images":
            with self._lock:
                for table in (self._models, self._galleries):
                    for key in [key for key in table if meta["dataset"] in key[1]]:
                        del table[key]
            forget_images()
            return
        if "model" in meta:
            arrays = received(self._files, meta["model"], arrays)
        for server in (self._jobs, self._requests):
            server.accepts(meta, arrays)

    def _evaluate(self, meta: dict[str, Any], arrays: Arrays) -> Steps:
        try:
            return (yield from self._found(meta, arrays))
        except (RequestRejected, ModelRejected, DatasetMissing) as problem:
            raise RequestRejected(str(problem)) from None
        except Exception as error:
            traceback.print_exc()
            raise RequestRejected(OUR_ERROR.format(name=type(error).__name__)) from None

    def _found(self, meta: dict[str, Any], arrays: Arrays) -> Steps:
        sent = 0.0
        for step in JOBS[meta["do"]](self._model(meta, arrays)):
            if isinstance(step, Gallery):
                self._remember(meta, step)
                threshold = None if step.threshold is None else asdict(step.threshold)
                about: Any = {"threshold": threshold, "gallery": len(step.indices)}
                return Reply(vars(step.reported_on) | {"unlike": step.unlike}, {"about": about})
            if isinstance(step, Report):
                about, found = to_wire(step)
                return Reply(found, {"about": about})
            if time.monotonic() - sent > SEND_EVERY:
                sent = time.monotonic()
                yield asdict(step)
        raise RuntimeError("an evaluation ends with what it has found")

    def _model(self, meta: dict[str, Any], arrays: Arrays) -> TrainedModel:
        """Return the model of a request. Raises ModelRejected where its file cannot be used."""
        key = _key(meta)
        with self._lock:
            trained = recall(self._models, key)
            # For an evaluation, one that had no images is read again: they may have come since.
            if trained is not None and (trained.model.has_images or meta["do"] not in JOBS):
                return trained
        trained = load(read_model(arrays["file"].tobytes(), meta["uploaded_sets"]))
        with self._lock:
            remember(self._models, key, trained, MOST_MODELS)
        return trained

    def _remember(self, meta: dict[str, Any], found: Gallery) -> None:
        """Cache a gallery for comparisons, and send which ones it has pushed out."""
        with self._lock:
            # Asked under the lock: what is put here now goes with the images that are forgotten later.
            if not self._jobs.is_open(meta["id"]):
                return
            pushed_out = remember(self._galleries, _key(meta), found, MOST_GALLERIES)
        for model, _ in pushed_out:
            self._parent.send({"is": "lost", "model": model})

    def _check(self, meta: dict[str, Any], arrays: Arrays) -> Arrays:
        self._model(meta, arrays)
        return {}

    def _compare(self, meta: dict[str, Any], arrays: Arrays) -> Arrays:
        with self._lock:
            found = recall(self._galleries, _key(meta))
        return compare(self._model(meta, arrays), arrays["first"], arrays["second"], found)


JOBS: dict[str, Callable[[TrainedModel], Iterator[Progress | Gallery | Report]]] = {
    "gallery": build_gallery,
    "evaluate": evaluate,
}


def _key(meta: dict[str, Any]) -> Key:
    return meta["model"], tuple(meta["uploaded_sets"])


def main() -> None:
    parent = Parent()
    torch.set_num_threads(1)
    evaluator = _Evaluator(parent)
    gc.freeze()
    parent.send({"is": "ready"})
    evaluator.run_forever()


if __name__ == "__main__":
    main()
