"""Each claim is tested by experiments that differ in what it speaks of, and judged by what they measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.myths import MYTHS, STEPS, Myth, Result, result
from siamese_core.experiment.snapshot import Frame
from siamese_core.training.loop import never, train

every_myth = pytest.mark.parametrize("myth", MYTHS.values(), ids=MYTHS)


def results(myth: Myth, *scores: float, different: float = 1.0) -> dict[str, Result]:
    assert len(scores) == len(myth.sides)
    return {title: Result(score, different) for title, score in zip(myth.sides, scores, strict=True)}


@every_myth
def test_every_side_is_an_experiment_that_ignores_nothing(myth: Myth) -> None:
    for query in myth.sides.values():
        _, ignored = Experiment.from_query(query)
        assert ignored == []


@every_myth
def test_the_sides_share_seed_and_steps_and_differ_in_something_else(myth: Myth) -> None:
    sides = list(myth.experiments(7).values())
    assert {(side.seed, side.steps) for side in sides} == {(7, STEPS)}
    assert len({side.to_query() for side in sides}) == len(sides) >= 2


@every_myth
def test_the_same_numbers_are_judged_the_same_and_named(myth: Myth) -> None:
    scores = [0.111 + 0.1 * n for n in range(len(myth.sides))]
    found = results(myth, *scores[:])
    assert myth.judge(found) == myth.judge(dict(found))
    holds, measured = myth.judge(found)
    assert isinstance(holds, bool)
    assert any(character.isdigit() for character in measured)


@pytest.mark.parametrize(
    ("key", "holding", "failing"),
    [
        ("flip", (0.6, 0.59), (0.6, 0.04)),
        ("margin_0", (0.5, 0.6, 0.5), (0.1, 0.6, 0.5)),
        ("triplet_0", (0.6, 0.6), (0.2, 0.6)),
        ("larger_margin", (0.1, 0.2, 0.3, 0.4), (0.1, 0.3, 0.2, 0.4)),
        ("q", (0.60, 0.61, 0.62, 0.60), (0.5, 0.6, 0.6, 0.6)),
        ("saturated", (0.5, 0.51, 0.52), (0.6, 0.3, 0.6)),
        ("steeper", (0.7, 0.6, 0.6, 0.5, 0.6, 0.6), (0.6, 0.6, 0.6, 0.5, 0.6, 0.7)),
        ("sensitive", (0.1, 0.6, 0.6) + (0.5, 0.6, 0.6) * 2, (0.5, 0.6, 0.6) + (0.1, 0.6, 0.6) * 2),
        ("sketch", (0.6, 0.5), (0.5, 0.6)),
        ("few_pairs", (0.6, 0.6, 0.6, 0.6, 0.6, 0.61), (0.2, 0.3, 0.4, 0.5, 0.55, 0.6)),
    ],
)
def test_a_claim_holds_or_fails_by_its_numbers(
    key: str, holding: tuple[float, ...], failing: tuple[float, ...]
) -> None:
    myth = MYTHS[key]
    assert myth.judge(results(myth, *holding))[0]
    assert not myth.judge(results(myth, *failing))[0]


def test_a_collapsed_triplet_network_does_not_work_whatever_its_score() -> None:
    myth = MYTHS["triplet_0"]
    found = {"margin 0": Result(0.6, 0.001), "margin 1": Result(0.6, 5.0)}
    assert not myth.judge(found)[0]


def test_a_draw_of_photo_and_sketch_is_no_win_and_the_message_says_what_would_be() -> None:
    holds, measured = MYTHS["sketch"].judge({"not shared": Result(0.505, 1.0), "shared": Result(0.5, 1.0)})
    assert not holds
    assert measured == (
        "MAP@R is 0.505 with two networks and 0.500 with a shared one; a lead under 0.010 counts as none"
    )


def test_photo_and_sketch_are_two_kinds_of_input_and_only_the_weights_differ() -> None:
    apart, shared = MYTHS["sketch"].experiments(0).values()
    assert (apart.view, apart.shared, apart.branches) == ("edges", False, 2)
    assert replace(apart, shared=True) == shared
    assert shared.branches == 2


def test_a_result_is_the_score_and_the_mean_of_the_different_pairs() -> None:
    frame = Frame(np.zeros((2, 2)), np.array([9.0]), np.array([1.0, 3.0]), np.zeros((2, 0)), {})
    assert result(frame, {"map_at_r": {"seen": 0.5, "held_out": None}}) == Result(0.5, 2.0)


def test_flipped_labels_ruin_a_real_run() -> None:
    def score(labels: str) -> Result:
        experiment = Experiment(dataset="digits", encoder="mlp", labels=labels, steps=60)
        *_, last = train(experiment, wants_frame=never)
        assert last.frame is not None
        return result(last.frame, last.frame.metrics)

    holds, _ = MYTHS["flip"].judge({"right labels": score("right"), "flipped labels": score("flipped")})
    assert not holds
