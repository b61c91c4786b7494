"""A film as it is played: layouts that follow each other, files that hold, and a message without surprises."""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamese_core.embeddings.projection import PROJECTIONS, LiveUmap, NotProjectable, Pca, neighbours
from siamese_core.experiment.experiment import Experiment
from siamese_core.export.figures.base import (
    BINS,
    DIFFERENT_COLOUR,
    LINE_POINTS,
    METRIC_COLOURS,
    SAME_COLOUR,
    bin_shares,
    class_style,
)
from siamese_core.export.replay_message import end_of_axis, replay_message
from siamese_core.formats.safetensors import Damaged, packed, unpacked
from siamese_core.formats.wire import unpack
from siamese_core.losses import LOSSES
from siamese_core.losses.record import Curve
from siamese_core.runs.history import NO_FILM, EvalImages, Film, RunHistory
from siamese_core.runs.layouts import Layouts, chained, packed_layouts, read_layouts

NOWHERE = 65535
SPRITE = {"url": "a.png", "columns": 40, "width": 8, "height": 8}
TEXT = {
    "loss": "Loss of the batch", "map_at_r": "MAP@R", "map_at_r.held_out": "MAP@R, held out",
    "precision_at_1": "Precision@1", "precision_at_1.held_out": "Precision@1, held out", "active": "Active",
    "distance": "{measure} distance", "similarity": "p: {measure}", "any_distance": "Distance",
    "any_similarity": "Similarity",
}  # fmt: skip
RNG = np.random.default_rng(0)


def film(frames: int = 3, n: int = 8, dim: int = 4) -> np.ndarray:
    start, way = RNG.normal(size=(2, n, dim))
    return np.stack([start + 0.1 * f * way for f in range(frames)]).astype(np.float32)


# ---- layouts that follow each other


@pytest.mark.parametrize("kind", ["pca", "pca_3d"])
def test_a_chain_is_one_projector_that_sees_all_frames_in_order(kind: str) -> None:
    embeddings = film()
    projector = PROJECTIONS[kind].make()
    for (xy, near), points in zip(chained(kind, embeddings), embeddings, strict=True):
        np.testing.assert_array_equal(xy, projector.frame(points))
        np.testing.assert_array_equal(near, neighbours(points, 5)[0])
        assert (xy.dtype, near.dtype) == (np.float32, np.int32)


@pytest.mark.parametrize("kind", ["umap", "pca"])
def test_a_frame_that_cannot_be_drawn_repeats_the_one_before_it(kind: str) -> None:
    embeddings = film(4)
    embeddings[2, 0, 0] = np.nan
    found_layouts = list(chained(kind, embeddings))
    calm = list(chained(kind, embeddings[[0, 1, 3]]))
    for found, expected in zip([*found_layouts[:2], found_layouts[3]], calm, strict=True):
        np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found_layouts[2][0], found_layouts[1][0])
    np.testing.assert_array_equal(found_layouts[2][1], found_layouts[1][1])


def test_a_first_frame_that_cannot_be_drawn_is_all_zeros_and_names_no_neighbour() -> None:
    embeddings = film(2)
    embeddings[0] = np.inf
    (xy, near), (later, _) = chained("pca", embeddings)
    assert not xy.any()
    assert (near == -1).all()
    assert later.any()


@pytest.mark.parametrize(
    ("kind", "embeddings", "why"),
    [
        ("pca", np.full((3, 8, 4), np.nan, np.float32), "not finite"),
        ("raw", film(), r"^Raw shows embeddings of dimension 2, and these have 4\.$"),
        ("pca", np.zeros((0, 8, 4), np.float32), r"^There are no frames to draw\.$"),
        ("pca", np.zeros((2, 0, 4), np.float32), r"^There are no points to draw\.$"),
    ],
)
def test_a_film_of_which_nothing_can_be_drawn_has_a_message(kind: str, embeddings: np.ndarray, why: str) -> None:
    with pytest.raises(NotProjectable, match=why):
        list(chained(kind, embeddings))


