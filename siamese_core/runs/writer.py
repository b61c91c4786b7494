"""Writes one run as it goes, on the command line and on the server."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from siamese_core.experiment.snapshot import Frame
from siamese_core.formats.files import write_whole
from siamese_core.runs.folder import (
    SAVE_AT_LEAST_EVERY,
    SAVE_EVERY,
    SAVE_SHARE,
    Checkpoint,
    eval_images_of,
    rewind,
    save,
    write_eval_images,
)
from siamese_core.runs.history import EVAL_IMAGES, gap_of
from siamese_core.runs.info import RECORD, RunInfo, packed_info

NOT_SAVED = "Not saved: {why}. The training goes on."


class RunWriter:
    """For a folder that the caller has locked. A full disk stops nothing: `problem` says so until it is over."""

    def __init__(
        self,
        folder: Path,
        info: RunInfo,
        viewed: Callable[[str, np.ndarray], np.ndarray],
        every: float = SAVE_EVERY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder, self.info, self.problem = folder, info, ""
        self._viewed, self._every, self._clock = viewed, every, clock
        self._frames: list[tuple[int, Frame]] = []
        self._gap = gap_of(info.total)
        self._next_frame = info.step + 1
        self._due = clock() + every
        rewind(folder, info.step)

    def is_due(self) -> bool:
        return self._clock() >= self._due

    def wants(self, step: int) -> bool:
        """Whether a frame of this step belongs into the film."""
        return step >= self._next_frame

    def add(self, step: int, frame: Frame) -> None:
        """A frame, kept until the next save; dropped where the film has one nearby. The last step's always counts."""
        is_new = not self._frames or step > self._frames[-1][0]
        if is_new and (step >= self.info.total or self.wants(step)):
            self._frames.append((step, replace(frame, metrics={})))
            self._next_frame = (step // self._gap + 1) * self._gap

    def save(self, saved: Checkpoint, **changes: Any) -> None:
        """The run as it is now, and what of its record has changed."""
        begun = self._clock()
        step = saved.state.step
        frames = [(at, frame) for at, frame in self._frames if at <= step]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / EVAL_IMAGES).exists():
                of = saved.experiment
                write_eval_images(self.folder, eval_images_of(of.data, of.view, of.branches, self._viewed))
                # Once a run: it says nothing of how long the next save takes.
                begun = self._clock()
            save(self.folder, saved, frames)
            self._frames = self._frames[len(frames) :]
            seconds = float(saved.state.tensors["counters"][1])
            scores = saved.scores[-1][1] if saved.scores else {}
            self._write(step=step, seconds=seconds, scores=scores, **changes)
            self.problem = ""
        except OSError as error:
            self.problem = NOT_SAVED.format(why=error.strerror or error)
        now = self._clock()
        self._due = now + max(self._every, min((now - begun) / SAVE_SHARE, SAVE_AT_LEAST_EVERY))

    def note(self, **changes: Any) -> None:
        """Only the record changes."""
        try:
            self._write(**changes)
            self.problem = ""
        except OSError as error:
            self.problem = NOT_SAVED.format(why=error.strerror or error)

    def put_off(self) -> None:
        """Not due again at once."""
        self._due = self._clock() + self._every

    def _write(self, **changes: Any) -> None:
        self.info = replace(self.info, updated=time.time(), **changes)
        write_whole(self.folder / RECORD, packed_info(self.info))
