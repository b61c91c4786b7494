"""A run on disk. Every file is whole or not there, and one process at a time writes.

run.safetensors     with all that it takes to resume: settings, losses, scores, state; replaced at each save
frames/….safetensors  the frames since the save before it, named by their first step
probe.safetensors   the images of the eval subset, small, and their classes
run.json            what a list of runs shows (`info`)
model.safetensors   when the run has ended
lock                held by whoever writes
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from siamese_core.datasets import Dataset, select_eval_subset
from siamese_core.datasets.atlas import reduced
from siamese_core.errors import Rejected, reason
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.machine import Machine
from siamese_core.experiment.snapshot import Frame, Scores, TrainingState
from siamese_core.formats.files import PART, write_atomic
from siamese_core.formats.safetensors import Damaged, packed, unpacked
from siamese_core.runs import history
from siamese_core.runs.history import EVAL_IMAGES, FRAMES, RUN, SUFFIX, EvalImages, RunHistory, ScoreHistory
from siamese_core.runs.info import is_count, is_groups, is_machine, is_query, is_scores

SCHEMA = 1

MODEL, LOCK = "model.safetensors", "lock"

SAVE_EVERY = 2.0
"""Seconds of training that are lost at most when a process is killed, as long as saving is quick."""

SAVE_SHARE = 0.01
"""What a save may take of the time until the next one: large networks are saved less often. The first one comes early,
so from the second on saving takes less than twice this share of a run."""

SAVE_AT_LEAST_EVERY = 120.0
"""Seconds, however slow the disk is."""

TENSOR = "state/"
COUNTERS = f"{TENSOR}counters"

THUMBNAIL = 32
"""Pixels a side at most."""


class FolderRejected(Rejected):
    """A run on disk cannot be used."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A run as it was saved last. `loss`, `active` (S,): those of every step up to the state's."""

    experiment: Experiment
    machine: Machine
    state: TrainingState
    loss: np.ndarray
    active: np.ndarray
    scores: ScoreHistory
    pixel_baseline: Scores | None = None

    @property
    def finished(self) -> bool:
        return self.state.step >= self.experiment.steps


def save(folder: Path, checkpoint: Checkpoint, frames: Sequence[tuple[int, Frame]] = ()) -> None:
    """Replace the run, and add the (step, frame)s since the last save. Raises OSError, the run as it was."""
    # First the frames: those of a save that got no further lie beyond the state, and are left out by who reads.
    if frames:
        (folder / FRAMES).mkdir(exist_ok=True)
        write_atomic(folder / FRAMES / f"{frames[0][0]:09d}{SUFFIX}", history.packed_film(history.film_of(frames)))
    write_atomic(folder / RUN, packed_run(checkpoint))


def packed_run(checkpoint: Checkpoint) -> bytes:
    """Return the content of run.safetensors."""
    meta = {
        "schema": SCHEMA, "experiment": checkpoint.experiment.to_query(), "machine": asdict(checkpoint.machine),
        "step": checkpoint.state.step, "steps": checkpoint.experiment.steps, "scores": checkpoint.scores,
        "pixels": checkpoint.pixel_baseline,
    }  # fmt: skip
    tensors = {f"{TENSOR}{name}": array for name, array in checkpoint.state.tensors.items()}
    return packed(meta, {"loss": checkpoint.loss, "active": checkpoint.active, **tensors})


def load(folder: Path, name: str = "") -> Checkpoint:
    """Read a run. Raises FolderRejected for one that is torn, foreign, of another version, or whose images are gone.

    Messages begin with `name`, or with the path of the folder.
    """
    name = name or str(folder)
    meta, arrays = _run_of(_read(folder, RUN, name), name)
    experiment, ignored = Experiment.from_query(meta["experiment"])
    if ignored:
        raise FolderRejected(f"{name}: {ignored[0]}")
    if f"{TENSOR}generator" not in arrays or meta["steps"] != experiment.steps:
        raise FolderRejected(f"{name}: its {RUN} has nothing to go on from; train the run again")
    tensors = {name.removeprefix(TENSOR): array for name, array in arrays.items() if name.startswith(TENSOR)}
    return Checkpoint(
        experiment, Machine(**meta["machine"]), TrainingState(meta["step"], tensors), arrays["loss"], arrays["active"],
        meta["scores"], meta["pixels"],
    )  # fmt: skip


def rewind(folder: Path, step: int) -> None:
    """Delete frames beyond the step that a run resumes from: they will be made again; and what a kill left half."""
    for path in (folder / FRAMES).glob(f"*{SUFFIX}"):
        if not path.stem.isdecimal() or int(path.stem) > step:
            path.unlink()
    for folder_of_files in (folder, folder / FRAMES):
        for path in folder_of_files.glob(f"*{PART}"):
            path.unlink(missing_ok=True)


