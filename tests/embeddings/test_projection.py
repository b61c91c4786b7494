"""What a projection promises: exact neighbours, calm layouts, the same bits, a layout or a message for any input."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from siamese_core.embeddings import projection
from siamese_core.embeddings.projection import PROJECTIONS, Identity, LiveUmap, NotProjectable, Pca, neighbours

CLASSES = 10


def training(frames: int, n: int = 300, dim: int = 32) -> list[np.ndarray]:
    """Ten classes that move apart: from frame to frame the noise shrinks and the centres grow."""
    random = np.random.RandomState(0)
    centres, noise = random.normal(size=(CLASSES, dim)), random.normal(size=(n, dim))
    labels = np.arange(n) % CLASSES
    return [
        (centres[labels] * (0.4 + 0.3 * t) + noise * (1 - 0.4 * t)).astype(np.float32)
        for t in np.linspace(0, 1, frames)
    ]


def movement(before: np.ndarray, after: np.ndarray) -> float:
    return float(np.median(np.linalg.norm(after - before, axis=1)) / before.std(axis=0).mean())


def naive_neighbours(points: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    points = points.astype(np.float64)
    distances = np.array([[np.sqrt(np.square(a - b).sum()) for b in points] for a in points])
    np.fill_diagonal(distances, np.inf)
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(distances, order, axis=1)


# ---- the catalogue


def test_importing_it_is_light() -> None:
    heavy = ("umap", "numba", "scipy", "sklearn", "torch")
    code = f"import sys, siamese_core.embeddings.projection; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_catalogue() -> None:
    assert {key: p.dim for key, p in PROJECTIONS.items()} == {"umap": 2, "umap_3d": 3, "pca": 2, "pca_3d": 3, "raw": 2}
    assert all(p.title and p.help for p in PROJECTIONS.values())
    assert {key for key, p in PROJECTIONS.items() if p.needs_warm_up} == {"umap", "umap_3d"}
    assert {key: p.only_dim for key, p in PROJECTIONS.items() if p.only_dim} == {"raw": 2}


@pytest.mark.parametrize("key", PROJECTIONS)
def test_two_makes_share_nothing(key: str) -> None:
    assert PROJECTIONS[key].make() is not PROJECTIONS[key].make()


# ---- every input has a layout or a message

VALUES = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 1e-40, 1e-300, 1e17, 1e19, 3e38, 1e300]),
    st.floats(-10, 10, allow_subnormal=True),
)
TABLES = hnp.arrays(np.float64, st.tuples(st.integers(0, 50), st.integers(0, 4)), elements=VALUES)


def assert_layout_or_message(key: str, projector: projection.Projector, points: np.ndarray) -> None:
    try:
        layout = projector.frame(points)
    except NotProjectable as problem:
        message = str(problem)
    else:
        message = ""
        assert layout.shape == (len(points), PROJECTIONS[key].dim)
        assert layout.dtype == np.float32
        assert np.isfinite(layout).all()
    assert message == "" or (message.endswith(".") and "\n" not in message)


@pytest.mark.parametrize("key", PROJECTIONS)
@settings(max_examples=25, deadline=None)
@given(first=TABLES, second=TABLES)
def test_any_table_gives_a_layout_or_a_message(key: str, first: np.ndarray, second: np.ndarray) -> None:
    projector = PROJECTIONS[key].make()
    for points in (first, first, second):
        assert_layout_or_message(key, projector, points)


@pytest.mark.parametrize("key", PROJECTIONS)
@pytest.mark.parametrize("dim", [1, 2, 32])
@pytest.mark.parametrize("n", [1, 2, 3, 5, 14, 15, 16, 50])
def test_a_few_points_are_drawn(key: str, dim: int, n: int) -> None:
    """Fewer points than neighbours, a line in three dimensions, and a second frame after the first."""
    projector = PROJECTIONS[key].make()
    points = np.random.RandomState(n).normal(size=(n, dim)).astype(np.float32)
    if PROJECTIONS[key].only_dim not in (None, dim):
        with pytest.raises(NotProjectable):
            projector.frame(points)
        return
    for frame in (points, 1.1 * points):
        layout = projector.frame(frame)
        assert layout.shape == (n, PROJECTIONS[key].dim)
        assert np.isfinite(layout).all()
    assert n == 1 or layout.any()


@pytest.mark.parametrize("key", PROJECTIONS)
@pytest.mark.parametrize("value", [0.0, 0.1, -3e7])
def test_a_collapsed_embedding_is_one_dot_and_the_run_goes_on(key: str, value: float) -> None:
    projector = PROJECTIONS[key].make()
    spread = np.random.RandomState(0).normal(size=(20, 2)).astype(np.float32)
    for points in (spread, np.full((20, 2), value, np.float32), spread):
        layout = projector.frame(points)
        assert len(np.unique(layout, axis=0)) == len(np.unique(points, axis=0))


@pytest.mark.parametrize("key", PROJECTIONS)
def test_two_dots_of_many_points_are_drawn(key: str) -> None:
    """Every neighbour is at distance 0, so there is no mean distance to divide by."""
    points = np.repeat(np.eye(2, dtype=np.float32), 20, axis=0)
    projector = PROJECTIONS[key].make()
    for _ in range(3):
        assert_layout_or_message(key, projector, points)


@pytest.mark.parametrize("key", PROJECTIONS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 2e18])
def test_a_frame_that_cannot_be_drawn_leaves_no_trace(key: str, bad: float) -> None:
    first, second = (points[:, :2].copy() for points in training(2, n=40))
    broken = second.copy()
    broken[7, 1] = bad
    disturbed, calm = PROJECTIONS[key].make(), PROJECTIONS[key].make()
    disturbed.frame(first)
    calm.frame(first)
    with pytest.raises(NotProjectable, match=r"^Some embeddings are .*\.$"):
        disturbed.frame(broken)
    np.testing.assert_array_equal(disturbed.frame(second), calm.frame(second))


@pytest.mark.parametrize("key", PROJECTIONS)
def test_no_points_and_no_table_have_a_message(key: str) -> None:
    with pytest.raises(NotProjectable, match=r"^There are no points to draw\.$"):
        PROJECTIONS[key].make().frame(np.zeros((0, 2), np.float32))
    with pytest.raises(NotProjectable, match=r"one row a point, not in the shape \(3,\)"):
        PROJECTIONS[key].make().frame(np.zeros(3, np.float32))


@pytest.mark.parametrize("key", PROJECTIONS)
def test_the_input_is_not_touched(key: str) -> None:
    points = training(1, n=30)[0][:, :2].copy()
    before = points.copy()
    layout = PROJECTIONS[key].make().frame(points)
    np.testing.assert_array_equal(points, before)
    assert not np.shares_memory(layout, points)


@pytest.mark.parametrize("key", PROJECTIONS)
def test_a_layout_shown_does_not_change_with_the_next(key: str) -> None:
    first, second = (points[:, :2] for points in training(2, n=30))
    projector = PROJECTIONS[key].make()
    layout = projector.frame(first)
    before = layout.copy()
    projector.frame(second)
    np.testing.assert_array_equal(layout, before)
    layout[:] = 0
    again = PROJECTIONS[key].make()
    again.frame(first)
    again.frame(second)
    np.testing.assert_array_equal(projector.frame(second), again.frame(second))


# ---- the same bits


@pytest.mark.parametrize("key", PROJECTIONS)
def test_same_frames_give_the_same_bits_and_global_generators_rest(key: str) -> None:
    frames = [points[:, : PROJECTIONS[key].only_dim or 32] for points in training(4, n=100)]
    one, other = PROJECTIONS[key].make(), PROJECTIONS[key].make()
    np.random.seed(1)
    before = np.random.get_state()[1].copy()
    first = [one.frame(points) for points in frames]
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    np.random.seed(2)
    for layout, points in zip(first, frames, strict=True):
        np.testing.assert_array_equal(layout, other.frame(points))


def test_another_seed_gives_another_layout() -> None:
    points = training(1, n=100)[0]
    assert not np.array_equal(LiveUmap(seed=0).frame(points), LiveUmap(seed=1).frame(points))


@pytest.mark.parametrize("key", ["umap", "pca"])
def test_another_number_of_points_starts_afresh(key: str) -> None:
    many, few = training(1, n=100)[0], training(1, n=60)[0]
    used = PROJECTIONS[key].make()
    used.frame(many)
    used.frame(many)
    np.testing.assert_array_equal(used.frame(few), PROJECTIONS[key].make().frame(few))


def test_two_threads_get_the_bits_that_one_gets_alone() -> None:
    """numba's workqueue layer would abort the process if both were let in at once."""
    frames = training(5, n=100)
    alone = LiveUmap()
    expected = [alone.frame(points) for points in frames]
    together: dict[int, list[np.ndarray]] = {}

    def draw(name: int) -> None:
        live = LiveUmap()
        together[name] = [live.frame(points) for points in frames]

    threads = [threading.Thread(target=draw, args=(name,)) for name in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for layouts in (together[0], together[1]):
        np.testing.assert_array_equal(layouts, expected)


# ---- UMAP


@dataclass(frozen=True)
class Followed:
    """A real training, its layouts, and the projector after the last of them."""

    frames: list[np.ndarray]
    labels: np.ndarray
    layouts: list[np.ndarray]
    live: LiveUmap


@pytest.fixture(scope="module")
def followed() -> Followed:
    from siamese_core.datasets import DATASETS, select_eval_subset
    from siamese_core.experiment.experiment import Experiment
    from siamese_core.training.loop import every, train

    experiment = Experiment(dataset="digits", encoder="mlp", steps=160)
    snapshots = train(experiment, wants_frame=every(10))
    frames = [np.asarray(snapshot.frame.embeddings) for snapshot in snapshots if snapshot.frame is not None]
    images = DATASETS["digits"].load()
    live = LiveUmap()
    return Followed(
        frames, images.test_labels[select_eval_subset(images)], [live.frame(points) for points in frames], live
    )


@pytest.mark.slow
def test_it_keeps_neighbours_as_well_as_umap_itself(followed: Followed) -> None:
    import umap
    from sklearn.manifold import trustworthiness

    for i in (5, 15):
        points = followed.frames[i]
        whole = umap.UMAP(random_state=0, n_jobs=1).fit_transform(points)
        ours, theirs = (trustworthiness(points, layout, n_neighbors=15) for layout in (followed.layouts[i], whole))
        assert ours > theirs - 0.005


def test_the_layout_moves_with_the_embedding_and_hardly_when_it_rests(followed: Followed) -> None:
    moving = [movement(a, b) for a, b in pairwise(followed.layouts)]
    rest = [followed.layouts[-1], *(followed.live.frame(followed.frames[-1]) for _ in range(10))]
    resting = [movement(a, b) for a, b in pairwise(rest)]
    assert 0.01 < np.median(moving) < 0.5
    assert max(resting) < 0.25


def test_every_frame_has_one_size_and_one_centre(followed: Followed) -> None:
    """Left alone, repulsion would inflate it frame by frame."""
    for layout in followed.layouts:
        assert np.sqrt(np.square(layout).mean()) == pytest.approx(projection.SIZE, rel=1e-5)
        np.testing.assert_allclose(layout.mean(axis=0), 0, atol=1e-4)


def test_classes_that_moved_apart_are_apart_in_the_layout(followed: Followed) -> None:
    near, _ = neighbours(followed.layouts[-1], 10)
    labels = followed.labels
    assert (labels[near] == labels[:, None]).mean() > 0.9


def test_the_unit_of_the_embedding_is_nothing_to_umap() -> None:
    points = training(1, n=60)[0].astype(np.float64)
    for scale in (2.0**-60, 2.0**40):
        np.testing.assert_array_equal(LiveUmap().frame(points), LiveUmap().frame(points * scale))


@pytest.mark.parametrize(("n_neighbors", "dim"), [(1, 2), (15, 0)])
def test_settings_without_meaning_are_refused(n_neighbors: int, dim: int) -> None:
    with pytest.raises(ValueError, match=rf"not {n_neighbors} and {dim}$"):
        LiveUmap(n_neighbors=n_neighbors, dim=dim)
    LiveUmap(n_neighbors=2, dim=1)


# ---- PCA and raw


def test_pca_finds_the_long_axis() -> None:
    layout = Pca().frame([[0, 0, 0], [0, 2, 0], [0, 4, 1], [0, 6, 0]])
    assert np.abs(layout[:, 0]).round(0).tolist() == [3, 1, 1, 3]
    np.testing.assert_allclose(
        np.linalg.norm(layout[0] - layout[3]), 6, rtol=1e-6, err_msg="distances in the plane are true"
    )


def test_pca_agrees_with_a_singular_value_decomposition() -> None:
    points = training(1)[0].astype(np.float64)
    u, s, _ = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(np.abs(Pca(3).frame(points)), np.abs(u * s)[:, :3], atol=1e-4)


@pytest.mark.parametrize("dim", [2, 3])
def test_pca_does_not_flip_or_turn_when_the_embedding_does(dim: int) -> None:
    points = training(1)[0]
    turn = np.linalg.qr(np.random.RandomState(3).normal(size=(32, 32)))[0]
    pca = Pca(dim)
    first = pca.frame(points)
    np.testing.assert_allclose(pca.frame(-points), first, atol=1e-4)
    np.testing.assert_allclose(pca.frame(points @ turn), first, atol=1e-4)


def test_pca_follows_two_axes_that_change_places() -> None:
    """The variance of x falls below that of y: the plane is the same, so the layout is, too."""
    random = np.random.RandomState(0)
    points = random.normal(size=(200, 2))
    pca = Pca()
    layouts = [pca.frame(points * [1, width]) for width in (0.9, 0.95, 1.0, 1.05, 1.1)]
    assert max(movement(a, b) for a, b in pairwise(layouts)) < 0.1


def test_pca_remembers_its_turn_through_a_collapse() -> None:
    points = training(1)[0]
    pca = Pca()
    first = pca.frame(points)
    assert not pca.frame(np.ones_like(points)).any()
    np.testing.assert_allclose(pca.frame(-points), first, atol=1e-4)


def test_pca_pads_what_the_embedding_lacks_with_zeros() -> None:
    layout = Pca(3).frame([[1.0], [2.0], [6.0]])
    np.testing.assert_allclose(layout, [[-2, 0, 0], [-1, 0, 0], [3, 0, 0]], atol=1e-6)


def test_raw_is_the_embedding_itself() -> None:
    assert Identity().frame([[1, 2], [3, -4]]).tolist() == [[1, 2], [3, -4]]


def test_raw_says_why_it_cannot_draw_three_dimensions() -> None:
    with pytest.raises(NotProjectable, match=r"^Raw shows embeddings of dimension 2, and these have 3\.$"):
        Identity().frame(np.zeros((4, 3)))


# ---- neighbours


def test_neighbours_on_a_line() -> None:
    near, distances = neighbours([[0.0], [1.0], [3.0], [7.0]], 2)
    assert near.tolist() == [[1, 2], [0, 2], [1, 0], [2, 1]]
    assert distances.tolist() == [[1, 3], [1, 2], [2, 3], [4, 6]]
    assert (near.dtype, distances.dtype) == (np.int32, np.float32)


@settings(deadline=None)
@given(
    points=hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 12), st.integers(0, 3)),
        elements=st.one_of(st.integers(-3, 3), st.floats(-10, 10, width=32), st.sampled_from([1e3, 1e3 + 1e-3, 1e15])),
    ),
    k=st.integers(0, 14),
)
def test_neighbours_agree_with_a_naive_loop(points: np.ndarray, k: int) -> None:
    near, distances = neighbours(points, k)
    _, expected = naive_neighbours(points, min(k, len(points) - 1))
    np.testing.assert_allclose(distances, expected, rtol=1e-6, atol=1e-30)  # a subnormal has no digits to keep
    rows = np.arange(len(points))[:, None]
    assert (near != rows).all()
    assert all(len(set(row)) == len(row) for row in near.tolist())
    measured = np.linalg.norm((points[near] - points[rows]).astype(np.float64), axis=-1)
    np.testing.assert_allclose(measured, distances, rtol=1e-5, atol=1e-30)


def test_near_duplicates_keep_their_order() -> None:
    """‖a‖² + ‖b‖² - 2ab has no digit left of distances this short between points this far out."""
    line = np.cumsum(np.arange(1, 30)) * 1e-9
    sides = [np.column_stack([line, np.full(29, side)]) for side in (-1.0, 1.0)]
    points = np.concatenate(sides).astype(np.float32)
    near, distances = neighbours(points, 3)
    expected, measured = naive_neighbours(points, 3)
    np.testing.assert_array_equal(near, expected)
    np.testing.assert_allclose(distances, measured, rtol=1e-6)


def test_far_points_do_not_blur_the_others() -> None:
    points = np.float32([[1.3125], [0], [1e15], [1e15], [1e15]])
    assert neighbours(points, 1)[1][:2].tolist() == [[1.3125], [1.3125]]
