"""A trained network on disk: safetensors, with all that is needed to use it in its metadata.

A file that somebody uploads is not to be trusted: `formats.safetensors` reads its tensors, and here is checked what it
says of itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np

from siamese_core.datasets import Dataset, DatasetMissing, find_uploaded, is_uploaded
from siamese_core.datasets.uploaded import GONE
from siamese_core.embeddings.thresholds import RuleError, Threshold, rule_of
from siamese_core.experiment.experiment import Experiment
from siamese_core.formats import safetensors
from siamese_core.formats.files import write_atomic
from siamese_core.formats.safetensors import AGAIN, ModelRejected, is_finite, is_int, is_number, refuse, shown, sizes
from siamese_core.formats.text import shortened
from siamese_core.runs.model import Model

__all__ = ["ModelRejected", "packed", "read_model", "save_model"]

SCHEMA_VERSION = 1

MAX_QUERY = 4_000
MAX_CLASSES, MAX_CLASS_NAME = 10_000, 100
MIN_SIDE, MAX_SIDE = 8, 256
MIN_STD = 1e-9
"""Of pixels from 0 to 1. Two thousand large images that differ in one pixel, by one grey level, have more."""
MAX_STEPS = 10**9

KEYS = {
    "experiment": "which experiment made it",
    "schema_version": "by which version of this format it was written",
    "classes": "what its classes are",
    "normalisation": "how its images were normalised",
    "steps": "after how many steps it was saved",
}


def packed(model: Model) -> bytes:
    """Return the file: the network's tensors, and under "head." those of the loss's head."""
    metadata = {
        "schema_version": str(SCHEMA_VERSION),
        "experiment": model.experiment.to_query(),
        "classes": _written(model.classes),
        "normalisation": _written({"mean": model.mean, "std": model.std, "shape": model.shape}),
        "steps": str(model.steps),
    }
    if model.threshold is not None:
        metadata["threshold"] = _written(asdict(model.threshold))
    return safetensors.packed_tensors(model.tensors, metadata)


def save_model(path: Path, model: Model) -> None:
    """Write the file, whole or not at all. Raises OSError."""
    write_atomic(path, packed(model))


def read_model(data: bytes, uploaded_sets: Collection[str] = ()) -> Model:
    """Return the model in a file that nobody has checked; its tensors are read-only views of `data`.

    `uploaded_sets`: the keys of the sets that the reader has uploaded. Of a model of any other such set no more is
    given than what is in the file: it has no images, and its experiment names none. Whether the tensors are those of
    the experiment's network is for `architecture.check_architecture` to say. Raises ModelRejected.
    """
    header, start = safetensors.read_header(data)
    metadata = _metadata(header.pop("__metadata__", None))
    infos = safetensors.read_infos(header, len(data) - start)
    experiment, dataset = _experiment(metadata["experiment"], uploaded_sets)
    classes = _classes(metadata["classes"])
    shape, mean, std = _normalisation(metadata["normalisation"])
    if dataset is not None:
        _compare(dataset, classes, shape, mean, std)
    steps = _steps(metadata["steps"])
    threshold = _threshold(metadata["threshold"]) if "threshold" in metadata else None
    tensors = {name: _finite(name, safetensors.read_array(info, data, start)) for name, info in infos.items()}
    has_images = dataset is not None and dataset.find()
    return Model(experiment, classes, shape, mean, std, steps, tensors, has_images, threshold)


def _finite(name: str, array: np.ndarray) -> np.ndarray:
    if not np.isfinite(array).all():
        refuse(f"holds numbers that are not finite (NaN) in {shown(name)}: train again, with a smaller learning rate")
    return array


# What it says of itself


def _metadata(found: Any) -> dict[str, str]:
    given = found if isinstance(found, dict) and all(isinstance(text, str) for text in found.values()) else {}
    for key, what in KEYS.items():
        if not given.get(key):
            refuse(f"does not say {what} (no {key} in its metadata): only a model that this app saved can be used")
    if given["schema_version"] != str(SCHEMA_VERSION):
        found_version = shown(given["schema_version"])
        refuse(f"is of version {found_version} of this format, expected {SCHEMA_VERSION}: update this app, or {AGAIN}")
    return given


def _experiment(query: str, uploaded_sets: Collection[str]) -> tuple[Experiment, Dataset | None]:
    """The experiment and its images, which are None, and not named, where they are not the reader's."""
    if len(query) > MAX_QUERY or not (query.isascii() and query.isprintable()):
        refuse(f"has an experiment that is no link of this app of at most {MAX_QUERY:,} characters: {AGAIN}")
    named = [value for name, value in _pairs(query) if name == "dataset"]
    is_others = (
        len(named) == 1 and is_uploaded(named[0]) and not (named[0] in uploaded_sets and find_uploaded(named[0]))
    )
    if is_others:
        parts = query.removeprefix("?").split("&")
        query = "&".join(part for part in parts if not {name for name, _ in _pairs(part)} & {"dataset", "held_out"})
    experiment, ignored = Experiment.from_query(query)
    try:
        dataset = None if is_others else experiment.data
    except DatasetMissing:
        return _experiment(query, ())
    # Images may be deleted at any moment, also since they were found a few lines above.
    if uploaded_sets and any(problem.why == GONE for problem in ignored):
        return _experiment(query, ())
    if ignored:
        refuse(f"has an experiment that cannot be used ({ignored[0]}): {AGAIN}")
    return experiment, dataset