@pytest.mark.parametrize(("n", "k"), [(1, 0), (2, 1), (5, 4), (6, 5), (7, 5)])
def test_a_few_points_have_fewer_neighbours(n: int, k: int) -> None:
    for xy, near in chained("pca", film(n=n)):
        assert (xy.shape, near.shape) == ((n, 2), (n, k))


def movement(before: np.ndarray, after: np.ndarray) -> float:
    """In standard deviations of a coordinate, of the point in the middle."""
    return float(np.median(np.linalg.norm(after - before, axis=1)) / before.std(axis=0).mean())


def test_a_film_of_umap_does_not_jump_from_the_untrained_network_to_the_trained_one() -> None:
    from siamese_core.training.loop import every, train

    snapshots = train(Experiment(dataset="digits", encoder="mlp", steps=60), wants_frame=every(5))
    embeddings = np.stack([s.frame.embeddings for s in snapshots if s.frame is not None])
    warm_started = [movement(a, b) for (a, _), (b, _) in pairwise(chained("umap", embeddings))]
    separate = [movement(a, b) for a, b in pairwise([LiveUmap().frame(points) for points in embeddings[:4]])]
    assert np.median(warm_started) < 0.25
    assert max(warm_started) < 0.5
    assert min(separate) > max(warm_started), "laid out one by one, they jump"


# ---- files


def layouts(embeddings: np.ndarray, kind: str = "pca") -> Layouts:
    xy, near = zip(*chained(kind, embeddings), strict=True)
    return Layouts(kind, np.stack(xy), np.stack(near))


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e15])
@pytest.mark.parametrize("n", [1, 3, 8])
def test_layouts_come_back_from_a_file(scale: float, n: int) -> None:
    original = layouts(scale * film(n=n), "pca_3d")
    found = read_layouts(packed_layouts(original))
    assert (found.kind, found.xy.dtype) == ("pca_3d", np.float32)
    half_a_step = np.abs(original.xy).max() / 32767 / 2
    np.testing.assert_allclose(found.xy, original.xy, atol=half_a_step * 1.001, rtol=1e-6)
    np.testing.assert_array_equal(found.neighbours, original.neighbours)
    assert packed_layouts(found) == packed_layouts(original), "what is read and written again does not drift"


OLD_LAYOUTS = (
    "IAEAAAAAAAB7Inh5Ijp7ImR0eXBlIjoiVTE2Iiwic2hhcGUiOlsyLDIsMl0sImRhdGFfb2Zmc2V0cyI6WzAsMTZdfSwibmVpZ2hib3VycyI6eyJkdHlw"
    "ZSI6IkkzMiIsInNoYXBlIjpbMiwyLDFdLCJkYXRhX29mZnNldHMiOlsxNiwzMl19LCJfX21ldGFkYXRhX18iOnsicnVuIjoie1wia2luZFwiOiBcInBj"
    "YVwiLCBcInNjYWxlXCI6IDYuMTAzNzAxODk1MTk5NDM4ZS0wNX0iLCJzaGEyNTYiOiIwNDNjZTkxYzA3NDQzZjI5NmU4MzdhMmQxYjRmOGY2Y2UzZTVh"
    "M2E2MzkyZjQxMTA1YTk1NGFmZGVmZjBhZjJmIn19ICAgICAAAABAAYAAIABAAED/fwDwAQAAAAAAAAABAAAA/////w=="
)
"""As the first versions wrote: the int16 of the coordinates in the guise of uint16."""


def test_layouts_of_the_first_versions_are_read() -> None:
    found = read_layouts(base64.b64decode(OLD_LAYOUTS))
    assert (found.kind, found.neighbours.tolist()) == ("pca", [[[1], [0]], [[1], [-1]]])
    np.testing.assert_allclose(found.xy, [[[0, 1], [-2, 0.5]], [[1, 1], [2, -0.25]]], atol=1e-4)
    assert read_layouts(packed_layouts(found)).xy.tolist() == found.xy.tolist()


