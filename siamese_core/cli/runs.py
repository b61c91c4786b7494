"""Runs on the command line: `train`, and `resume` of what `train --out` has begun."""

from __future__ import annotations

import argparse
import json
import math
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np

from siamese_core.cli.naming import WRITABLE, naming
from siamese_core.embeddings.thresholds import EER, Threshold
from siamese_core.errors import Rejected
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.machine import PRECISIONS, Machine, checked
from siamese_core.experiment.snapshot import Snapshot, TrainingState
from siamese_core.formats.safetensors import ModelRejected
from siamese_core.networks.input_transforms import INPUT_TRANSFORMS
from siamese_core.runs.disk_format import MODEL, SAVE_EVERY, Checkpoint, load, locked
from siamese_core.runs.history import MAX_FRAMES, RUN, ScoreHistory
from siamese_core.runs.info import new_info
from siamese_core.runs.model import Model
from siamese_core.runs.writer import RunWriter, write_model

FRAMES = 50
"""A thousand images take about as long to embed as a few steps to train."""


def add_to(commands: Any) -> None:
    """Add `train` and `resume` to the commands of a parser."""
    train = commands.add_parser("train", help="train an experiment and print how good it is")
    train.add_argument("query", nargs="?", default="", help='as in the address bar: "dataset=fashion_mnist&margin=1.0"')
    train.add_argument("--device", default=Machine.device, help="cpu, cuda or mps")
    train.add_argument("--threads", type=int, default=Machine.threads, help="CPU threads; 1 gives reproducible bits")
    train.add_argument("--precision", default=Machine.precision, help=" or ".join(PRECISIONS))
    train.add_argument("--out", type=Path, metavar="DIR", help="write the run there, to go on with and to replay")
    train.set_defaults(run=_train)
    resume = commands.add_parser("resume", help="go on with a run that train --out has begun")
    resume.add_argument("folder", type=Path, metavar="DIR", help="what --out was")
    resume.set_defaults(run=_resume)
    for command in (train, resume):
        command.add_argument("--json", action="store_true", help="print one JSON object")
        command.add_argument(
            "--save-every", type=float, default=SAVE_EVERY, metavar="SECONDS", help="between two saves"
        )
        command.add_argument("--frames", type=int, default=FRAMES, metavar="N", help="of the film, over all steps")


def _train(options: argparse.Namespace) -> int:
    experiment, ignored = Experiment.from_query(options.query)
    if ignored:
        raise Rejected(str(ignored[0]))
    machine = checked(Machine(options.device, options.threads, options.precision))
    experiment.data.load()
    if options.out is None:
        return _report(experiment, _run(experiment, machine), options.json)
    _make_folder(options.out)
    with locked(options.out):
        if (options.out / RUN).exists():
            raise Rejected(
                f"--out={options.out}: holds a run; go on with: resume {options.out}, or name another folder"
            )
        return _record(options.out, experiment, machine, None, options)


def _resume(options: argparse.Namespace) -> int:
    with locked(options.folder):
        checkpoint = load(options.folder)
        if checkpoint.finished and (options.folder / MODEL).is_file():
            raise Rejected(f"{options.folder}: this run is finished; its model is {options.folder / MODEL}")
        checkpoint.experiment.data.load()
        if checkpoint.finished:
            # Only its model is missing.
            with naming(f"--out={options.folder}", WRITABLE):
                write_model(options.folder, checkpoint, _threshold_of)
            return 0
        return _record(options.folder, checkpoint.experiment, checked(checkpoint.machine), checkpoint, options)


def _record(
    folder: Path, experiment: Experiment, machine: Machine, checkpoint: Checkpoint | None, options: argparse.Namespace
) -> int:
    """Train from where a run was saved last, and write into its folder where it is, and its model."""
    if not 1 <= options.frames <= MAX_FRAMES:
        raise Rejected(f"--frames={options.frames}: may be a whole number from 1 to {MAX_FRAMES}")
    recorder = _Recorder(folder, experiment, machine, checkpoint, options)
    last = _run(experiment, machine, recorder)
    with naming(f"--out={folder}", WRITABLE):
        recorder.end(last)
    return _report(experiment, last, options.json)


