"""What saving costs a run: the same steps with and without a folder to write into, in turns."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np

from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.machine import Machine, devices
from siamese_core.runs.disk_format import Checkpoint, locked
from siamese_core.runs.info import RunInfo
from siamese_core.runs.writer import RunWriter
from siamese_core.training.loop import never, train

RUNS = (
    ("defaults", Experiment(steps=600), Machine(), 3),
    ("ResNet-18", Experiment(encoder="resnet18", steps=500, batch_size=24), Machine(), 1),
    ("defaults on CUDA", Experiment(steps=6_000), Machine("cuda"), 3),
    ("ResNet-18 on CUDA", Experiment(encoder="resnet18", steps=6_000), Machine("cuda"), 1),
)
"""Name, experiment, machine, and how often: long enough for more than one save."""


def measure() -> Iterator[tuple[str, str, str]]:
    """Time in `RunWriter`, of the whole time of a run: nothing else differs."""
    for title, experiment, machine, rounds in RUNS:
        if machine.device not in devices():
            continue
        shares, saves = zip(*(_share(experiment, machine) for _ in range(rounds)), strict=True)
        yield f"saving, share of a run's time, {title}", f"{100 * median(shares):.1f} % ({max(saves)} saves)", "< 2 %"


def _share(experiment: Experiment, machine: Machine) -> tuple[float, int]:
    spent, saves = 0.0, 0
    loss: list[float] = []
    with tempfile.TemporaryDirectory() as name, locked(folder := Path(name)):
        info = RunInfo(experiment.to_query(), machine, 0.0, 0.0, "running", total=experiment.steps)
        writer = RunWriter(folder, info, lambda input_transform, images: images)
        started = time.perf_counter()
        for snapshot in train(experiment, machine=machine, wants_frame=never, wants_state=writer.is_due):
            loss.append(snapshot.loss)
            if snapshot.state is not None and snapshot.step < experiment.steps:
                before = time.perf_counter()
                history = np.array(loss, np.float32)
                writer.save(Checkpoint(experiment, machine, snapshot.state, history, history, []))
                spent += time.perf_counter() - before
                saves += 1
        return spent / (time.perf_counter() - started), saves
