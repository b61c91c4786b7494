"""The server's side: owners, leases, and one slot a run that the reader threads fill and the pages read."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from siamese_core.engine.rpc.client import Answer, OfWorker
from siamese_core.engine.rpc.pipes import Child
from siamese_core.engine.rpc.projector_client import Drawing
from siamese_core.engine.run import (
    COMMANDS,
    ENDED,
    LIVE,
    MAX_DEATHS,
    RunView,
    Slot,
    Status,
    layout_of,
    reopened,
)
from siamese_core.engine.storage.replays import Replays
from siamese_core.engine.storage.saver import Keeping
from siamese_core.engine.storage.store import Shelf, hashed, new_id
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.machine import Machine
from siamese_core.runs.home import home
from siamese_core.runs.model import Model, model_of

LEASE = 120.0
"""Seconds without a look after which a run pauses and frees its place in the worker."""

FORGET_AFTER = 1800.0
"""Seconds without a look after which a run is gone."""

TEND_EVERY = 1.0

VIEWED_AFTER = 60.0
"""Seconds after which a worker that does not say what second inputs look like is asked again at the next save."""

MAX_RUNS = 8
"""Runs that one owner may have at a time, in several tabs, say; the oldest makes room."""

MAX_ASIDE = 48
"""Runs that one owner may have beside these, to compare something with each other."""

CANNOT_START = (
    "The training process does not start on this machine: see the server's log, mend it, start the server again."
)


class Engine:
    """Starts a training worker and the projection process at once; they warm up while the first page is read.

    A run is reached only with its owner's token and its id: a wrong one of either answers like an unknown run. Runs are
    saved on `shelf` as they go.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, shelf: Shelf | None = None) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._slots: dict[str, Slot] = {}
        self.drawing = Drawing(self._drawn, self._draw_all)
        self.ask = OfWorker(lambda meta, **arrays: self._worker.say(meta, **arrays))
        self.shelf = shelf or Shelf(home() / "runs")
        self.replays = Replays(self.shelf, self.drawing.chains)
        self.keeping = Keeping(self.shelf, self._viewed, on_end=self.replays.prepare)
        self._closed = threading.Event()
        self.devices: dict[str, str] = {}
        self._problem = ""
        self._false_starts = 0
        self._worker = self._new_worker()
        threading.Thread(target=self._tend_forever, name="tend", daemon=True).start()

    def start(
        self,
        owner: str,
        experiment: Experiment,
        machine: Machine = Machine(),  # noqa: B008 (frozen)
        *,
        steps: int | None = None,
        aside: bool = False,
        keep: bool = True,
        sweep: str = "",
        kept_for: str = "",
    ) -> str:
        """The id of a new run, which runs on, or rests after `steps`; it is saved on disk where it is to be kept.

        A run `aside` is one of several that are compared: it is never the `latest`, and not kept but as one of a
        `sweep`, for the hash of another owner. Such a run has no lease.
        """
        with self._lock:
            self._make_room(owner, aside)
            slot = Slot(new_id(), owner, experiment, machine, experiment.projection, self._clock(), aside, sweep)
            self._slots[slot.id] = slot
            if sweep or (keep and not aside):
                self.keeping.begin(slot.id, kept_for or hashed(owner), experiment, machine, sweep)
            self._submit(slot, owed=steps)
            return slot.id

    def reopen(self, owner: str, run: str, kept_for: str = "") -> None:
        """Goes on with a saved run from its last state. Raises FolderRejected where that cannot be."""
        record, saved = self.keeping.reopen(kept_for or hashed(owner), run)
        with self._lock:
            if self._slots.pop(run, None) is not None:
                # It has been written to its end: `keeping` has just said so.
                self._worker.say({"do": "stop", "run": run})
                self.drawing.forget(run)
            self._make_room(owner, aside=bool(record.sweep))
            self._slots[run] = reopened(record, owner, saved, self._clock())
            self._submit(self._slots[run], owed=None)

    def command(self, owner: str, run: str, command: str) -> bool:
        """pause, resume, step or stop; False where the run is not in a status for it, or not the owner's."""
        with self._lock:
            slot = self._owned(owner, run)
            if slot is None or slot.status not in COMMANDS[command]:
                return False
            slot.status = COMMANDS[command][slot.status]
            if command == "resume":
                slot.pace_from = None
            slot.seen_at = self._clock()
            if command == "stop":
                self.keeping.end(run, "stopped")
            if slot.in_worker or command == "stop":
                self._worker.say({"do": command, "run": run})
            else:
                self._submit(slot, owed=1 if command == "step" else None)
            return True

    def look(self, owner: str, run: str) -> RunView | None:
        """The run as it is now; looking renews its lease, and continues it where the lease had paused it."""
        with self._lock:
            slot = self._owned(owner, run)
            if slot is None:
                return None
            slot.seen_at = self._clock()
            if slot.status == "parked":
                self._submit(slot, owed=None)
            return slot.view()

    def status(self, owner: str, run: str) -> Status | None:
        """Of a run that is here; it is no look at it."""
        with self._lock:
            slot = self._owned(owner, run)
            return slot.status if slot is not None else None

    def latest(self, owner: str) -> str | None:
        """The id of the newest run of this owner."""
        with self._lock:
            own = (slot for slot in reversed(self._slots.values()) if slot.owner == owner and not slot.aside)
            return next((slot.id for slot in own), None)

    def with_weights(self, owner: str) -> dict[str, Experiment]:
        """This owner's runs that have come somewhere, by id, the newest first; it is no look at them."""
        with self._lock:
            own = (slot for slot in self._slots.values() if slot.owner == owner and not slot.aside and slot.state)
            return {slot.id: slot.experiment for slot in reversed(list(own))}

    def model(self, owner: str, run: str) -> Model | None:
        """What a run has come to so far. Raises DatasetMissing where its images have gone."""
        with self._lock:
            slot = self._owned(owner, run)
            return model_of(slot.experiment, slot.state) if slot is not None and slot.state is not None else None

    def discard(self, owner: str, run: str) -> None:
        """Stops the run and forgets it."""
        with self._lock:
            slot = self._owned(owner, run)
            if slot is not None:
                self._forget(slot)

    def project(self, owner: str, run: str, projection: str) -> None:
        """Draw this run by another projection from now on."""
        with self._lock:
            slot = self._owned(owner, run)
            if slot is not None and slot.projection != projection:
                slot.projection = projection
                self._ask_for_layout(slot)

    def forget_images(self, dataset: str) -> None:
        """Somebody's own pictures are deleted: so is every run on them, and what the worker keeps of them."""
        with self._lock:
            for slot in [slot for slot in self._slots.values() if slot.experiment.dataset == dataset]:
                self._forget(slot)
            self._worker.say({"do": "forget_images"})

    def lay_out_anew(self, owner: str, run: str) -> None:
        """Forgets where the points were: parts that have come to belong together may have stayed apart."""
        with self._lock:
            slot = self._owned(owner, run)
            if slot is not None and slot.layout is not None:
                self.drawing.forget(slot.id)
                # Of no step: a page goes on looking until the new one is there.
                slot.layout = replace(slot.layout, step=-1)
                self._ask_for_layout(slot)

    def next_step(self, owner: str, run: str | None, experiment: Experiment, ahead: int) -> Answer:
        """What this owner's run looks at next, or a run that is to begin with `experiment`."""
        with self._lock:
            slot = self._owned(owner, run) if run else None
            state = slot.state if slot else None
        return self.ask.next_step(slot.experiment if slot else experiment, state, ahead)

    def tend(self) -> None:
        """What time brings: leases that end, runs that are forgotten. Called every second."""
        with self._lock:
            for slot in list(self._slots.values()):
                if slot.sweep and slot.live:
                    continue
                unseen = self._clock() - slot.seen_at
                if unseen > FORGET_AFTER:
                    self._forget(slot)
                elif unseen > LEASE and slot.status == "running":
                    self._worker.say({"do": "park", "run": slot.id})
                elif unseen > LEASE and slot.status == "paused" and slot.in_worker:
                    self._worker.say({"do": "stop", "run": slot.id})
                    slot.in_worker = False

    def close(self) -> None:
        self._closed.set()
        # What is to be written may still have to be asked of the worker.
        self.keeping.close()
        self._worker.close()
        self.drawing.close()

    @property
    def problem(self) -> str:
        """Why no run can be trained, or drawn, any more; "" where all is well."""
        return self._problem or self.drawing.problem

    @property
    def pids(self) -> dict[str, int]:
        return {"worker": self._worker.pid, "projector": self.drawing.pid}

    def _viewed(self, view: str, images: np.ndarray) -> np.ndarray:
        """Images as second inputs, for the thread that saves."""
        return self.ask.viewed(view, images).result(VIEWED_AFTER)["images"]

    def _owned(self, owner: str, run: str) -> Slot | None:
        slot = self._slots.get(run)
        return slot if slot is not None and secrets.compare_digest(slot.owner.encode(), owner.encode()) else None

    def _make_room(self, owner: str, aside: bool) -> None:
        """For one run more."""
        own = [slot for slot in self._slots.values() if slot.owner == owner and slot.aside == aside]
        for oldest in own[: max(0, len(own) - (MAX_ASIDE if aside else MAX_RUNS) + 1)]:
            self._forget(oldest)

    def _submit(self, slot: Slot, owed: int | None) -> None:
        """Gives the run to the worker, from its last state where it has one."""
        slot.status = "running" if owed is None else "pausing"
        slot.in_worker = True
        slot.pace_from = None
        self._worker.say(
            {
                "do": "start", "run": slot.id, "query": slot.experiment.to_query(), "machine": asdict(slot.machine),
                "owed": owed, "step": slot.state.step if slot.state else 0,
            },
            **(dict(slot.state.tensors) if slot.state else {}),
        )  # fmt: skip

    def _forget(self, slot: Slot) -> None:
        del self._slots[slot.id]
        self.keeping.end(slot.id, "interrupted")
        self._worker.say({"do": "stop", "run": slot.id})
        self.drawing.forget(slot.id)

    def _new_worker(self) -> Child:
        return Child("siamese_core.engine.workers.trainer", self._worker_said, self._worker_died)

    def _worker_said(self, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        with self._lock:
            if meta["is"] == "ready":
                self.devices = meta["devices"]
                self._false_starts = 0
            elif self.ask.heard(meta, arrays):
                pass
            elif slot := self._slots.get(meta["run"]):
                self._slot_said(slot, meta, arrays)

    def _slot_said(self, slot: Slot, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        slot.hear(meta, arrays, self._clock())
        if meta["is"] == "frame" and slot.frame is not None:
            self.keeping.frame(slot.id, slot.frame_step, slot.frame)
            self._ask_for_layout(slot)
        elif meta["is"] == "state":
            self.keeping.state(slot.id, slot.saved())
        elif meta["is"] == "end":
            self._ended(slot, meta["how"], meta["sentence"])

    def _ended(self, slot: Slot, how: Status, sentence: str) -> None:
        if slot.status in ENDED:
            return
        slot.in_worker = False
        if how == "parked" and slot.status == "pausing":
            slot.status = "paused"
            return
        slot.status, slot.sentence = how, sentence
        if slot.status in ENDED:
            self.keeping.end(slot.id, slot.status, slot.sentence)
        if slot.status == "parked" and self._clock() - slot.seen_at <= LEASE:
            self._submit(slot, owed=None)

    def _ask_for_layout(self, slot: Slot) -> None:
        if slot.frame is not None:
            self.drawing.draw(slot.id, slot.projection, slot.frame_step, slot.frame.embeddings)

    def _drawn(self, run: str, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        with self._lock:
            if slot := self._slots.get(run):
                slot.layout = layout_of(meta, arrays, slot.layout.number + 1 if slot.layout else 1)

    def _draw_all(self) -> None:
        with self._lock:
            for slot in self._slots.values():
                self._ask_for_layout(slot)

    def _worker_died(self) -> None:
        if self._closed.is_set():
            return
        with self._lock:
            self._false_starts += 1
            if self._false_starts > MAX_DEATHS:
                self._problem = CANNOT_START
                self.ask.let_go()
                return
            self._worker = self._new_worker()
            self.ask.let_go()
            for slot in self._slots.values():
                slot.in_worker = False
                if slot.status in LIVE:
                    self._revive(slot)

    def _revive(self, slot: Slot) -> None:
        if slot.goes_back():
            self._submit(slot, owed=1 if slot.status == "pausing" else None)
        else:
            self.keeping.end(slot.id, slot.status, slot.sentence)

    def _tend_forever(self) -> None:
        while not self._closed.wait(TEND_EVERY):
            self.tend()
