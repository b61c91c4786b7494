"""The server's side of the evaluation process: the evaluations, and the browsers that wait for them."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np

from siamese_core.datasets import is_uploaded
from siamese_core.engine.recent import recall
from siamese_core.engine.rpc.client import OnProgress, PendingReply, RpcClient
from siamese_core.engine.rpc.model_files import attached
from siamese_core.engine.rpc.pipes import Child
from siamese_core.runs.model import Model
from siamese_core.runs.model_file import packed

LEASE = 60.0
"""Seconds without a poll after which an evaluation that nobody waits for any more is given up."""

MOST_FINISHED = 24
"""Finished evaluations that are remembered."""

DIED = "The process that evaluates models died. Try again; a smaller model may help."

MAX_FALSE_STARTS = 3

CANNOT_START = (
    "The process that evaluates models does not start on this machine: see the server's log, mend it, start the server "
    "again."
)

Status = Literal["waiting", "working", "done", "failed"]
Kind = Literal["gallery", "evaluate"]


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A model with its file; `key` is the same for the same file read with the same rights to its images."""

    model: Model
    data: bytes = field(repr=False)

    @property
    def uploaded_sets(self) -> list[str]:
        dataset = self.model.experiment.dataset
        return [dataset] if self.model.has_images and is_uploaded(dataset) else []

    @cached_property
    def key(self) -> str:
        return hashlib.sha256(self.data).hexdigest() + "".join(self.uploaded_sets)


def file_of(model: Model) -> ModelFile:
    """Return a run's model with its file."""
    return ModelFile(model, packed(model))


