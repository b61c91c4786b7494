"""What an evaluation found: numpy only, so that a page reads it without torch, and it goes over a wire."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from siamese_core.embeddings.verification import Curves, Distances, Intervals, Summary

MetricValues = dict[str, float | None]
"""Metric → value; None where a group has none."""


@dataclass(frozen=True, eq=False)
class Hardest:
    """The pairs (K,) that the model is most wrong about, worst first: rows of the group, and their distances."""

    first: np.ndarray
    second: np.ndarray
    value: np.ndarray


@dataclass(frozen=True, eq=False)
class GroupReport:
    """The test images of the classes that were seen, or of those held out.

    `indices` (n,) are theirs among all test images, `labels` (n,) their classes. Rows are images as first inputs, and
    after these, with two branches, as second ones: row r shows image `indices[r % n]`.

    Distances are 1 − p for a similarity. `chosen_on` and `reported_on` are those of pairs within one half of the images
    and within the other; `summary` and its `score_intervals` of all `pairs`, which are a sample unless `exact`.
    `curves` and the `rate_intervals` are of the reporting half, so that a threshold lies on them.
    Without same pairs there are none of these.
    `neighbours`, `distances` (rows, k): the nearest other rows. `confusion` (C, C): class by class of
    the nearest neighbour, in the order of `classes`.
    """

    indices: np.ndarray
    labels: np.ndarray
    classes: tuple[int, ...]
    pairs: int
    exact: bool
    curves: Curves | None
    chosen_on: Distances
    reported_on: Distances
    summary: Summary | None
    score_intervals: Mapping[str, tuple[float, float]]
    rate_intervals: Intervals | None
    scores: MetricValues
    baselines: Mapping[str, MetricValues]
    neighbours: np.ndarray
    distances: np.ndarray
    confusion: np.ndarray
    hardest_same: Hardest
    hardest_different: Hardest


@dataclass(frozen=True, eq=False)
class Report:
    """`groups` holds "seen", and "held_out" where at least two classes are. For a layout, and for few-shot episodes,
    some test images, `shown` (n,), with their `labels` (n,) and `embeddings` (rows, D): with two branches as first
    inputs, then as second ones.
    """

    groups: Mapping[str, GroupReport]
    shown: np.ndarray
    labels: np.ndarray
    embeddings: np.ndarray


@dataclass(frozen=True, eq=False)
class Progress:
    """How far a long computation is: `done` of `total` in one of its stages."""

    stage: str
    done: int
    total: int


SHOWN = ("shown", "labels", "embeddings")
PLAIN = ("classes", "pairs", "exact", "scores", "baselines", "summary", "score_intervals")
ARRAYS = ("indices", "labels", "neighbours", "distances", "confusion")
RECORDS: dict[str, Callable[..., Any]] = {
    "chosen_on": Distances,
    "reported_on": Distances,
    "hardest_same": Hardest,
    "hardest_different": Hardest,
    "curves": Curves,
}
"""Parts of a group that consist of arrays alone."""


def to_wire(report: Report) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return a meta that is JSON, and arrays by name; the inverse is `from_wire`."""
    meta: dict[str, Any] = {}
    arrays = {part: getattr(report, part) for part in SHOWN}
    for name, group in report.groups.items():
        meta[name] = {part: getattr(group, part) for part in PLAIN}
        meta[name]["rate_intervals"] = None if group.rate_intervals is None else group.rate_intervals.summary
        arrays |= {f"{name}/{part}": getattr(group, part) for part in ARRAYS}
        for part in (*RECORDS, "rate_intervals"):
            record = getattr(group, part)
            fields = {} if record is None else record._asdict() if part == "curves" else vars(record)
            arrays |= {f"{name}/{part}.{field}": array for field, array in fields.items() if field != "summary"}
    return meta, arrays


def from_wire(meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Report:
    """Read a report, the inverse of `to_wire`."""
    groups = {name: _group(table, _under(f"{name}/", arrays)) for name, table in meta.items()}
    return Report(groups, **{part: arrays[part] for part in SHOWN})


def _group(meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> GroupReport:
    tables = {part: _under(f"{part}.", arrays) for part in (*RECORDS, "rate_intervals")}
    of_rates = tables.pop("rate_intervals")
    values: dict[str, Any] = {part: meta[part] for part in PLAIN} | {part: arrays[part] for part in ARRAYS}
    values |= {part: RECORDS[part](**table) if table else None for part, table in tables.items()}
    values["classes"] = tuple(meta["classes"])
    values["summary"] = Summary(*meta["summary"]) if meta["summary"] else None
    values["score_intervals"] = _tuples(meta["score_intervals"])
    values["rate_intervals"] = Intervals(summary=_tuples(meta["rate_intervals"]), **of_rates) if of_rates else None
    return GroupReport(**values)


def _tuples(intervals: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    return {name: (low, high) for name, (low, high) in intervals.items()}


def _under(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
