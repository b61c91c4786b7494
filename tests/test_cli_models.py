"""A saved model on the command line: what evaluate and compare print is what evaluation and comparing find."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from siamese_core.comparing import compare
from siamese_core.datasets import DATASETS, own
from siamese_core.engine.pipes import ROOT
from siamese_core.evaluation import evaluate, threshold_of
from siamese_core.experiment import Experiment, as_classifier
from siamese_core.images import MAX_BYTES, decode, square
from siamese_core.model_file import read_model
from siamese_core.report import Report
from siamese_core.thresholds import rule_of
from siamese_core.trained import load
from siamese_core.training import train
from tests.test_cli import Output, main, python

QUERY = "dataset=digits&encoder=mlp&steps=6&held_out=7,8,9"
CLOTHES = ROOT / "data" / "models" / "fashion_mnist" / "model.safetensors"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def command(*arguments: str | Path) -> Output:
        code = main([str(argument) for argument in arguments])
        return Output(code, *capsys.readouterr())

    return command


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    assert main(["train", QUERY, "--out", str(folder)]) == 0
    return folder / "model.safetensors"


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Two coats of the test images, as somebody would have them on a disk."""
    images = DATASETS["fashion_mnist"].load()
    coats = images.test_images[images.test_labels == 4][:2, 0]
    paths = [tmp_path / f"coat {number}.png" for number in range(2)]
    for path, coat in zip(paths, coats, strict=True):
        Image.fromarray(coat).save(path)
    return paths


def report_of(path: Path) -> Report:
    *_, report = evaluate(load(read_model(path.read_bytes())))
    assert isinstance(report, Report)
    return report


# evaluate


def test_a_trained_model_is_saved_with_the_threshold_of_its_equal_error_rate(model: Path) -> None:
    read = read_model(model.read_bytes())
    assert read.threshold is not None
    assert read.threshold == threshold_of(load(read), rule_of("eer"), "seen")


def test_json_has_what_the_evaluation_finds_for_both_groups(run: Any, model: Path) -> None:
    done = run("evaluate", model, "--json", "--threshold", "far=0.1")
    assert done.code == 0
    found, report = json.loads(done.out), report_of(model)
    assert list(found) == ["experiment", "steps", "groups", "threshold", "trained_on"]
    assert (found["steps"], found["trained_on"]) == (6, True)
    assert list(found["groups"]) == ["seen", "held_out"] == list(report.groups)
    for name, group in report.groups.items():
        said = found["groups"][name]
        assert said["scores"]["map_at_r"]["value"] == group.scores["map_at_r"]
        assert group.summary is not None
        assert said["scores"]["eer"]["value"] == group.summary.eer
        assert (said["scores"]["auc"]["low"], said["scores"]["auc"]["high"]) == tuple(group.spread["auc"])
        assert (said["images"], said["pairs"], said["exact"]) == (len(group.places), group.pairs, True)
        assert set(said["baselines"]) == {"untrained", "pixels"}
        assert 0 <= said["few_shot"]["accuracy"] <= 1
    assert found["threshold"]["rule"] == "far=0.1"
    at = found["groups"]["seen"]["at_threshold"]
    assert at == {name: found["threshold"][name] for name in ("false_accept", "false_reject")}


def test_without_json_a_person_reads_scores_threshold_and_rates(run: Any, model: Path) -> None:
    done = run("evaluate", model)
    assert done.code == 0
    for words in ("seen", "held out", "auc", "tar_at_01", "recall_at_5", "5-way 1-shot", "pixels", "all 31,626 pairs"):
        assert words in done.out
    assert "threshold" in done.out
    assert "on the other half, held out: false accept" in done.out


