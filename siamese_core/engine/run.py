"""What the server knows of a run: its status, its newest frame and layout, its history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np

from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.machine import Machine
from siamese_core.experiment.snapshot import Frame, Scores, TrainingState
from siamese_core.runs.disk_format import Checkpoint
from siamese_core.runs.history import MAX_SCORES, ScoreHistory
from siamese_core.runs.info import RunInfo

Status = Literal["running", "pausing", "paused", "parked", "finished", "halted", "failed", "stopped"]

COMMANDS: dict[str, dict[Status, Status]] = {
    "pause": {"running": "pausing"},
    "resume": {"pausing": "running", "paused": "running", "parked": "running"},
    "step": {"pausing": "pausing", "paused": "pausing", "parked": "pausing"},
    "stop": dict.fromkeys(("running", "pausing", "paused", "parked"), "stopped"),
}
"""Command → the status it leads to, from each status in which it may be given."""

LIVE: frozenset[Status] = frozenset({"running", "pausing"})
"""Something will change by itself."""

ENDED: frozenset[Status] = frozenset({"finished", "halted", "failed", "stopped"})

MAX_DEATHS = 3
"""Workers that may die under a run before it is given up."""

DIED = "The training process died several times in this run. Try a smaller batch_size."


@dataclass(frozen=True)
class Layout:
    """The eval images on the screen: `xy` (N, dim), their neighbours in the embedding space (N, 5).

    `stand_in` says that PCA stands in for a UMAP that is not warm; `problem` says why there are no points.
    """

    kind: str
    step: int
    number: int
    xy: np.ndarray
    neighbours: np.ndarray
    distances: np.ndarray
    stand_in: bool
    problem: str | None


def read_only(array: np.ndarray) -> np.ndarray:
    """Return the array, which nobody can write to from here on: views and checkpoints share it."""
    array.setflags(write=False)
    return array


def layout_of(meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray], number: int) -> Layout:
    """Return the layout of a message of the projection process; where it could make none, one without points."""
    empty = dict.fromkeys(("xy", "neighbours", "distances"), np.zeros((0, 0), np.float32))
    known = {name: meta[name] for name in ("kind", "step", "stand_in", "problem")}
    return Layout(number=number, **known, **(empty | dict(arrays)))


@dataclass(kw_only=True)
class RunView:
    """A run as a page reads it, at one moment. Arrays over steps: `loss`, `active` (S,); `scores` are per frame.

    Arrays and lists are replaced, never changed, so that views may share them.
    """

    id: str
    experiment: Experiment
    machine: Machine
    projection: str
    status: Status = "running"
    message: str = ""
    step: int = 0
    images: int = 0
    seconds: float = 0.0
    steps_per_second: float = 0.0
    loss: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    active: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    scores: ScoreHistory = field(default_factory=list)
    frame: Frame | None = None
    frame_step: int = 0
    layout: Layout | None = None
    alarm: str | None = None
    pixel_baseline: Scores | None = None

    @property
    def live(self) -> bool:
        return self.status in LIVE


@dataclass(kw_only=True)
class RunState(RunView):
    """A run as the engine has it; written by the reader threads, under the engine's lock."""

    owner: str
    seen_at: float
    background: bool = False
    sweep: str = ""
    in_worker: bool = False
    state: TrainingState | None = None
    deaths: int = 0
    restarted_at: int = 0
    pace_from: tuple[float, int] | None = None

    def on_message(self, meta: Mapping[str, Any], arrays: dict[str, np.ndarray], now: float) -> None:
        """Take in what the worker sends of this run, but for its end."""
        if meta["is"] == "baseline":
            self.pixel_baseline = meta["map_at_r"]
        elif meta["is"] == "steps":
            self.add_losses(arrays["steps"], arrays["loss"], arrays["active"])
            self.step, self.images, self.seconds = meta["step"], meta["images"], meta["seconds"]
            self.pace(now)
        elif meta["is"] == "rest" and self.status == "pausing":
            self.status = "paused"
        elif meta["is"] == "frame":
            self.frame, self.frame_step = Frame(**arrays, metrics=meta["metrics"]), meta["step"]
            if meta["metrics"]:
                self.alarm = meta["alarm"]
                self.score(meta["step"], meta["metrics"])
        elif meta["is"] == "state":
            if self.state is not None and meta["step"] > self.state.step:
                self.deaths = 0
            self.state = TrainingState(meta["step"], arrays)

    def pace(self, now: float) -> None:
        """Measure steps per second of wall time, since the run last began to go: what others take is in it."""
        if self.pace_from is None:
            self.pace_from = (now, self.step)
        elif now > self.pace_from[0]:
            self.steps_per_second = (self.step - self.pace_from[1]) / (now - self.pace_from[0])

    def add_losses(self, steps: np.ndarray, loss: np.ndarray, active: np.ndarray) -> None:
        """Take in losses of steps (S,); those of a step made again after a restart replace the earlier ones."""
        if len(steps):
            self.rewind(int(steps[0]) - 1)
            self.loss = read_only(np.concatenate([self.loss, loss], dtype=np.float32))
            self.active = read_only(np.concatenate([self.active, active], dtype=np.float32))

    def rewind(self, step: int) -> None:
        """Forget what came after a step."""
        self.loss, self.active = self.loss[:step], self.active[:step]
        self.scores = [entry for entry in self.scores if entry[0] <= step]

    def goes_back(self) -> bool:
        """Return to its last state, for its worker has died; False for a run that killed too many: it has failed."""
        self.deaths += 1
        if self.deaths > MAX_DEATHS:
            self.status, self.message = "failed", DIED
            return False
        self.step = self.restarted_at = self.state.step if self.state else 0
        self.rewind(self.step)
        return True

    def score(self, step: int, metrics: dict[str, Scores]) -> None:
        """Take in the scores of a frame."""
        self.scores = [*self.scores, (step, metrics)]
        if len(self.scores) > MAX_SCORES:
            # Every other one: a long run keeps its shape, and a bounded history.
            self.scores = self.scores[::2]

    def checkpoint(self) -> Checkpoint:
        """Return the run as it was at its state: what came after that will be made again."""
        assert self.state is not None, "only a run with a state is saved"
        step = self.state.step
        scores = [entry for entry in self.scores if entry[0] <= step]
        curves = self.loss[:step], self.active[:step]
        return Checkpoint(self.experiment, self.machine, self.state, *curves, scores, self.pixel_baseline)

    def view(self) -> RunView:
        """Return the run as a page reads it, which does not change any more."""
        return RunView(**{field.name: getattr(self, field.name) for field in fields(RunView)})


def resumed(info: RunInfo, owner: str, checkpoint: Checkpoint, seen_at: float) -> RunState:
    """Return a run as it was saved, with all that is known of its past."""
    state = checkpoint.state
    images, seconds = state.tensors["counters"][:2].tolist()
    return RunState(
        id=info.id, owner=owner, experiment=checkpoint.experiment, machine=checkpoint.machine, seen_at=seen_at,
        projection=checkpoint.experiment.projection, background=bool(info.sweep), sweep=info.sweep,
        step=state.step, restarted_at=state.step, images=int(images), seconds=seconds, state=state,
        # Copies: a view would keep the whole file in memory, with all weights.
        loss=read_only(checkpoint.loss.copy()), active=read_only(checkpoint.active.copy()),
        scores=checkpoint.scores, pixel_baseline=checkpoint.pixel_baseline,
    )  # fmt: skip
