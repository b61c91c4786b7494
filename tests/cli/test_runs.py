"""The same thing without a browser: one JSON object on stdout, one line on stderr for bad input, never a traceback."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file

from siamese_core.__main__ import main
from siamese_core.datasets import DATASETS, DatasetMissing, Images
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.snapshot import Snapshot
from siamese_core.losses import LOSSES
from siamese_core.networks.build import build
from siamese_core.training import loop, objective
from siamese_core.training.loop import train

QUICK = "dataset=digits&encoder=mlp&steps=4"
METRICS = ["loss", "map_at_r", "precision_at_1", "auc", "eer"]


class Output:
    """What a command left on stdout and stderr."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def command(*arguments: str) -> Output:
        code = main(arguments)
        return Output(code, *capsys.readouterr())

    return command


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)


# Training


def test_json_is_one_object_with_the_experiment_what_it_took_and_the_metrics() -> None:
    """In a process of its own, as a reader types it."""
    done = python("-m", "siamese_core", "train", QUICK, "--json", "--device", "cpu")
    assert done.returncode == 0
    result = json.loads(done.stdout)
    assert list(result) == ["experiment", "steps", "images", "seconds", "metrics"]
    assert Experiment.from_query(result["experiment"]) == (Experiment.from_query(QUICK)[0], [])
    assert (result["steps"], result["images"]) == (4, 480)
    assert result["seconds"] >= 0
    assert list(result["metrics"]) == METRICS
    for scores in result["metrics"].values():
        assert list(scores) == ["seen", "held_out"]
        assert isinstance(scores["seen"], float)
        assert scores["held_out"] is None
    assert "4/4" in done.stderr, "the progress bar"
    assert "Traceback" not in done.stderr


def test_json_has_the_metrics_of_classes_held_out(run: Any) -> None:
    done = run("train", QUICK + "&held_out=7,8,9", "--json")
    assert done.code == 0
    for scores in json.loads(done.out)["metrics"].values():
        assert isinstance(scores["held_out"], float)


def test_the_metrics_are_those_of_the_last_snapshot(run: Any) -> None:
    *_, last = train(Experiment.from_query(QUICK)[0])
    assert last.frame is not None
    assert json.loads(run("train", QUICK, "--json").out)["metrics"] == last.frame.metrics


def test_without_json_a_person_reads_every_metric_of_both_groups(run: Any) -> None:
    done = run("train", QUICK + "&held_out=8,9")
    assert done.code == 0
    for text in ("4 steps", "on test images", "seen", "held out", *METRICS):
        assert text in done.out
    assert "4 steps" not in done.err


def test_out_writes_the_network_and_all_that_is_needed_to_use_it(run: Any, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    assert run("train", QUICK, "--json", "--out", str(folder)).code == 0
    assert {path.name for path in folder.iterdir()} == {
        "model.safetensors", "run.safetensors", "probe.safetensors", "frames", "run.json", "lock",
    }  # fmt: skip
    experiment = Experiment.from_query(QUICK)[0]
    with safe_open(folder / "model.safetensors", "numpy") as file:
        metadata = file.metadata()
    dataset = DATASETS["digits"]
    assert metadata["schema_version"] == "1"
    assert Experiment.from_query(metadata["experiment"]) == (experiment, [])
    assert json.loads(metadata["classes"]) == list(dataset.classes)
    assert json.loads(metadata["normalisation"]) == {"mean": dataset.mean, "std": dataset.std, "shape": [1, 8, 8]}
    assert metadata["steps"] == "4"


def test_a_saved_network_embeds_images_as_the_run_did(run: Any, tmp_path: Path) -> None:
    run("train", QUICK, "--out", str(tmp_path))
    experiment, dataset = Experiment.from_query(QUICK)[0], DATASETS["digits"]
    *_, last = train(experiment)
    tensors = {name: torch.tensor(array) for name, array in load_file(tmp_path / "model.safetensors").items()}
    network = build("mlp", "linear", dataset.shape, experiment.embedding_dim, torch.Generator())
    network.load_state_dict(tensors)
    images = torch.tensor(dataset.load().test_images) / 255
    with torch.no_grad():
        embeddings = network.eval()((images - dataset.mean) / dataset.std)
    assert last.frame is not None
    torch.testing.assert_close(embeddings, torch.tensor(last.frame.embeddings), atol=1e-5, rtol=1e-4)


def test_an_older_model_in_the_folder_is_replaced(run: Any, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"older")
    assert run("train", QUICK, "--out", str(tmp_path)).code == 0
    assert load_file(tmp_path / "model.safetensors")


# Runs that end early


@pytest.fixture
def _infinite_at_step_3(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = iter(range(1, 100))
    of_all_pairs = objective.of_all_pairs

    def spoilt(*arguments: Any) -> objective.Objective:
        found = of_all_pairs(*arguments)
        return found._replace(value=found.value * math.inf) if next(steps) == 3 else found

    monkeypatch.setattr(objective, "of_all_pairs", spoilt)


@pytest.mark.usefixtures("_infinite_at_step_3")
def test_a_run_that_is_halted_says_why_keeps_what_it_has_and_exits_with_1(run: Any, tmp_path: Path) -> None:
    done = run("train", QUICK, "--json", "--out", str(tmp_path))
    assert done.code == 1
    assert list(json.loads(done.out)["metrics"]) == METRICS
    assert "Lower learning_rate" in done.err.splitlines()[-1]
    with safe_open(tmp_path / "model.safetensors", "numpy") as file:
        assert file.metadata()["steps"] == "2"


def test_ctrl_c_stops_without_a_traceback(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> Iterator[Snapshot]:
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "train", interrupted)
    done = run("train", QUICK, "--json")
    assert done.code == 130
    assert done.out == ""
    assert done.err.splitlines()[-1] == "Stopped."


# Bad input


@pytest.mark.parametrize(
    ("query", "parts"),
    [
        ("colour=red", ["colour=red", "no such field"]),
        ("q=5", ["q=5", "contrastive"]),
        ("margin=-1", ["margin=-1", "0 to 10"]),
        ("margin=nan", ["margin=nan", "0 to 10"]),
        ("loss=exponential&q=0", ["q=0", "0.1 to 50"]),
        ("loss=tripled", ["loss=tripled", *LOSSES]),
        ("dataset=imagenet", ["dataset=imagenet", *DATASETS]),
        ("held_out=0,1,99", ["held_out=0,1,99", "0 to 9"]),
        ("held_out=0,1,2,3,4,5,6,7,8", ["held_out=0,1,2,3,4,5,6,7,8", "at least 2 classes"]),
        ("steps=0", ["steps=0", "1 to 100000"]),
        ("steps=1e3", ["steps=1e3", "whole number"]),
        ("embedding_dim=", ["embedding_dim=", "2 to 256"]),
        ("loss=triplet&measure=manhattan", ["measure=manhattan", "triplet", "squared_euclidean"]),
        ("seed=1&seed=2", ["seed=1", "more than once"]),
        ("seed=1%0A2%0DTraceback", ["seed=1", "0 to 2147483647"]),
        ("labels=" + "x" * 10_000, ["labels=xxx", "right", "flipped"]),
        ("learning_rate=\ud800", ["learning_rate=", "1e-05 to 1"]),
    ],
)
def test_a_bad_field_is_named_with_its_value_and_what_it_may_be(run: Any, query: str, parts: list[str]) -> None:
    done = run("train", query, "--json")
    assert done.code == 2
    assert done.out == ""
    (line,) = done.err.splitlines()
    assert len(line) < 400
    for part in parts:
        assert part in line


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--device", "tpu"], ["device=tpu", "cpu"]),
        (["--threads", "0"], ["threads=0", "1 to 64"]),
        (["--threads", "many"], ["--threads", "many"]),
        (["--precision", "fp8"], ["precision=fp8", "fp32, bf16"]),
        (["--frobnicate"], ["--frobnicate"]),
        (["more"], ["more"]),
        (["--out"], ["--out", "expected one argument"]),
    ],
)
def test_a_bad_option_is_named_with_its_value_and_what_it_may_be(
    run: Any, options: list[str], parts: list[str]
) -> None:
    done = run("train", QUICK, *options)
    assert done.code == 2
    assert done.out == ""
    (line,) = done.err.splitlines()
    for part in parts:
        assert part in line