GOOD_META, GOOD_ARRAYS = unpacked(packed_layouts(layouts(film())))


@pytest.mark.parametrize(
    ("meta", "arrays"),
    [
        ({"kind": "tsne"}, {}),
        ({"kind": "umap_3d"}, {}),
        ({"kind": 3}, {}),
        ({"kind": ["pca"]}, {}),
        ({"scale": "1"}, {}),
        ({"scale": None}, {}),
        ({"scale": 1e300}, {}),
        ({}, {"xy": GOOD_ARRAYS["xy"].astype(np.float32)}),
        ({}, {"xy": GOOD_ARRAYS["xy"][0]}),
        ({}, {"xy": GOOD_ARRAYS["xy"][:2]}),
        ({}, {"xy": GOOD_ARRAYS["xy"][:, :0]}),
        ({}, {"neighbours": GOOD_ARRAYS["neighbours"] + 1}),
        ({}, {"neighbours": GOOD_ARRAYS["neighbours"] - 2}),
        ({}, {"neighbours": GOOD_ARRAYS["neighbours"][..., :4]}),
        ({}, {"neighbours": GOOD_ARRAYS["neighbours"].astype(np.int64)}),
    ],
)
def test_a_file_that_holds_no_layouts_is_damaged(meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    assert GOOD_ARRAYS["neighbours"].max() == 7
    assert GOOD_ARRAYS["neighbours"].min() == 0
    read_layouts(packed(GOOD_META, GOOD_ARRAYS))
    with pytest.raises(Damaged):
        read_layouts(packed(GOOD_META | meta, GOOD_ARRAYS | arrays))


@pytest.mark.parametrize("missing", ["xy", "neighbours"])
def test_a_file_without_one_of_its_arrays_is_damaged(missing: str) -> None:
    with pytest.raises(Damaged):
        read_layouts(packed(GOOD_META, {name: a for name, a in GOOD_ARRAYS.items() if name != missing}))


def test_a_file_cut_short_is_damaged() -> None:
    with pytest.raises(Damaged):
        read_layouts(packed_layouts(layouts(film()))[:-1])


# ---- the message


CURVE = Curve(*(np.linspace(a, a + 1, 5) for a in range(5)))


def run_history(experiment: Experiment | str = Experiment(), **changes: Any) -> RunHistory:  # noqa: B008 (frozen)
    """Three frames of four points, at the steps 2, 4 and 6 of 10; all different pairs lie at 0.5, 1.5 and 2.5."""
    different = np.repeat([[0.5], [1.5], [2.5]], 10, axis=1).astype(np.float32)
    whole = RunHistory(
        experiment if isinstance(experiment, str) else experiment.to_query(),
        10, 6, 720, 1.5,
        EvalImages(("cat", "dog"), np.array([0, 0, 1, 1], np.int32), np.zeros((4, 1, 8, 8), np.uint8), 1),
        Film(np.array([2, 4, 6]), film(n=4), different / 5, different),
        np.array([6, 5, 4, 3, 2, 1], np.float32), np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], np.float32),
        [(2, {"map_at_r": {"seen": 0.25, "held_out": None}}), (6, {"map_at_r": {"seen": 0.75, "held_out": None}})],
        None,
    )  # fmt: skip
    return replace(whole, **changes)


