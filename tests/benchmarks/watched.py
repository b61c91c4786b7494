"""What watching costs: a run in the engine, looked at four times a second, against its generator in a bare loop."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from statistics import median

from siamese_core.engine import Engine
from siamese_core.engine.rpc.pipes import ROOT
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.machine import ONE_THREAD
from tests.support.waiting import until

Row = tuple[str, str, str]

SECONDS = 10.0
ROUNDS = 5
OWNER = "benchmark" * 3
QUERY = Experiment(steps=100_000).to_query()

BARE = f"""
import os, sys, time
os.nice(10)
from siamese_core.experiment.experiment import Experiment
from siamese_core.training.loop import never, train
snapshots = train(Experiment.from_query({QUERY!r})[0], wants_frame=never)
for _ in range(50):
    next(snapshots)
started, steps = time.monotonic(), 0
while time.monotonic() - started < {SECONDS}:
    next(snapshots)
    steps += 1
print(steps / (time.monotonic() - started))
"""


def measure() -> Iterator[Row]:
    engine = Engine()
    until(lambda: engine.devices and engine.projector.is_warm, "a warm engine")
    pairs = [(_watched(engine), _bare()) for _ in range(ROUNDS)]
    engine.close()
    shares = [watched / bare for watched, bare in pairs]
    yield (
        f"steps per second of a watched run / of a bare loop, {ROUNDS} rounds side by side, median",
        f"{median(w for w, _ in pairs):.0f} / {median(b for _, b in pairs):.0f} = {median(shares):.0%}",
        "≥ 90 %",
    )


def _watched(engine: Engine) -> float:
    run = engine.start(OWNER, Experiment.from_query(QUERY)[0])
    until(lambda: (view := engine.poll(OWNER, run)) is not None and view.step >= 50, "the first steps")
    started = time.monotonic()
    first = _step(engine, run)
    while time.monotonic() - started < SECONDS:
        time.sleep(0.25)
        _step(engine, run)
    rate = (_step(engine, run) - first) / (time.monotonic() - started)
    engine.discard(OWNER, run)
    return rate


def _step(engine: Engine, run: str) -> int:
    view = engine.poll(OWNER, run)
    assert view is not None
    return view.step


def _bare() -> float:
    done = subprocess.run(
        [sys.executable, "-c", BARE], cwd=ROOT, env=os.environ | ONE_THREAD, capture_output=True, text=True, check=True
    )
    return float(done.stdout)
