"""An experiment: all that decides what is learnt. One table of fields reads and writes it everywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from siamese_core.datasets import Dataset, DatasetMissing, dataset_of, is_uploaded
from siamese_core.datasets.shapes import shapes
from siamese_core.datasets.uploaded import GONE
from siamese_core.embeddings.projection import PROJECTIONS
from siamese_core.errors import Rejected
from siamese_core.experiment.fields import Field
from siamese_core.experiment.settings import DEFAULTS, FIELDS, SHAPES
from siamese_core.formats.text import shortened
from siamese_core.losses import LOSSES, Loss
from siamese_core.losses.distances import MEASURES
from siamese_core.losses.heads import Head

IMAGES_PER_CLASS = 12
"""K of a P×K batch: twelve images of each of P classes."""

PARAM_NAMES = frozenset(param.name for loss in LOSSES.values() for param in loss.params)


@dataclass(frozen=True)
class Ignored:
    """A field that cannot be used as it is, and why."""

    name: str
    value: str
    why: str

    def __str__(self) -> str:
        return f"{shortened(self.name)}={shortened(self.value)}: {self.why}"


class ExperimentError(Rejected, ValueError):
    """Names the field, its value and what it may be."""

    def __init__(self, problem: Ignored) -> None:
        super().__init__("{problem}", problem=problem)
        self.problem = problem


@dataclass(frozen=True)
class Experiment:
    """Raises `ExperimentError` where a field is out of its range or contradicts another.

    `params` holds the parameters of the loss; those left out take their defaults. `measure=""` is the loss's first.
    """

    dataset: str = DEFAULTS["dataset"]
    shapes_classes: int = DEFAULTS["shapes_classes"]
    shapes_rotation: float = DEFAULTS["shapes_rotation"]
    shapes_scale: float = DEFAULTS["shapes_scale"]
    shapes_noise: float = DEFAULTS["shapes_noise"]
    held_out: tuple[int, ...] = DEFAULTS["held_out"]
    loss: str = DEFAULTS["loss"]
    params: Mapping[str, float] = field(default_factory=dict)
    measure: str = ""
    encoder: str = DEFAULTS["encoder"]
    embedding_dim: int = DEFAULTS["embedding_dim"]
    output: str = DEFAULTS["output"]
    view: str = DEFAULTS["view"]
    shared: bool = DEFAULTS["shared"]
    second_encoder: str = DEFAULTS["second_encoder"]
    sampling: str = DEFAULTS["sampling"]
    miner: str = DEFAULTS["miner"]
    augment: tuple[str, ...] = DEFAULTS["augment"]
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
        """Return how many images one step really takes: a P×K batch ends where the classes do."""
        if self.sampling == "all_pairs":
            return IMAGES_PER_CLASS * min(len(self.seen), self.batch_size // IMAGES_PER_CLASS)
        return self.batch_size

    @property
    def seen(self) -> tuple[int, ...]:
        """Return the classes that are trained on."""
        return tuple(c for c in range(len(self.data.classes)) if c not in self.held_out)

    @property
    def data(self) -> Dataset:
        """Return the dataset; raise DatasetMissing where it was uploaded, and has gone since."""
        if self.dataset == "shapes":
            return shapes(self.shapes_classes, self.shapes_rotation, self.shapes_scale, self.shapes_noise)
        return dataset_of(self.dataset)

    @property
    def branches(self) -> int:
        """Return 2 where the second input of a pair is shown, or encoded, in another way than the first."""
        return 1 if self.view == "none" and self.shared else 2

    @property
    def encoders(self) -> tuple[str, ...]:
        """Return the encoder, or that of first and that of second inputs where weights are not shared."""
        second = self.encoder if self.second_encoder == "same" else self.second_encoder
        return (self.encoder,) if self.shared else (self.encoder, second)

    @property
    def head(self) -> Head | None:
        """Return what makes the layer that is trained beside the encoder; None where there is none."""
        return LOSSES[self.loss].head or MEASURES[self.measure].head

    def to_query(self) -> str:
        """Write every field, so that a link means the same when a default changes."""
        pairs: list[tuple[str, str]] = []
        for name, f in FIELDS.items():
            if self._applies(name):
                pairs.append((name, f.text(getattr(self, name))))
            if name == "loss":
                pairs.extend((p.name, p.text(self.params[p.name])) for p in LOSSES[self.loss].params)
        return urlencode(pairs, safe=",")

    def _applies(self, name: str) -> bool:
        """Whether the field says anything in this experiment."""
        if name in SHAPES:
            return self.dataset == "shapes"
        if name == "second_encoder":
            return not self.shared
        return name not in ("held_out", "augment") or bool(getattr(self, name))

    @classmethod
    def from_query(cls, query: str) -> tuple[Experiment, list[Ignored]]:
        """Read a link without ever raising: what cannot be used falls back to its default and is named in the list."""
        values, ignored = _read(parse_qsl(query.removeprefix("?"), keep_blank_values=True, errors="replace"))
        while True:
            try:
                return cls(**values), ignored
            except ExperimentError as contradiction:
                ignored.append(contradiction.problem)
                del values[contradiction.problem.name]
            except DatasetMissing as gone:
                # An uploaded set, deleted while its name was being checked.
                ignored.append(Ignored("dataset", values.pop("dataset"), str(gone)))


def with_loss(experiment: Experiment, loss: str) -> Experiment:
    """Return it with another loss: with the distance and the numbers of its paper, and what it can be combined with."""
    if LOSSES[loss].on_classes:
        experiment = replace(experiment, miner="all", labels="right")
    return replace(experiment, loss=loss, params={}, measure="")


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
        known = FIELDS.get(name) or loss.param(name)
        value = known.read(text) if known else None
        why = _problem(known, value) if known else _unknown(name, loss)
        if why:
            ignored.append(Ignored(name, text, why))
        else:
            (values if name in FIELDS else params)[name] = value
    return values, ignored


def _problem(f: Field, value: Any) -> str | None:
    why = f.problem(value)
    return GONE if why and f.name == "dataset" and is_uploaded(str(value)) else why


def _problems(experiment: Experiment) -> Iterator[Ignored]:
    """Values out of their range first: only those within can be held against each other."""
    for name, f in FIELDS.items():
        value = getattr(experiment, name)
        why = _problem(f, value)
        if why and (name, value) != ("measure", ""):
            yield Ignored(name, str(value), why)
    loss = LOSSES[experiment.loss]
    for name, value in experiment.params.items():
        param = loss.param(name)
        why = param.problem(value) if param else _unknown(name, loss)
        if why:
            yield Ignored(name, str(value), why)
    yield from _contradictions(experiment, loss)


def _contradictions(experiment: Experiment, loss: Loss) -> Iterator[Ignored]:
    classes = len(experiment.data.classes)
    held_out = ",".join(map(str, experiment.held_out))
    if any(c >= classes for c in experiment.held_out):
        yield Ignored("held_out", held_out, f"{experiment.dataset} has the classes 0 to {classes - 1}")
    elif classes - len(experiment.held_out) < 2:
        yield Ignored("held_out", held_out, "at least 2 classes must be left to train on")
    if experiment.measure and experiment.measure not in loss.measures:
        may_be = ", ".join(loss.measures)
        yield Ignored("measure", experiment.measure, f"the loss {loss.key} is not defined on it; it may be: {may_be}")
    if experiment.labels == "flipped" and loss.on_classes:
        why = f"the loss {loss.key} learns from classes, not from pairs whose label could be flipped; it may be: right"
        yield Ignored("labels", experiment.labels, why)
    if experiment.dataset != "shapes":
        for name in SHAPES:
            if getattr(experiment, name) != DEFAULTS[name]:
                text = FIELDS[name].text(getattr(experiment, name))
                yield Ignored(name, text, f"only the dataset shapes has it, {experiment.dataset} has not")
    if experiment.miner != "all":
        yield from _not_minable(experiment, loss)
    if experiment.second_encoder != "same" and experiment.shared:
        why = "shared weights are one encoder for both inputs; it may be: same (or shared=false)"
        yield Ignored("second_encoder", experiment.second_encoder, why)
    if experiment.train_per_class == 1:
        yield Ignored("train_per_class", "1", "one image has no partner of its class; it may be 0 (all), or 2 and more")
    only_dim = PROJECTIONS[experiment.projection].only_dim
    if only_dim not in (None, experiment.embedding_dim):
        why = f"draws embeddings of dimension {only_dim} as they are, not {experiment.embedding_dim}; choose umap"
        yield Ignored("projection", experiment.projection, why)


def _not_minable(experiment: Experiment, loss: Loss) -> Iterator[Ignored]:
    if experiment.sampling != "all_pairs":
        yield Ignored("miner", experiment.miner, "only P×K batches are mined; it may be: all (or sampling=all_pairs)")
    elif loss.on_classes:
        yield Ignored("miner", experiment.miner, f"the loss {loss.key} chooses for itself; it may be: all")
    elif experiment.branches == 2:
        yield Ignored("miner", experiment.miner, "two different inputs are not mined; it may be: all")


def _unknown(name: str, loss: Loss) -> str:
    params = ", ".join(param.name for param in loss.params) or "none"
    if name in PARAM_NAMES:
        return f"the loss {loss.key} has no such parameter; its own are: {params}"
    return f"no such field; the fields are: {', '.join(FIELDS)}, and of this loss: {params}"
