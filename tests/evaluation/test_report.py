"""A report that went over a wire is the same report, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest

from siamese_core.embeddings.verification import Distances, curves, intervals, summary
from siamese_core.evaluation.report import GroupReport, Hardest, Report, from_wire, to_wire
from siamese_core.formats.wire import pack, unpack

Wire = tuple[Any, dict[str, np.ndarray]]


def as_json(wire: Wire) -> Wire:
    meta, arrays = wire
    return json.loads(json.dumps(meta, allow_nan=False)), arrays


def as_message(wire: Wire) -> Wire:
    meta, arrays = wire
    return unpack(pack(meta, **arrays))


WAYS = [as_json, as_message]


def group(seed: int, **changed: object) -> GroupReport:
    rng = np.random.default_rng(seed)
    d, same = rng.random(200, np.float32), rng.random(200) < 0.4
    first, second = rng.integers(0, 12, (2, 200), np.int32)
    distances = Distances.of(d, same)
    found_intervals = intervals(d, same, first, second, replicates=10)
    assert found_intervals is not None
    found = GroupReport(
        indices=np.arange(12, dtype=np.int32) * 3,
        labels=rng.integers(0, 3, 12, np.int32),
        classes=(0, 2, 9),
        pairs=200,
        exact=bool(seed % 2),
        curves=curves(distances),
        chosen_on=distances,
        reported_on=Distances.of(d[::3], same[::3]),
        summary=summary(distances),
        score_intervals=found_intervals.summary,
        rate_intervals=found_intervals,
        scores={"map_at_r": 1 / 3, "recall_at_5": None, "auc": 0.1 + 0.2},
        baselines={"untrained": {"auc": None}, "pixels": {"auc": 2 / 3}},
        neighbours=rng.integers(0, 12, (12, 5), np.int32),
        distances=rng.random((12, 5), np.float32),
        confusion=rng.integers(0, 9, (3, 3)),
        hardest_same=Hardest(first[:4], second[:4], d[:4]),
        hardest_different=Hardest(first[4:6], second[4:6], d[4:6]),
    )
    return replace(found, **changed)  # type: ignore[arg-type]


def report(**groups: GroupReport) -> Report:
    rng = np.random.default_rng(9)
    return Report(groups, np.arange(6), rng.integers(0, 3, 6), rng.normal(size=(12, 4)).astype(np.float32))


def assert_same(one: Any, other: Any, where: str = "report") -> None:
    """The same types all the way down, the same bits of arrays and of numbers."""
    assert type(one) is type(other), where
    if isinstance(one, np.ndarray):
        assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes()), where
    elif is_dataclass(one):
        for f in fields(one):
            assert_same(getattr(one, f.name), getattr(other, f.name), f"{where}.{f.name}")
    elif isinstance(one, dict):
        assert list(one) == list(other), where
        for key, value in one.items():
            assert_same(value, other[key], f"{where}[{key}]")
    elif isinstance(one, tuple):
        assert len(one) == len(other), where
        for number, pair in enumerate(zip(one, other, strict=True)):
            assert_same(*pair, f"{where}[{number}]")
    else:
        assert one == other, where


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "sent",
    [
        report(seen=group(0), held_out=group(1)),
        report(seen=group(0)),
        report(seen=group(0), held_out=group(1, rate_intervals=None)),
        report(seen=group(0, curves=None, summary=None, score_intervals={}, rate_intervals=None), held_out=group(1)),
        report(seen=group(0, neighbours=np.zeros((12, 0), np.int32), distances=np.zeros((12, 0), np.float32))),
        report(
            seen=group(
                0,
                chosen_on=Distances.of([], np.zeros(0, bool)),
                hardest_same=Hardest(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32)),
            )
        ),
        report(),
    ],
    ids=["both", "seen", "no intervals", "no same pairs", "no neighbours", "no pairs in a half", "no group"],
)
def test_a_report_comes_out_of_a_wire_as_it_went_in(sent: Report, way: Callable[[Wire], Wire]) -> None:
    assert_same(sent, from_wire(*way(to_wire(sent))))


def test_a_report_needs_no_wire_to_come_back() -> None:
    sent = report(seen=group(0), held_out=group(1, summary=None))
    assert_same(sent, from_wire(*to_wire(sent)))


def test_the_groups_do_not_mix() -> None:
    back = from_wire(*as_message(to_wire(report(seen=group(0), held_out=group(1)))))
    assert back.groups["seen"].exact is False
    assert back.groups["held_out"].exact is True
    assert (back.groups["seen"].distances != back.groups["held_out"].distances).all()


def test_two_reports_that_differ_in_one_bit_are_told_apart() -> None:
    """Or the tests above would say nothing."""
    one = report(seen=group(0))
    distances = one.groups["seen"].distances.copy()
    distances[3, 2] = np.nextafter(distances[3, 2], np.float32(2))
    with pytest.raises(AssertionError, match="distances"):
        assert_same(one, report(seen=group(0, distances=distances)))
