"""Saved models on the command line: evaluate one, compare two images. `lines` describes what is printed."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

import numpy as np

from siamese_core.cli.lines import GROUPS, TITLES, comparison_lines, evaluation_lines
from siamese_core.cli.naming import naming
from siamese_core.datasets import uploaded
from siamese_core.embeddings import few_shot
from siamese_core.embeddings.thresholds import Rule, RuleError, Threshold, choose_threshold, rule_of, threshold_at
from siamese_core.errors import Rejected
from siamese_core.evaluation.report import GroupReport, MetricValues, Progress, Report
from siamese_core.experiment.experiment import Experiment, with_loss
from siamese_core.experiment.settings import SHAPES
from siamese_core.formats import images
from siamese_core.formats.safetensors import MAX_BYTES
from siamese_core.formats.text import shortened
from siamese_core.runs.model import Model, model_of
from siamese_core.runs.model_file import read_model, save_model

if TYPE_CHECKING:
    from siamese_core.evaluation.evaluate import Gallery
    from siamese_core.evaluation.inference import TrainedModel

A_MODEL = "name a .safetensors file"

IMAGES = ("dataset", *SHAPES)
OTHER_IMAGES = ("dataset", "held_out", *SHAPES)
"""The fields by which a model may be evaluated on other images."""

BASELINES = ("precision_at_1", "map_at_r", "auc")
WAYS, SHOTS = 5, 1
NEIGHBOURS = 3
BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}]"


def add_to(commands: Any) -> None:
    """Add `evaluate` and `compare` to the commands of a parser."""
    evaluate = commands.add_parser("evaluate", help="how good a saved model is, and where its threshold should be")
    evaluate.add_argument("model", type=Path, metavar="MODEL", help="a .safetensors file that train --out has written")
    evaluate.add_argument("query", nargs="?", default="", help='other test images: "dataset=mnist_full&held_out=8,9"')
    evaluate.add_argument("--threshold", default="eer", metavar="RULE", help="eer, far=0.01 or costs=10:1:0.5")
    evaluate.add_argument("--group", default="seen", choices=GROUPS, help="the classes that the threshold is chosen on")
    evaluate.add_argument("--save", action="store_true", help="write the threshold into MODEL")
    evaluate.add_argument("--softmax", action="store_true", help="train a softmax classifier to compare with")
    evaluate.add_argument("--json", action="store_true", help="print one JSON object")
    evaluate.set_defaults(run=_evaluate)
    compare = commands.add_parser("compare", help="are two pictures the same, by a saved model?")
    compare.add_argument("model", type=Path, metavar="MODEL", help="a .safetensors file that train --out has written")
    compare.add_argument("images", type=Path, nargs=2, metavar="PICTURE", help="PNG, JPEG, GIF, BMP or WebP")
    compare.add_argument("--threshold", type=float, metavar="VALUE", help="instead of the model's own")
    compare.add_argument("--invert", action="store_true", help="dark on light, where the model knows light on dark")
    compare.add_argument("--json", action="store_true", help="print one JSON object")
    compare.set_defaults(run=_compare)


def _loaded(path: Path) -> TrainedModel:
    from siamese_core.evaluation.inference import load

    with naming(f"MODEL={path}", A_MODEL):
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        return load(read_model(data))


# evaluate


def _evaluate(options: argparse.Namespace) -> int:
    try:
        rule = rule_of(options.threshold)
    except RuleError as error:
        raise Rejected(str(error)) from None
    if options.save and options.query:
        raise Rejected(
            "--save: a threshold is saved with the images that the model was trained on; leave out the query"
        )
    trained = _loaded(options.model)
    if options.softmax and trained.model.experiment.loss == "softmax":
        raise Rejected("--softmax: this model is a softmax classifier itself; leave --softmax out")
    there = _on_other_images(trained, options.query)
    for needed in (there, trained) if options.softmax else (there,):
        _check_images(options.model, needed.model)
    with naming(f"MODEL={options.model}", A_MODEL):
        report = _reported(there)
    threshold = _chosen(report, rule, options.group, there.model)
    softmax = _classifier(trained, options.query) if options.softmax else None
    found = _found(trained.model, there.model, report, threshold, softmax)
    print(json.dumps(found, allow_nan=False) if options.json else "\n".join(evaluation_lines(found)))
    if options.save:
        _save(options.model, trained.model, threshold)
    return 0


def _check_images(path: Path, model: Model) -> None:
    """Raise DatasetMissing where images can be had, Rejected where they were uploaded."""
    if not model.has_images:
        # Where uploaded images are gone, these are the default dataset's.
        model.experiment.data.load()
        raise Rejected(
            f"MODEL={path}: the pictures that it was trained on are not here; evaluate it on others, by a query such "
            'as "dataset=mnist", without --softmax'
        )


def _on_other_images(trained: TrainedModel, query: str) -> TrainedModel:
    """The model on other images of the same shape, or with other classes held out; what is not given stays."""
    if not query:
        return trained
    model, query = trained.model, query.removeprefix("?")
    given = dict(parse_qsl(query, keep_blank_values=True, errors="replace"))
    for name, text in given.items():
        if name not in OTHER_IMAGES:
            raise Rejected(f"{shortened(name)}={shortened(text)}: evaluate takes only {', '.join(OTHER_IMAGES)}")
    is_same = given.get("dataset", model.experiment.dataset) == model.experiment.dataset
    before = [pair for pair in parse_qsl(model.experiment.to_query()) if pair[0] in IMAGES and pair[0] not in given]
    there, ignored = Experiment.from_query(f"{urlencode(before)}&{query}" if is_same else query)
    if ignored:
        raise Rejected(str(ignored[0]))
    data = there.data
    if "dataset" in given and data.shape != model.shape:
        expected, found = ("×".join(map(str, shape)) for shape in (model.shape, data.shape))
        raise Rejected(f"dataset={there.dataset}: the model takes images of {expected}, these are {found}; name others")
    keeps = data.classes == model.classes and "held_out" not in given
    held_out = model.experiment.held_out if keeps else there.held_out
    experiment = replace(model.experiment, held_out=held_out, **{name: getattr(there, name) for name in IMAGES})
    has_images = model.has_images if "dataset" not in given else data.find()
    return replace(trained, model=replace(model, experiment=experiment, classes=data.classes, has_images=has_images))


def _reported(trained: TrainedModel) -> Report:
    """With a progress bar on stderr."""
    from tqdm import tqdm

    from siamese_core.evaluation.evaluate import evaluate

    with tqdm(bar_format=BAR, leave=False) as bar:
        for step in evaluate(trained):
            if isinstance(step, Report):
                return step
            assert isinstance(step, Progress)
            bar.desc, bar.total, bar.n = step.stage, step.total, step.done
            bar.refresh()
    raise AssertionError("an evaluation ends with its report")


def _chosen(report: Report, rule: Rule, group: str, model: Model) -> Threshold | None:
    if group not in report.groups:
        raise Rejected(f"--group={group}: there are fewer than two such classes; it may be: {', '.join(report.groups)}")
    chosen = report.groups[group]
    return choose_threshold(chosen.chosen_on, chosen.reported_on, rule, group, model.is_similarity)


def _classifier(trained: TrainedModel, query: str) -> Mapping[str, MetricValues]:
    """By group, the scores of a softmax classifier that is trained here and now as the model was; empty where its
    training was halted."""
    from tqdm import tqdm

    from siamese_core.evaluation.inference import load
    from siamese_core.training.loop import never, train

    experiment = with_loss(trained.model.experiment, "softmax")
    with tqdm(total=experiment.steps, unit="step", leave=False) as bar:
        for last in train(experiment, wants_frame=never):  # noqa: B007 (what it ends with)
            bar.update()
    if last.halted:
        print(f"--softmax: {last.halted}", file=sys.stderr)
        return {}
    assert last.state is not None, "the last snapshot of a run has its state"
    report = _reported(_on_other_images(load(model_of(experiment, last.state)), query))
    return {name: {score: group.scores[score] for score in BASELINES} for name, group in report.groups.items()}


def _found(
    trained: Model,
    model: Model,
    report: Report,
    threshold: Threshold | None,
    softmax: Mapping[str, MetricValues] | None,
) -> dict[str, Any]:
    """What is printed, as one object or as lines, of a model `trained` on its images, evaluated as `model`."""
    known = {name for c, name in enumerate(trained.classes) if c not in trained.experiment.held_out}
    groups = {}
    for name, group in report.groups.items():
        classes = [model.classes[c] for c in group.classes]
        baselines: dict[str, Any] = {approach: dict(scores) for approach, scores in group.baselines.items()}
        groups[name] = {
            "classes": classes,
            "trained_on": [each for each in classes if each in known],
            "images": len(group.indices),
            "pairs": group.pairs,
            "exact": group.exact,
            "scores": _scores(group),
            "few_shot": _few_shot(report, group),
            "baselines": baselines | ({} if softmax is None else {"softmax": softmax.get(name)}),
            "at_threshold": _at_threshold(model, group, name, threshold),
        }
    return {
        "experiment": model.experiment.to_query(),
        "steps": model.steps,
        "trained_on": any(group["trained_on"] for group in groups.values()),
        "groups": groups,
        "threshold": None if threshold is None else asdict(threshold),
    }


def _scores(group: GroupReport) -> dict[str, dict[str, float | None]]:
    values = dict(group.scores) | ({} if group.summary is None else group.summary._asdict())
    ends = {score: group.score_intervals.get(score, (None, None)) for score in TITLES}
    return {score: {"value": values.get(score), "low": low, "high": high} for score, (low, high) in ends.items()}


def _few_shot(report: Report, group: GroupReport) -> dict[str, Any] | None:
    """Of first inputs, with as many ways as there are classes up to WAYS."""
    in_group = np.isin(report.labels, group.classes)
    labels, rows = report.labels[in_group], report.embeddings[: len(report.labels)][in_group]
    ways = min(WAYS, few_shot.most_ways(labels, SHOTS))
    tried = few_shot.few_shot_accuracy(rows, labels, ways, SHOTS) if ways >= 2 else None
    return None if tried is None else tried._asdict()


def _at_threshold(
    model: Model, group: GroupReport, name: str, threshold: Threshold | None
) -> dict[str, float | None] | None:
    if threshold is None:
        return None
    at = threshold
    if name != threshold.group:
        distance = model.measure.as_distance(threshold.value)
        at = threshold_at(distance, group.reported_on, threshold.rule, name, model.is_similarity)
    # A group may have no pair of one kind.
    return {rate: v if math.isfinite(v := getattr(at, rate)) else None for rate in ("false_accept", "false_reject")}


def _save(path: Path, model: Model, threshold: Threshold | None) -> None:
    if threshold is None:
        raise Rejected(f"--save: too few test images for a threshold, so {path} is as it was; take another --group")
    with naming(f"--save: {path}", "copy the model to where you may write"):
        save_model(path, replace(model, threshold=threshold))


# compare


def _compare(options: argparse.Namespace) -> int:
    if options.threshold is not None and not math.isfinite(options.threshold):
        raise Rejected(f"--threshold={options.threshold}: may be a finite number, such as 0.5")
    trained = _loaded(options.model)
    pair = [_image(path, trained.model) for path in options.images]
    if options.invert:
        pair = [255 - image for image in pair]
    with naming(f"MODEL={options.model}", A_MODEL):
        found = _compared(trained, pair, options.threshold)
    print(json.dumps(found, allow_nan=False) if options.json else "\n".join(comparison_lines(found)))
    return 0


def _image(path: Path, model: Model) -> np.ndarray:
    with naming(str(path), "name a picture"):
        with path.open("rb") as file:
            data = file.read(images.MAX_BYTES + 1)
        square = images.square(images.decode(data), uploaded.RAW_SIDE)
    return uploaded.fitted(square, model.shape)


def _compared(trained: TrainedModel, pair: list[np.ndarray], by_hand: float | None) -> dict[str, Any]:
    from siamese_core.evaluation.compare import compare
    from siamese_core.evaluation.evaluate import Gallery, build_gallery

    model = trained.model
    steps = build_gallery(trained) if model.has_images else ()
    known = next((step for step in steps if isinstance(step, Gallery)), None)
    first, second = (image[None] for image in pair)
    compared = compare(trained, first, second, known)
    value = float(compared["value"][0])
    threshold, source = _judging(model, known, by_hand)
    found: dict[str, Any] = {
        "measure": model.experiment.measure,
        "kind": model.measure.kind,
        "value": value,
        "same": None if threshold is None else bool(model.says_same(value, threshold["value"])),
        "threshold": threshold,
        "threshold_from": source,
        "unlike": None,
        "neighbours": None,
    }
    if known is not None:
        labels = model.experiment.data.load().train_labels
        found["unlike"] = [bool(flag) for flag in compared["unlike"][:, 0]]
        found["neighbours"] = [
            [
                {"class": model.classes[labels[index]], "distance": float(distance)}
                for index, distance in list(zip(near[0], distances[0], strict=True))[:NEIGHBOURS]
            ]
            for near, distances in zip(compared["near"], compared["near_distances"], strict=True)
        ]
    return found


def _judging(model: Model, known: Gallery | None, by_hand: float | None) -> tuple[dict[str, Any] | None, str | None]:
    """The threshold, and where it comes from; of one given by hand, nothing but its value is known without images."""
    if by_hand is not None:
        unknown = dict.fromkeys(field.name for field in fields(Threshold))
        if known is None:
            return unknown | {"value": by_hand, "rule": "hand"}, "hand"
        distance = model.measure.as_distance(by_hand)
        measured = asdict(threshold_at(distance, known.reported_on, "hand", "seen", model.is_similarity))
        measured |= {rate: None for rate in ("false_accept", "false_reject") if not math.isfinite(measured[rate])}
        return measured | {"value": by_hand}, "hand"
    if model.threshold is not None:
        return asdict(model.threshold), "model"
    if known is not None and known.threshold is not None:
        return asdict(known.threshold), "test images"
    return None, None
