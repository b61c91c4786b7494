"""Sweeps of this browser."""

from __future__ import annotations

from pages.ui.session.engine import sweeps
from pages.ui.session.session import owner_hash
from siamese_core.experiment.grid import Grid, SweepView
from siamese_core.experiment.machine import Machine


def start(grid: Grid, machine: Machine, name: str) -> str:
    """Return the id of a new sweep. Raises Rejected."""
    return sweeps().start(owner_hash(), grid, machine, name)


def views() -> list[SweepView]:
    """Return all of them as they are now, the newest first."""
    return sweeps().all(owner_hash())


def poll(sweep_id: str) -> SweepView | None:
    return sweeps().poll(owner_hash(), sweep_id)


def cancel(sweep_id: str) -> None:
    sweeps().cancel(owner_hash(), sweep_id)


def delete(sweep_id: str) -> None:
    """Delete a sweep, which can be taken back for a while."""
    sweeps().delete(owner_hash(), sweep_id)


def is_deleted(sweep_id: str) -> bool:
    """Return whether a sweep was deleted, and can still be restored."""
    return sweeps().is_deleted(owner_hash(), sweep_id)


def restore(sweep_id: str) -> bool:
    """Take a deletion back; False where it is too late."""
    return sweeps().restore(owner_hash(), sweep_id)


def unreadable() -> list[str]:
    """Return the names of files that hold no sweep which this server can read."""
    return list(sweeps().skipped)
