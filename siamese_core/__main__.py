"""The same thing without a browser: python -m siamese_core train | resume | evaluate | compare | losses | datasets."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile

from siamese_core.datasets import DATASETS, DatasetMissing
from siamese_core.experiment import Experiment, ExperimentError
from siamese_core.losses import LOSSES
from siamese_core.machine import PRECISIONS, Machine, MachineError, checked
from siamese_core.model_commands import Refused, add_to
from siamese_core.model_format import ModelRejected
from siamese_core.run_folder import SAVE_EVERY, STATE, FolderRejected, Keeper, Saved, load, locked
from siamese_core.snapshot import Snapshot

MODEL = "model.safetensors"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise Refused(message)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where all went well, 2 for bad input, 1 for a run that ended early, 130 for Ctrl-C."""
    try:
        options = _parser().parse_args(arguments)
        return int(options.run(options))
    except (Refused, ExperimentError, MachineError, DatasetMissing, ModelRejected, FolderRejected) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m siamese_core", description=__doc__)
    commands = parser.add_subparsers(
        required=True, metavar="train|resume|evaluate|compare|losses|datasets", parser_class=_Parser
    )
    train = commands.add_parser("train", help="train an experiment and print how good it is")
    train.add_argument("query", nargs="?", default="", help='as in the address bar: "dataset=fashion_mnist&margin=1.0"')
    train.add_argument("--device", default=Machine.device, help="cpu, cuda or mps")
    train.add_argument("--threads", type=int, default=Machine.threads, help="CPU threads; 1 gives reproducible bits")
    train.add_argument("--precision", default=Machine.precision, help=" or ".join(PRECISIONS))
    train.add_argument("--json", action="store_true", help="print one JSON object")
    train.add_argument("--out", type=Path, metavar="DIR", help="write DIR/model.safetensors")
    train.set_defaults(run=_train)
    resume = commands.add_parser("resume", help="go on with a run that train --out has begun")
    resume.add_argument("folder", type=Path, metavar="DIR", help="what --out was")
    resume.add_argument("--json", action="store_true", help="print one JSON object")
    resume.set_defaults(run=_resume)
    for command in (train, resume):
        command.add_argument(
            "--save-every", type=float, default=SAVE_EVERY, metavar="SECONDS", help="between two saves"
        )
    add_to(commands)
    for name, catalogue in (("losses", _losses), ("datasets", _datasets)):
        commands.add_parser(name, help=f"list the {name}").set_defaults(run=catalogue)
    return parser


def _train(options: argparse.Namespace) -> int:
    experiment, ignored = Experiment.from_query(options.query)
    if ignored:
        raise Refused(str(ignored[0]))
    machine = checked(Machine(options.device, options.threads, options.precision))
    experiment.data.load()
    if options.out is None:
        return _told(experiment, _run(experiment, machine), options.json)
    _make_folder(options.out)
    with locked(options.out):
        if (options.out / STATE).exists():
            raise Refused(f"--out={options.out}: holds a run; go on with: resume {options.out}, or name another folder")
        return _kept(options.out, experiment, machine, None, options)


def _resume(options: argparse.Namespace) -> int:
    with locked(options.folder):
        saved = load(options.folder)
        if saved.finished and (options.folder / MODEL).is_file():
            raise Refused(f"{options.folder}: this run is finished; its model is {options.folder / MODEL}")
        saved.experiment.data.load()
        return _kept(options.folder, saved.experiment, checked(saved.machine), saved, options)


def _kept(
    folder: Path, experiment: Experiment, machine: Machine, saved: Saved | None, options: argparse.Namespace
) -> int:
    """Trains from where a run was saved last, and keeps in its folder where it is, and its model."""
    keeper = Keeper(folder, experiment, machine, saved, options.save_every)
    last = _run(experiment, machine, keeper)
    _write(experiment, last, folder)
    keeper.end(last)
    return _told(experiment, last, options.json)


def _told(experiment: Experiment, last: Snapshot, as_json: bool) -> int:
    _print_result(experiment, last, as_json)
    if last.halted:
        print(last.halted, file=sys.stderr)
    return 1 if last.halted else 0


def _run(experiment: Experiment, machine: Machine, keeper: Keeper | None = None) -> Snapshot:
    """The last snapshot, with a progress bar on stderr."""
    from tqdm import tqdm

    from siamese_core.training import never, train

    state = keeper.state if keeper is not None else None
    wants_state = keeper.is_due if keeper is not None else never
    with tqdm(total=experiment.steps, initial=state.step if state else 0, unit="step") as bar:
        for last in train(experiment, machine=machine, state=state, wants_frame=never, wants_state=wants_state):
            bar.set_postfix(loss=f"{last.loss:.4g}", refresh=False)
            bar.update()
            if keeper is not None:
                keeper.take(last)
    return last


def _print_result(experiment: Experiment, last: Snapshot, as_json: bool) -> None:
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
        return
    print(f"{last.step} steps, {last.images} images, {last.seconds:.1f} s of training")
    print(f"{'on test images':16}{'seen':>10}{'held out':>10}")
    for name, by_group in metrics.items():
        shown = ("–" if value is None else f"{value:.3f}" for value in by_group.values())
        print(f"{name:16}{''.join(f'{text:>10}' for text in shown)}")


def _make_folder(folder: Path) -> None:
    """Makes sure, before the training, which may take hours, that a model can be written at its end."""
    if folder.exists() and not folder.is_dir():
        raise Refused(f"--out={folder}: is a file; name a folder")
    if (folder / MODEL).is_dir():
        raise Refused(f"--out={folder}: holds a folder named {MODEL}; name another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _not_writable(folder, error) from error


def _write(experiment: Experiment, last: Snapshot, folder: Path) -> None:
    from siamese_core.evaluation import threshold_of
    from siamese_core.model import model_of
    from siamese_core.model_file import save_model
    from siamese_core.thresholds import EER
    from siamese_core.trained import load

    assert last.state is not None, "the last snapshot of a run has its state"
    model = model_of(experiment, last.state)
    with suppress(ModelRejected):
        model = replace(model, threshold=threshold_of(load(model), EER, "seen"))
    try:
        save_model(folder / MODEL, model)
    except OSError as error:
        raise _not_writable(folder, error) from error


def _not_writable(folder: Path, error: OSError) -> Refused:
    return Refused(f"--out={folder}: {error.strerror or error}; name a folder that can be written to")


def _losses(options: argparse.Namespace) -> int:
    for loss in LOSSES.values():
        params = ", ".join(f"{p.name} {p.low:g}–{p.high:g} (default {p.default:g})" for p in loss.params)
        print(f"{loss.key:18}{params or 'no parameters'}; measure: {', '.join(loss.measures)}\n{'':18}{loss.citation}")
    return 0


def _datasets(options: argparse.Namespace) -> int:
    for dataset in DATASETS.values():
        here = "here" if dataset.find() else "not on this machine"
        shape = "×".join(map(str, dataset.shape))
        print(f"{dataset.key:20}{dataset.title}; {len(dataset.classes)} classes, {shape}; {here}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
