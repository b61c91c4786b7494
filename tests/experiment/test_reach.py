"""How far apart embeddings can be: the known figures, bounds that no points pass, and the message of a warning."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.reach import reach, warning
from siamese_core.losses.distances import MEASURES
from siamese_core.networks.build import OUTPUTS

DISTANCES = [key for key, measure in MEASURES.items() if measure.kind == "distance"]


@pytest.mark.parametrize(
    ("output", "measure", "two"),
    [
        ("l2", "euclidean", 2), ("l2", "squared_euclidean", 4), ("l2", "manhattan", 6), ("l2", "cosine", 2),
        ("sigmoid", "euclidean", 3), ("sigmoid", "squared_euclidean", 9), ("sigmoid", "manhattan", 9),
        ("sigmoid", "cosine", 1), ("linear", "cosine", 2), ("linear", "euclidean", math.inf),
    ],
)  # fmt: skip
def test_the_farthest_two_points_in_nine_dimensions(output: str, measure: str, two: float) -> None:
    assert reach(output, measure, 9, 2).two_points == pytest.approx(two)


def test_all_ten_classes_on_the_sphere_reach_149_and_on_the_circle_062() -> None:
    assert reach("l2", "euclidean", 32, 10).all_classes == pytest.approx(1.49, abs=0.005)
    assert reach("l2", "euclidean", 9, 10).exact
    assert reach("l2", "euclidean", 2, 10).all_classes == pytest.approx(0.62, abs=0.005)


def points(output: str, dim: int, classes: int, seed: int) -> torch.Tensor:
    """Random points that the output can give; half of the time in its corners, where they are farthest."""
    h = 3 * torch.randn(classes, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    if seed % 2:
        h = 30 * h.sign()
    return OUTPUTS[output].fn(h)


@settings(deadline=None, max_examples=200)
@given(
    output=st.sampled_from(["l2", "sigmoid"]),
    measure=st.sampled_from(DISTANCES),
    dim=st.integers(2, 12),
    classes=st.integers(2, 12),
    seed=st.integers(0, 10_000),
)
def test_no_points_pass_the_bounds(output: str, measure: str, dim: int, classes: int, seed: int) -> None:
    d = MEASURES[measure].within(points(output, dim, classes, seed))
    found = reach(output, measure, dim, classes)
    assert d.max() <= found.two_points * (1 + 1e-9)
    assert d.min() <= found.all_classes * (1 + 1e-9)


@pytest.mark.parametrize("measure", ["euclidean", "squared_euclidean", "cosine"])
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_a_simplex_reaches_what_all_classes_can(measure: str, classes: int) -> None:
    corners = torch.eye(classes, dtype=torch.float64) - 1 / classes
    d = MEASURES[measure].within(OUTPUTS["l2"].fn(corners))
    found = reach("l2", measure, classes - 1 if classes > 2 else 2, classes)
    assert found.exact
    assert d.min() == pytest.approx(found.all_classes)


def test_neighbours_on_a_circle_reach_what_all_classes_can() -> None:
    angles = torch.arange(10) * 2 * math.pi / 10
    d = MEASURES["euclidean"].within(torch.stack([angles.cos(), angles.sin()], dim=1))
    assert d.min() == pytest.approx(reach("l2", "euclidean", 2, 10).all_classes, abs=1e-6)


def test_axes_of_the_cube_are_at_right_angles() -> None:
    found = reach("sigmoid", "cosine", 10, 10)
    assert found.exact
    assert MEASURES["cosine"].within(torch.eye(10)).min() == pytest.approx(found.all_classes)


def test_a_margin_beyond_any_two_points_is_warned_of() -> None:
    message = warning(Experiment(output="l2", params={"margin": 3.0}))
    assert message is not None
    assert "no two points are farther apart than 2, but the margin 3 lies beyond" in message
    assert "Lower margin" in message


def test_a_margin_that_two_classes_reach_but_not_all_is_warned_of() -> None:
    message = warning(Experiment(output="l2", embedding_dim=2, params={"margin": 1.0}))
    assert message is not None
    assert "10 classes are at most 0.618 from each other" in message
    assert (
        warning(Experiment(output="l2", embedding_dim=2, params={"margin": 1.0}, held_out=tuple(range(4, 10)))) is None
    )


def test_a_crossing_out_of_reach_is_warned_of() -> None:
    message = warning(Experiment(loss="exponential", measure="euclidean", output="l2", params={"q": 5.0}))
    assert message is not None
    assert "the crossing at q/2 = 2.5 lies beyond" in message


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"loss": "log", "output": "l2"},
        {"loss": "nt_xent", "output": "l2"},
        {"output": "l2", "params": {"margin": 1.0}},
    ],
    ids=["no end", "similarity", "batch", "within reach"],
)
def test_what_can_be_reached_is_not_warned_of(settings: dict) -> None:
    assert warning(Experiment(**settings)) is None


def test_beyond_the_simplex_opposite_axes_reach_what_all_classes_can() -> None:
    """Up to twice as many classes as dimensions: ± each axis, at right angles or opposite (Rankin 1955)."""
    axes = torch.cat([torch.eye(5), -torch.eye(5)])
    for classes in (7, 10):
        found = reach("l2", "euclidean", 5, classes)
        assert found.exact
        assert MEASURES["euclidean"].within(axes[:classes]).min() == pytest.approx(found.all_classes)
    assert not reach("l2", "euclidean", 5, 11).exact


@pytest.mark.parametrize(("dim", "times"), [(4, 2), (3, 4)])
def test_axes_of_the_cube_taken_several_times_have_the_mean_cosine_that_bounds_the_least(dim: int, times: int) -> None:
    """All classes apart at once are no farther than the mean: here it is as large as it can be."""
    d = MEASURES["cosine"].within(torch.eye(dim, dtype=torch.float64).repeat(times, 1))
    found = reach("sigmoid", "cosine", dim, dim * times)
    assert d.mean() == pytest.approx(found.all_classes)
    assert not found.exact


@pytest.mark.parametrize(("output", "corner"), [("l2", -0.5), ("sigmoid", 0.0)])
@pytest.mark.parametrize("measure", ["euclidean", "squared_euclidean", "manhattan"])
def test_two_opposite_corners_reach_what_two_points_can(output: str, corner: float, measure: str) -> None:
    """Four dimensions, where half of a corner of the cube has length 1."""
    two = torch.stack([torch.full((4,), corner), torch.full((4,), corner + 1)])
    found = reach(output, measure, 4, 2)
    assert found.exact
    assert (
        MEASURES[measure].within(two).tolist()
        == pytest.approx([found.two_points])
        == [pytest.approx(found.all_classes)]
    )


@pytest.mark.parametrize(("margin", "warned"), [(3.0, False), (4.0, False), (4.5, True)])
def test_a_triplet_is_held_only_against_two_points(margin: float, warned: bool) -> None:
    """Its margin is a difference of distances: the ten classes need not all be that far apart at once."""
    message = warning(Experiment(loss="triplet", output="l2", params={"margin": margin}))
    assert (message is not None) == warned


WARNED = [
    (output, measure, dim, margin)
    for output in ("linear", "l2", "sigmoid")
    for measure in DISTANCES
    for dim in (2, 32)
    for margin in (0.9, 1.7, 3.0, 5.0, 9.5)
    if warning(Experiment(output=output, measure=measure, embedding_dim=dim, params={"margin": margin}))
]


@pytest.mark.parametrize(("output", "measure", "dim", "margin"), WARNED)
def test_whoever_does_what_a_warning_says_is_no_longer_warned(
    output: str, measure: str, dim: int, margin: float
) -> None:
    experiment = Experiment(output=output, measure=measure, embedding_dim=dim, params={"margin": margin})
    message, found = warning(experiment), reach(output, measure, dim, 10)
    assert message is not None
    assert "Lower margin" in message
    assert warning(replace(experiment, params={"margin": found.all_classes})) is None
    if "raise embedding_dim" in message:
        assert warning(replace(experiment, embedding_dim=256)) is None
    if "set output=linear" in message:
        assert warning(replace(experiment, output="linear")) is None


def test_warnings_with_each_remedy_are_among_those_tried() -> None:
    messages = {
        warning(Experiment(output=o, measure=m, embedding_dim=d, params={"margin": x})) for o, m, d, x in WARNED
    }
    for ending in ("Lower margin.", "or raise embedding_dim.", "or set output=linear."):
        assert any(message and message.endswith(ending) for message in messages), ending


def test_a_plane_that_is_drawn_as_it_is_has_no_more_dimensions_to_offer() -> None:
    flat = Experiment(output="l2", embedding_dim=2, projection="raw", params={"margin": 1.0})
    message = warning(flat)
    assert message is not None
    assert "raise embedding_dim" not in message
