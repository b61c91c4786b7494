"""The largest distance that embeddings can have: a margin beyond that asks for what no network can give."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from siamese_core.embeddings.projection import PROJECTIONS
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.settings import FIELDS
from siamese_core.losses import LOSSES


@dataclass(frozen=True)
class Reach:
    """The largest distance of two points, and that which all classes can have from each other at once.

    `exact` says whether all classes can really be so far apart; otherwise it is a bound that none can pass.
    """

    two_points: float
    all_classes: float
    exact: bool = True

    @property
    def is_bounded(self) -> bool:
        return math.isfinite(self.two_points)


def reach(output: str, measure: str, dim: int, classes: int) -> Reach:
    """Of `classes` points with `dim` numbers each, for an output of the network and a distance.

    On the sphere: the simplex (Rankin 1955), neighbours on the circle for dim = 2. In the cube: Plotkin's bound (1960).
    """
    if measure == "cosine" and output == "linear":
        output = "l2"
    if output == "linear":
        return Reach(math.inf, math.inf)
    return (_sphere if output == "l2" else _cube)(measure, dim, classes)


def _sphere(measure: str, dim: int, classes: int) -> Reach:
    all_classes, exact = _on_the_sphere(dim, classes)
    if measure == "manhattan":
        # √D times the Euclidean distance bounds it; two opposite points with equal coordinates reach that.
        return Reach(2 * math.sqrt(dim), math.sqrt(dim) * all_classes, exact=classes == 2)
    return Reach(_of_euclidean(measure, 2.0), _of_euclidean(measure, all_classes), exact)


def _of_euclidean(measure: str, d: float) -> float:
    return {"euclidean": d, "squared_euclidean": d**2, "cosine": d**2 / 2}[measure]


def _on_the_sphere(dim: int, classes: int) -> tuple[float, bool]:
    """The largest Euclidean distance that all pairs of `classes` points can have at once, and whether it is exact."""
    if dim >= classes - 1:
        return math.sqrt(2 * classes / (classes - 1)), True
    if dim == 2:
        return 2 * math.sin(math.pi / classes), True
    return math.sqrt(2), classes <= 2 * dim


def _cube(measure: str, dim: int, classes: int) -> Reach:
    if measure == "cosine":
        # At right angles while there are axes enough. Beyond, the Gram matrix of rank D bounds the mean cosine.
        excess = max(0.0, (classes / dim - 1) / (classes - 1))
        return Reach(1.0, 1 - excess, exact=classes <= dim)
    halves = (classes // 2) * (classes - classes // 2)
    manhattan = dim * halves / (classes * (classes - 1) / 2)
    if measure == "euclidean":
        return Reach(math.sqrt(dim), math.sqrt(manhattan), exact=classes == 2)
    return Reach(float(dim), manhattan, exact=classes == 2)


def requested_distance(params: Mapping[str, float]) -> float:
    """The distance that a loss asks for: its margin, or half of Q, where its branches cross."""
    return params["q"] / 2 if "q" in params else params["margin"]


def warning(experiment: Experiment) -> str | None:
    """A sentence where the loss asks for a distance that is out of reach; it trains all the same."""
    loss = LOSSES[experiment.loss]
    if loss.input_kind not in ("distance", "triplet"):
        return None
    found = reach(experiment.output, experiment.measure, experiment.embedding_dim, len(experiment.seen))
    is_scale = "q" in experiment.params
    asked = requested_distance(experiment.params)
    name = "q" if is_scale else "margin"
    what = f"the crossing at q/2 = {asked:g}" if is_scale else f"the margin {asked:g}"
    where = f"with output={experiment.output}, measure={experiment.measure}"
    if asked > found.two_points:
        return (
            f"Out of reach: {where} no two points are farther apart than {found.two_points:.3g}, but {what} lies "
            f"beyond. It trains, but what it asks for is never reached. {_remedy(experiment, name, asked)}"
        )
    if asked > found.all_classes and loss.input_kind == "distance":
        return (
            f"Out of reach for all at once: {where} and embedding_dim={experiment.embedding_dim}, "
            f"{len(experiment.seen)} classes are at most {found.all_classes:.3g} from each other, but {what} lies "
            f"beyond. It trains, but some classes stay nearer. {_remedy(experiment, name, asked)}"
        )
    return None


def _remedy(experiment: Experiment, name: str, asked: float) -> str:
    """Only what helps: on the sphere more dimensions do not, where there are enough; for cosine, linear is a sphere."""
    dimensions: Any = FIELDS["embedding_dim"]
    settings = {"set output=linear": ("linear", experiment.embedding_dim)}
    if PROJECTIONS[experiment.projection].only_dim is None:
        settings = {"raise embedding_dim": (experiment.output, dimensions.high)} | settings
    for setting, (output, dim) in settings.items():
        if reach(output, experiment.measure, dim, len(experiment.seen)).all_classes >= asked:
            return f"Lower {name}, or {setting}."
    return f"Lower {name}."
