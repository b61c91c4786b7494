"""A run on disk: whole or as it was, one writer at a time, and resumed bit for bit after a kill."""

from __future__ import annotations

import hashlib
import os
import random
import signal
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from siamese_core.__main__ import main
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.machine import Machine, devices
from siamese_core.formats import files
from siamese_core.formats.files import PART, write_atomic
from siamese_core.runs import writer
from siamese_core.runs.disk_format import (
    MODEL,
    Checkpoint,
    FolderRejected,
    files_of,
    load,
    locked,
    rewind,
    run_history_of,
    save,
)
from siamese_core.runs.history import EVAL_IMAGES, FRAMES, MAX_SCORES, RUN
from siamese_core.runs.info import INFO, read_info
from siamese_core.training.eval_subset import METRICS
from siamese_core.training.loop import always, never, train
from tests.support.kills import KILLS, Running, saving_always, watched_writing
from tests.support.waiting import until

SHORT = "dataset=digits&encoder=mlp&steps=2"


def a_checkpoint(steps: int = 3) -> Checkpoint:
    experiment = Experiment(dataset="digits", encoder="mlp", steps=9)
    *_, last = islice(train(experiment, wants_frame=never, wants_state=always), steps)
    assert last.state is not None
    history = np.ones(steps, np.float32), np.zeros(steps, np.float32)
    return Checkpoint(
        experiment, Machine(), last.state, *history, [(steps, {"map_at_r": {"seen": 0.5, "held_out": None}})]
    )


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_is_loaded_is_what_was_saved(tmp_path: Path) -> None:
    checkpoint = a_checkpoint()
    save(tmp_path, checkpoint)
    found = load(tmp_path)
    assert (found.experiment, found.machine, found.state.step) == (checkpoint.experiment, checkpoint.machine, 3)
    assert found.state.tensors.keys() == checkpoint.state.tensors.keys()
    for name, array in checkpoint.state.tensors.items():
        np.testing.assert_array_equal(found.state.tensors[name], array)
    np.testing.assert_array_equal(found.loss, checkpoint.loss)
    assert not found.finished


@pytest.mark.parametrize("fails", ["write", "fsync", "replace"])
def test_a_save_that_fails_at_any_step_leaves_the_one_before(
    fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, a_checkpoint(2))

    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        if fails == "fsync":
            patch.setattr(files.os, "fsync", broken)
        else:
            patch.setattr(Path, "open" if fails == "write" else "replace", broken)
        with pytest.raises(OSError, match="No space"):
            save(tmp_path, a_checkpoint(3))
    assert load(tmp_path).state.step == 2
    assert [path.name for path in tmp_path.iterdir()] == [RUN]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "holds no run"),
        (b"", "damaged"),
        (b"something else of more than thirty-two bytes", "damaged"),
        (lambda whole: whole[:-1], "damaged"),
        (lambda whole: whole[:100] + b"!" + whole[101:], "damaged"),
    ],
)
def test_a_torn_or_foreign_folder_is_named(content: object, message: str, tmp_path: Path) -> None:
    save(tmp_path, a_checkpoint())
    path = tmp_path / RUN
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content(path.read_bytes()) if callable(content) else content)  # type: ignore[arg-type]
    with pytest.raises(FolderRejected, match=message) as rejected:
        load(tmp_path)
    assert str(tmp_path) in str(rejected.value)


def test_only_one_writes_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(FolderRejected, match="another process"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    write_atomic(tmp_path / "file", b"first")
    write_atomic(tmp_path / "file", b"second")
    assert (tmp_path / "file").read_bytes() == b"second"
    assert len(list(tmp_path.iterdir())) == 1


def test_as_many_scores_as_are_stored_fit_into_the_file(tmp_path: Path) -> None:
    widest = {name: dict.fromkeys(("seen", "held_out"), -1.2345678901234567e-100) for name in METRICS}
    scores = [(100_000, dict(widest)) for _ in range(MAX_SCORES)]
    save(tmp_path, replace(a_checkpoint(), scores=scores))
    assert load(tmp_path).scores == scores


def test_a_run_goes_on_without_what_a_kill_left(tmp_path: Path) -> None:
    (tmp_path / FRAMES).mkdir()
    used = [tmp_path / RUN, tmp_path / EVAL_IMAGES, tmp_path / FRAMES / "000000001.safetensors", tmp_path / "notes.txt"]
    left = [tmp_path / f"{RUN}.0011{PART}", tmp_path / FRAMES / "000000004.safetensors"]
    left += [tmp_path / FRAMES / f"000000004.safetensors.0011{PART}", tmp_path / FRAMES / "x.safetensors"]
    for path in (*used, *left):
        path.write_bytes(b"x")
    rewind(tmp_path, 3)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == set(used)


# On the command line


def test_a_finished_run_is_not_overwritten_and_not_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", "dataset=digits&encoder=mlp&steps=3", "--out", str(tmp_path)]
    assert main(arguments) == 0
    before = sha(tmp_path / "model.safetensors")
    assert main(arguments) == 2
    assert "holds a run" in capsys.readouterr().err
    assert main(["resume", str(tmp_path)]) == 2
    assert "this run is finished" in capsys.readouterr().err
    assert sha(tmp_path / "model.safetensors") == before
    assert main(["resume", str(tmp_path / "nowhere")]) == 2


def test_a_full_disk_is_reported_once_and_stops_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer, "save", full)
    query = "dataset=digits&encoder=mlp&steps=5"
    assert main(["train", query, "--out", str(tmp_path), "--save-every", "0"]) == 0
    assert capsys.readouterr().err.count("Not saved: No space left on device. The training goes on.") == 1
    assert (tmp_path / "model.safetensors").is_file()


