"""Films and eval images: as they were within half precision, or `Damaged`, whoever they come from."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from siamese_core.experiment.snapshot import Frame
from siamese_core.formats.safetensors import Damaged, packed, unpacked
from siamese_core.runs.history import (
    MAX_FRAMES,
    NO_FILM,
    EvalImages,
    Film,
    cut,
    film_of,
    gap_of,
    joined,
    packed_eval_images,
    packed_film,
    read_eval_images,
    read_film,
)
from tests.support.fuzzing import fuzzed


def film(*steps: int, scale: float = 3.0, images: int = 5, dim: int = 4, pairs: int = 7) -> Film:
    chance = np.random.default_rng(sum(steps))
    frames = [
        Frame(
            (scale * chance.standard_normal((images, dim))).astype(np.float32),
            (scale * chance.random(pairs)).astype(np.float32),
            (scale * chance.random(pairs)).astype(np.float32),
            np.zeros((2, 0), np.float32),
            {},
        )
        for _ in steps
    ]
    return film_of(list(zip(steps, frames, strict=True)))


def eval_images(**changes: Any) -> EvalImages:
    images = np.arange(4 * 1 * 3 * 2, dtype=np.uint8).reshape(4, 1, 3, 2)
    return replace(EvalImages(("one", "two"), np.array([0, 1, 1, 0], np.int32), images, 1), **changes)


# Films


@pytest.mark.parametrize("scale", [1e-40, 1e-20, 1.0, 3e4, 1e30])
def test_a_film_comes_back_within_a_thousandth_of_its_largest_number(scale: float) -> None:
    before = film(1, 4, 9, scale=scale)
    after = read_film(packed_film(before))
    np.testing.assert_array_equal(after.steps, [1, 4, 9])
    for name in ("embeddings", "same", "different"):
        old, new = getattr(before, name), getattr(after, name)
        assert new.dtype == np.float32
        for frame in range(3):
            largest = np.abs(old[frame]).max()
            assert largest > 0
            assert np.abs(new[frame] - old[frame]).max() <= 1e-3 * largest


def test_each_frame_has_a_scale_of_its_own() -> None:
    both = joined([film(1, scale=1e-6), film(2, scale=1e6)], 2)
    after = read_film(packed_film(both))
    assert 0 < np.abs(after.embeddings[0]).max() < 1e-4, "a small frame is not lost beside a large one"


def test_a_collapsed_embedding_stays_zero_and_no_number_stays_none() -> None:
    before = film(1, 2)
    before.embeddings[0] = 0
    before.embeddings[1, 0] = [np.nan, np.inf, -np.inf, 1]
    after = read_film(packed_film(before))
    assert not after.embeddings[0].any()
    np.testing.assert_array_equal(after.embeddings[1, 0, :3], [np.nan, np.inf, -np.inf])
    assert np.isfinite(after.embeddings[1, 1:]).all(), "a number that is none spoils no other"


def test_a_film_has_a_bounded_number_of_frames() -> None:
    for total in (1, 199, 200, 201, 100_000):
        assert total / gap_of(total) <= MAX_FRAMES
    assert gap_of(200) == 1
    assert gap_of(201) == 2


def test_the_same_film_is_the_same_bytes() -> None:
    assert packed_film(film(1, 2)) == packed_film(film(1, 2))


def test_parts_are_joined_and_what_lies_beyond_the_state_is_left_out() -> None:
    whole = joined([film(1, 2), film(3, 5)], 4)
    np.testing.assert_array_equal(whole.steps, [1, 2, 3])
    assert whole.embeddings.shape == (3, 5, 4)
    assert len(joined([], 9)) == len(joined([film(5)], 4)) == 0
    assert cut(whole, 9) is whole


@pytest.mark.parametrize(
    "parts",
    [[film(1, 2), film(2, 3)], [film(3), film(1)], [film(1), film(2, images=6)], [film(1), film(2, dim=3)]],
    ids=["a step twice", "not in order", "other images", "another dimension"],
)
def test_parts_that_do_not_fit_are_damaged(parts: list[Film]) -> None:
    with pytest.raises(Damaged):
        joined(parts, 9)


def changed_film(**changes: np.ndarray) -> bytes:
    _, arrays = unpacked(packed_film(film(1, 2)))
    return packed({}, {name: array for name, array in (arrays | changes).items() if array is not None})


HOSTILE_FILMS: dict[str, dict[str, Any]] = {
    "no steps": {"steps": np.zeros(0, np.int64)},
    "steps missing": {"steps": None},
    "steps that repeat": {"steps": np.array([1, 1])},
    "steps that go back": {"steps": np.array([2, 1])},
    "steps below 0": {"steps": np.array([-1, 1])},
    "the smallest step and the largest": {"steps": np.array([-(2**63), 2**63 - 1])},
    "more steps than frames": {"steps": np.array([1, 2, 3])},
    "fewer steps than frames": {"steps": np.array([1])},
    "steps in floats": {"steps": np.array([1.0, 2.0])},
    "steps in two axes": {"steps": np.array([[1, 2]])},
    "a scale that is NaN": {"same_scale": np.array([1, np.nan])},
    "a scale that is infinite": {"embeddings_scale": np.array([np.inf, 1])},
    "a scale for all": {"embeddings_scale": np.array([1.0])},
    "scales in half precision": {"embeddings_scale": np.ones(2, np.float16)},
    "no scale": {"different_scale": None},
    "embeddings in single precision": {"embeddings": np.zeros((2, 5, 4), np.float32)},
    "embeddings in bytes": {"embeddings": np.zeros((2, 5, 4), np.uint8)},
    "flat embeddings": {"embeddings": np.zeros((2, 20), np.float16)},
    "a frame too many": {"embeddings": np.zeros((3, 5, 4), np.float16)},
    "no embeddings": {"embeddings": None},
    "distances in three axes": {"same": np.zeros((2, 7, 1), np.float16)},
}


@pytest.mark.parametrize("name", HOSTILE_FILMS)
def test_a_hostile_film_is_damaged(name: str) -> None:
    with pytest.raises(Damaged):
        read_film(changed_film(**HOSTILE_FILMS[name]))


def test_the_film_that_is_changed_above_is_read() -> None:
    assert len(read_film(changed_film())) == 2


@pytest.mark.parametrize("scale", [1e308, -1.0, 5e-324, 1e39])
def test_every_half_times_any_scale_is_a_number_or_none(scale: float) -> None:
    """All 65,536 bit patterns, the signalling NaNs among them: no warning, which is an error here."""
    halves = np.arange(65_536, dtype=np.uint16).view(np.float16).reshape(1, -1, 1)
    content = changed_film(
        steps=np.array([1]), embeddings=halves, embeddings_scale=np.array([scale]),
        same=np.zeros((1, 0), np.float16), same_scale=np.ones(1),
        different=np.zeros((1, 0), np.float16), different_scale=np.ones(1),
    )  # fmt: skip
    assert read_film(content).embeddings.shape == (1, 65_536, 1)


def test_reading_a_film_takes_a_few_times_its_bytes() -> None:
    """Halves become singles by way of doubles."""
    content = packed_film(film(*range(50), images=500, dim=32))
    tracemalloc.start()
    try:
        read_film(content)
        assert tracemalloc.get_traced_memory()[1] < 8 * len(content)
    finally:
        tracemalloc.stop()


# Eval images


def test_eval_images_come_back_as_they_were() -> None:
    before = eval_images(classes=("eins", "zwei – ß"), branches=2)
    after = read_eval_images(packed_eval_images(before))
    assert (after.classes, after.branches) == (before.classes, 2)
    np.testing.assert_array_equal(after.labels, before.labels)
    np.testing.assert_array_equal(after.thumbnails, before.thumbnails)


HOSTILE_EVAL_IMAGES: dict[str, dict[str, Any]] = {
    "a label below 0": {"labels": np.array([0, 1, -1, 0], np.int32)},
    "a label of no class": {"labels": np.array([0, 1, 2, 0], np.int32)},
    "no class": {"classes": ()},
    "more labels than images": {"labels": np.zeros(5, np.int32)},
    "no image": {"labels": np.zeros(0, np.int32), "thumbnails": np.zeros((0, 1, 3, 2), np.uint8)},
    "labels in two axes": {"labels": np.zeros((4, 1), np.int32)},
    "two colours": {"thumbnails": np.zeros((4, 2, 3, 2), np.uint8)},
    "no colour": {"thumbnails": np.zeros((4, 0, 3, 2), np.uint8)},
    "no pixel": {"thumbnails": np.zeros((4, 1, 0, 2), np.uint8)},
    "no pixel, in a row too long for an address": {"thumbnails": np.zeros((4, 1, 0, 2**31 - 1), np.uint8)},
    "too wide": {"thumbnails": np.zeros((4, 1, 1, 257), np.uint8)},
    "too high": {"thumbnails": np.zeros((4, 1, 257, 1), np.uint8)},
    "pixels in floats": {"thumbnails": np.zeros((4, 1, 3, 2), np.float32)},
    "flat images": {"thumbnails": np.zeros((4, 6), np.uint8)},
    "an odd number of two branches": {
        "labels": np.zeros(3, np.int32), "thumbnails": np.zeros((3, 1, 3, 2), np.uint8), "branches": 2,
    },
    "no branch": {"branches": 0},
    "three branches": {"branches": 3},
    "a branch in floats": {"branches": 1.0},
    "a true branch": {"branches": True},
    "a class of two lines": {"classes": ("a\nb", "c")},
    "an empty class": {"classes": ("", "c")},
    "a class too long": {"classes": ("a" * 101, "c")},
    "a class of numbers": {"classes": (1, 2)},
    "half a pair of surrogates": {"classes": ("\ud800", "c")},
    "classes in a table": {"classes": {"a": 1, "b": 2}},
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE_EVAL_IMAGES)
def test_hostile_eval_images_are_damaged(name: str) -> None:
    given = {"classes": ["one", "two"], "branches": 1, **vars(eval_images())} | HOSTILE_EVAL_IMAGES[name]
    classes = given["classes"] if isinstance(given["classes"], dict) else list(given["classes"])
    meta = {"classes": classes, "branches": given["branches"]}
    with pytest.raises(Damaged):
        read_eval_images(packed(meta, {"labels": given["labels"], "thumbnails": given["thumbnails"]}))


@pytest.mark.parametrize("read", [read_film, read_eval_images])
def test_what_is_none_of_it_is_damaged(read: Any) -> None:
    others = [b"", packed({}, {}), packed_eval_images(eval_images()) if read is read_film else packed_film(film(1))]
    for content in others:
        with pytest.raises(Damaged):
            read(content)


@fuzzed(200, st.data())
def test_any_arrays_at_all_are_a_film_or_damaged(draw: st.DataObject) -> None:
    kinds = st.sampled_from([np.float16, np.float64, np.float32, np.int64, np.uint8])
    shapes = st.lists(st.integers(0, 3), max_size=4)
    _, arrays = unpacked(packed_film(film(1, 2)))
    for name in draw.draw(st.sets(st.sampled_from([*arrays]), min_size=1, max_size=3)):
        shape = draw.draw(shapes)
        values = draw.draw(st.integers(0, 255))
        arrays[name] = np.full(shape, values).astype(draw.draw(kinds))
    try:
        read = read_film(packed({}, arrays))
    except Damaged:
        return
    assert len(read) == len(read.embeddings) == len(read.same) == len(read.different) > 0


def test_no_film_is_a_film_of_no_frame() -> None:
    assert len(NO_FILM) == 0
    assert NO_FILM.embeddings.ndim == 3