def _pairs(query: str) -> list[tuple[str, str]]:
    """As `Experiment.from_query` reads them."""
    return parse_qsl(query.removeprefix("?"), keep_blank_values=True, errors="replace")


def _classes(text: str) -> tuple[str, ...]:
    names = _read_metadata("classes", text)
    if not isinstance(names, list) or not 2 <= len(names) <= MAX_CLASSES:
        refuse(f"has the classes {shown(names)}, expected a list of 2 to {MAX_CLASSES:,} names: {AGAIN}")
    for name in names:
        if not (isinstance(name, str) and len(name) <= MAX_CLASS_NAME and name.isprintable() and name.strip()):
            refuse(
                f"has a class named {shown(name)}, expected at most {MAX_CLASS_NAME} printable characters: rename it, "
                "train again and save the model"
            )
    return tuple(names)


def _normalisation(text: str) -> tuple[tuple[int, int, int], float, float]:
    found = _read_metadata("normalisation", text)
    match found:
        case {"shape": [channels, height, width], "mean": mean, "std": std} if len(found) == 3:
            pass
        case _:
            refuse(f"has the normalisation {shown(found)}, expected a mean, a std and a shape of 3 numbers: {AGAIN}")
    sides_fit = all(is_int(n) and MIN_SIDE <= n <= MAX_SIDE for n in (height, width))
    if not (is_int(channels) and channels in (1, 3) and sides_fit):
        refuse(
            f"has images of the shape {shown([channels, height, width])}, expected 1 or 3 channels and {MIN_SIDE} to "
            f"{MAX_SIDE} pixels a side: {AGAIN}"
        )
    for name, value, low in (("mean", mean, 0), ("std", std, MIN_STD)):
        if not (is_number(value) and low <= value <= 1):
            refuse(f"has the {name} {shown(value)}, expected a number from {low:g} to 1: {AGAIN}")
    return (channels, height, width), float(mean), float(std)


def _compare(dataset: Dataset, classes: tuple[str, ...], shape: tuple[int, int, int], mean: float, std: float) -> None:
    """A model is used with the images of its dataset: it must have been trained on the same."""
    title = f"“{shortened(dataset.title)}”"
    remedy = "train again on it and save the model"
    if len(classes) != len(dataset.classes):
        refuse(f"has {len(classes):,} classes, expected the {len(dataset.classes):,} of {title}: {remedy}")
    for found, expected in zip(classes, dataset.classes, strict=True):
        if found != expected:
            refuse(f"has a class {shown(found)}, expected {shown(expected)} as in {title}: {remedy}")
    if shape != tuple(dataset.shape):
        refuse(f"is for images of {sizes(shape)}, expected {sizes(dataset.shape)} as in {title}: {remedy}")
    for name, found_number, known in (("mean", mean, dataset.mean), ("std", std, dataset.std)):
        if abs(found_number - known) > 1e-6:
            refuse(f"has the {name} {found_number:.7g}, expected {known:.7g} as of {title}: {remedy}")


def _steps(text: str) -> int:
    if not re.fullmatch("[0-9]{1,10}", text) or int(text) > MAX_STEPS:
        refuse(f"has the steps {shown(text)}, expected a whole number from 0 to {MAX_STEPS:,}: {AGAIN}")
    return int(text)


def _is_rule(rule: Any) -> bool:
    if rule == "hand":
        return True
    try:
        return isinstance(rule, str) and bool(rule_of(rule))
    except RuleError:
        return False


THRESHOLD: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "value": ("a finite number", is_finite),
    "rule": ("eer, hand, far=0.01 or costs=10:1:0.5 (with numbers of its own)", _is_rule),
    "group": ("seen or held_out", lambda v: v in ("seen", "held_out")),
    **dict.fromkeys(("false_accept", "false_reject"), ("a number from 0 to 1", lambda v: is_number(v) and 0 <= v <= 1)),
    **dict.fromkeys(("different", "same"), ("a whole number from 0", lambda v: is_int(v) and 0 <= v < 2**53)),
}
"""The fields of a threshold: what each may be, in words and as a rule."""


def _threshold(text: str) -> Threshold:
    found = _read_metadata("threshold", text)
    if not isinstance(found, dict) or set(found) != set(THRESHOLD):
        refuse(f"has the threshold {shown(found)}, expected {', '.join(THRESHOLD)}: {AGAIN}")
    for name, (expected, fits) in THRESHOLD.items():
        if not fits(found[name]):
            refuse(f"has a threshold whose {name} is {shown(found[name])}, expected {expected}: {AGAIN}")
    rates = {name: float(found[name]) for name in ("value", "false_accept", "false_reject")}
    return Threshold(**found | rates)


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _read_metadata(key: str, text: str) -> Any:
    try:
        return safetensors.read_json(text)
    except ValueError as error:
        refuse(f"has damaged {key} in its metadata, expected JSON ({shortened(str(error))}): {AGAIN}")