def files_of(folder: Path, name: str = "") -> dict[str, bytes]:
    """Return name → content of what `run_history_of` reads. Raises FolderRejected, which begins as that of `load`."""
    frames = (f"{FRAMES}{path.name}" for path in sorted((folder / FRAMES).glob(f"*{SUFFIX}")))
    return {file: _read(folder, file, name or str(folder)) for file in (RUN, EVAL_IMAGES, *frames)}


def run_history_of(files: Mapping[str, bytes], name: str) -> RunHistory:
    """Return what the files of a run show; they may come from anybody. Raises FolderRejected with `name`."""
    missing = [kind for kind in (RUN, EVAL_IMAGES) if kind not in files]
    if missing:
        raise FolderRejected(f"{name}: {missing[0]} is missing; choose all files of a run's folder")
    meta, arrays = _run_of(files[RUN], name)
    try:
        eval_images = history.read_eval_images(files[EVAL_IMAGES])
        parts = [history.read_film(content) for part, content in sorted(files.items()) if part.startswith(FRAMES)]
        film = history.joined(parts, meta["step"])
        if len(film) and film.embeddings.shape[1] != len(eval_images.labels):
            raise Damaged
    except Damaged:
        raise FolderRejected(f"{name}: its pictures are damaged; train the run again") from None
    images, seconds, _ = arrays[COUNTERS].tolist()
    return RunHistory(
        meta["experiment"], meta["steps"], meta["step"], int(images), seconds, eval_images, film,
        # Copies: a view would keep the whole file in memory, with all weights.
        arrays["loss"].copy(), arrays["active"].copy(), meta["scores"], meta["pixels"],
    )  # fmt: skip


def eval_images_of(
    dataset: Dataset,
    input_transform: str,
    branches: int,
    transform: Callable[[str, np.ndarray], np.ndarray],
    side: int = THUMBNAIL,
) -> EvalImages:
    """Return the points of every frame of a run; `transform(input_transform, images)` shows images as second inputs.

    Raises DatasetMissing.
    """
    images = dataset.load()
    chosen = select_eval_subset(images)
    shown = images.test_images[chosen]
    if branches == 2:
        shown = np.concatenate([shown, shown if input_transform == "none" else transform(input_transform, shown)])
    labels = np.tile(images.test_labels[chosen].astype(np.int32), branches)
    return EvalImages(dataset.classes, labels, reduced(shown, side), branches)


def _read(folder: Path, file: str, name: str) -> bytes:
    try:
        return (folder / file).read_bytes()
    except OSError as error:
        raise FolderRejected(
            f"{name}: holds no run ({reason(error)}); name a folder that train --out has written"
        ) from None


def _run_of(content: bytes, name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Meta and arrays, each of its kind."""
    damaged = f"{name}: its {RUN} is damaged; train the run again"
    try:
        meta, arrays = unpacked(content)
    except Damaged:
        raise FolderRejected(damaged) from None
    match meta:
        case {"schema": int(schema)} if schema != SCHEMA:
            raise FolderRejected(f"{name}: is of version {schema}, expected {SCHEMA}; update this app")
        case {
            "experiment": query, "machine": machine, "step": step, "steps": steps, "scores": [*scores],
            "pixels": pixels, "schema": int(),
        } if (
            is_query(query) and is_machine(machine) and is_count(step) and is_count(steps) and step <= steps
            and all(_is_entry(entry) for entry in scores) and (pixels is None or is_groups(pixels))
        ):  # fmt: skip
            meta["scores"] = list(map(tuple, scores))
        case _:
            raise FolderRejected(damaged)
    curves = [arrays.get("loss"), arrays.get("active")]
    if not all(values is not None and values.shape == (step,) and values.dtype == np.float32 for values in curves):
        raise FolderRejected(damaged)
    counters = arrays.setdefault(COUNTERS, np.zeros(3))
    if counters.shape != (3,) or counters.dtype != np.float64 or not all(0 <= n < np.inf for n in counters[:2]):
        raise FolderRejected(damaged)
    return meta, arrays


def _is_entry(entry: Any) -> bool:
    match entry:
        case [step, metrics]:
            return is_count(step) and is_scores(metrics)
    return False


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of whoever writes a run; the system releases it when this process ends, however it ends.

    Raises FolderRejected at once where somebody else holds it, or nobody can.
    """
    from filelock import FileLock, Timeout

    # Threads take turns in holding one lock; a lock that outlives its process would be none of the system's.
    lock = FileLock(folder / LOCK, mode=0o600, blocking=False, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise FolderRejected(f"{folder}: another process writes this run; wait for it, or stop it") from None
    except OSError as error:
        raise FolderRejected(f"{folder}: {reason(error)}; name a folder that can be written to") from None
    try:
        yield
    finally:
        lock.release()
