"""What the command line does with a saved model: evaluate it, and compare two pictures by it."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

import numpy as np

from siamese_core import few_shot, images
from siamese_core.datasets import own
from siamese_core.experiment import Experiment, as_classifier
from siamese_core.model import Model, Threshold
from siamese_core.model_file import ModelRejected, read_model, save_model
from siamese_core.model_format import MAX_BYTES
from siamese_core.report import GroupReport, Progress, Report
from siamese_core.settings import SHAPES
from siamese_core.thresholds import Rule, RuleError, chosen, reported, rule_of

if TYPE_CHECKING:
    from siamese_core.trained import Trained

ELSEWHERE = ("dataset", "held_out", *SHAPES)
"""The fields by which a model may be evaluated on other images."""

GROUPS = ("seen", "held_out")
WAYS, SHOTS = 5, 1
NEIGHBOURS = 3


class Refused(Exception):
    """One line for stderr; the exit status is 2."""


def add_to(commands: Any) -> None:
    """Adds `evaluate` and `compare` to the commands of a parser."""
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
    compare.add_argument("pictures", type=Path, nargs=2, metavar="PICTURE", help="PNG, JPEG, GIF, BMP or WebP")
    compare.add_argument("--threshold", type=float, metavar="VALUE", help="instead of the model's own")
    compare.add_argument("--invert", action="store_true", help="dark on light, where the model knows light on dark")
    compare.add_argument("--json", action="store_true", help="print one JSON object")
    compare.set_defaults(run=_compare)


# evaluate


def _evaluate(options: argparse.Namespace) -> int:
    try:
        rule = rule_of(options.threshold)
    except RuleError as error:
        raise Refused(str(error)) from None
    if options.save and options.query:
        raise Refused("--save: a threshold is saved with the images that the model was trained on; leave out the query")
    trained = own_images = _loaded(options.model)
    if options.query:
        trained = _elsewhere(own_images, options.query)
    report = _reported(trained)
    threshold = _chosen(report, rule, options.group, trained.model)
    classifier = _classifier(trained) if options.softmax and trained.model.experiment.loss != "softmax" else {}
    found = _found(trained.model, report, threshold, classifier) | {
        "trained_on": trained.model.classes == own_images.model.classes
    }
    if options.json:
        print(json.dumps(found, allow_nan=False))
    else:
        print("\n".join(_lines(found)))
    if options.save:
        _save(options.model, replace(trained.model, threshold=threshold))
    return 0


def _loaded(path: Path) -> Trained:
    from siamese_core.trained import load

    try:
        if path.stat().st_size > MAX_BYTES:
            raise Refused(f"MODEL={path}: is larger than {MAX_BYTES // 10**6} MB; name a model that this app saved")
        return load(read_model(path.read_bytes()))
    except OSError as error:
        raise Refused(f"MODEL={path}: {error.strerror or error}; name a .safetensors file") from None
    except ModelRejected as rejected:
        raise Refused(f"MODEL={path}: {rejected}") from None


def _elsewhere(trained: Trained, query: str) -> Trained:
    """The model on other images of the same shape; their classes are its own only where they have the same names."""
    given = dict(parse_qsl(query, keep_blank_values=True))
    foreign = [name for name in given if name not in ELSEWHERE]
    if foreign:
        raise Refused(f"{foreign[0]}={given[foreign[0]]}: evaluate takes only {', '.join(ELSEWHERE)}")
    there, ignored = Experiment.from_query(urlencode(given))
    if ignored:
        raise Refused(str(ignored[0]))
    model, data = trained.model, there.data
    if data.shape != model.shape:
        shapes = ["×".join(map(str, shape)) for shape in (model.shape, data.shape)]
        raise Refused(f"dataset={there.dataset}: the model takes images of {shapes[0]}, these are {shapes[1]}")
    if not data.find():
        data.load()
    held_out = there.held_out
    if data.classes == model.classes and "held_out" not in given:
        held_out = model.experiment.held_out
    fields = {name: getattr(there, name) for name in ("dataset", *SHAPES)}
    experiment = replace(model.experiment, held_out=held_out, **fields)
    return replace(trained, model=replace(model, experiment=experiment, classes=data.classes, has_images=True))


def _reported(trained: Trained) -> Report:
    """With a progress bar on stderr."""
    from tqdm import tqdm

    from siamese_core.evaluation import evaluate

    with tqdm(unit="image", leave=False) as bar:
        for step in evaluate(trained):
            if isinstance(step, Progress):
                bar.set_description(step.stage, refresh=False)
                bar.total, bar.n = step.total, step.done
                bar.refresh()
            else:
                return step
    raise AssertionError("an evaluation ends with its report")


def _chosen(report: Report, rule: Rule, group: str, model: Model) -> Threshold | None:
    if group not in report.groups:
        raise Refused(f"--group={group}: there are fewer than two such classes; it may be: {', '.join(report.groups)}")
    looked_at = report.groups[group]
    return chosen(looked_at.chosen_on, looked_at.reported_on, rule, group, model.is_similarity)


def _found(model: Model, report: Report, threshold: Threshold | None, classifier: Mapping[str, Any]) -> dict[str, Any]:
    """What is printed: as one object, or as lines."""
    groups = {}
    for name, group in report.groups.items():
        groups[name] = _scores(report, group, classifier, name)
        if threshold is not None:
            apart = 1 - threshold.value if model.is_similarity else threshold.value
            at = reported(apart, group.reported_on, threshold.rule, name, model.is_similarity)
            groups[name]["at_threshold"] = _finite({"false_accept": at.false_accept, "false_reject": at.false_reject})
    return {
        "experiment": model.experiment.to_query(),
        "steps": model.steps,
        "groups": groups,
        "threshold": None if threshold is None else asdict(threshold),
    }


def _scores(report: Report, group: GroupReport, classifier: Mapping[str, Any], name: str) -> dict[str, Any]:
    summary = {} if group.summary is None else group.summary._asdict()
    scores = {
        score: {
            "value": value,
            "low": group.spread.get(score, (None,))[0],
            "high": group.spread.get(score, (None,))[-1],
        }
        for score, value in (summary | dict(group.scores)).items()
    }
    mine = np.isin(report.labels, group.classes)
    labels, rows = report.labels[mine], report.embeddings[: len(report.labels)][mine]
    ways = min(WAYS, few_shot.most_ways(labels, SHOTS))
    tried = few_shot.few_shot(rows, labels, ways, SHOTS) if ways >= 2 else None
    baselines = {approach: dict(each) for approach, each in group.baselines.items()}
    if classifier:
        metrics = ("precision_at_1", "map_at_r", "auc")
        baselines["softmax"] = {metric: classifier[metric][name] for metric in metrics}
    return {
        "images": len(group.places),
        "pairs": group.pairs,
        "exact": group.exact,
        "scores": scores,
        "few_shot": None if tried is None else tried._asdict(),
        "baselines": baselines,
    }


def _classifier(trained: Trained) -> Mapping[str, Any]:
    """The scores of a softmax classifier of the same settings, trained here and now."""
    from tqdm import tqdm

    from siamese_core.training import never, train

    experiment = as_classifier(trained.model.experiment)
    with tqdm(total=experiment.steps, unit="step", leave=False) as bar:
        found: Mapping[str, Any] = {}
        for step in train(experiment, wants_frame=never):
            bar.update()
            found = step.frame.metrics if step.frame else found
    return found


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    if not found["trained_on"]:
        yield "None of these classes was trained on."
    groups: Mapping[str, Any] = found["groups"]
    yield f"{'':18}" + "".join(f"{name.replace('_', ' '):>26}" for name in groups)
    for score in next(iter(groups.values()))["scores"]:
        cells = (_cell(group["scores"].get(score)) for group in groups.values())
        yield f"{score:18}" + "".join(f"{cell:>26}" for cell in cells)
    tried = [group["few_shot"] for group in groups.values()]
    cells = (
        "–" if t is None else f"{t['ways']}-way {t['shots']}-shot {t['accuracy']:.3f} ({t['low']:.3f}–{t['high']:.3f})"
        for t in tried
    )
    yield f"{'few shot':18}" + "".join(f"{cell:>26}" for cell in cells)
    for name, group in groups.items():
        for approach, scores in group["baselines"].items():
            shown = ", ".join(f"{score} {'–' if v is None else f'{v:.3f}'}" for score, v in scores.items())
            yield f"{name.replace('_', ' ')}, {approach}: {shown}"
        kind = "all" if group["exact"] else "a sample of the"
        yield f"{name.replace('_', ' ')}: {group['images']:,} test images, {kind} {group['pairs']:,} pairs"
    threshold = found["threshold"]
    if threshold is None:
        yield "threshold: too few test images to choose one on one half and measure it on the other"
        return
    yield (
        f"threshold {threshold['value']:.4g} ({threshold['rule']}, chosen on one half of the test images of "
        f"{threshold['group'].replace('_', ' ')} classes)"
    )
    for name, group in groups.items():
        at = group["at_threshold"]
        rates = ", ".join(f"{rate.replace('_', ' ')} {'–' if v is None else f'{v:.2%}'}" for rate, v in at.items())
        yield f"on the other half, {name.replace('_', ' ')}: {rates}"


def _cell(score: Mapping[str, float | None] | None) -> str:
    if score is None or score["value"] is None:
        return "–"
    ends = "" if score["low"] is None else f" ({score['low']:.3f}–{score['high']:.3f})"
    return f"{score['value']:.3f}{ends}"


def _save(path: Path, model: Model) -> None:
    try:
        save_model(path, model)
    except OSError as error:
        raise Refused(f"--save: {path}: {error.strerror or error}; copy the model to where you may write") from None


# compare


def _compare(options: argparse.Namespace) -> int:
    trained = _loaded(options.model)
    pair = [_picture(path, trained.model) for path in options.pictures]
    if options.invert:
        pair = [255 - picture for picture in pair]
    found = _compared(trained, pair, options.threshold)
    print(json.dumps(found, allow_nan=False) if options.json else "\n".join(_said(found)))
    return 0


def _picture(path: Path, model: Model) -> np.ndarray:
    try:
        with path.open("rb") as file:
            data = file.read(images.MAX_BYTES + 1)
        square = images.square(images.decode(data), own.RAW_SIDE)
    except OSError as error:
        raise Refused(f"{path}: {error.strerror or error}; name a picture") from None
    except images.ImageRejected as rejected:
        raise Refused(f"{path}: {rejected.sentence}") from None
    return own.fitted(square, model.shape)


def _compared(trained: Trained, pair: list[np.ndarray], by_hand: float | None) -> dict[str, Any]:
    from siamese_core.comparing import NEIGHBOURS as SEARCHED
    from siamese_core.comparing import compare
    from siamese_core.evaluation import Reference, reference

    model = trained.model
    steps = reference(trained) if model.has_images else ()
    known = next((step for step in steps if isinstance(step, Reference)), None)
    first, second = (picture[None] for picture in pair)
    answer = compare(trained, first, second, known)
    value = float(answer["value"][0])
    threshold = model.threshold or (known.threshold if known is not None else None)
    if by_hand is not None and known is not None:
        apart = 1 - by_hand if model.is_similarity else by_hand
        threshold = reported(apart, known.reported_on, "hand", "seen", model.is_similarity)
    at = by_hand if by_hand is not None else threshold.value if threshold is not None else None
    found: dict[str, Any] = {
        "similarity" if model.is_similarity else "distance": value,
        "threshold": at,
        "same": None if at is None else bool(model.says_same(value, at)),
        "false_accept": None, "false_reject": None, "unlike": None, "neighbours": None,
    }  # fmt: skip
    if threshold is not None and threshold.value == at:
        found |= _finite({"false_accept": threshold.false_accept, "false_reject": threshold.false_reject})
    if known is not None:
        labels = model.experiment.data.load().train_labels
        found["unlike"] = [bool(flag) for flag in answer["unlike"][:, 0]]
        found["neighbours"] = [
            [
                {"class": model.classes[labels[place]], "distance": float(distance)}
                for place, distance in zip(near[0], distances[0], strict=True)
            ][: min(NEIGHBOURS, SEARCHED)]
            for near, distances in zip(answer["near"], answer["near_distances"], strict=True)
        ]
    return found


def _said(found: Mapping[str, Any]) -> Iterator[str]:
    name = "similarity" if "similarity" in found else "distance"
    yield f"{name} {found[name]:.4g}"
    if found["same"] is None:
        yield "no verdict: the model has no threshold; choose one with evaluate MODEL --save"
    else:
        yield f"{'the same' if found['same'] else 'different'}, at the threshold {found['threshold']:.4g}"
    if found["false_accept"] is not None:
        yield f"false accepts {found['false_accept']:.2%}, false rejects {found['false_reject']:.2%} of test pairs"
    for which, unlike in zip(("first", "second"), found["unlike"] or (), strict=False):
        if unlike:
            yield f"the {which} picture is unlike everything that the model was trained on: do not trust this"
    for which, near in zip(("first", "second"), found["neighbours"] or (), strict=False):
        listed = ", ".join(f"{each['class']} ({each['distance']:.3g})" for each in near)
        yield f"the {which} is most like: {listed}"
