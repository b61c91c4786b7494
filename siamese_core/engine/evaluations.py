"""The server's side of the examining process: who waits for what, and what was found."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from siamese_core.datasets import is_uploaded
from siamese_core.engine.rpc.client import Answer, RpcClient
from siamese_core.engine.rpc.pipes import Child
from siamese_core.runs.model import Model
from siamese_core.runs.model_file import packed

LEASE = 60.0
"""Seconds without a look after which a work that nobody waits for any more is given up."""

KEPT = 24
"""Finished works that are remembered."""

DIED = "The process that examines models died. Try again; a smaller model may help."

MAX_FALSE_STARTS = 3

CANNOT_START = (
    "The process that examines models does not start on this machine: see the server's log, mend it, start the server "
    "again."
)

Status = Literal["waiting", "working", "done", "failed"]
Kind = Literal["reference", "evaluate"]


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
    """Of a run's model, which has no file yet."""
    return ModelFile(model, packed(model))


@dataclass(frozen=True)
class EvaluationProgress:
    """A work as a page sees it; `ahead` counts those that come first, `about` and `arrays` are what was found."""

    status: Status
    ahead: int
    stage: str
    done: int
    total: int
    message: str
    about: Any
    arrays: dict[str, np.ndarray]


@dataclass
class _Job:
    number: int
    dataset: str
    status: Status = "waiting"
    stage: str = ""
    done: int = 0
    total: int = 1
    message: str = ""
    about: Any = None
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)
    """When each of those who wait has last looked."""


class Evaluations:
    """Works are shared: who asks for what somebody else has asked for gets the same. The process starts with the first.

    A work goes on as long as one of those who asked for it looks, and ends when none does.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._child: Child | None = None
        self._ready = False
        self._closed = False
        self._false_starts = 0
        self._last = 0
        self._jobs: OrderedDict[tuple[str, str], _Job] = OrderedDict()
        self._questions = RpcClient(self._say)

    @property
    def ready(self) -> bool:
        """Whether the process has started; asking this starts it."""
        with self._lock:
            self._begin_process()
            return self._ready

    @property
    def problem(self) -> str:
        """Why nothing can be examined on this machine; empty where nothing is wrong."""
        return CANNOT_START if self._false_starts >= MAX_FALSE_STARTS else ""

    @property
    def pid(self) -> int | None:
        with self._lock:
            return self._child.pid if self._child else None

    def check(self, file: ModelFile) -> Answer:
        """Nothing; raises questions.Refused where the tensors are not those of the experiment's network."""
        return self._questions.ask({"do": "check", "own_sets": file.uploaded_sets}, file=_array(file))

    def compare(self, file: ModelFile, first: np.ndarray, second: np.ndarray) -> Answer:
        """The arrays of `comparing.compare`; neighbours are in it once the model's "reference" is done."""
        question = {"do": "compare", "own_sets": file.uploaded_sets}
        return self._questions.ask(question, file=_array(file), first=first, second=second)

    def explain(self, file: ModelFile, first: np.ndarray, second: np.ndarray) -> Answer:
        """The arrays of `comparing.explain`."""
        question = {"do": "explain", "own_sets": file.uploaded_sets}
        return self._questions.ask(question, file=_array(file), first=first, second=second)

    def poll(self, owner: str, kind: Kind, file: ModelFile, start: bool = True) -> EvaluationProgress | None:
        """The work as it is now. Begins it where nobody has, unless not to `start`; looking keeps it going."""
        with self._lock:
            self._sweep_expired()
            place = (kind, file.key)
            job = self._jobs.get(place)
            if job is None and start:
                job = self._start(kind, file)
            if job is None:
                return None
            job.seen[owner] = self._clock()
            self._jobs.move_to_end(place)
            ahead = sum(
                other.number < job.number and other.status in ("waiting", "working") for other in self._jobs.values()
            )
            return EvaluationProgress(
                job.status, ahead, job.stage, job.done, job.total, job.message, job.about, dict(job.arrays)
            )

    def cancel(self, owner: str, kind: Kind, file: ModelFile) -> None:
        """This owner waits no longer; the work ends where nobody else does. A work that failed can begin again."""
        with self._lock:
            job = self._jobs.get((kind, file.key))
            if job is not None and job.status != "done":
                job.seen.pop(owner, None)
                if not job.seen or job.status == "failed":
                    self._drop((kind, file.key))

    def forget_images(self, dataset: str) -> None:
        """Somebody's own pictures are deleted: so is all that was found out about models of them."""
        with self._lock:
            for place in [place for place, job in self._jobs.items() if job.dataset == dataset]:
                self._drop(place)
            if self._child is not None:
                self._say({"do": "forget_images", "dataset": dataset})

    def close(self) -> None:
        """Ends the process, and what waits for it; it does not start again."""
        with self._lock:
            self._closed = True
            child = self._child
        # Not under the lock: it waits for the thread that hands us messages, and that one may wait for our lock.
        if child is not None:
            child.close()
        self._gone()

    def _start(self, kind: Kind, file: ModelFile) -> _Job:
        self._last += 1
        job = self._jobs[kind, file.key] = _Job(self._last, file.model.experiment.dataset)
        self._say({"do": kind, "job": job.number, "own_sets": file.uploaded_sets}, file=_array(file))
        return job

    def _sweep_expired(self) -> None:
        """Gives up what nobody waits for, and forgets what was found longest ago."""
        now = self._clock()
        for place, job in list(self._jobs.items()):
            if job.status in ("waiting", "working") and all(now - at > LEASE for at in job.seen.values()):
                self._drop(place)
        finished = [place for place, job in self._jobs.items() if job.status in ("done", "failed")]
        for place in finished[: max(0, len(finished) - KEPT)]:
            del self._jobs[place]

    def _drop(self, place: tuple[str, str]) -> None:
        job = self._jobs.pop(place)
        if job.status in ("waiting", "working"):
            self._say({"do": "cancel", "job": job.number})

    def _say(self, meta: dict[str, Any], **arrays: np.ndarray) -> None:
        with self._lock:
            self._begin_process()
            if self._child is None:
                self._gone()
            else:
                self._child.say(meta, **arrays)

    def _begin_process(self) -> None:
        if self._child is None and not self._closed and not self.problem:
            self._child = Child("siamese_core.engine.workers.evaluator", self._said, self._gone)

    def _said(self, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        with self._lock:
            if meta["is"] == "ready":
                self._ready, self._false_starts = True, 0
                return
            if self._questions.heard(meta, arrays):
                return
            place, job = next(
                ((place, job) for place, job in self._jobs.items() if job.number == meta["job"]), (None, None)
            )
            if place is None or job is None:
                return
            if meta["is"] == "progress":
                self._sweep_expired()
                job.status, job.stage, job.done, job.total = "working", meta["stage"], meta["done"], meta["total"]
            elif meta["is"] == "done":
                job.status, job.about, job.arrays = "done", meta["about"], arrays
            elif meta["is"] == "lost":
                del self._jobs[place]
            else:
                job.status, job.message = "failed", meta["message"]

    def _gone(self) -> None:
        """The process has ended, and with it what it worked on, and the references that it had found."""
        with self._lock:
            self._false_starts += not self._ready
            self._child = None
            self._ready = False
            self._questions.let_go()
            for place, job in list(self._jobs.items()):
                if job.status in ("waiting", "working"):
                    job.status, job.message = "failed", DIED
                elif job.status == "done" and place[0] == "reference":
                    del self._jobs[place]


def _array(file: ModelFile) -> np.ndarray:
    return np.frombuffer(file.data, np.uint8)