def message_of(
    recorded: RunHistory, curve: Curve | None = None, text: Mapping[str, str] = TEXT, kind: str = "pca"
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Meta and arrays; the header must be JSON as a browser understands it, which knows no NaN."""
    drawn = layouts(recorded.film.embeddings, kind)
    message = replay_message(recorded, drawn, sprite=SPRITE, key="eval images", curve=curve, text=text)
    (size,) = struct.unpack_from("<I", message)
    json.loads(message[4 : 4 + size], parse_constant=pytest.fail)
    return unpack(message)


def test_the_message_says_what_was_recorded() -> None:
    recorded = run_history()
    meta, arrays = message_of(recorded)
    drawn = layouts(recorded.film.embeddings)
    styles = [class_style(c) for c in range(2)]
    assert {name: value for name, value in meta.items() if name not in ("scale", "history")} == {
        "key": "eval images", "steps": [2, 4, 6], "total": 10, "dim": 2, "projection": "PCA", "classes": ["cat", "dog"],
        "colours": [colour for colour, _ in styles], "markers": [marker for _, marker in styles], "held_out": [],
        "second": None, "sprite": SPRITE, "note": "", "d_max": 5.0, "axis": "Euclidean distance",
        "same_colour": SAME_COLOUR, "different_colour": DIFFERENT_COLOUR,
    }  # fmt: skip
    np.testing.assert_allclose(arrays["xy"] * meta["scale"], drawn.xy, atol=meta["scale"] * 0.501)
    assert arrays["labels"].tolist() == [0, 0, 1, 1]
    assert {name: (array.dtype.name, array.shape) for name, array in arrays.items()} == {
        "xy": ("int16", (3, 4, 2)), "labels": ("int32", (4,)), "neighbours": ("uint16", (3, 4, 5)),
        "shares": ("float32", (3, 2, BINS)), "curve": ("float32", (3, 0)), "loss_steps": ("float32", (6,)),
        "loss": ("float32", (6,)), "score_steps": ("float32", (2,)), "scores": ("float32", (2, 2)),
    }  # fmt: skip


def test_points_that_have_no_fifth_neighbour_say_so() -> None:
    _, arrays = message_of(run_history())
    assert (arrays["neighbours"][..., :3] < 4).all()
    assert (arrays["neighbours"][..., 3:] == NOWHERE).all()


def test_a_point_without_neighbours_and_one_beyond_the_numbers_have_none() -> None:
    near = np.array([[[-1, 65_534, 65_535, 70_000, 0]]], np.int32)
    recorded = run_history()
    drawn = Layouts("pca", np.zeros((1, 1, 2), np.float32), near)
    _, arrays = unpack(replay_message(recorded, drawn, sprite=SPRITE, key="", curve=None, text=TEXT))
    assert arrays["neighbours"].tolist() == [[[NOWHERE, 65_534, NOWHERE, NOWHERE, 0]]]


def test_the_axis_of_distances_is_one_for_the_whole_film() -> None:
    """A tenth of the last frame's pairs is far out, a thirtieth of all: less than one in twenty."""
    recorded = run_history()
    far = recorded.film.different.copy()
    far[2, 0] = 1_000
    recorded = replace(recorded, film=replace(recorded.film, different=far))
    meta, arrays = message_of(recorded)
    assert meta["d_max"] == end_of_axis(recorded) == 5.0
    for f, place in enumerate((4, 12, 20)):
        np.testing.assert_array_equal(arrays["shares"][f, 1], bin_shares(far[f], 5.0))
        assert arrays["shares"][f, 1, place] >= np.float32(0.9)
    assert arrays["shares"][2, 1, -1] == np.float32(0.1)
    np.testing.assert_allclose(arrays["shares"].sum(axis=-1), 1, rtol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -3.0, 0.0, 1e-40])
def test_distances_that_say_nothing_leave_the_axis_at_one(value: float) -> None:
    recorded = run_history()
    bad = np.full((3, 10), value, np.float32)
    assert end_of_axis(replace(recorded, film=replace(recorded.film, same=bad, different=bad))) == 1.0


def test_a_loss_on_similarities_is_drawn_from_0_to_1() -> None:
    similar = Experiment(loss="log")
    assert similar.measure == "similarity_head"
    meta, _ = message_of(run_history(similar))
    assert (meta["d_max"], meta["axis"]) == (1.0, "p: Similarity head (trained)")