def test_a_finished_run_whose_model_is_gone_gets_it_again(tmp_path: Path) -> None:
    assert main(["train", "dataset=digits&encoder=mlp&steps=3", "--out", str(tmp_path)]) == 0
    model = tmp_path / MODEL
    before = sha(model)
    model.unlink()
    assert main(["resume", str(tmp_path)]) == 0
    assert sha(model) == before


@pytest.mark.parametrize("frames", ["0", "-1", "1000000"])
def test_a_film_has_a_bounded_number_of_frames(frames: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", SHORT, "--out", str(tmp_path), "--frames", frames]) == 2
    assert capsys.readouterr().err.count(f"--frames={frames}") == 1


# Killed

posix = pytest.mark.skipif(os.name != "posix", reason="kills by a signal")


@posix
@pytest.mark.parametrize("device", devices())
@pytest.mark.parametrize(("kills", "steps"), [(2, 200), pytest.param(KILLS or 20, 600, marks=pytest.mark.slow)])
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_model(
    kills: int, steps: int, device: str, tmp_path: Path
) -> None:
    """At random moments, each after at least one more save than the last kill; on each device of this machine."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train_it = ["train", f"dataset=digits&encoder=mlp&steps={steps}", "--device", device, "--out"]
    assert main([*train_it, str(whole)]) == 0
    command = [*train_it, str(killed)]
    chance = random.Random(0)
    for _ in range(kills):
        running = Running(command)
        before = _step(killed)
        further = before + chance.randint(1, min(25, 500 // kills))
        until(lambda: running.ended or _step(killed) >= further, "a few steps")  # noqa: B023
        assert not running.ended, "the run is over before the last kill"
        running.kill()
        assert load(killed).state.step >= further
        command = ["resume", str(killed)]
    assert Running(command).wait() == 0
    _assert_same_end(killed, whole)
    assert not list(killed.rglob(f"*{PART}")), "nothing half-written is left"
    assert read_info((killed / INFO).read_bytes()).status == "finished"


@posix
@pytest.mark.parametrize("stride", [17, pytest.param(1 if KILLS else 5, marks=pytest.mark.slow)])
def test_a_kill_before_any_step_of_a_save_loses_one_save_at_most(stride: int, tmp_path: Path) -> None:
    """A file that is opened, written by half, on the disk, named; of every save of a short run, and of its model."""
    whole = tmp_path / "whole"
    with saving_always(), watched_writing() as steps:
        assert main(["train", SHORT, "--out", str(whole), "--save-every", "0"]) == 0
    assert steps[-1] == 2, "both steps of training are saved"
    for n in range(0, len(steps), stride):
        killed = tmp_path / str(n)
        train_it = ["train", SHORT, "--out", str(killed)]
        assert Running(train_it, killed_at=n).wait() == -signal.SIGKILL
        saved_before = steps[n]
        assert _step(killed) == saved_before, f"killed before step {n} of writing"
        # A kill before the first save leaves nothing that could be resumed.
        is_over = saved_before == 2
        assert main(["resume", str(killed)] if saved_before else train_it) == (2 if is_over else 0)
        _assert_same_end(killed, whole)
        assert is_over or not list(killed.rglob(f"*{PART}"))


def _assert_same_end(killed: Path, whole: Path) -> None:
    """The same bits of all that was learnt, and a film without a gap or a repetition."""
    assert sha(killed / MODEL) == sha(whole / MODEL)
    resumed, expected = (load(folder) for folder in (killed, whole))
    np.testing.assert_array_equal(resumed.loss, expected.loss)
    np.testing.assert_array_equal(resumed.active, expected.active)
    film, full = (run_history_of(files_of(folder), "run").film for folder in (killed, whole))
    assert set(full.steps) <= set(film.steps)
    np.testing.assert_array_equal(film.embeddings[-1], full.embeddings[-1])


def _step(folder: Path) -> int:
    try:
        return load(folder).state.step
    except FolderRejected:
        return 0
