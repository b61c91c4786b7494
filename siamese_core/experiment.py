"""An experiment: all that decides what is learnt. One table of fields reads and writes it everywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from siamese_core.datasets import DATASETS
from siamese_core.distances import MEASURES
from siamese_core.fields import ClassesField, Field, FloatField, IntField, one_of
from siamese_core.losses import LOSSES, Loss
from siamese_core.networks import ENCODERS, OUTPUTS
from siamese_core.params import Param
from siamese_core.projection import PROJECTIONS

IMAGES_PER_CLASS = 12
"""K of a P×K batch: twelve images of each of P classes."""

FIELDS: dict[str, Field] = {
    f.name: f
    for f in (
        one_of("dataset", "Dataset", "fashion_mnist", DATASETS, "The images that are learnt from."),
        ClassesField("held_out", "Classes held out", (), "Classes never trained on: do they separate all the same?"),
        one_of("loss", "Loss", "contrastive", LOSSES, "What the network is asked for."),
        one_of("measure", "Distance", "euclidean", MEASURES, "How far apart two embeddings are, or how similar."),
        one_of("encoder", "Encoder", "conv", ENCODERS, "The network that turns an image into an embedding."),
        IntField("embedding_dim", "Embedding dimension", 32, 2, 256, 1, "How many numbers describe an image."),
        one_of("output", "Output", "linear", OUTPUTS, "What is done to the last layer."),
        one_of("shared", "Weights", "true", {"true": "shared"}, "Both inputs pass through one network."),
        one_of(
            "sampling",
            "Sampling",
            "all_pairs",
            {"all_pairs": "all pairs of a P×K batch", "random_pairs": "random pairs, half same, half different"},
            "How the pairs or triplets of a step are drawn.",
        ),
        one_of(
            "labels",
            "Labels",
            "right",
            {"right": "correct", "flipped": "flipped by mistake"},
            "Flipped: what happens when same and different are mixed up.",
        ),
        IntField(
            "train_per_class",
            "Training images of each class",
            0,
            0,
            6000,
            10,
            "Train on the first so many of each class only; 0 takes all.",
        ),
        IntField(
            "batch_size",
            "Batch size",
            120,
            24,
            4096,
            12,
            "Images that pass through the network in one step; with all pairs, at most 12 of each class.",
        ),
        FloatField("learning_rate", "Learning rate", 3e-3, 1e-5, 1.0, 1e-3, "How far one step of Adam moves a weight."),
        IntField("steps", "Steps", 300, 1, 100_000, 50, "Optimiser steps until the run is finished."),
        IntField("seed", "Seed", 0, 0, 2**31 - 1, 1, "The same seed gives the same run, bit for bit."),
        one_of("projection", "Projection", "umap", PROJECTIONS, "How the embedding is drawn on a flat screen."),
    )
}

DEFAULTS: dict[str, Any] = {name: f.default for name, f in FIELDS.items()}
PARAM_NAMES = frozenset(param.name for loss in LOSSES.values() for param in loss.params)


@dataclass(frozen=True)
class Ignored:
    """A field that cannot be used as it is, and why."""

    name: str
    value: str
    why: str

    def __str__(self) -> str:
        return f"{shortened(self.name)}={shortened(self.value)}: {self.why}"


class ExperimentError(ValueError):
    """One sentence that names the field, its value and what it may be."""

    def __init__(self, problem: Ignored) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True)
class Experiment:
    """Raises `ExperimentError` where a field is out of its range or contradicts another.

    `params` holds the loss's own parameters; those left out take their defaults. `measure=""` is the loss's first.
    """

    dataset: str = DEFAULTS["dataset"]
    held_out: tuple[int, ...] = DEFAULTS["held_out"]
    loss: str = DEFAULTS["loss"]
    params: Mapping[str, float] = field(default_factory=dict)
    measure: str = ""
    encoder: str = DEFAULTS["encoder"]
    embedding_dim: int = DEFAULTS["embedding_dim"]
    output: str = DEFAULTS["output"]
    shared: str = DEFAULTS["shared"]
    sampling: str = DEFAULTS["sampling"]
    labels: str = DEFAULTS["labels"]
    train_per_class: int = DEFAULTS["train_per_class"]
    batch_size: int = DEFAULTS["batch_size"]
    learning_rate: float = DEFAULTS["learning_rate"]
    steps: int = DEFAULTS["steps"]
    seed: int = DEFAULTS["seed"]
    projection: str = DEFAULTS["projection"]

    def __post_init__(self) -> None:
        problem = next(_problems(self), None)
        if problem:
            raise ExperimentError(problem)
        loss = LOSSES[self.loss]
        object.__setattr__(self, "measure", self.measure or loss.measures[0])
        object.__setattr__(self, "params", {p.name: float(self.params.get(p.name, p.default)) for p in loss.params})

    @property
    def images_per_step(self) -> int:
        """Images that one step really takes: a P×K batch ends where the classes do."""
        if self.sampling == "all_pairs":
            return IMAGES_PER_CLASS * min(len(self.seen), self.batch_size // IMAGES_PER_CLASS)
        return self.batch_size

    @property
    def seen(self) -> tuple[int, ...]:
        """The classes that are trained on."""
        return tuple(c for c in range(len(DATASETS[self.dataset].classes)) if c not in self.held_out)

    def to_query(self) -> str:
        """Every field, so that a link means the same when a default changes."""
        pairs: list[tuple[str, str]] = []
        for name, f in FIELDS.items():
            if name != "held_out" or self.held_out:
                pairs.append((name, f.text(getattr(self, name))))
            if name == "loss":
                pairs.extend((p.name, param_field(p).text(self.params[p.name])) for p in LOSSES[self.loss].params)
        return urlencode(pairs, safe=",")

    @classmethod
    def from_query(cls, query: str) -> tuple[Experiment, list[Ignored]]:
        """Never raises: what cannot be used falls back to its default and is named in the list."""
        values, ignored = _read(parse_qsl(query.removeprefix("?"), keep_blank_values=True, errors="replace"))
        while True:
            try:
                return cls(**values), ignored
            except ExperimentError as contradiction:
                ignored.append(contradiction.problem)
                del values[contradiction.problem.name]


def param_field(param: Param) -> FloatField:
    """The field of a loss's own parameter."""
    return FloatField(**vars(param))


