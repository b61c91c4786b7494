"""Every measure is what its name says, on pairs and on all pairs of a batch, with a slope everywhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from siamese_core.losses.distances import MEASURES, Measure, normalised

# A similarity head has weights of its own: test_similarities.py.
WITHOUT_WEIGHTS = {key: measure for key, measure in MEASURES.items() if key != "similarity_head"}
every_measure = pytest.mark.parametrize("measure", WITHOUT_WEIGHTS.values(), ids=WITHOUT_WEIGHTS)
DISTANCES = {key: measure for key, measure in MEASURES.items() if measure.kind == "distance"}
every_distance = pytest.mark.parametrize("measure", DISTANCES.values(), ids=DISTANCES)
both_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)

Point = Sequence[float]


def naive_euclidean(a: Point, b: Point) -> float:
    return math.dist(a, b)


def naive_cosine(a: Point, b: Point) -> float:
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return 1 - dot / math.hypot(*a) / math.hypot(*b)


NAIVE: dict[str, Callable[[Point, Point], float]] = {
    "euclidean": naive_euclidean,
    "squared_euclidean": lambda a, b: naive_euclidean(a, b) ** 2,
    "manhattan": lambda a, b: sum(abs(x - y) for x, y in zip(a, b, strict=True)),
    "cosine": naive_cosine,
    "exponential_similarity": lambda a, b: math.exp(-sum(abs(x - y) for x, y in zip(a, b, strict=True))),
}

LARGEST_ON_THE_SPHERE = {"euclidean": 2.0, "squared_euclidean": 4.0, "manhattan": 2 * math.sqrt(5), "cosine": 2.0}


def points(count: int, dim: int = 5, seed: int = 0) -> Tensor:
    return torch.randn(count, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def pairs(count: int) -> Tensor:
    return torch.triu_indices(count, count, offset=1)


@pytest.mark.parametrize("key", WITHOUT_WEIGHTS)
def test_between_agrees_with_a_naive_loop(key: str) -> None:
    h1, h2 = points(20, seed=1), points(20, seed=2)
    expected = [NAIVE[key](a, b) for a, b in zip(h1.tolist(), h2.tolist(), strict=True)]
    torch.testing.assert_close(MEASURES[key].between(h1, h2), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize(
    ("key", "a", "b", "distance"),
    [
        ("euclidean", (0, 0), (3, 4), 5),
        ("squared_euclidean", (0, 0), (3, 4), 25),
        ("manhattan", (0, 0), (3, -4), 7),
        ("cosine", (1, 0), (5, 0), 0),
        ("cosine", (2, 0), (0.5, 0.5 * math.sqrt(3)), 0.5),
        ("cosine", (1, 0), (0, 3), 1),
        ("cosine", (1, 0), (-2, 0), 2),
    ],
)
def test_a_distance_that_can_be_counted_by_hand(key: str, a: Point, b: Point, distance: float) -> None:
    d = MEASURES[key].between(torch.tensor([a], dtype=torch.float32), torch.tensor([b], dtype=torch.float32))
    assert d.tolist() == pytest.approx([distance])


@every_measure
def test_one_point_is_compared_with_many(measure: Measure) -> None:
    one, many = points(1, seed=1), points(6, seed=2)
    assert torch.equal(measure.between(one, many), measure.between(one.expand(6, 5), many))


def test_within_goes_row_by_row_through_the_pairs() -> None:
    """Points at 0, 1, 3 and 7 of a line: 0–1, 0–3, 0–7, 1–3, 1–7, 3–7."""
    line = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    assert MEASURES["manhattan"].within(line).tolist() == [1, 3, 7, 2, 6, 4]


@both_dtypes
@every_measure
def test_within_is_between_on_all_pairs(measure: Measure, dtype: torch.dtype) -> None:
    h = points(12).to(dtype)
    i, j = pairs(12)
    torch.testing.assert_close(measure.within(h), measure.between(h[i], h[j]))


@both_dtypes
@every_measure
def test_within_has_the_gradient_of_between(measure: Measure, dtype: torch.dtype) -> None:
    """Duplicates and a zero vector among the points: each pair has the weight of another prime."""
    h = torch.cat([points(8), points(2), torch.zeros(1, 5)]).to(dtype).requires_grad_()
    i, j = pairs(len(h))
    weights = torch.arange(len(i), dtype=dtype) % 7 - 3
    (within,) = torch.autograd.grad((weights * measure.within(h)).sum(), h)
    (between,) = torch.autograd.grad((weights * measure.between(h[i], h[j])).sum(), h)
    torch.testing.assert_close(within, between)
    assert within.any()


@every_measure
def test_autograd_gives_the_slope_of_finite_differences(measure: Measure) -> None:
    h1, h2 = points(6, seed=3).requires_grad_(), points(6, seed=4).requires_grad_()
    assert torch.autograd.gradcheck(measure.between, (h1, h2))
    assert torch.autograd.gradcheck(measure.within, (h1,))


@both_dtypes
@pytest.mark.parametrize("gap", [0.0, 1e-30, 1e-20, 1e-12, 1e-7])
@pytest.mark.parametrize("at", [0.0, 1e-30, 1e-16, 1.0, 1e6])
@every_measure
def test_points_that_coincide_or_nearly_do_have_finite_gradients(
    measure: Measure, at: float, gap: float, dtype: torch.dtype
) -> None:
    h = torch.full((4, 3), at, dtype=dtype)
    h[1::2] += gap
    for distances in (measure.within, lambda h: measure.between(h, h.flip(0))):
        leaf = h.clone().requires_grad_()
        d = distances(leaf)
        (gradient,) = torch.autograd.grad(d.sum(), leaf)
        assert d.isfinite().all()
        assert (d >= 0).all()
        assert gradient.isfinite().all()


@both_dtypes
@every_distance
def test_a_point_is_at_distance_0_of_itself_and_not_pushed(measure: Measure, dtype: torch.dtype) -> None:
    h1 = torch.cat([points(5), torch.zeros(1, 5)]).to(dtype).requires_grad_()
    h2 = h1.detach().clone()
    d = measure.between(h1, h2)
    assert d.tolist() == [0.0] * 6
    assert not torch.autograd.grad(d.sum(), h1)[0].any()


def test_cosine_sees_a_zero_vector_as_halfway_to_all_others() -> None:
    """It has no direction: it becomes the centre of the sphere, where the squared distance to each point is 1."""
    zero, others = torch.zeros(1, 5), points(3).float()
    assert MEASURES["cosine"].between(zero, others).tolist() == pytest.approx([0.5] * 3)
    assert MEASURES["cosine"].between(zero, zero).tolist() == [0]


@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1e6, 1e12])
def test_cosine_does_not_see_lengths(scale: float) -> None:
    h1, h2 = points(9, seed=1).float(), points(9, seed=2).float()
    torch.testing.assert_close(MEASURES["cosine"].between(h1 * scale, h2), MEASURES["cosine"].between(h1, h2))


@pytest.mark.parametrize("key", DISTANCES)
def test_on_the_unit_sphere_opposite_points_are_the_farthest(key: str) -> None:
    """The bound of Manhattan, 2√D, is reached at the corners of the cube."""
    corner = torch.tensor([[1.0, -1, 1, 1, -1]]).double() / math.sqrt(5)
    measure, largest = MEASURES[key], LARGEST_ON_THE_SPHERE[key]
    assert measure.between(corner, -corner).item() == pytest.approx(largest)
    sphere = torch.nn.functional.normalize(points(40), dim=1)
    assert (measure.within(sphere) <= largest).all()


@both_dtypes
@every_measure
def test_keeps_the_precision_it_is_given(measure: Measure, dtype: torch.dtype) -> None:
    h = points(4).to(dtype)
    assert measure.between(h, h.flip(0)).dtype == dtype
    assert measure.within(h).dtype == dtype


@pytest.mark.parametrize("count", [0, 1])
@every_measure
def test_fewer_than_two_points_make_no_pair(measure: Measure, count: int) -> None:
    assert measure.within(torch.zeros(count, 5)).shape == (0,)


@every_measure
def test_within_counts_the_pairs_where_torch_has_no_kernel_of_its_own(measure: Measure) -> None:
    assert measure.within(torch.zeros(5, 3, device="meta")).shape == (10,)


def test_the_records_are_complete() -> None:
    assert all(measure.title for measure in MEASURES.values())
    assert NAIVE.keys() >= WITHOUT_WEIGHTS.keys()


@every_measure
def test_a_point_that_is_not_a_number_is_at_no_distance(measure: Measure) -> None:
    """Least of all at 0, which would hide that training has failed."""
    h = points(2)
    h[0, 0] = math.nan
    assert measure.between(h[:1], h[1:]).isnan().all()
    assert measure.within(h).isnan().all()


def test_a_vector_has_a_direction_if_it_is_longer_than_1e_15() -> None:
    h = torch.tensor([[1e-15, 0.0], [0.0, -1.1e-15], [0.0, 0.0]])
    torch.testing.assert_close(normalised(h), torch.tensor([[0.0, 0.0], [0.0, -1.0], [0.0, 0.0]]))


@pytest.mark.parametrize(("key", "distance"), [("cosine", 0.25), ("similarity_head", 0.75)])
def test_numbers_arrays_and_tensors_become_distances_and_come_back(key: str, distance: float) -> None:
    measure = MEASURES[key]
    assert measure.as_distance(0.25) == distance
    for value in (np.array([0.25], np.float32), torch.tensor([0.25])):
        found = measure.as_distance(value)
        assert (type(found), found.dtype, found.tolist()) == (type(value), value.dtype, [distance])
        assert measure.from_distance(found).tolist() == [0.25]
    assert measure.from_distance(distance) == 0.25
