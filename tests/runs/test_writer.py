"""What writes one run: which frames become its film, and how much of the time goes into saving."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from siamese_core.embeddings.thresholds import Threshold
from siamese_core.experiment.machine import Machine
from siamese_core.runs import disk_format, writer
from siamese_core.runs.history import FRAMES, MAX_FRAMES, EvalImages
from siamese_core.runs.info import INFO, RunInfo, new_info, read_info
from siamese_core.runs.model_file import packed, read_model
from siamese_core.runs.writer import RunWriter
from tests.support.runs import EXPERIMENT, TOTAL, Clock, checkpoint_at, eval_images, everything, frame_at

EVERY = 2.0


@pytest.fixture(autouse=True)
def _no_eval_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Digits need scikit-learn, and no test here reads them."""
    monkeypatch.setattr(writer, "eval_images_of", lambda *_: eval_images())


def writer_in(folder: Path, clock: Clock, total: int = TOTAL) -> RunWriter:
    info = RunInfo("", Machine(), 0, 0, "running", total=total)
    return RunWriter(folder, info, lambda input_transform, images: images, EVERY, clock)


def test_a_frame_that_is_made_again_after_a_death_is_in_the_film_once(tmp_path: Path) -> None:
    run = writer_in(tmp_path, Clock())
    for step in (1, 5, TOTAL, 5, TOTAL):
        run.add(step, frame_at(step))
    run.save(checkpoint_at(TOTAL))
    assert [path.stem for path in (tmp_path / FRAMES).iterdir()] == ["000000001"]
    film = disk_format.run_history_of(disk_format.files_of(tmp_path), "").film
    np.testing.assert_array_equal(film.steps, [1, 5, TOTAL])


def test_a_long_run_has_a_film_of_a_bounded_number_of_frames(tmp_path: Path) -> None:
    total = 100_000
    run = writer_in(tmp_path, Clock(), total)
    frame = frame_at(1)
    for step in range(1, total + 1):
        run.add(step, frame)
    assert MAX_FRAMES - 1 <= len(run._frames) <= MAX_FRAMES + 1


def test_saving_takes_a_small_share_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    run = writer_in(tmp_path, clock)

    took = 0.5

    def slowly(*arguments: Any) -> None:
        clock.now += took

    monkeypatch.setattr(writer, "save", slowly)
    assert not run.is_due()
    clock.now += EVERY
    assert run.is_due()
    run.save(checkpoint_at(1))
    clock.now += took / writer.SAVE_SHARE - 0.01
    assert not run.is_due()
    clock.now += 0.02
    assert run.is_due()
    took = 30.0
    run.save(checkpoint_at(2))
    clock.now += writer.SAVE_AT_LEAST_EVERY + 0.01
    assert run.is_due(), "again, however slow the disk is"


def test_the_first_save_which_reads_the_eval_images_puts_off_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    run = writer_in(tmp_path, clock)

    def slowly(*_: object) -> EvalImages:
        clock.now += 30
        return eval_images()

    monkeypatch.setattr(writer, "eval_images_of", slowly)
    run.save(checkpoint_at(1))
    clock.now += EVERY
    assert run.is_due()


# The model of a run at its end

THRESHOLD = Threshold(0.25, "eer", "seen", 0.01, 0.125, 90, 10)


def test_the_model_of_the_command_line_and_of_the_server_differ_in_the_threshold_only(tmp_path: Path) -> None:
    models = []
    for name, options in (("line", {"threshold_of": lambda model: THRESHOLD}), ("server", {})):
        run = RunWriter(
            tmp_path / name, new_info(EXPERIMENT, Machine()), lambda input_transform, images: images, **options
        )
        run.folder.mkdir()
        run.save(checkpoint_at(TOTAL), "finished")
        assert (run.problem, run.info.status) == ("", "finished")
        models.append(read_model((run.folder / disk_format.MODEL).read_bytes()))
    of_line, of_server = models
    assert (of_line.threshold, of_server.threshold) == (THRESHOLD, None)
    assert packed(replace(of_line, threshold=None)) == packed(of_server)


def test_a_model_that_cannot_be_written_leaves_the_run_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = writer_in(tmp_path, Clock())
    run.save(checkpoint_at(3))
    before = everything(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer, "save_model", full)
    with pytest.raises(OSError, match="No space"):
        run.save(checkpoint_at(TOTAL), "finished")
    assert everything(tmp_path) == before
    assert run.info.status == "running"


def test_a_run_that_ends_where_it_was_saved_writes_its_model_and_its_record_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = writer_in(tmp_path, Clock())
    run.save(last := checkpoint_at(TOTAL))
    monkeypatch.setattr(writer, "save", lambda *_: pytest.fail("saved again"))
    run.save(last, "finished")
    assert read_model((tmp_path / disk_format.MODEL).read_bytes()).steps == TOTAL
    assert read_info((tmp_path / INFO).read_bytes()).status == "finished"
