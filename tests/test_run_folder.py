"""A run on disk: whole or as it was, one writer at a time, and gone on with bit for bit after a kill."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from siamese_core import files, keeper
from siamese_core.__main__ import main
from siamese_core.experiment import Experiment
from siamese_core.files import write_whole
from siamese_core.machine import Machine
from siamese_core.recording import FRAMES, PROBE, RUN
from siamese_core.run_folder import FolderRejected, Saved, files_of, load, locked, recording_of, save
from siamese_core.training import always, never, train
from tests.waiting import until

KILLS = int(os.environ.get("SIAMESE_KILLS", "5"))
"""In full: SIAMESE_KILLS=200."""

QUERY = "dataset=digits&encoder=mlp&steps=600"


def saved(steps: int = 3) -> Saved:
    experiment = Experiment(dataset="digits", encoder="mlp", steps=9)
    *_, last = islice(train(experiment, wants_frame=never, wants_state=always), steps)
    assert last.state is not None
    history = np.ones(steps, np.float32), np.zeros(steps, np.float32)
    return Saved(experiment, Machine(), last.state, *history, [(steps, {"map_at_r": {"seen": 0.5, "held_out": None}})])


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_is_loaded_is_what_was_saved(tmp_path: Path) -> None:
    kept = saved()
    save(tmp_path, kept)
    found = load(tmp_path)
    assert (found.experiment, found.machine, found.state.step) == (kept.experiment, kept.machine, 3)
    assert found.state.tensors.keys() == kept.state.tensors.keys()
    for name, array in kept.state.tensors.items():
        np.testing.assert_array_equal(found.state.tensors[name], array)
    np.testing.assert_array_equal(found.loss, kept.loss)
    assert not found.finished


@pytest.mark.parametrize("fails", ["write", "fsync", "replace"])
def test_a_save_that_fails_at_any_step_leaves_the_one_before(
    fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, saved(2))

    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        if fails == "fsync":
            patch.setattr(files.os, "fsync", broken)
        else:
            patch.setattr(Path, "open" if fails == "write" else "replace", broken)
        with pytest.raises(OSError, match="No space"):
            save(tmp_path, saved(3))
    assert load(tmp_path).state.step == 2
    assert [path.name for path in tmp_path.iterdir()] == [RUN]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "holds no run"),
        (b"", "damaged"),
        (b"something else of more than thirty-two bytes", "damaged"),
        (lambda whole: whole[:-1], "damaged"),
        (lambda whole: whole[:100] + b"!" + whole[101:], "damaged"),
    ],
)
def test_a_torn_or_foreign_folder_is_named(content: object, says: str, tmp_path: Path) -> None:
    save(tmp_path, saved())
    path = tmp_path / RUN
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content(path.read_bytes()) if callable(content) else content)  # type: ignore[arg-type]
    with pytest.raises(FolderRejected, match=says) as rejected:
        load(tmp_path)
    assert str(tmp_path) in str(rejected.value)


def test_only_one_writes_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(FolderRejected, match="another process"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    write_whole(tmp_path / "file", b"first")
    write_whole(tmp_path / "file", b"second")
    assert (tmp_path / "file").read_bytes() == b"second"
    assert len(list(tmp_path.iterdir())) == 1


# On the command line


def test_a_finished_run_is_not_overwritten_and_not_gone_on_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "dataset=digits&encoder=mlp&steps=3", "--out", str(tmp_path)]
    assert main(arguments) == 0
    before = sha(tmp_path / "model.safetensors")
    assert main(arguments) == 2
    assert "holds a run" in capsys.readouterr().err
    assert main(["resume", str(tmp_path)]) == 2
    assert "this run is finished" in capsys.readouterr().err
    assert sha(tmp_path / "model.safetensors") == before
    assert main(["resume", str(tmp_path / "nowhere")]) == 2


def test_a_full_disk_is_said_once_and_stops_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keeper, "save", full)
    query = "dataset=digits&encoder=mlp&steps=5"
    assert main(["train", query, "--out", str(tmp_path), "--save-every", "0"]) == 0
    assert capsys.readouterr().err.count("Not saved: No space left on device. The training goes on.") == 1
    assert (tmp_path / "model.safetensors").is_file()


@pytest.mark.skipif(os.name != "posix", reason="kills by a signal")
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_model(tmp_path: Path) -> None:
    """At random moments, each after at least one more save than the last kill."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert main(["train", QUERY, "--out", str(whole)]) == 0
    command, kills = ["train", QUERY, "--out", str(killed), "--save-every", "0"], 0
    chance = random.Random(0)
    while True:
        process = subprocess.Popen([sys.executable, "-m", "siamese_core", *command], stderr=subprocess.DEVNULL)
        if kills == KILLS:
            assert process.wait() == 0
            break
        before = load(killed).state.step if (killed / RUN).exists() else 0
        further = before + chance.randint(1, max(1, 500 // max(KILLS, 1)))
        until(lambda: process.poll() is not None or _step(killed) >= min(further, 590), "a few steps")  # noqa: B023
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        assert load(killed).state.step >= before
        command = ["resume", str(killed), "--save-every", "0"]
    assert sha(killed / "model.safetensors") == sha(whole / "model.safetensors")
    np.testing.assert_array_equal(load(killed).loss, load(whole).loss)


def _step(folder: Path) -> int:
    try:
        return load(folder).state.step
    except FolderRejected:
        return 0