def test_a_measure_of_another_version_is_what_its_numbers_look_like() -> None:
    recorded = run_history("measure=wasserstein")
    assert message_of(recorded)[0]["axis"] == "Distance"
    low, high = np.full((2, 3, 10), [[[0.1]], [[0.9]]], np.float32)
    for same, different, axis in ((high, low, "Similarity"), (low, high, "Distance"), (high * 3, low, "Distance")):
        meta, _ = message_of(replace(recorded, film=replace(recorded.film, same=same, different=different)))
        assert meta["axis"] == axis


def test_the_curve_goes_along_with_a_loss_of_one_distance_or_similarity_only() -> None:
    for key, loss in LOSSES.items():
        _, arrays = message_of(run_history(Experiment(loss=key)), CURVE)
        if loss.on_pairs:
            np.testing.assert_array_equal(arrays["curve"], np.float32([CURVE.at, CURVE.same, CURVE.different]))
        else:
            assert arrays["curve"].shape == (3, 0)
    assert message_of(run_history("loss=unheard_of"), CURVE)[1]["curve"].shape == (3, 0)


def test_lines_have_a_name_a_colour_and_their_values() -> None:
    scores = [
        (1, {"map_at_r": {"seen": 0.1, "held_out": None}, "precision_at_1": {"seen": 0.5}}),
        (4, {"map_at_r": {"seen": None, "held_out": 0.4}, "auc": {"seen": 1.0}}),
        (9, {"map_at_r": {"seen": 0.9}}),
    ]
    meta, arrays = message_of(run_history(scores=scores))
    assert meta["history"] == [
        ["loss", "Loss of the batch", METRIC_COLOURS["loss"], False, "loss"],
        ["map_at_r", "MAP@R", METRIC_COLOURS["map_at_r"], False, "score"],
        ["map_at_r.held_out", "MAP@R, held out", METRIC_COLOURS["map_at_r"], True, "score"],
        ["precision_at_1", "Precision@1", METRIC_COLOURS["precision_at_1"], False, "score"],
        ["active", "Active", METRIC_COLOURS["active"], False, "score"],
    ]
    assert arrays["score_steps"].tolist() == [1, 4], "step 9 has not been made yet"
    nan = math.nan
    np.testing.assert_array_equal(arrays["scores"], np.float32([[0.1, nan], [nan, 0.4], [0.5, nan], [0.9, 0.6]]))
    assert (arrays["loss_steps"].tolist(), arrays["loss"].tolist()) == ([1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1])


def test_a_loss_on_a_whole_batch_has_no_line_of_active_pairs() -> None:
    meta, arrays = message_of(run_history(active=np.full(6, np.nan, np.float32)))
    assert [name for name, *_ in meta["history"]] == ["loss", "map_at_r"]
    assert arrays["scores"].shape == (1, 2)


def test_a_run_without_scores_has_a_loss_all_the_same() -> None:
    meta, arrays = message_of(run_history(scores=[]))
    assert [name for name, *_ in meta["history"]] == ["loss"]
    assert arrays["scores"].shape == (0, 0)
    assert len(arrays["loss"]) == 6


def test_a_long_loss_is_thinned() -> None:
    loss = np.linspace(9, 1, 10_000, dtype=np.float32)
    _, arrays = message_of(run_history(loss=loss, active=loss, step=10_000))
    assert len(arrays["loss"]) <= LINE_POINTS
    np.testing.assert_array_equal(arrays["loss"], loss[arrays["loss_steps"].astype(int) - 1])


def test_second_inputs_begin_in_the_middle_and_the_note_is_the_callers() -> None:
    recorded = run_history()
    meta, _ = message_of(
        replace(recorded, eval_images=replace(recorded.eval_images, branches=2)), text=TEXT | {"note": "Hollow: edges."}
    )
    assert (meta["second"], meta["note"]) == (2, "Hollow: edges.")