def loss_field(loss: Loss, name: str) -> FloatField | None:
    """The field of the parameter `name` of `loss`; None where the loss has no such parameter."""
    return next((param_field(param) for param in loss.params if param.name == name), None)


def _read(pairs: list[tuple[str, str]]) -> tuple[dict[str, Any], list[Ignored]]:
    """The pairs of a query as values, each in its range, and the pairs that are not."""
    ignored: list[Ignored] = []
    last: dict[str, str] = {}
    for name, text in pairs:
        if name in last:
            ignored.append(Ignored(name, last[name], "given more than once, the last one counts"))
        last[name] = text
    loss = LOSSES.get(last.get("loss", ""), LOSSES[DEFAULTS["loss"]])
    params: dict[str, Any] = {}
    values: dict[str, Any] = {"params": params}
    for name, text in last.items():
        known = FIELDS.get(name) or loss_field(loss, name)
        value = known.read(text) if known else None
        why = known.problem(value) if known else _unknown(name, loss)
        if why:
            ignored.append(Ignored(name, text, why))
        else:
            (values if name in FIELDS else params)[name] = value
    return values, ignored


def _problems(experiment: Experiment) -> Iterator[Ignored]:
    """Values out of their range first: only those within can be held against each other."""
    for name, f in FIELDS.items():
        value = getattr(experiment, name)
        why = f.problem(value)
        if why and (name, value) != ("measure", ""):
            yield Ignored(name, str(value), why)
    loss = LOSSES[experiment.loss]
    for name, value in experiment.params.items():
        own = loss_field(loss, name)
        why = own.problem(value) if own else _unknown(name, loss)
        if why:
            yield Ignored(name, str(value), why)
    yield from _contradictions(experiment, loss)


def _contradictions(experiment: Experiment, loss: Loss) -> Iterator[Ignored]:
    classes = len(DATASETS[experiment.dataset].classes)
    held_out = ",".join(map(str, experiment.held_out))
    if any(c >= classes for c in experiment.held_out):
        yield Ignored("held_out", held_out, f"{experiment.dataset} has the classes 0 to {classes - 1}")
    elif classes - len(experiment.held_out) < 2:
        yield Ignored("held_out", held_out, "at least 2 classes must be left to train on")
    if experiment.measure and experiment.measure not in loss.measures:
        may_be = ", ".join(loss.measures)
        yield Ignored("measure", experiment.measure, f"the loss {loss.key} is not defined on it; it may be: {may_be}")
    if experiment.labels == "flipped" and loss.takes in ("logits", "batch"):
        why = f"the loss {loss.key} learns from classes, not from pairs whose label could be flipped; it may be: right"
        yield Ignored("labels", experiment.labels, why)
    if experiment.train_per_class == 1:
        yield Ignored("train_per_class", "1", "one image has no partner of its class; it may be 0 (all), or 2 and more")
    only_dim = PROJECTIONS[experiment.projection].only_dim
    if only_dim not in (None, experiment.embedding_dim):
        why = f"draws embeddings of dimension {only_dim} as they are, not {experiment.embedding_dim}; choose umap"
        yield Ignored("projection", experiment.projection, why)


def _unknown(name: str, loss: Loss) -> str:
    own = ", ".join(param.name for param in loss.params) or "none"
    if name in PARAM_NAMES:
        return f"the loss {loss.key} has no such parameter; its own are: {own}"
    return f"no such field; the fields are: {', '.join(FIELDS)}, and of this loss: {own}"


def shortened(text: str, limit: int = 60) -> str:
    """Fit for one line of a message: nothing unprintable, nothing endless."""
    shown = "".join(c if c.isprintable() else "�" for c in text[: limit + 1])
    return shown if len(shown) <= limit else shown[:limit] + "…"
