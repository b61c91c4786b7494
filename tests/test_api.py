"""The public face: eleven names, loaded on first use, that do what the rooms behind them do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import siamese_core
from siamese_core import api
from siamese_core.datasets.bundled import data_folder
from siamese_core.evaluation.inference import TrainedModel, embed, load
from siamese_core.experiment.experiment import ExperimentError
from siamese_core.experiment.machine import Machine, MachineError
from siamese_core.formats import images
from siamese_core.formats.safetensors import ModelRejected

ROOT = Path(__file__).resolve().parents[1]
MODEL = data_folder() / "models" / "mnist" / "model.safetensors"
SHORT = "dataset=digits&steps=4&seed=3"

NAMES = {
    "Experiment", "train", "evaluate", "compare", "load_model", "LOSSES", "DATASETS", "ENCODERS", "LiveUmap",
    "decode_image", "ImageRejected",
}  # fmt: skip


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    return siamese_core.load_model(MODEL)


@pytest.fixture(autouse=True, scope="module")
def no_decoder_left() -> Iterator[None]:
    yield
    api._decoder().close()
    api._decoder.cache_clear()


def png(pixels: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


# The names


def test_importing_it_loads_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "sklearn", "umap")
    code = f"import sys, siamese_core; dir(siamese_core); print(*(name for name in {heavy} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_it_has_its_eleven_names_and_no_other() -> None:
    assert set(siamese_core.__all__) == set(api.__all__) == NAMES
    assert set(dir(siamese_core)) >= NAMES
    for name in NAMES:
        assert getattr(siamese_core, name) is getattr(api, name)
    with pytest.raises(AttributeError, match="no attribute 'evaluat'"):
        siamese_core.evaluat  # noqa: B018


@pytest.mark.parametrize("name", sorted(NAMES))
def test_no_module_takes_the_place_of_a_name(name: str) -> None:
    """Importing a module sets it as an attribute of its package: `siamese_core.train` would become that."""
    assert find_spec(f"siamese_core.{name}") is None


# train


def test_a_run_is_a_snapshot_a_step_with_frames_as_often_as_wanted() -> None:
    snapshots = list(siamese_core.train(SHORT, frame_every=2))
    assert [snapshot.step for snapshot in snapshots] == [1, 2, 3, 4]
    assert [snapshot.frame is not None for snapshot in snapshots] == [False, True, False, True]
    assert [snapshot.state is not None for snapshot in snapshots] == [False, False, False, True]


def test_a_query_and_its_experiment_are_the_same_run() -> None:
    experiment = siamese_core.Experiment(dataset="digits", steps=4, seed=3)
    by_query, by_fields = (list(siamese_core.train(given)) for given in (SHORT, experiment))
    assert [snapshot.loss for snapshot in by_query] == [snapshot.loss for snapshot in by_fields]


def test_what_cannot_be_trained_is_refused_at_once_not_at_the_first_step() -> None:
    with pytest.raises(ExperimentError, match="stepz=5: no such field"):
        siamese_core.train("stepz=5")
    with pytest.raises(MachineError, match="device=abacus"):
        siamese_core.train(SHORT, machine=Machine(device="abacus"))


# load_model


def test_a_model_is_loaded_from_its_path_or_its_bytes(model: TrainedModel) -> None:
    for file in (str(MODEL), MODEL.read_bytes()):
        loaded = siamese_core.load_model(file)
        assert loaded.model.threshold == model.model.threshold is not None
        assert loaded.model.experiment == model.model.experiment


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRejected):
        siamese_core.load_model(b"no model")
    with pytest.raises(FileNotFoundError):
        siamese_core.load_model(tmp_path / "none.safetensors")


# evaluate: docs/library.md, which a test runs, measures a model


# compare


def test_the_distance_is_that_of_the_embeddings_and_the_verdict_that_of_the_threshold(model: TrainedModel) -> None:
    digits = siamese_core.DATASETS["mnist"].load()
    ones, others = (digits.test_images[digits.test_labels == label][:2] for label in (1, 0))
    rows = embed(model, torch.tensor(np.concatenate([ones, others]))).numpy()
    threshold = model.model.threshold
    assert threshold is not None
    for second, image in ((1, ones[1]), (2, others[0])):
        found = siamese_core.compare(model, ones[0], image)
        assert found.value == pytest.approx(float(np.linalg.norm(rows[0] - rows[second])), rel=1e-4)
        assert found.threshold == threshold.value
        assert found.same is (found.value <= threshold.value)
    assert siamese_core.compare(model, ones[0], ones[1]).same
    assert not siamese_core.compare(model, ones[0], others[0]).same


def test_a_model_without_a_threshold_gives_no_verdict(model: TrainedModel) -> None:
    bare = load(replace(model.model, threshold=None))
    image = siamese_core.DATASETS["mnist"].load().test_images[0]
    assert siamese_core.compare(bare, image, image) == api.Comparison(0.0, None, None)


def test_files_are_made_as_the_model_needs_them(model: TrainedModel, tmp_path: Path) -> None:
    """A grey image, enlarged eight times, is nearly itself when it is made smaller again."""
    first, second = siamese_core.DATASETS["mnist"].load().test_images[:2]
    path = tmp_path / "first.png"
    path.write_bytes(png(first[0].repeat(8, 0).repeat(8, 1)))
    distance = siamese_core.compare(model, first, second).value
    assert siamese_core.compare(model, path, first).value < distance / 4
    assert siamese_core.compare(model, path, path.read_bytes()).value == 0


@pytest.mark.parametrize(
    "image", [np.zeros((28, 28), np.uint8), np.zeros((1, 28, 28), np.float32)], ids=["shape", "type"]
)
def test_an_array_of_another_kind_is_refused(model: TrainedModel, image: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected uint8 pixels \(1, 28, 28\)"):
        siamese_core.compare(model, image, image)


# decode_image


def test_the_largest_centred_square_is_decoded(tmp_path: Path) -> None:
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, 10:50] = (10, 200, 30)
    path = tmp_path / "wide.png"
    path.write_bytes(png(pixels))
    for file in (path, str(path), path.read_bytes()):
        square = siamese_core.decode_image(file, size=40)
        assert square.dtype == np.uint8 and square.shape == (3, 40, 40)
        assert (square == np.array([10, 200, 30])[:, None, None]).all()


def test_it_is_decoded_in_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(data: bytes) -> None:
        raise AssertionError("decoded here")

    monkeypatch.setattr(images, "decode", decode)
    monkeypatch.setattr(Image, "open", decode)
    assert siamese_core.decode_image(png(np.full((9, 9), 7, np.uint8)), size=9).tolist() == [[[7] * 9] * 9] * 3


def test_what_is_no_image_is_refused_with_its_reason(tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    large.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(images.MAX_BYTES))
    for file, reason in ((b"", "empty"), (b"no image", "not_an_image"), (large, "too_big")):
        with pytest.raises(siamese_core.ImageRejected) as rejected:
            siamese_core.decode_image(file)
        assert rejected.value.reason == reason
    with pytest.raises(FileNotFoundError):
        siamese_core.decode_image(tmp_path / "none.png")