def test_the_threshold_is_saved_when_asked_for(run: Any, model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(model.read_bytes())
    done = run("evaluate", copy, "--threshold", "costs=10:1:0.5", "--group", "held_out", "--save", "--json")
    saved = read_model(copy.read_bytes()).threshold
    assert saved is not None
    assert (saved.rule, saved.group) == ("costs=10:1:0.5", "held_out")
    assert json.loads(done.out)["threshold"]["value"] == saved.value
    assert [path.name for path in tmp_path.iterdir()] == ["copy.safetensors"]


def test_a_classifier_of_the_same_settings_is_trained_to_compare_with(run: Any, model: Path) -> None:
    found = json.loads(run("evaluate", model, "--softmax", "--json").out)
    *_, last = train(as_classifier(Experiment.from_query(QUERY)[0]))
    assert last.frame is not None
    for name in ("seen", "held_out"):
        said = found["groups"][name]["baselines"]["softmax"]
        assert said == {metric: last.frame.metrics[metric][name] for metric in ("precision_at_1", "map_at_r", "auc")}


def test_on_other_classes_it_says_that_none_was_trained_on(run: Any, tmp_path: Path) -> None:
    folder = tmp_path / "shapes"
    assert run("train", "dataset=shapes&steps=2&encoder=mlp", "--out", folder).code == 0
    there = "dataset=shapes&shapes_classes=4"
    done = run("evaluate", folder / "model.safetensors", there)
    assert done.code == 0
    assert "None of these classes was trained on." in done.out
    assert not json.loads(run("evaluate", folder / "model.safetensors", there, "--json").out)["trained_on"]


def test_no_evaluation_ends_in_a_traceback(run: Any, model: Path, tmp_path: Path) -> None:
    (tmp_path / "text.safetensors").write_text("no model")
    for arguments, words in [
        ((tmp_path / "none.safetensors",), "name a .safetensors file"),
        ((tmp_path,), "name a .safetensors file"),
        ((tmp_path / "text.safetensors",), "MODEL="),
        ((model, "loss=triplet"), "loss=triplet: evaluate takes only dataset, held_out"),
        ((model, "dataset=nothing"), "dataset=nothing"),
        ((model, "dataset=mnist"), "the model takes images of 1×8×8, these are 1×28×28"),
        ((model, "--threshold", "luck"), "threshold=luck: may be eer"),
        ((model, "dataset=digits", "--save"), "--save"),
        ((model, "--group", "all"), "group"),
        ((), "MODEL"),
    ]:
        done = run("evaluate", *arguments)
        assert done.code == 2, words
        assert words in done.err
        assert done.err.count("\n") == 1
        assert done.out == ""


# compare


def test_a_pair_is_judged_as_on_the_page(run: Any, pictures: list[Path]) -> None:
    done = run("compare", CLOTHES, *pictures, "--json")
    assert done.code == 0
    found = json.loads(done.out)
    trained = load(read_model(CLOTHES.read_bytes()))
    first, second = (
        own.fitted(square(decode(path.read_bytes()), own.RAW_SIDE), (1, 28, 28))[None] for path in pictures
    )
    assert found["distance"] == float(compare(trained, first, second, None)["value"][0])
    threshold = trained.model.threshold
    assert threshold is not None
    assert found["threshold"] == threshold.value
    assert found["same"] == (found["distance"] <= threshold.value)
    assert (found["false_accept"], found["false_reject"]) == (threshold.false_accept, threshold.false_reject)
    assert found["unlike"] == [False, False]
    assert found["neighbours"][0][0]["class"] == "Coat"
    distances = [near["distance"] for near in found["neighbours"][0]]
    assert distances == sorted(distances)


def test_a_person_reads_the_verdict(run: Any, pictures: list[Path]) -> None:
    done = run("compare", CLOTHES, *pictures, "--threshold", "1000")
    assert done.code == 0
    assert "the same, at the threshold 1000" in done.out
    assert "false accepts 100.00%, false rejects 0.00%" in done.out
    assert "different" in run("compare", CLOTHES, *pictures, "--threshold", "0").out


def test_inverted_is_the_negative(run: Any, pictures: list[Path], tmp_path: Path) -> None:
    negatives = [tmp_path / f"negative {number}.png" for number in range(2)]
    for path, negative in zip(pictures, negatives, strict=True):
        Image.fromarray(255 - np.asarray(Image.open(path))).save(negative)
    upright = json.loads(run("compare", CLOTHES, *pictures, "--json").out)
    turned = json.loads(run("compare", CLOTHES, *negatives, "--invert", "--json").out)
    assert turned["distance"] == pytest.approx(upright["distance"], abs=0.05)


def test_no_comparison_ends_in_a_traceback(run: Any, pictures: list[Path], tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "large.png").write_bytes(bytes(MAX_BYTES + 1))
    for name, words in [("none.png", "name a picture"), ("text.png", "no PNG"), ("large.png", "larger than")]:
        done = run("compare", CLOTHES, pictures[0], tmp_path / name)
        assert done.code == 2
        assert words in done.err
        assert name in done.err
        assert done.err.count("\n") == 1
    assert run("compare", tmp_path / "text.png", *pictures).code == 2


def test_in_a_process_of_its_own_as_a_reader_types_it(pictures: list[Path]) -> None:
    done = python("-m", "siamese_core", "compare", str(CLOTHES), *map(str, pictures))
    assert done.returncode == 0
    assert done.stdout.startswith("distance ")
    assert "Traceback" not in done.stderr