class _Recorder:
    """Gathers what a run in a folder has come to, and says what of its next step is wanted."""

    def __init__(
        self,
        folder: Path,
        experiment: Experiment,
        machine: Machine,
        checkpoint: Checkpoint | None,
        options: argparse.Namespace,
    ) -> None:
        from siamese_core.training.eval_subset import pixels_map_at_r

        self._experiment, self._machine, self._warned = experiment, machine, False
        self.state = checkpoint.state if checkpoint is not None else None
        self._step = self.state.step if self.state is not None else 0
        self._loss = checkpoint.loss.tolist() if checkpoint is not None else []
        self._active = checkpoint.active.tolist() if checkpoint is not None else []
        self._scores: ScoreHistory = checkpoint.scores if checkpoint is not None else []
        self._pixel_baseline = checkpoint.pixel_baseline if checkpoint is not None else pixels_map_at_r(experiment)
        self._gap = math.ceil(experiment.steps / options.frames)
        info = new_info(experiment, machine, step=self._step)
        self._writer = RunWriter(folder, info, _transformed, options.save_every, threshold_of=_threshold_of)
        with suppress(OSError):
            self._writer.write_info()

    def wants_frame(self) -> bool:
        """Return whether the next step is to have a frame; called once a step."""
        self._step += 1
        return self._step == 1 or self._step % self._gap == 0

    def wants_state(self) -> bool:
        return self._writer.is_due()

    def add(self, snapshot: Snapshot) -> None:
        """Record a step; the last one is saved by `end`."""
        if not snapshot.halted:
            self._loss.append(snapshot.loss)
            self._active.append(snapshot.active)
        if snapshot.frame is not None:
            self._scores.append((snapshot.step, dict(snapshot.frame.metrics)))
            self._writer.add(snapshot.step, snapshot.frame)
        if snapshot.state is not None and not snapshot.halted and snapshot.step < self._experiment.steps:
            self._save(snapshot.state, "running", "")

    def end(self, last: Snapshot) -> None:
        """Write the run's model and its last state. Raises OSError."""
        assert last.state is not None, "the last snapshot of a run has its state"
        self._save(last.state, "halted" if last.halted else "finished", last.halted or "")

    def _save(self, state: TrainingState, status: str, message: str) -> None:
        loss, active = np.array(self._loss, np.float32), np.array(self._active, np.float32)
        checkpoint = Checkpoint(
            self._experiment, self._machine, state, loss, active, self._scores, self._pixel_baseline
        )
        self._writer.save(checkpoint, status, message)
        if self._writer.problem and not self._warned:
            print(self._writer.problem, file=sys.stderr)
            self._warned = True


def _transformed(input_transform: str, images: np.ndarray) -> np.ndarray:
    import torch

    second: np.ndarray = INPUT_TRANSFORMS[input_transform].fn(torch.tensor(images)).numpy()
    return second


def _report(experiment: Experiment, last: Snapshot, as_json: bool) -> int:
    """Print what a run has come to, and return the exit status."""
    metrics = dict(last.frame.metrics) if last.frame else {}
    if as_json:
        result = {
            "experiment": experiment.to_query(),
            "steps": last.step,
            "images": last.images,
            "seconds": round(last.seconds, 3),
            "metrics": metrics,
        }
        print(json.dumps(result, allow_nan=False))
    else:
        print(f"{last.step} steps, {last.images} images, {last.seconds:.1f} s of training")
        print(f"{'on test images':16}{'seen':>10}{'held out':>10}")
        for name, by_group in metrics.items():
            shown = ("–" if value is None else f"{value:.3f}" for value in by_group.values())
            print(f"{name:16}{''.join(f'{text:>10}' for text in shown)}")
    if last.halted:
        print(last.halted, file=sys.stderr)
    return 1 if last.halted else 0


def _run(experiment: Experiment, machine: Machine, recorder: _Recorder | None = None) -> Snapshot:
    """The last snapshot, with a progress bar on stderr."""
    from tqdm import tqdm

    from siamese_core.training.loop import never, train

    state = recorder.state if recorder is not None else None
    wanted: Any = {"wants_frame": never}
    if recorder is not None:
        wanted = {"wants_frame": recorder.wants_frame, "wants_state": recorder.wants_state}
    with tqdm(total=experiment.steps, initial=state.step if state else 0, unit="step") as bar:
        for last in train(experiment, machine=machine, state=state, **wanted):
            bar.set_postfix(loss=f"{last.loss:.4g}", refresh=False)
            bar.update()
            if recorder is not None:
                recorder.add(last)
    return last


def _make_folder(folder: Path) -> None:
    """Make sure, before the training, which may take hours, that a model can be written at its end."""
    if folder.exists() and not folder.is_dir():
        raise Rejected(f"--out={folder}: is a file; name a folder")
    if (folder / MODEL).is_dir():
        raise Rejected(f"--out={folder}: holds a folder named {MODEL}; name another folder")
    with naming(f"--out={folder}", WRITABLE):
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass


def _threshold_of(model: Model) -> Threshold | None:
    """The threshold at the equal error rate, on the classes that were trained on."""
    from siamese_core.evaluation.evaluate import threshold_of
    from siamese_core.evaluation.inference import load

    with suppress(ModelRejected):
        return threshold_of(load(model), EER, "seen")
    return None