@dataclass(frozen=True)
class EvaluationProgress:
    """An evaluation as a page sees it; `ahead` counts those before it, `about` and `arrays` are what was found."""

    status: Status = "waiting"
    ahead: int = 0
    stage: str = ""
    done: int = 0
    total: int = 1
    message: str = ""
    about: Any = None
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Return whether there is something to wait for."""
        return self.status in ("waiting", "working")


@dataclass
class _Job:
    number: int
    dataset: str
    shown: EvaluationProgress = field(default_factory=EvaluationProgress)
    reply: PendingReply = field(default_factory=PendingReply)
    seen: dict[str, float] = field(default_factory=dict)
    """When each of those who wait has polled last."""


class Evaluations:
    """Evaluations are shared: who asks for what somebody else has asked for gets the same.

    One goes on as long as one of those who asked for it polls it, and ends when none does. The process starts with the
    first.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self.child: Child | None = None
        self._ready = False
        self._closed = False
        self._false_starts = 0
        self._last = 0
        self._jobs: dict[tuple[str, str], _Job] = {}
        self._sent: dict[str, None] = {}
        self._client = RpcClient(self._send)

    @property
    def ready(self) -> bool:
        """Return whether the process has started; asking this starts it."""
        with self._lock:
            self._begin_process()
            return self._ready

    @property
    def problem(self) -> str:
        """Return why nothing can be evaluated on this machine; empty where nothing is wrong."""
        return CANNOT_START if self._false_starts >= MAX_FALSE_STARTS else ""

    def check(self, file: ModelFile) -> PendingReply:
        """Return nothing; raises RequestRejected where the tensors are not those of the experiment's network."""
        return self._call("check", file)

    def compare(self, file: ModelFile, first: np.ndarray, second: np.ndarray) -> PendingReply:
        """Return the arrays of `compare.compare`; neighbours are in it once the model's "gallery" is done."""
        return self._call("compare", file, first=first, second=second)

    def explain(self, file: ModelFile, first: np.ndarray, second: np.ndarray) -> PendingReply:
        """Return the arrays of `compare.explain`."""
        return self._call("explain", file, first=first, second=second)

    def poll(self, owner: str, kind: Kind, file: ModelFile, start: bool = True) -> EvaluationProgress | None:
        """Return the evaluation as it is now, begun where nobody has, unless not to `start`; polling keeps it going."""
        with self._lock:
            self._sweep_expired()
            key = (kind, file.key)
            # The one that was polled last is the last to be forgotten.
            job = recall(self._jobs, key)
            if job is None and start:
                job = self._start(kind, file)
            if job is None:
                return None
            job.seen[owner] = self._clock()
            ahead = sum(other.number < job.number and other.shown.is_open for other in self._jobs.values())
            return replace(job.shown, ahead=ahead, arrays=dict(job.shown.arrays))

    def cancel(self, owner: str, kind: Kind, file: ModelFile) -> None:
        """Stop waiting; the evaluation ends where nobody else waits, and one that failed can begin again."""
        with self._lock:
            job = self._jobs.get((kind, file.key))
            if job is not None and job.shown.status != "done":
                job.seen.pop(owner, None)
                if not job.seen or job.shown.status == "failed":
                    self._drop((kind, file.key))

    def forget_images(self, dataset: str) -> None:
        """Forget all that was found out about models of an uploaded set: it is deleted."""
        with self._lock:
            for key in [key for key, job in self._jobs.items() if job.dataset == dataset]:
                self._drop(key)
            if self.child is not None:
                self.child.send({"do": "forget_images", "dataset": dataset})

    def close(self) -> None:
        """End the process, and what waits for it; it does not start again."""
        with self._lock:
            self._closed = True
            child = self.child
        # Not under the lock: it waits for the thread that hands us messages, and that one may wait for our lock.
        if child is not None:
            child.close()
        self._gone()

    def _start(self, kind: Kind, file: ModelFile) -> _Job:
        self._last += 1
        job = self._jobs[kind, file.key] = _Job(self._last, file.model.experiment.dataset)
        job.reply = self._call(kind, file, partial(self._on_progress, job))
        job.reply.add_done_callback(partial(self._on_reply, job))
        return job

    def _call(
        self,
        do: str,
        file: ModelFile,
        on_progress: OnProgress = lambda meta: None,
        **arrays: np.ndarray,
    ) -> PendingReply:
        with self._lock:
            meta = {"model": file.key, "uploaded_sets": file.uploaded_sets}
            return self._client.call(do, meta, attached(self._sent, file.key, file.data) | arrays, on_progress)

    def _sweep_expired(self) -> None:
        """Give up what nobody waits for, and forget what was polled longest ago."""
        now = self._clock()
        for key, job in list(self._jobs.items()):
            if job.shown.is_open and all(now - at > LEASE for at in job.seen.values()):
                self._drop(key)
        finished = [key for key, job in self._jobs.items() if not job.shown.is_open]
        for key in finished[: max(0, len(finished) - MOST_FINISHED)]:
            del self._jobs[key]

    def _drop(self, key: tuple[str, str]) -> None:
        self._jobs.pop(key).reply.cancel()

    def _send(self, meta: dict[str, Any], **arrays: np.ndarray) -> None:
        with self._lock:
            self._begin_process()
            if self.child is None:
                self._gone()
            else:
                self.child.send(meta, **arrays)

    def _begin_process(self) -> None:
        if self.child is None and not self._closed and not self.problem:
            self.child = Child("siamese_core.engine.workers.evaluator", self._on_message, self._gone)

    def _on_message(self, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        with self._lock:
            if meta["is"] == "ready":
                self._ready, self._false_starts = True, 0
            elif not self._client.on_message(meta, arrays):
                self._forget_gallery(meta["model"])

    def _on_progress(self, job: _Job, meta: dict[str, Any]) -> None:
        self._sweep_expired()
        job.shown = replace(job.shown, status="working", stage=meta["stage"], done=meta["done"], total=meta["total"])

    def _on_reply(self, job: _Job, reply: PendingReply) -> None:
        if reply.cancelled():
            job.shown = replace(job.shown, status="failed", message=DIED)
        elif rejected := reply.exception():
            job.shown = replace(job.shown, status="failed", message=str(rejected))
        else:
            found = reply.result()
            job.shown = replace(job.shown, status="done", about=found.meta["about"], arrays=found)

    def _forget_gallery(self, model: str) -> None:
        """Forget a gallery that the process has no more; one that is still being made is another."""
        job = self._jobs.get(("gallery", model))
        if job is not None and job.shown.status == "done":
            del self._jobs["gallery", model]

    def _gone(self) -> None:
        """The process has ended, and with it what it worked on, and the galleries that it had built."""
        with self._lock:
            self._false_starts += not self._ready
            self.child = None
            self._ready = False
            self._sent.clear()
            self._client.cancel_all()
            for kind, model in list(self._jobs):
                if kind == "gallery":
                    self._forget_gallery(model)
