"""What writes one run: which frames become its film, and how much of the time goes into saving."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from siamese_core.experiment.machine import Machine
from siamese_core.runs import folder, writer
from siamese_core.runs.history import FRAMES, MOST_FRAMES, EvalImages
from siamese_core.runs.info import RunInfo
from siamese_core.runs.writer import RunWriter
from tests.support.saving import TOTAL, Clock, eval_images, frame_at, saved_at

EVERY = 2.0


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Digits need scikit-learn, and no test here looks at them."""
    monkeypatch.setattr(writer, "eval_images_of", lambda *_: eval_images())


def kept_in(folder: Path, clock: Clock, total: int = TOTAL) -> RunWriter:
    info = RunInfo("", Machine(), 0, 0, "running", total=total)
    return RunWriter(folder, info, lambda view, images: images, EVERY, clock)


def test_a_picture_that_is_made_again_after_a_death_is_in_the_film_once(tmp_path: Path) -> None:
    kept = kept_in(tmp_path, Clock())
    for step in (1, 5, TOTAL, 5, TOTAL):
        kept.add(step, frame_at(step))
    kept.save(saved_at(TOTAL))
    assert [path.stem for path in (tmp_path / FRAMES).iterdir()] == ["000000001"]
    film = folder.run_history_of(folder.files_of(tmp_path), "").film
    np.testing.assert_array_equal(film.steps, [1, 5, TOTAL])


def test_a_long_run_has_a_film_of_a_bounded_number_of_frames(tmp_path: Path) -> None:
    total = 100_000
    kept = kept_in(tmp_path, Clock(), total)
    wanted = [step for step in range(1, total + 1) if kept.wants(step) and kept.add(step, frame_at(step)) is None]
    assert MOST_FRAMES - 1 <= len(wanted) <= MOST_FRAMES + 1


def test_saving_takes_a_small_share_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    kept = kept_in(tmp_path, clock)

    took = 0.5

    def slowly(*arguments: Any) -> None:
        clock.now += took

    monkeypatch.setattr(writer, "save", slowly)
    assert not kept.is_due()
    clock.now += EVERY
    assert kept.is_due()
    kept.save(saved_at(1))
    clock.now += took / writer.SAVE_SHARE - 0.01
    assert not kept.is_due()
    clock.now += 0.02
    assert kept.is_due()
    took = 30.0
    kept.save(saved_at(2))
    clock.now += writer.SAVE_AT_LEAST_EVERY + 0.01
    assert kept.is_due(), "again, however slow the disk is"


def test_the_first_save_which_reads_the_pictures_puts_off_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    kept = kept_in(tmp_path, clock)

    def slowly(*_: object) -> EvalImages:
        clock.now += 30
        return eval_images()

    monkeypatch.setattr(writer, "eval_images_of", slowly)
    kept.save(saved_at(1))
    clock.now += EVERY
    assert kept.is_due()
