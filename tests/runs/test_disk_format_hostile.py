"""A run's folder by somebody else: it can be replayed, or is refused with one message; nothing else ever happens."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from siamese_core.formats.safetensors import packed, unpacked
from siamese_core.runs.archive import info_of
from siamese_core.runs.disk_format import FolderRejected, load, run_history_of
from siamese_core.runs.history import EVAL_IMAGES, FRAMES, RUN, EvalImages, film_of, packed_eval_images, packed_film
from siamese_core.runs.info import packed_info, read_info
from tests.formats.test_safetensors import ANY_JSON
from tests.support.runs import CLASSES, eval_images, files_at, frame_at

OTHERS = EvalImages(CLASSES, np.zeros(1, np.int32), np.zeros((1, 1, 2, 2), np.uint8), 1)


def hostile(files: dict[str, bytes], meta: dict[str, Any], arrays: dict[str, Any]) -> dict[str, bytes]:
    """The files, with other metadata and arrays in the run's."""
    old_meta, old_arrays = unpacked(files[RUN])
    merged = {name: array for name, array in (old_arrays | arrays).items() if array is not None}
    return files | {RUN: packed({k: v for k, v in (old_meta | meta).items() if v != "missing"}, merged)}


MACHINE = {"device": "cpu", "threads": 1, "precision": "fp32"}
LARGE = 10**400
"""JSON knows it, no float does."""

HOSTILE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "no experiment": ({"experiment": None}, {}),
    "an experiment that is a list": ({"experiment": ["dataset=digits"]}, {}),
    "an endless experiment": ({"experiment": "a" * 10_001}, {}),
    "an experiment with a line": ({"experiment": "dataset=digits\n"}, {}),
    "an experiment with half a pair": ({"experiment": "\ud800"}, {}),
    "no version": ({"schema": "missing"}, {}),
    "a version in words": ({"schema": "1"}, {}),
    "no machine": ({"machine": None}, {}),
    "half a machine": ({"machine": {"device": "cpu"}}, {}),
    "more than a machine": ({"machine": {**MACHINE, "code": "x"}}, {}),
    "endless threads": ({"machine": {**MACHINE, "threads": LARGE}}, {}),
    "a step below 0": ({"step": -1}, {}),
    "a step in floats": ({"step": 3.0}, {}),
    "a true step": ({"step": True}, {"loss": np.ones(1, np.float32), "active": np.ones(1, np.float32)}),
    "a step that has no loss": ({"step": 4}, {}),
    "a step beyond the last": ({"steps": 2}, {}),
    "endless steps": ({"steps": LARGE}, {}),
    "steps in words": ({"steps": "9"}, {}),
    "no scores": ({"scores": None}, {}),
    "scores of no step": ({"scores": [{"map_at_r": {}}]}, {}),
    "scores at no time": ({"scores": [[LARGE, {}]]}, {}),
    "a true score": ({"scores": [[1, {"auc": {"seen": True}}]]}, {}),
    "a score in words": ({"scores": [[1, {"auc": {"seen": "good"}}]]}, {}),
    "a score too large for a float": ({"scores": [[1, {"auc": {"seen": LARGE}}]]}, {}),
    "a score of a list": ({"scores": [[1, {"auc": [0.5]}]]}, {}),
    "pixels in words": ({"pixels": {"seen": "good"}}, {}),
    "pixels in tables": ({"pixels": {"seen": {"seen": 1}}}, {}),
    "pixels in a list": ({"pixels": [1]}, {}),
    "no loss": ({}, {"loss": None}),
    "a loss in doubles": ({}, {"loss": np.ones(3)}),
    "losses in two axes": ({}, {"active": np.ones((3, 1), np.float32)}),
    "counters of one": ({}, {"state/counters": np.array(1.0)}),
    "counters in two axes": ({}, {"state/counters": np.ones((3, 1))}),
    "counters that are none": ({}, {"state/counters": np.array([np.nan, 1, 1])}),
    "infinite counters": ({}, {"state/counters": np.array([1, np.inf, 1])}),
    "counters below 0": ({}, {"state/counters": np.array([-1.0, 1, 1])}),
    "counters in bytes": ({}, {"state/counters": np.ones(3, np.uint8)}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_run_is_refused_with_a_message(name: str, tmp_path: Path) -> None:
    files = hostile(files_at(3), *HOSTILE[name])
    (tmp_path / RUN).write_bytes(files[RUN])
    for use in (lambda: run_history_of(files, "This run"), lambda: load(tmp_path)):
        with pytest.raises(FolderRejected) as refused:
            use()
        assert is_a_sentence(str(refused.value)), str(refused.value)


def is_a_sentence(text: str) -> bool:
    return text.isprintable() and "; " in text and len(text) < 400


def test_the_run_that_is_changed_above_is_read(tmp_path: Path) -> None:
    files = hostile(files_at(3), {"pixels": None}, {"state/counters": np.array([360, 0.75, np.nan])})
    run_history = run_history_of(files, "This run")
    assert (run_history.step, run_history.images, run_history.seconds, run_history.pixel_baseline) == (
        3,
        360,
        0.75,
        None,
    )
    np.testing.assert_array_equal(run_history.film.steps, [1, 2, 3])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({EVAL_IMAGES: None}, "probe.safetensors is missing"),
        ({RUN: None}, "run.safetensors is missing"),
        ({EVAL_IMAGES: b""}, "pictures are damaged"),
        (
            {EVAL_IMAGES: packed_eval_images(replace(eval_images(), labels=np.zeros(5, np.int32)))},
            "pictures are damaged",
        ),
        (
            {
                EVAL_IMAGES: packed_eval_images(
                    EvalImages(CLASSES, np.zeros(1, np.int32), np.zeros((1, 1, 2, 2), np.uint8), 1)
                )
            },
            "pict",
        ),
        ({f"{FRAMES}{4:09d}.safetensors": b""}, "pictures are damaged"),
        ({f"{FRAMES}{4:09d}.safetensors": packed_film(film_of([(2, frame_at(2))]))}, "pictures are damaged"),
        ({f"{FRAMES}{0:09d}.safetensors": packed_film(film_of([(2, frame_at(2))]))}, "pictures are damaged"),
    ],
    ids=["no images", "no run", "empty", "labels", "other images", "torn frames", "a step twice", "steps that go back"],
)
def test_files_that_do_not_fit_each_other_are_refused(changes: dict[str, Any], message: str) -> None:
    files = {name: content for name, content in (files_at(3) | changes).items() if content is not None}
    with pytest.raises(FolderRejected, match=message) as refused:
        run_history_of(files, "This run")
    assert is_a_sentence(str(refused.value))


