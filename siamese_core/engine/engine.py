"""The server's side: owners, leases, and a state for each run that the reader threads fill and the pages read."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from siamese_core.engine.repeating import repeat
from siamese_core.engine.rpc.client import PendingReply
from siamese_core.engine.rpc.pipes import Child
from siamese_core.engine.rpc.projector_client import ProjectorClient
from siamese_core.engine.rpc.trainer_client import TrainerClient
from siamese_core.engine.run import COMMANDS, ENDED, LIVE, MAX_DEATHS, RunState, RunView, Status, layout_of, resumed
from siamese_core.engine.storage.replays import Replays
from siamese_core.engine.storage.saver import RunSaver
from siamese_core.engine.storage.store import RunStore, hashed, new_id
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.machine import Machine
from siamese_core.runs.home import home
from siamese_core.runs.model import Model, model_of

LEASE = 120.0
"""Seconds without a poll after which a run pauses and frees its place in the worker."""

FORGET_AFTER = 1800.0
"""Seconds without a poll after which a run is gone."""

SWEEP_EVERY = 1.0

TRANSFORM_TIMEOUT = 60.0
"""Seconds to wait for the second inputs of a run's eval images; without them, the next save asks again."""

MAX_RUNS = 8
"""Runs that one owner may have at a time, in several tabs, say; the oldest makes room."""

MAX_BACKGROUND = 48
"""Background runs that one owner may have beside these, to be compared with each other."""

CANNOT_START = (
    "The training process does not start on this machine: see the server's log, mend it, start the server again."
)


