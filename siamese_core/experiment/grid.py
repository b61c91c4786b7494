"""A grid of experiments: every combination of the values of one or two settings, each from several seeds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from siamese_core.errors import Rejected
from siamese_core.experiment.experiment import PARAM_NAMES, Experiment, ExperimentError, with_loss
from siamese_core.experiment.fields import Field, FloatField, IntField
from siamese_core.experiment.settings import FIELDS
from siamese_core.experiment.snapshot import Scores
from siamese_core.losses import LOSSES

MOST_CELLS = 100
MOST_SEEDS = 5
MOST_VALUES = 20

SCORED = ("finished", "halted")
"""What a cell is whose score counts: one that was stopped on the way would be held against others that were not."""

NUMBERS = ("learning_rate", "batch_size", "embedding_dim", "train_per_class", "steps")
CHOICES = ("loss", "measure", "encoder", "output", "sampling", "miner")
"""Settings that an axis may have, beside the parameters of losses; what only changes the look is none."""


class GridError(Rejected, ValueError):
    """Says which setting cannot be such an axis, and what it may be."""


@dataclass(frozen=True)
class Cell:
    """One run: `at` has a value for each axis. Without an experiment, `why` says what contradicts."""

    at: tuple[Any, ...]
    seed: int
    experiment: Experiment | None
    why: str = ""


@dataclass(frozen=True)
class Grid:
    """`axes`: one or two settings and their values. Raises GridError."""

    base: Experiment
    axes: tuple[tuple[str, tuple[Any, ...]], ...]
    seeds: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        names = [name for name, _ in self.axes]
        if not 1 <= len(names) <= 2 or len(set(names)) < len(names):
            raise GridError("A sweep has one or two different settings.")
        for name, values in self.axes:
            if not 1 <= len(values) <= MOST_VALUES or len(set(values)) < len(values):
                raise GridError("{name}: may have 1 to {most} different values", name=name, most=MOST_VALUES)
        if not 1 <= len(self.seeds) <= MOST_SEEDS or len(set(self.seeds)) < len(self.seeds):
            raise GridError("seed: may have 1 to {most} different values", most=MOST_SEEDS)
        count = len(self.seeds) * math.prod(len(values) for _, values in self.axes)
        if count > MOST_CELLS:
            message = "These are {count} runs; a sweep may have {most}: leave out some values or seeds."
            raise GridError(message, count=count, most=MOST_CELLS)

    def cells(self) -> Iterator[Cell]:
        """Yield every combination, all seeds of it one after the other."""
        for at in product(*(values for _, values in self.axes)):
            for seed in self.seeds:
                try:
                    yield Cell(at, seed, self._experiment(at, seed))
                except ExperimentError as contradiction:
                    yield Cell(at, seed, None, str(contradiction))

    def _experiment(self, at: tuple[Any, ...], seed: int) -> Experiment:
        values = dict(zip((name for name, _ in self.axes), at, strict=True))
        params = {name: values.pop(name) for name in list(values) if name in PARAM_NAMES}
        base = self.base
        if values.get("loss", base.loss) != base.loss:
            base = with_loss(base, values["loss"])
        return replace(base, **values, params={**base.params, **params}, seed=seed)

    def to_table(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        axes = [[name, [axis_field(self.base, name).text(value) for value in values]] for name, values in self.axes]
        return {"base": self.base.to_query(), "axes": axes, "seeds": list(self.seeds)}


@dataclass(frozen=True)
class CellView:
    """A cell and what has come of it; `status` as in `engine.sweeps`."""

    cell: Cell
    status: str
    run: str
    step: int
    scores: dict[str, Scores]
    message: str


@dataclass(frozen=True)
class SweepView:
    """A sweep at one moment."""

    id: str
    name: str
    grid: Grid
    created: float
    cells: tuple[CellView, ...]

    @property
    def done(self) -> int:
        """Count the runs that have come to their end."""
        return sum(cell.status in SCORED for cell in self.cells)

    @property
    def cancelled(self) -> int:
        return sum(cell.status == "cancelled" for cell in self.cells)

    @property
    def live(self) -> bool:
        return any(cell.status in ("waiting", "running") for cell in self.cells)


def grid_of(table: Mapping[str, Any]) -> Grid:
    """Read a grid, the inverse of `to_table`. Raises ValueError for what is no grid, or one on an uploaded set that
    is gone."""
    match table:
        case {"base": str(query), "axes": [*axes], "seeds": [*seeds]}:
            base, ignored = Experiment.from_query(query)
        case _:
            raise ValueError("no grid")
    if ignored:
        raise ValueError(str(ignored[0]))
    read = []
    for axis in axes:
        match axis:
            case [str(name), [*texts]] if name in axis_names(base) and all(isinstance(text, str) for text in texts):
                field = axis_field(base, name)
                read.append((name, tuple(field.read(text) for text in texts)))
                if any(value is None for value in read[-1][1]):
                    raise ValueError("no axis")
            case _:
                raise ValueError("no axis")
    if any(FIELDS["seed"].problem(seed) for seed in seeds):
        raise ValueError("no seeds")
    return Grid(base, tuple(read), tuple(seeds))


def axis_names(base: Experiment) -> dict[str, str]:
    """Return setting → title, of all that an axis may have."""
    params = {p.name: p.title for p in LOSSES[base.loss].params}
    others = {p.name: p.title for loss in LOSSES.values() for p in loss.params if p.name not in params}
    return {name: FIELDS[name].title for name in CHOICES} | params | others | {n: FIELDS[n].title for n in NUMBERS}


def axis_field(base: Experiment, name: str) -> Field:
    """Return the field of an axis; of a parameter, that of the base's loss, or of the first that has it."""
    if name in FIELDS:
        return FIELDS[name]
    return next(param for loss in (LOSSES[base.loss], *LOSSES.values()) if (param := loss.param(name)))


def numbers_of(field: IntField | FloatField, text: str) -> tuple[float, ...]:
    """Read the values of an axis: "0.5, 1, 2", or "0.5:2:0.5" for from, to and step. Raises GridError."""
    kind, given = int if isinstance(field, IntField) else float, f"{field.name}={text[:60]}"
    may_be = f"may be numbers from {field.low:g} to {field.high:g}, such as {field.low:g}, {field.default:g}"
    to = min(field.high, field.default + 5 * field.step)
    may_be += f", or from, to and step, such as {field.default:g}:{to:g}:{field.step:g}"
    try:
        if ":" in text:
            low, high, step = (float(part) for part in text.split(":"))
            count = math.floor((high - low) / step + 1e-9) + 1
            if not 1 <= count <= MOST_VALUES:
                gives = f"more than {MOST_VALUES}" if count > MOST_VALUES else "no"
                message = "{given}: gives {gives} values; may give 1 to {most}"
                raise GridError(message, given=given, gives=gives, most=MOST_VALUES)
            steps = [round(low + number * step, 9) for number in range(count)]
            values = tuple(kind(value) for value in steps)
            if values != tuple(steps):
                raise ValueError("a setting of whole numbers")
        else:
            values = tuple(dict.fromkeys(kind(part) for part in text.replace(";", ",").split(",") if part.strip()))
    except GridError:
        raise
    except (ValueError, ZeroDivisionError, OverflowError):
        values = ()
    if not values or any(field.problem(value) for value in values):
        raise GridError("{given}: {may_be}", given=given, may_be=may_be)
    return values
