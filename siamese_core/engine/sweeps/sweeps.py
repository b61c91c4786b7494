"""Sweeps: grids of runs that go on whether somebody watches or not, a few at a time, also after the server was killed.

Each cell is a saved run like any other. A sweep belongs to a hash of its owner's token, as its runs do.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from siamese_core.datasets import is_uploaded
from siamese_core.engine.repeating import repeat
from siamese_core.engine.storage.store import UNDO_FOR, new_id
from siamese_core.engine.sweeps.sweep_runs import SweepRuns
from siamese_core.errors import Rejected
from siamese_core.experiment.grid import CellView, Grid, SweepView, grid_of
from siamese_core.experiment.machine import Machine
from siamese_core.experiment.snapshot import Scores
from siamese_core.formats.files import write_atomic
from siamese_core.runs.disk_format import FolderRejected, locked
from siamese_core.runs.info import MAX_NAME, is_count, is_machine, is_scores

SCHEMA = 1
AT_ONCE = 2
"""Cells that run at a time, of all sweeps together: the people who watch a run share the worker with them."""

MAX_SWEEPS = 8
"""Of one owner; the oldest that is done makes room."""

STATUSES = ("waiting", "running", "finished", "halted", "failed", "cancelled", "left out")
MAX_TRIES = 3
SWEEP_EVERY = 1.0

LOST = "This run was lost several times: see the server's log."
FULL = f"There are {MAX_SWEEPS} sweeps already, and all are going on: cancel or delete one."


OTHERS = "Another server on this machine runs the sweeps of this folder: stop it, or begin the sweep there."
UPLOADED_SET = (
    "dataset: runs on your own pictures are not saved unasked, and those of a sweep are; choose another dataset."
)


@dataclass
class _Cell:
    """`status`: one of STATUSES. `furthest`: the last step that any try of it has come to."""

    status: str = "waiting"
    run: str = ""
    step: int = 0
    scores: dict[str, Scores] = field(default_factory=dict)
    message: str = ""
    tries: int = 0
    furthest: int = 0


@dataclass
class _Sweep:
    id: str
    owner: str
    name: str
    grid: Grid
    machine: Machine
    created: float
    cells: list[_Cell]
    deleted_at: float | None = None

    def live(self) -> bool:
        return any(cell.status in ("waiting", "running") for cell in self.cells)


class Sweeps:
    """`skipped` names files that are no sweep, or a torn one; they are left alone."""

    def __init__(self, folder: Path, runs: SweepRuns, clock: Callable[[], float] = time.time) -> None:
        self._closed = threading.Event()
        self._folder, self._runs, self._clock = folder, runs, clock
        self.skipped: list[str] = []
        self._lock = threading.RLock()
        self._sweeps: dict[str, _Sweep] = {}
        self._lock_file = ExitStack()
        self._others = not self._is_first()
        self._find()
        repeat(self.sweep_expired, SWEEP_EVERY, "sweeps", self._closed)

    def start(self, owner: str, grid: Grid, machine: Machine, name: str) -> str:
        """Begin a sweep and return its id. Raises Rejected."""
        with self._lock:
            if self._others:
                raise Rejected(OTHERS)
            if is_uploaded(grid.base.dataset):
                raise Rejected(UPLOADED_SET)
            theirs = [sweep for sweep in self._sweeps.values() if sweep.owner == owner]
            ended = sorted((s for s in theirs if not s.live()), key=lambda s: (s.deleted_at is None, s.created))
            if len(theirs) >= MAX_SWEEPS and not ended:
                raise Rejected(FULL)
            for oldest in ended[: max(0, len(theirs) - MAX_SWEEPS + 1)]:
                self._forget(oldest)
            cells = [
                _Cell() if cell.experiment is not None else _Cell("left out", message=cell.why) for cell in grid.cells()
            ]
            sweep = _Sweep(new_id(), owner, name[:MAX_NAME], grid, machine, self._clock(), cells)
            self._sweeps[sweep.id] = sweep
            self._save(sweep)
            return sweep.id

    def all(self, owner: str) -> list[SweepView]:
        """Return this owner's sweeps, the newest first."""
        with self._lock:
            theirs = [s for s in self._sweeps.values() if s.owner == owner and s.deleted_at is None]
            return [_view(sweep) for sweep in sorted(theirs, key=lambda sweep: -sweep.created)]

    def poll(self, owner: str, sweep: str) -> SweepView | None:
        """Return a sweep as it is now; None for somebody else's, as for an unknown one."""
        with self._lock:
            found = self._owned(owner, sweep)
            return _view(found) if found is not None and found.deleted_at is None else None

    def cancel(self, owner: str, sweep: str) -> None:
        """Stop what runs, and start nothing more of it; what is done stays."""
        with self._lock:
            if found := self._owned(owner, sweep):
                for cell in found.cells:
                    if cell.status == "running":
                        # It may have come to its end since it was followed last.
                        self._follow(found, cell)
                    if cell.status == "running":
                        self._runs.stop_cell(cell.run)
                    if cell.status in ("waiting", "running"):
                        cell.status = "cancelled"
                self._save(found)

    def delete(self, owner: str, sweep: str) -> None:
        """Cancel it, and delete it with its runs `UNDO_FOR` seconds from now."""
        self.cancel(owner, sweep)
        with self._lock:
            if found := self._owned(owner, sweep):
                found.deleted_at = self._clock()
                self._save(found)

    def is_deleted(self, owner: str, sweep: str) -> bool:
        """Return whether it can still be had back."""
        with self._lock:
            found = self._owned(owner, sweep)
            return found is not None and found.deleted_at is not None

    def restore(self, owner: str, sweep: str) -> bool:
        """Take a deletion back; False where it is too late."""
        with self._lock:
            found = self._owned(owner, sweep)
            if found is None or found.deleted_at is None:
                return False
            found.deleted_at = None
            self._save(found)
            return True

    def sweep_expired(self) -> None:
        """Follow what runs, begin what may, and delete what can no longer be had back. Called every second."""
        with self._lock:
            if self._others:
                return
            for sweep in list(self._sweeps.values()):
                if sweep.deleted_at is not None and self._clock() - sweep.deleted_at > UNDO_FOR:
                    self._forget(sweep)
                    continue
                changed = [self._follow(sweep, cell) for cell in sweep.cells if cell.status == "running"]
                if any(changed):
                    self._save(sweep)
            while sum(c.status == "running" for s in self._sweeps.values() for c in s.cells) < AT_ONCE:
                if not self._begin_next():
                    return

    def close(self) -> None:
        """Follow the runs no more; another server may."""
        self._closed.set()
        self._lock_file.close()

    def _follow(self, sweep: _Sweep, cell: _Cell) -> bool:
        """Take in what has come of a cell; return whether something is to be saved of it."""
        is_running, info = self._runs.cell(sweep.owner, cell.run)
        before = replace(cell)
        if info is not None:
            if info.step > cell.furthest:
                # It gets on, however often a server or a worker is killed; the same steps once more are no progress.
                cell.furthest, cell.tries = info.step, 0
            cell.step, cell.scores, cell.message = info.step, info.scores, info.message
        if is_running:
            return False
        if info is not None and info.status in ("finished", "halted", "failed"):
            cell.status = info.status
        else:
            # Interrupted or gone: from where it was saved last, or from the start.
            cell.tries += 1
            if cell.tries > MAX_TRIES:
                cell.status, cell.message = "failed", LOST
            elif not (info is not None and self._runs.resume_cell(sweep.owner, cell.run)):
                cell.status, cell.run = "waiting", ""
        return (cell.status, cell.run, cell.tries) != (before.status, before.run, before.tries)

    def _begin_next(self) -> bool:
        """Start the next cell of the sweep of which the fewest run: owners and sweeps take turns."""
        waiting = [s for s in self._sweeps.values() if any(cell.status == "waiting" for cell in s.cells)]
        if not waiting:
            return False

        def running(belongs: Callable[[_Sweep], bool]) -> int:
            return sum(c.status == "running" for s in self._sweeps.values() if belongs(s) for c in s.cells)

        sweep = min(
            waiting, key=lambda w: (running(lambda s: s.owner == w.owner), running(lambda s: s is w), w.created)
        )
        index = next(index for index, cell in enumerate(sweep.cells) if cell.status == "waiting")
        cell, planned = sweep.cells[index], list(sweep.grid.cells())[index]
        if planned.experiment is None:
            # It could be, when the sweep began.
            cell.status, cell.message = "failed", planned.why
        else:
            cell.run = self._runs.start_cell(sweep.owner, planned.experiment, sweep.machine, sweep.id)
            cell.status = "running"
        self._save(sweep)
        return True

    def _owned(self, owner: str, sweep: str) -> _Sweep | None:
        found = self._sweeps.get(sweep)
        return found if found is not None and secrets.compare_digest(found.owner.encode(), owner.encode()) else None

    def _save(self, sweep: _Sweep) -> None:
        written = {"machine": asdict(sweep.machine), "cells": [_to_table(cell) for cell in sweep.cells]}
        table = {"schema": SCHEMA, **vars(sweep), "grid": sweep.grid.to_table(), **written}
        # A full disk stops no sweep: after a kill it is resumed from what was saved last.
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomic(self._folder / f"{sweep.id}.json", json.dumps(table, indent=1).encode())

    def _forget(self, sweep: _Sweep) -> None:
        del self._sweeps[sweep.id]
        for cell in sweep.cells:
            if cell.run:
                self._runs.forget_cell(sweep.owner, cell.run)
        (self._folder / f"{sweep.id}.json").unlink(missing_ok=True)

    def _is_first(self) -> bool:
        """Lock the folder until this process ends; False where another server runs its sweeps."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock_file.enter_context(locked(self._folder))
        except FolderRejected:
            return False
        except OSError:
            # A disk that cannot be written to has no other server either.
            return True
        return True

    def _find(self) -> None:
        for path in sorted(self._folder.glob("*.json")):
            try:
                sweep = _read(json.loads(path.read_bytes()))
                if sweep.id != path.stem:
                    raise ValueError("another's name")
            except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
                self.skipped.append(path.name)
                continue
            self._sweeps[sweep.id] = sweep


def _view(sweep: _Sweep) -> SweepView:
    cells = tuple(
        CellView(planned, cell.status, cell.run, cell.step, dict(cell.scores), cell.message)
        for planned, cell in zip(sweep.grid.cells(), sweep.cells, strict=True)
    )
    return SweepView(sweep.id, sweep.name, sweep.grid, sweep.created, cells)


def _to_table(cell: _Cell) -> dict[str, Any]:
    table = asdict(cell)
    # The name that it has had on disk since the first version.
    table["sentence"] = table.pop("message")
    return table


def _fits(cell: _Cell) -> bool:
    counts, texts = (cell.step, cell.tries, cell.furthest), (cell.run, cell.message)
    known = cell.status in STATUSES and all(isinstance(text, str) for text in texts)
    return known and all(is_count(count) for count in counts) and is_scores(cell.scores)


def _read(table: dict[str, Any]) -> _Sweep:
    """Read a sweep. Raises ValueError, TypeError or KeyError for what is none."""
    if table.pop("schema") != SCHEMA:
        raise ValueError("of another version")
    texts, created = [table["id"], table["owner"], table["name"]], table["created"]
    if not all(isinstance(text, str) for text in texts) or not isinstance(created, float):
        raise TypeError("no sweep of ours")
    if not isinstance(table.get("deleted_at"), float | None) or not is_machine(table["machine"]):
        raise TypeError("no sweep of ours")
    grid = grid_of(table.pop("grid"))
    cells = [_Cell(message=cell.pop("sentence"), **cell) for cell in table.pop("cells")]
    if len(cells) != len(list(grid.cells())) or not all(_fits(cell) for cell in cells):
        raise ValueError("torn")
    return _Sweep(grid=grid, machine=Machine(**table.pop("machine")), cells=cells, **table)