class Engine:
    """Starts a training worker and the projection process at once; they warm up while the first page is read.

    A run is reached only with its owner's token and its id: a wrong one of either is treated like an unknown run.
    Runs are saved in `store` as they go.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, store: RunStore | None = None) -> None:
        self._closed = threading.Event()
        self._clock = clock
        self._lock = threading.RLock()
        self._runs: dict[str, RunState] = {}
        self.projector = ProjectorClient(self._on_layout, self._lay_out_all)
        self.trainer = TrainerClient(lambda meta, **arrays: self.worker.send(meta, **arrays))
        self.store = store or RunStore(home() / "runs")
        self.replays = Replays(self.store, self.projector)
        self.saver = RunSaver(self.store, self._transformed, on_end=self.replays.prepare)
        self.devices: dict[str, str] = {}
        self._problem = ""
        self._false_starts = 0
        self.worker = self._new_worker()
        repeat(self.sweep_expired, SWEEP_EVERY, "leases", self._closed)

    def start(
        self,
        owner: str,
        experiment: Experiment,
        machine: Machine = Machine(),  # noqa: B008 (frozen)
        *,
        steps: int | None = None,
        background: bool = False,
        save: bool = True,
        sweep: str = "",
        owner_hash: str = "",
    ) -> str:
        """Start a run, which runs on, or rests after `steps`, and return its id; it is saved on disk, if `save`.

        A `background` run is one of several that are compared: it is never the `latest`, and not saved but as one of a
        `sweep`, for another owner by their hash. Such a run has no lease.
        """
        with self._lock:
            self._make_room(owner, background)
            run = RunState(
                id=new_id(), owner=owner, experiment=experiment, machine=machine, projection=experiment.projection,
                seen_at=self._clock(), background=background, sweep=sweep,
            )  # fmt: skip
            self._runs[run.id] = run
            if sweep or (save and not background):
                self.saver.begin(run.id, owner_hash or hashed(owner), experiment, machine, sweep)
            self._submit(run, steps_left=steps)
            return run.id

    def resume_saved(self, owner: str, run_id: str, owner_hash: str = "") -> None:
        """Resume a saved run from its last checkpoint. Raises FolderRejected where that cannot be."""
        info, checkpoint = self.saver.resume_saved(owner_hash or hashed(owner), run_id)
        with self._lock:
            if self._runs.pop(run_id, None) is not None:
                # It has been written to its end: `saver` has just said so.
                self.trainer.command(run_id, "stop")
                self.projector.forget(run_id)
            self._make_room(owner, background=bool(info.sweep))
            self._runs[run_id] = resumed(info, owner, checkpoint, self._clock())
            self._submit(self._runs[run_id], steps_left=None)

    def command(self, owner: str, run_id: str, command: str) -> bool:
        """Pause, resume, step or stop a run; False where it is not in a status for that, or not the owner's."""
        with self._lock:
            run = self._owned(owner, run_id)
            if run is None or run.status not in COMMANDS[command]:
                return False
            run.status = COMMANDS[command][run.status]
            if command == "resume":
                run.pace_from = None
            run.seen_at = self._clock()
            if command == "stop":
                self.saver.end(run_id, "stopped")
            if run.in_worker or command == "stop":
                self.trainer.command(run_id, command)
            else:
                self._submit(run, steps_left=1 if command == "step" else None)
            return True

    def poll(self, owner: str, run_id: str) -> RunView | None:
        """Return the run as it is now; this renews its lease, and continues it where the lease had paused it."""
        with self._lock:
            run = self._owned(owner, run_id)
            if run is None:
                return None
            run.seen_at = self._clock()
            if run.status == "parked":
                self._submit(run, steps_left=None)
            return run.view()

    def status(self, owner: str, run_id: str) -> Status | None:
        """Return the status of a run; its lease is not renewed."""
        with self._lock:
            run = self._owned(owner, run_id)
            return run.status if run is not None else None

    def latest(self, owner: str) -> str | None:
        """Return the id of this owner's newest run."""
        with self._lock:
            found = (run for run in reversed(self._runs.values()) if run.owner == owner and not run.background)
            return next((run.id for run in found), None)

    def with_weights(self, owner: str) -> dict[str, Experiment]:
        """Return this owner's runs that have a state, by id, the newest first; their leases are not renewed."""
        with self._lock:
            found = (run for run in self._runs.values() if run.owner == owner and not run.background and run.state)
            return {run.id: run.experiment for run in reversed(list(found))}

    def model(self, owner: str, run_id: str) -> Model | None:
        """Return a run's network as it is now. Raises DatasetMissing where its images have gone."""
        with self._lock:
            run = self._owned(owner, run_id)
            return model_of(run.experiment, run.state) if run is not None and run.state is not None else None

    def discard(self, owner: str, run_id: str) -> None:
        """Stop the run and forget it."""
        with self._lock:
            run = self._owned(owner, run_id)
            if run is not None:
                self._forget(run)

    def set_projection(self, owner: str, run_id: str, projection: str) -> None:
        """Lay out this run by another projection from now on."""
        with self._lock:
            run = self._owned(owner, run_id)
            if run is not None and run.projection != projection:
                run.projection = projection
                self._request_layout(run)

    def forget_images(self, dataset: str) -> None:
        """Forget every run on an uploaded set that is deleted, and what the worker has of its images."""
        with self._lock:
            for run in [run for run in self._runs.values() if run.experiment.dataset == dataset]:
                self._forget(run)
            self.trainer.forget_images()

    def lay_out_anew(self, owner: str, run_id: str) -> None:
        """Forget where the points were: parts that have come to belong together may have stayed apart."""
        with self._lock:
            run = self._owned(owner, run_id)
            if run is not None and run.layout is not None:
                self.projector.forget(run.id)
                # Of no step: a page goes on polling until the new one is there.
                run.layout = replace(run.layout, step=-1)
                self._request_layout(run)

    def next_step(self, owner: str, run_id: str | None, experiment: Experiment, ahead: int) -> PendingReply:
        """Return what this owner's run trains on next, or a run that is to begin with `experiment`."""
        with self._lock:
            run = self._owned(owner, run_id) if run_id else None
            state = run.state if run else None
        return self.trainer.next_step(run.experiment if run else experiment, state, ahead)

    def sweep_expired(self) -> None:
        """End leases, and forget runs that nobody polls. Called every second."""
        with self._lock:
            for run in list(self._runs.values()):
                if run.sweep and run.live:
                    continue
                unseen = self._clock() - run.seen_at
                if unseen > FORGET_AFTER:
                    self._forget(run)
                elif unseen > LEASE and run.status == "running":
                    self.trainer.command(run.id, "park")
                elif unseen > LEASE and run.status == "paused" and run.in_worker:
                    self.trainer.command(run.id, "stop")
                    run.in_worker = False

    def close(self) -> None:
        """Save what is to be saved, and end the processes."""
        self._closed.set()
        # What is to be written may still have to be asked of the worker.
        self.saver.close()
        self.worker.close()
        self.projector.close()

    @property
    def problem(self) -> str:
        """Return why no run can be trained, or laid out, any more; "" where nothing is wrong."""
        return self._problem or self.projector.problem

    def _transformed(self, input_transform: str, images: np.ndarray) -> np.ndarray:
        """Return images as second inputs, for the thread that saves."""
        return self.trainer.transformed(input_transform, images).result(TRANSFORM_TIMEOUT)["images"]

    def _owned(self, owner: str, run_id: str) -> RunState | None:
        run = self._runs.get(run_id)
        return run if run is not None and secrets.compare_digest(run.owner.encode(), owner.encode()) else None

    def _make_room(self, owner: str, background: bool) -> None:
        """Forget the oldest, for one run more."""
        found = [run for run in self._runs.values() if run.owner == owner and run.background == background]
        for oldest in found[: max(0, len(found) - (MAX_BACKGROUND if background else MAX_RUNS) + 1)]:
            self._forget(oldest)

    def _submit(self, run: RunState, steps_left: int | None) -> None:
        """Give the run to the worker, from its last state where it has one."""
        run.status = "running" if steps_left is None else "pausing"
        run.in_worker = True
        run.pace_from = None
        self.trainer.start(run.id, run.experiment, run.machine, run.state, steps_left)

    def _forget(self, run: RunState) -> None:
        del self._runs[run.id]
        self.saver.end(run.id, "interrupted")
        self.trainer.command(run.id, "stop")
        self.projector.forget(run.id)

    def _new_worker(self) -> Child:
        return Child("siamese_core.engine.workers.trainer", self._on_message, self._on_exit)

    def _on_message(self, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        with self._lock:
            if meta["is"] == "ready":
                self.devices = meta["devices"]
                self._false_starts = 0
            elif self.trainer.on_message(meta, arrays):
                pass
            elif run := self._runs.get(meta["run"]):
                self._on_run_message(run, meta, arrays)

    def _on_run_message(self, run: RunState, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        run.on_message(meta, arrays, self._clock())
        if meta["is"] == "frame" and run.frame is not None:
            self.saver.add_frame(run.id, run.frame_step, run.frame)
            self._request_layout(run)
        elif meta["is"] == "state":
            self.saver.add_checkpoint(run.id, run.checkpoint())
        elif meta["is"] == "end":
            self._ended(run, meta["how"], meta["message"])

    def _ended(self, run: RunState, how: Status, message: str) -> None:
        if run.status in ENDED:
            return
        run.in_worker = False
        if how == "parked" and run.status == "pausing":
            run.status = "paused"
            return
        run.status, run.message = how, message
        if run.status in ENDED:
            self.saver.end(run.id, run.status, run.message)
        if run.status == "parked" and self._clock() - run.seen_at <= LEASE:
            self._submit(run, steps_left=None)

    def _request_layout(self, run: RunState) -> None:
        if run.frame is not None:
            self.projector.lay_out_live(run.id, run.projection, run.frame_step, run.frame.embeddings)

    def _on_layout(self, run_id: str, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        with self._lock:
            if run := self._runs.get(run_id):
                run.layout = layout_of(meta, arrays, run.layout.number + 1 if run.layout else 1)

    def _lay_out_all(self) -> None:
        with self._lock:
            for run in self._runs.values():
                self._request_layout(run)

    def _on_exit(self) -> None:
        if self._closed.is_set():
            return
        with self._lock:
            self._false_starts += 1
            if self._false_starts > MAX_DEATHS:
                self._problem = CANNOT_START
                self.trainer.cancel_all()
                return
            self.worker = self._new_worker()
            self.trainer.cancel_all()
            for run in self._runs.values():
                run.in_worker = False
                if run.status in LIVE:
                    self._revive(run)

    def _revive(self, run: RunState) -> None:
        if run.goes_back():
            self._submit(run, steps_left=1 if run.status == "pausing" else None)
        else:
            self.saver.end(run.id, run.status, run.message)
