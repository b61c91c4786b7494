"""A training worker: pulls the generators of its runs in slices, the one that has had least CPU first."""

from __future__ import annotations

import gc
import queue
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import torch

from siamese_core.datasets import DatasetMissing
from siamese_core.engine.rpc.pipes import Parent
from siamese_core.engine.workers.rpc_server import Handler, RpcServer
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.machine import Machine, MachineError, devices
from siamese_core.experiment.snapshot import Snapshot, TrainingState
from siamese_core.networks.augment import augmented
from siamese_core.networks.input_transforms import INPUT_TRANSFORMS
from siamese_core.training.eval_subset import pairs_by, pixels_map_at_r
from siamese_core.training.learner import forget_images
from siamese_core.training.loop import train
from siamese_core.training.loss_curves import drawn
from siamese_core.training.next_step import next_step

SLICE = 0.05
"""CPU seconds that a run gets at a time."""

FRAME_EVERY = 0.25
"""Seconds between frames, as often as a page polls."""

SCORES_EVERY = 0.5
"""Seconds between scores: MAP@R of a thousand images takes half as long as embedding them."""

FRAME_SHARE = 0.2
"""Of a run's CPU, at most this share goes into frames when many runs share the worker."""

STATE_EVERY = 2.0
"""Seconds of training that are lost at most when a worker dies."""


@dataclass
class _Run:
    """A run in this worker. `steps_left` counts steps to make before it rests: None while it runs freely."""

    id: str
    snapshots: Iterator[Snapshot] = field(default_factory=lambda: iter(()))
    steps_left: int | None = None
    parking: bool = False
    cpu: float = 0.0
    slice_from: float = 0.0
    frame_cpu: float = 0.0
    due_at: dict[str, float] = field(default_factory=dict)

    @property
    def runnable(self) -> bool:
        return self.steps_left is None or self.steps_left > 0

    @property
    def resting_next(self) -> bool:
        """Return whether the next step is the last before a rest: its frame and state are what the page shows."""
        return self.steps_left == 1

    @property
    def used(self) -> float:
        """Return the CPU seconds that this run has had, the slice under way included."""
        return self.cpu + time.thread_time() - self.slice_from

    def wants_frame(self) -> bool:
        return (self.resting_next or self.used >= self.frame_cpu) and self._is_due("frame", FRAME_EVERY)

    def wants_scores(self) -> bool:
        return self._is_due("scores", SCORES_EVERY)

    def wants_state(self) -> bool:
        return self._is_due("state", STATE_EVERY)

    def _is_due(self, what: str, every: float) -> bool:
        """Return whether it is time for something, or the last chance before a rest; its next time is later then."""
        now = time.monotonic()
        due = self.resting_next or now >= self.due_at.get(what, 0.0)
        if due:
            self.due_at[what] = now + every
        return due


