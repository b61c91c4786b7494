"""The film of the front door: small, made by the command that is documented, and of the run that its link names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from siamese_core.__main__ import main
from siamese_core.cli.film import FILM, IMAGES, MOST_BYTES, few_points
from siamese_core.engine.rpc.pipes import ROOT
from siamese_core.experiment.experiment import Experiment
from siamese_core.formats.wire import unpack
from siamese_core.runs.disk_format import files_of, run_history_of

BUNDLED = ROOT / "data" / "recorded"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("run")
    query = "dataset=digits&encoder=mlp&steps=6&projection=pca"
    assert main(["train", query, "--out", str(made), "--frames", "3"]) == 0
    return made


def test_the_bundled_film_is_small_and_of_the_experiment_beside_it() -> None:
    assert sum(path.stat().st_size for path in BUNDLED.iterdir()) <= 500_000
    experiment, ignored = Experiment.from_query((BUNDLED / "experiment.txt").read_text("utf-8").strip())
    meta, arrays = unpack((BUNDLED / FILM).read_bytes())
    assert ignored == []
    assert (meta["total"], meta["steps"][0], meta["steps"][-1]) == (experiment.steps, 1, experiment.steps)
    assert meta["classes"] == list(experiment.data.classes)
    assert arrays["xy"].shape == (len(meta["steps"]), len(arrays["labels"]), 2)


def test_classes_have_parted_at_the_end_of_the_bundled_film() -> None:
    """An image's nearest neighbours are of its class more often at the end than at the start."""
    _, arrays = unpack((BUNDLED / FILM).read_bytes())
    labels, near = arrays["labels"], arrays["neighbours"].astype(int)
    first, last = ((labels[frame] == labels[:, None]).mean() for frame in (near[0], near[-1]))
    assert last > first + 0.1


def test_the_command_makes_a_film_of_a_run(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["film", str(folder), "--out", str(tmp_path), "--per-class", "5"]) == 0
    assert "4 pictures of 50 points" in capsys.readouterr().out
    meta, arrays = unpack((tmp_path / FILM).read_bytes())
    assert meta["steps"] == [1, 2, 4, 6]
    assert np.bincount(arrays["labels"]).tolist() == [5] * 10
    assert (tmp_path / IMAGES).read_bytes().startswith(b"\x89PNG")


def test_the_points_of_a_film_are_the_first_of_each_class(folder: Path) -> None:
    whole = run_history_of(files_of(folder), "")
    few = few_points(whole, 2)
    for label in range(10):
        chosen = np.flatnonzero(whole.eval_images.labels == label)[:2]
        np.testing.assert_array_equal(
            few.film.embeddings[:, few.eval_images.labels == label], whole.film.embeddings[:, chosen]
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["nowhere"], "holds no run"), (["--per-class", "0"], "at least one image of each class")],
)
def test_what_makes_no_film_is_refused_in_one_line(
    arguments: list[str], message: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = arguments if arguments[0] == "nowhere" else [str(folder), *arguments]
    assert main(["film", *given, "--out", str(tmp_path / "film")]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_film_that_is_too_large_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("siamese_core.cli.film.MOST_BYTES", MOST_BYTES // 1000)
    assert main(["film", str(folder), "--out", str(tmp_path / "film")]) == 2
    assert "are wanted" in capsys.readouterr().err
