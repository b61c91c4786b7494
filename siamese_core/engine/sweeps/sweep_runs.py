"""The runs of sweeps in the engine: in the background, without a lease, saved for the hash of an owner."""

from __future__ import annotations

import secrets
from dataclasses import replace

from siamese_core.engine.engine import Engine
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.machine import Machine
from siamese_core.runs.disk_format import FolderRejected
from siamese_core.runs.info import RunInfo, new_info


class SweepRuns:
    """What sweeps ask of the engine; `owner` is a hash."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # A token that no browser has: these runs are controlled by their sweep alone.
        self._nobody = secrets.token_urlsafe(24)

    def start_cell(self, owner: str, experiment: Experiment, machine: Machine, sweep: str) -> str:
        """Begin a run of a sweep, and return its id."""
        return self._engine.start(self._nobody, experiment, machine, background=True, sweep=sweep, owner_hash=owner)

    def resume_cell(self, owner: str, run: str) -> bool:
        """Resume it from where it was saved last; False where that cannot be."""
        try:
            self._engine.resume_saved(self._nobody, run, owner_hash=owner)
        except FolderRejected:
            return False
        return True

    def stop_cell(self, run: str) -> None:
        """End a run after its step; what it has come to stays."""
        self._engine.command(self._nobody, run, "stop")

    def forget_cell(self, owner: str, run: str) -> None:
        """Stop a run, and delete what is saved of it as soon as nobody writes it."""
        self._engine.discard(self._nobody, run)
        self._engine.store.delete_when_idle(owner, run)

    def cell(self, owner: str, run: str) -> tuple[bool, RunInfo | None]:
        """Return whether it is running, and what is known of it."""
        is_running = self._engine.store.is_busy(run)
        info = self._engine.store.find(owner, run)
        view = self._engine.poll(self._nobody, run)
        if info is None and view is not None and view.status == "failed":
            # Before its first step: it has left nothing but its message.
            begun = new_info(view.experiment, view.machine, id=run, owner=owner)
            info = replace(begun, status="failed", message=view.message)
        if not is_running:
            # What is done takes no memory.
            self._engine.discard(self._nobody, run)
        return is_running, info