class _Worker:
    def __init__(self, parent: Parent) -> None:
        self._parent = parent
        self._runs: dict[str, _Run] = {}
        self._commands: queue.SimpleQueue[tuple[dict[str, Any], dict[str, np.ndarray]]] = queue.SimpleQueue()
        self._requests = RpcServer(parent, HANDLERS)
        self._requests.serve_beside()
        parent.listen(self._on_message)

    def run_forever(self) -> None:
        while True:
            ready = [run for run in self._runs.values() if run.runnable]
            self._follow_commands(wait=not ready)
            ready = [run for run in self._runs.values() if run.runnable]
            if ready:
                self._slice(min(ready, key=lambda run: run.cpu))

    def _on_message(self, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """In the listening thread, which only reads: were it to write, both ends could wait for each other."""
        if not self._requests.accepts(meta, arrays):
            self._commands.put((meta, arrays))

    def _follow_commands(self, wait: bool) -> None:
        while wait or not self._commands.empty():
            meta, arrays = self._commands.get()
            wait = False
            if meta["do"] == "start":
                self._start(meta, arrays)
            elif meta["do"] == "forget_images":
                forget_images()
            elif run := self._runs.get(meta["run"]):
                self._command(run, meta["do"])

    def _start(self, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        run = _Run(meta["run"], steps_left=meta["steps_left"])
        self._queue_up(run)
        state = TrainingState(meta["step"], arrays) if arrays else None
        try:
            experiment = _experiment(meta["query"])
            if state is None:
                self._parent.send({"is": "baseline", "run": run.id, "map_at_r": pixels_map_at_r(experiment)})
        except DatasetMissing as missing:
            self._end(run, "failed", str(missing))
            return
        run.snapshots = train(
            experiment,
            machine=Machine(**meta["machine"]),
            state=state,
            wants_frame=run.wants_frame,
            wants_scores=run.wants_scores,
            wants_state=run.wants_state,
        )
        self._runs[run.id] = run

    def _command(self, run: _Run, command: str) -> None:
        if command == "stop":
            self._drop(run)
        elif command == "resume":
            self._queue_up(run)
            run.steps_left = None
        elif command == "step":
            self._queue_up(run)
            run.steps_left = (run.steps_left or 0) + 1
        elif run.runnable:
            # Pause and park: one step more, so that the frame and the state that stay are of the same step.
            run.steps_left = 1
            run.parking = command == "park"

    def _queue_up(self, run: _Run) -> None:
        """Count a run that rested as if it had had the CPU that the others had meanwhile."""
        others = [r.cpu for r in self._runs.values() if r.runnable and r is not run]
        run.cpu = max(run.cpu, min(others, default=0.0))

    def _slice(self, run: _Run) -> None:
        run.slice_from = time.thread_time()
        made: list[Snapshot] = []
        ended = None
        try:
            while run.runnable and time.thread_time() - run.slice_from < SLICE and self._commands.empty():
                before = run.used
                snapshot = next(run.snapshots, None)
                if snapshot is None:
                    ended = ("finished", "")
                    break
                made.append(snapshot)
                run.steps_left = run.steps_left - 1 if run.steps_left is not None else None
                if snapshot.frame is not None:
                    run.frame_cpu = run.used + (run.used - before) / FRAME_SHARE
                    break
                if snapshot.halted:
                    break
        except (DatasetMissing, MachineError) as problem:
            ended = ("failed", str(problem))
        except Exception as error:
            traceback.print_exc()
            ended = ("failed", f"The run ended by an error of ours ({type(error).__name__}). Press Train to try again.")
        run.cpu = run.used
        self._report(run, made)
        if ended:
            self._end(run, *ended)
        elif made and made[-1].halted:
            self._end(run, "halted", made[-1].halted)
        elif not run.runnable and run.parking:
            self._end(run, "parked", "")
        elif not run.runnable:
            self._parent.send({"is": "rest", "run": run.id})

    def _report(self, run: _Run, made: list[Snapshot]) -> None:
        if not made:
            return
        last = made[-1]
        done = [snapshot for snapshot in made if not snapshot.halted]
        self._parent.send(
            {"is": "steps", "run": run.id, "step": last.step, "images": last.images, "seconds": last.seconds},
            steps=np.array([s.step for s in done], np.int64),
            loss=np.array([s.loss for s in done], np.float64),
            active=np.array([s.active for s in done], np.float64),
        )
        for snapshot in made:
            if snapshot.frame is not None:
                arrays = dict(vars(snapshot.frame))
                meta = {"step": snapshot.step, "metrics": dict(arrays.pop("metrics")), "alarm": snapshot.alarm}
                self._parent.send({"is": "frame", "run": run.id, **meta}, **arrays)
            if snapshot.state is not None:
                self._parent.send(
                    {"is": "state", "run": run.id, "step": snapshot.state.step}, **dict(snapshot.state.tensors)
                )

    def _drop(self, run: _Run) -> None:
        """A network is full of cycles: left to themselves, those of many short runs pile up."""
        self._runs.pop(run.id, None)
        run.snapshots = iter(())
        gc.collect()

    def _end(self, run: _Run, how: str, message: str) -> None:
        self._drop(run)
        self._parent.send({"is": "end", "run": run.id, "how": how, "message": message})


def _experiment(query: str) -> Experiment:
    """Return the experiment of a query. Raises DatasetMissing where its images went while it was on its way."""
    experiment, unusable = Experiment.from_query(query)
    if unusable:
        raise DatasetMissing(unusable[0].why)
    return experiment


def _augmented(images: np.ndarray, chosen: tuple[str, ...]) -> np.ndarray:
    changed: np.ndarray = augmented(torch.tensor(images), chosen, torch.Generator().manual_seed(0)).numpy()
    return changed


def _transformed(images: np.ndarray, input_transform: str) -> np.ndarray:
    second: np.ndarray = INPUT_TRANSFORMS[input_transform].fn(torch.tensor(images)).numpy()
    return second


HANDLERS: dict[str, Handler] = {
    "curve": lambda meta, arrays: drawn(meta["loss"], meta["params"], arrays["at"]),
    "next_step": lambda meta, arrays: next_step(
        _experiment(meta["query"]), TrainingState(meta["step"], arrays) if arrays else None, meta["ahead"]
    ),
    "transform": lambda meta, arrays: {"images": _transformed(arrays["images"], meta["input_transform"])},
    "augment": lambda meta, arrays: {"images": _augmented(arrays["images"], tuple(meta["chosen"]))},
    "pairs": lambda meta, arrays: pairs_by(meta["measure"], arrays["embeddings"], arrays["labels"], meta["branches"]),
}
"""Requests that get their reply beside the runs, from their meta and arrays."""


def main() -> None:
    parent = Parent()
    worker = _Worker(parent)
    found = devices()
    for _ in islice(train(Experiment(steps=2), machine=Machine(next(iter(found)))), 2):
        pass
    gc.collect()
    gc.freeze()
    parent.send({"is": "ready", "devices": found})
    worker.run_forever()


if __name__ == "__main__":
    main()
