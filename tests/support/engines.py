"""Runs of an engine: their views, waited for."""

from __future__ import annotations

from siamese_core.engine import Engine, RunView
from tests.support.waiting import until

ANN, BEN = "ann" * 8, "ben" * 8


class Clock:
    """Time that only the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def poll(engine: Engine, run: str, owner: str = ANN) -> RunView:
    view = engine.poll(owner, run)
    assert view is not None
    return view


def until_status(engine: Engine, run: str, status: str) -> RunView:
    return until(lambda: (v := poll(engine, run)).status == status and v, f"status {status}")


def until_step(engine: Engine, run: str, step: int, owner: str = ANN) -> RunView:
    return until(lambda: (v := poll(engine, run, owner)).step >= step and v, f"step {step}")