@pytest.mark.parametrize(
    ("query", "held_out"),
    [
        ("held_out=1", [1]),
        ("held_out=0,1,7,-1", [0, 1]),
        ("dataset=own_that_is_gone&held_out=1", [1]),
        ("held_out=one", []),
        ("", []),
    ],
)
def test_held_out_classes_are_marked_even_where_the_images_are_gone(query: str, held_out: list[int]) -> None:
    assert message_of(run_history(query))[0]["held_out"] == held_out


def test_a_layout_in_space_has_three_coordinates() -> None:
    meta, arrays = message_of(run_history(), kind="pca_3d")
    assert (meta["dim"], meta["projection"], arrays["xy"].shape) == (3, "PCA, 3-D", (3, 4, 3))


def test_a_film_without_frames_is_a_message_too() -> None:
    nothing = Layouts("pca", np.zeros((0, 4, 2), np.float32), np.zeros((0, 4, 3), np.int32))
    message = replay_message(run_history(film=NO_FILM), nothing, sprite=SPRITE, key="", curve=CURVE, text=TEXT)
    meta, arrays = unpack(message)
    assert (meta["steps"], meta["d_max"], arrays["shares"].shape) == ([], 1.0, (0, 2, BINS))


NUMBERS = st.one_of(st.integers(), st.just(10**400), st.floats(), st.none(), st.booleans())
METRICS = st.dictionaries(
    st.sampled_from(["map_at_r", "precision_at_1", "loss", "é"]),
    st.dictionaries(st.sampled_from(["seen", "held_out", ""]), NUMBERS),
)
FLOATS = st.floats(width=32)
HOSTILE = st.sampled_from(
    ["measure=euclidean", "loss=\ud800", "held_out=9" + "9" * 5_000, "measure=similarity_head", "&&==%ff", "loss"]
)


@settings(deadline=None, max_examples=100)
@given(
    query=HOSTILE | st.text(),
    scores=st.lists(st.tuples(st.integers() | st.booleans(), METRICS)),
    pairs=st.lists(FLOATS, min_size=6, max_size=6),
    history=st.lists(FLOATS, min_size=6, max_size=6),
    branches=st.sampled_from([1, 2]),
)
def test_a_recording_from_anybody_gives_a_message(
    query: str, scores: Any, pairs: list[float], history: list[float], branches: int
) -> None:
    recorded = run_history(query, scores=scores, loss=np.float32(history), active=np.float32(history))
    cut = replace(recorded.film, same=np.float32(pairs).reshape(3, 2), different=np.float32(pairs).reshape(3, 2))
    meta, arrays = message_of(
        replace(recorded, film=cut, eval_images=replace(recorded.eval_images, branches=branches)), CURVE
    )
    assert 0 < meta["d_max"] < math.inf
    assert np.isfinite(arrays["shares"]).all()
    assert np.isfinite(arrays["loss"]).all()
    assert len(arrays["scores"]) == len(meta["history"]) - 1
    shown = arrays["scores"][np.isfinite(arrays["scores"])]
    assert ((shown >= 0) & (shown <= 1)).all()


def test_a_layout_that_collapsed_or_is_far_out_keeps_a_scale_that_is_a_number() -> None:
    for value in (0.0, 1e-38, 1e17):
        recorded = run_history()
        flat = np.full((3, 4, 2), value, np.float32)
        meta, arrays = message_of(replace(recorded, film=replace(recorded.film, embeddings=flat)), kind="raw")
        assert 0 < meta["scale"] < math.inf
        np.testing.assert_allclose(arrays["xy"] * meta["scale"], flat, rtol=1e-4)


def test_pca_of_the_chain_is_turned_onto_the_frame_before() -> None:
    """A network that mirrors its embedding has moved nothing that can be seen."""
    points = film(1)[0]
    (first, _), (second, _) = chained("pca", np.stack([points, -points]))
    np.testing.assert_allclose(second, first, atol=1e-5)
    assert not np.allclose(Pca().frame(-points), first, atol=1e-2)
