"""A saved model on the command line: what evaluate and compare print is what evaluation and comparing find."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from siamese_core.datasets import DATASETS, uploaded
from siamese_core.embeddings.few_shot import few_shot_accuracy
from siamese_core.embeddings.thresholds import rule_of
from siamese_core.engine.rpc.pipes import ROOT
from siamese_core.evaluation.compare import compare
from siamese_core.evaluation.evaluate import evaluate, threshold_of
from siamese_core.evaluation.inference import load
from siamese_core.evaluation.report import Report
from siamese_core.experiment.experiment import Experiment, with_loss
from siamese_core.formats.images import MAX_BYTES, decode, square
from siamese_core.runs.model_file import read_model
from siamese_core.training.loop import train
from tests.cli.test_runs import Output, main, python

QUERY = "dataset=digits&encoder=mlp&steps=6&held_out=7,8,9"
CLOTHES, NUMBERS = (ROOT / "data" / "models" / name / "model.safetensors" for name in ("fashion_mnist", "mnist"))


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
def image_paths(tmp_path: Path) -> list[Path]:
    """Two coats of the test images, as somebody would have them on a disk."""
    images = DATASETS["fashion_mnist"].load()
    coats = images.test_images[images.test_labels == 4][:2, 0]
    paths = [tmp_path / f"coat {number}.png" for number in range(2)]
    for path, coat in zip(paths, coats, strict=True):
        Image.fromarray(coat).save(path)
    return paths


def rewritten(path: Path, to: Path, **changed: str | None) -> Path:
    """The same model with other metadata; None leaves something out."""
    with safe_open(path, "numpy") as file:
        metadata = file.metadata() | changed
    save_file(load_file(path), to, {name: text for name, text in metadata.items() if text is not None})
    return to


@pytest.fixture
def of_uploaded_images(tmp_path: Path) -> Path:
    """A model of images that somebody uploaded elsewhere."""
    query = read_model(CLOTHES.read_bytes()).experiment.to_query()
    query = query.replace("dataset=fashion_mnist", "dataset=own-" + "0123456789abcdef01234567")
    return rewritten(CLOTHES, tmp_path / "uploaded.safetensors", experiment=query, threshold=None)


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
    assert list(found) == ["experiment", "steps", "trained_on", "groups", "threshold"]
    assert (found["steps"], found["trained_on"]) == (6, True)
    assert list(found["groups"]) == ["seen", "held_out"] == list(report.groups)
    for name, group in report.groups.items():
        scored = found["groups"][name]
        assert scored["classes"] == [str(c) for c in group.classes]
        assert scored["trained_on"] == (scored["classes"] if name == "seen" else [])
        assert set(scored["scores"]) == {
            "auc", "eer", "tar_at_1", "tar_at_01", "precision_at_1", "recall_at_5", "map_at_r",
        }  # fmt: skip
        for score in ("precision_at_1", "recall_at_5", "map_at_r"):
            assert scored["scores"][score] == {"value": group.scores[score], "low": None, "high": None}
        assert group.summary is not None
        assert scored["scores"]["eer"]["value"] == group.summary.eer
        assert (scored["scores"]["auc"]["low"], scored["scores"]["auc"]["high"]) == tuple(group.score_intervals["auc"])
        assert (scored["images"], scored["pairs"], scored["exact"]) == (len(group.indices), group.pairs, True)
        assert scored["baselines"] == group.baselines
        rows = np.isin(report.labels, group.classes)
        tried = few_shot_accuracy(report.embeddings[rows], report.labels[rows], min(5, len(group.classes)), 1)
        assert tried is not None
        assert scored["few_shot"] == tried._asdict()
    assert found["threshold"]["rule"] == "far=0.1"
    at = found["groups"]["seen"]["at_threshold"]
    assert at == {name: found["threshold"][name] for name in ("false_accept", "false_reject")}


def test_without_json_a_person_reads_scores_threshold_and_rates(run: Any, model: Path) -> None:
    done = run("evaluate", model)
    assert done.code == 0
    for words in (
        "seen", "held out", "AUC", "TAR at FAR 0.1 %", "recall@5", "MAP@R", "5-way 1-shot", "3-way 1-shot",
        "raw pixels", "all 31,626 pairs", "(eer, chosen on one half of the test images, seen)",
        "on the other half, held out: false accepts",
    ):  # fmt: skip
        assert words in done.out
    assert "rained on" not in done.out, "nothing that would mislead"
    assert "retrieval seen" in done.err, "the progress bar"
    table = done.out.splitlines()[:9]
    assert len({len(line) for line in table}) == 1, "its columns are straight"


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
    *_, last = train(with_loss(Experiment.from_query(QUERY)[0], "softmax"))
    assert last.frame is not None
    for name in ("seen", "held_out"):
        softmax = found["groups"][name]["baselines"]["softmax"]
        assert softmax == {metric: last.frame.metrics[metric][name] for metric in ("precision_at_1", "map_at_r", "auc")}


def test_a_classifier_is_not_compared_with_another_classifier(run: Any, tmp_path: Path) -> None:
    assert run("train", "dataset=digits&encoder=mlp&steps=1&loss=softmax", "--out", tmp_path).code == 0
    done = run("evaluate", tmp_path / "model.safetensors", "--softmax")
    assert (done.code, done.out) == (2, "")
    assert done.err == "--softmax: this model is a softmax classifier itself; leave --softmax out\n"


def test_the_images_stay_those_of_the_model_when_only_the_classes_are_others(run: Any, model: Path) -> None:
    done = run("evaluate", model, "held_out=0,1,9", "--json")
    assert done.code == 0
    found = json.loads(done.out)
    assert Experiment.from_query(found["experiment"])[0] == replace(Experiment.from_query(QUERY)[0], held_out=(0, 1, 9))
    assert found["trained_on"]
    assert found["groups"]["seen"]["trained_on"] == ["2", "3", "4", "5", "6"]
    assert found["groups"]["held_out"]["trained_on"] == ["0", "1"]
    printed = run("evaluate", model, "held_out=0,1,9").out
    assert "Not trained on, though not held out here: 7, 8\n" in printed
    assert "Trained on, though held out here: 0, 1\n" in printed


@pytest.fixture
def _letters(monkeypatch: pytest.MonkeyPatch) -> None:
    """The digits under other names."""
    monkeypatch.setitem(DATASETS, "mnist", replace(DATASETS["digits"], key="mnist", classes=tuple("abcdefghij")))


@pytest.mark.usefixtures("_letters")
def test_on_other_classes_it_says_that_none_was_trained_on(run: Any, model: Path) -> None:
    done = run("evaluate", model, "dataset=mnist")
    assert done.code == 0
    assert done.out.startswith("None of these classes was trained on.\n")
    found = json.loads(run("evaluate", model, "dataset=mnist&held_out=0,1", "--json").out)
    assert not found["trained_on"]
    assert found["groups"]["held_out"]["classes"] == ["a", "b"]
    assert found["groups"]["seen"]["trained_on"] == []


@pytest.mark.usefixtures("_letters")
def test_a_classifier_is_trained_where_the_model_was_and_evaluated_where_it_is(
    run: Any, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the other images it would have been trained for them, and the model not."""
    asked = []

    def spied(experiment: Experiment, **settings: Any) -> Any:
        asked.append(experiment)
        return train(experiment, **settings)

    monkeypatch.setattr("siamese_core.training.loop.train", spied)
    found = json.loads(run("evaluate", model, "dataset=mnist&held_out=0,1", "--softmax", "--json").out)
    assert asked == [with_loss(Experiment.from_query(QUERY)[0], "softmax")]
    assert found["groups"]["held_out"]["classes"] == ["a", "b"]
    assert found["groups"]["held_out"]["baselines"]["softmax"]["map_at_r"] > 0