def test_frames_beyond_the_state_are_left_out() -> None:
    """As a kill between the frames and the run leaves them."""
    later = {f"{FRAMES}{4:09d}.safetensors": packed_film(film_of([(4, frame_at(4))]))}
    np.testing.assert_array_equal(run_history_of(files_at(3) | later, "").film.steps, [1, 2, 3])


def test_another_version_is_distinguished_from_damage() -> None:
    with pytest.raises(FolderRejected, match="is of version 2, expected 1; update this app"):
        run_history_of(hostile(files_at(3), {"schema": 2}, {}), "This run")


@pytest.mark.parametrize(
    ("meta", "arrays", "message"),
    [
        ({"experiment": "dataset=/etc/passwd"}, {}, "dataset=/etc/passwd"),
        ({"experiment": "dataset=own-0123456789abcdef01234567"}, {}, "dataset"),
        ({}, {"state/generator": None}, "nothing to go on from"),
        ({"steps": 300}, {}, "nothing to go on from"),
    ],
    ids=["an unknown dataset", "pictures that are gone", "no state", "another length"],
)
def test_a_run_that_can_be_looked_at_is_not_always_resumed(
    meta: dict[str, Any], arrays: dict[str, Any], message: str, tmp_path: Path
) -> None:
    files = hostile(files_at(3), meta, arrays)
    assert run_history_of(files, "").step == 3
    (tmp_path / RUN).write_bytes(files[RUN])
    with pytest.raises(FolderRejected, match=message):
        load(tmp_path)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["experiment", "machine", "step", "steps", "scores", "pixels", "schema"]), ANY_JSON)
def test_anything_in_the_place_of_anything_that_a_run_says(tmp_path: Path, key: str, value: Any) -> None:
    files = hostile(files_at(3), {key: value}, {})
    with suppress(FolderRejected):
        run_history = run_history_of(files, "This run")
        assert read_info(packed_info(info_of(files))).total == run_history.total
    (tmp_path / RUN).write_bytes(files[RUN])
    with suppress(FolderRejected):
        load(tmp_path)


def test_every_file_cut_short_or_changed_anywhere_is_refused_with_a_message() -> None:
    files, chance = files_at(3), random.Random(0)
    for name, content in files.items():
        for _ in range(100):
            place = chance.randrange(len(content))
            changed = content[:place] + bytes([content[place] ^ 0x11]) + content[place + 1 :]
            for other in (content[:place], changed):
                with pytest.raises(FolderRejected) as refused:
                    run_history_of(files | {name: other}, "This run")
                assert is_a_sentence(str(refused.value))