@pytest.mark.parametrize("arguments", [[], ["improve"]])
def test_without_a_command_the_commands_are_named(run: Any, arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.code == 2
    assert done.out == ""
    (line,) = done.err.splitlines()
    for command in ("train", "losses", "datasets"):
        assert command in line


@pytest.mark.parametrize("inside", ["", "folder"])
def test_out_in_the_place_of_a_file_is_refused_before_any_training(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: str
) -> None:
    monkeypatch.setattr(loop, "train", lambda *_, **__: pytest.fail("trained"))
    (tmp_path / "taken").write_text("taken")
    out = tmp_path / "taken" / inside
    done = run("train", QUICK, "--out", str(out))
    assert done.code == 2
    assert done.out == ""
    (line,) = done.err.splitlines()
    assert line.startswith(f"--out={out}: ")
    assert "name a folder" in line
    assert (tmp_path / "taken").read_text() == "taken"


def test_a_dataset_that_is_not_here_says_how_to_get_it(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Images:
        raise DatasetMissing("mnist_full is not on this machine:\nput its four files there.")

    monkeypatch.setitem(DATASETS, "mnist_full", replace(DATASETS["mnist_full"], load=missing))
    done = run("train", "dataset=mnist_full&steps=1")
    assert done.code == 2
    assert done.out == ""
    assert done.err == "mnist_full is not on this machine: put its four files there.\n"


def test_bad_input_is_one_line_in_a_process_of_its_own_too() -> None:
    done = python("-m", "siamese_core", "train", "steps=0", "--json")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "steps=0: may be a whole number from 1 to 100000\n"


# Catalogues


@pytest.mark.parametrize(("command", "catalogue"), [("losses", LOSSES), ("datasets", DATASETS)])
def test_a_catalogue_is_listed_without_loading_torch(command: str, catalogue: dict[str, Any]) -> None:
    code = (
        "import sys\n"
        "from siamese_core.__main__ import main\n"
        f"assert main([{command!r}]) == 0\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    words = [line.split()[0] for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert words == list(catalogue)


def test_losses_name_their_parameters_and_sources(run: Any) -> None:
    listed = run("losses").out
    for loss in LOSSES.values():
        assert str(loss.citation) in listed
        for param in loss.params:
            assert f"{param.name} {param.low:g}–{param.high:g} (default {param.default:g})" in listed


def test_datasets_say_whether_they_are_here(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASETS, "mnist_full", replace(DATASETS["mnist_full"], find=lambda: False))
    lines = {line.split()[0]: line for line in run("datasets").out.splitlines()}
    assert "10 classes, 1×8×8; here" in lines["digits"]
    assert "not on this machine" in lines["mnist_full"]