def test_of_generated_images_what_is_not_given_stays(run: Any, tmp_path: Path) -> None:
    query = "dataset=shapes&shapes_classes=5&shapes_noise=0.5&held_out=3,4&steps=2&encoder=mlp"
    assert run("train", query, "--out", tmp_path).code == 0
    found = json.loads(run("evaluate", tmp_path / "model.safetensors", "shapes_rotation=90", "--json").out)
    expected = Experiment.from_query(query + "&shapes_rotation=90")[0]
    assert Experiment.from_query(found["experiment"])[0] == expected
    assert found["groups"]["held_out"]["trained_on"] == []


def test_of_images_that_are_not_here_it_asks_for_others(run: Any, of_uploaded_images: Path) -> None:
    for arguments in ([], ["held_out=1"], ["dataset=fashion_mnist", "--softmax"]):
        done = run("evaluate", of_uploaded_images, *arguments)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith(f"MODEL={of_uploaded_images}: the pictures that it was trained on are not here; ")
        assert done.err.count("\n") == 1


def test_a_threshold_that_cannot_be_saved_leaves_the_model_as_it_was(
    run: Any, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(model.read_bytes())
    monkeypatch.setattr("siamese_core.formats.files.os.fsync", full)
    done = run("evaluate", copy, "--threshold", "far=0.2", "--save")
    assert done.code == 2
    assert done.err.splitlines()[-1].strip().endswith("copy the model to where you may write")
    assert copy.read_bytes() == model.read_bytes()


def test_a_threshold_that_cannot_be_chosen_does_not_take_the_place_of_one(
    run: Any, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(model.read_bytes())
    monkeypatch.setattr("siamese_core.cli.models.choose_threshold", lambda *_: None)
    done = run("evaluate", copy, "--save", "--json")
    assert done.code == 2
    found = json.loads(done.out)
    assert found["threshold"] is None
    assert found["groups"]["seen"]["at_threshold"] is None
    assert copy.read_bytes() == model.read_bytes()
    assert "threshold: none; there are too few test images" in run("evaluate", copy).out


def test_no_evaluation_ends_in_a_traceback(run: Any, model: Path, tmp_path: Path) -> None:
    (tmp_path / "text.safetensors").write_text("no model")
    with (tmp_path / "large.safetensors").open("wb") as large:
        large.truncate(300 * 2**20)
    for arguments, words in [
        ((tmp_path / "none.safetensors",), "name a .safetensors file"),
        ((tmp_path,), "name a .safetensors file"),
        ((tmp_path / "text.safetensors",), "MODEL="),
        ((model, "loss=triplet"), "loss=triplet: evaluate takes only dataset, held_out"),
        ((model, "dataset=nothing"), "dataset=nothing"),
        ((model, "dataset=mnist"), "the model takes images of 1×8×8, these are 1×28×28"),
        ((model, "dataset=digits&dataset=mnist"), "dataset=digits: given more than once"),
        ((model, "dataset=\udcff"), "dataset=�: may be"),
        ((model, "?held_out=1,99"), "held_out=1,99"),
        ((model, "shapes_noise=0.5"), "only the dataset shapes has it"),
        ((tmp_path / "large.safetensors",), "larger than 200 MB"),
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


def test_ctrl_c_stops_an_evaluation_without_a_traceback(run: Any, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("siamese_core.evaluation.evaluate.evaluate", interrupted)
    done = run("evaluate", model, "--json")
    assert (done.code, done.out) == (130, "")
    assert done.err.splitlines()[-1].strip() == "Stopped."


# compare


def test_a_pair_is_judged_as_on_the_page(run: Any, image_paths: list[Path]) -> None:
    done = run("compare", CLOTHES, *image_paths, "--json")
    assert done.code == 0
    found = json.loads(done.out)
    trained = load(read_model(CLOTHES.read_bytes()))
    first, second = (
        uploaded.fitted(square(decode(path.read_bytes()), uploaded.RAW_SIDE), (1, 28, 28))[None] for path in image_paths
    )
    assert list(found) == [
        "measure", "kind", "value", "same", "threshold", "threshold_from", "unlike", "neighbours",
    ]  # fmt: skip
    assert (found["measure"], found["kind"]) == ("euclidean", "distance")
    assert found["value"] == float(compare(trained, first, second, None)["value"][0])
    threshold = trained.model.threshold
    assert threshold is not None
    assert (found["threshold"], found["threshold_from"]) == (asdict(threshold), "model")
    assert found["same"] == (found["value"] <= threshold.value)
    assert found["unlike"] == [False, False]
    assert [len(near) for near in found["neighbours"]] == [3, 3]
    assert found["neighbours"][0][0]["class"] == "Coat"
    distances = [near["distance"] for near in found["neighbours"][0]]
    assert distances == sorted(distances)


def test_a_person_reads_the_verdict(run: Any, image_paths: list[Path]) -> None:
    done = run("compare", CLOTHES, *image_paths, "--threshold", "1000")
    assert done.code == 0
    assert "the same, by the threshold 1000 (given by hand)" in done.out
    assert "false accepts 100.00%, false rejects 0.00%" in done.out
    assert "\ndifferent, by" in run("compare", CLOTHES, *image_paths, "--threshold", "0").out


def test_without_a_threshold_of_its_own_the_test_images_give_one(
    run: Any, image_paths: list[Path], tmp_path: Path
) -> None:
    without = rewritten(CLOTHES, tmp_path / "without.safetensors", threshold=None)
    found = json.loads(run("compare", without, *image_paths, "--json").out)
    threshold = threshold_of(load(read_model(without.read_bytes())), rule_of("eer"), "seen")
    assert threshold is not None
    assert (found["threshold"], found["threshold_from"]) == (asdict(threshold), "test images")


def test_without_test_images_there_is_no_verdict_but_by_hand(
    run: Any, image_paths: list[Path], of_uploaded_images: Path
) -> None:
    done = run("compare", of_uploaded_images, *image_paths)
    assert done.code == 0
    assert "no verdict: the model has no threshold, and no test images here give one" in done.out
    found = json.loads(run("compare", of_uploaded_images, *image_paths, "--json").out)
    assert {name for name, value in found.items() if value is None} == {
        "same", "threshold", "threshold_from", "unlike", "neighbours",
    }  # fmt: skip
    found = json.loads(run("compare", of_uploaded_images, *image_paths, "--json", "--threshold", "100").out)
    assert found["same"] is True
    assert (found["threshold"]["value"], found["threshold"]["false_accept"]) == (100, None)


def test_a_similarity_by_hand_has_its_rates_too(run: Any, tmp_path: Path) -> None:
    """0.1 is not 1 − (1 − 0.1) in floating point."""
    query = "dataset=digits&encoder=mlp&steps=2&loss=log&measure=similarity_head"
    assert run("train", query, "--out", tmp_path).code == 0
    zero = tmp_path / "zero.png"
    Image.fromarray(DATASETS["digits"].load().test_images[0, 0]).save(zero)
    arguments = ("compare", tmp_path / "model.safetensors", zero, zero, "--threshold", "0.1")
    found = json.loads(run(*arguments, "--json").out)
    assert found["kind"] == "similarity"
    assert found["same"] == (found["value"] >= 0.1)
    assert found["threshold"]["value"] == 0.1
    assert 0 <= found["threshold"]["false_accept"] <= 1
    assert run(*arguments).out.startswith("similarity ")


def test_inverted_is_the_negative(run: Any, image_paths: list[Path], tmp_path: Path) -> None:
    negatives = [tmp_path / f"negative {number}.png" for number in range(2)]
    for path, negative in zip(image_paths, negatives, strict=True):
        Image.fromarray(255 - np.asarray(Image.open(path))).save(negative)
    upright = json.loads(run("compare", CLOTHES, *image_paths, "--json").out)
    turned = json.loads(run("compare", CLOTHES, *negatives, "--invert", "--json").out)
    assert turned["value"] == pytest.approx(upright["value"], rel=0.05)
    as_they_are = json.loads(run("compare", CLOTHES, *negatives, "--json").out)
    assert as_they_are["value"] != pytest.approx(upright["value"], rel=0.2)


def test_no_comparison_ends_in_a_traceback(run: Any, image_paths: list[Path], tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "large.png").write_bytes(bytes(MAX_BYTES + 1))
    for name, words in [("none.png", "name a picture"), ("text.png", "no PNG"), ("large.png", "larger than")]:
        done = run("compare", CLOTHES, image_paths[0], tmp_path / name)
        assert done.code == 2
        assert words in done.err
        assert name in done.err
        assert done.err.count("\n") == 1
    assert run("compare", tmp_path / "text.png", *image_paths).code == 2
    for value in ("nan", "inf", "1e999", "half"):
        done = run("compare", CLOTHES, *image_paths, "--threshold", value)
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
        assert "--threshold" in done.err


def test_a_model_that_gives_no_finite_embedding_is_named(run: Any, model: Path, tmp_path: Path) -> None:
    heavy = tmp_path / "heavy.safetensors"
    with safe_open(model, "numpy") as file:
        metadata = file.metadata()
    tensors = {name: np.full_like(array, 1e38) if array.ndim else array for name, array in load_file(model).items()}
    save_file(tensors, heavy, metadata)
    done = run("evaluate", heavy)
    assert (done.code, done.out) == (2, "")
    assert f"MODEL={heavy}: The weights of this model are too large" in done.err.splitlines()[-1]


def test_in_a_process_of_its_own_as_a_reader_types_it(tmp_path: Path) -> None:
    images = DATASETS["mnist"].load()
    numbers = [tmp_path / "first.png", tmp_path / "second.png"]
    for path, place in zip(numbers, (0, 1), strict=True):
        Image.fromarray(images.test_images[images.test_labels == 3][place, 0]).save(path)
    done = python("-m", "siamese_core", "compare", str(NUMBERS), *map(str, numbers))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("distance ")
    assert "the first is most like: 3 (" in done.stdout


def test_what_a_command_takes_is_shown_without_loading_torch() -> None:
    code = (
        "import sys\n"
        "from siamese_core.__main__ import main\n"
        "try:\n    main(['evaluate', '--help'])\n"
        "except SystemExit as end:\n    sys.exit(end.code or 'torch' in sys.modules)\n"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert "--softmax" in done.stdout
