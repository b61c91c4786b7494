"""A trained network on disk has all of its tensors, those of its loss's head, and the link that made it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save

from siamese_core import datasets
from siamese_core.datasets import Images, uploaded
from siamese_core.embeddings.thresholds import Threshold
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.snapshot import TrainingState
from siamese_core.runs.model import Model, model_of
from siamese_core.runs.model_file import ModelRejected, packed, read_model, save_model
from siamese_core.training.loop import never, train

HEADS = {
    "log": {"head.weight": (1, 6), "head.bias": (1,)},
    "softmax": {"head.weight": (8, 6), "head.bias": (8,)},
    "proxy_anchor": {"head.weight": (8, 6)},
    "contrastive": {},
}
"""Eight of ten classes are trained on."""

TRAINED = [
    *({"loss": loss} for loss in HEADS),
    {"encoder": "conv", "output": "l2"},
    {"encoder": "resnet_small", "view": "edges"},
    {"shared": "false", "second_encoder": "lenet", "measure": "manhattan"},
    {"dataset": "shapes", "shapes_classes": "10"},
]

THRESHOLD = Threshold(0.25, "costs=10:1:0.5", "held_out", 0.01, 0.125, 90, 10)


def trained(**settings: str) -> tuple[Experiment, TrainingState]:
    start = "dataset=digits&encoder=mlp&embedding_dim=6&held_out=3,8&batch_size=24&steps=2&seed=5"
    values = dict(pair.split("=") for pair in start.split("&")) | settings
    experiment, ignored = Experiment.from_query("&".join(f"{name}={value}" for name, value in values.items()))
    assert not ignored
    *_, last = train(experiment, wants_frame=never)
    assert last.state is not None
    return experiment, last.state


def metadata_of(data: bytes) -> dict[str, str]:
    header: dict[str, dict[str, str]] = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return header["__metadata__"]


def are_equal(model: Model, other: Model) -> bool:
    """Whether all that they say is the same, and every bit of their tensors."""

    def fields(model: Model) -> dict[str, object]:
        return {name: value for name, value in vars(model).items() if name != "tensors"}

    def bits(model: Model) -> dict[str, tuple[object, ...]]:
        return {name: (array.shape, array.dtype.name, array.tobytes()) for name, array in model.tensors.items()}

    return fields(model) == fields(other) and bits(model) == bits(other)


@pytest.fixture(scope="module")
def model() -> Model:
    return replace(model_of(*trained(loss="softmax")), threshold=THRESHOLD)


@pytest.fixture
def _uploads_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(uploaded.FOLDER, str(tmp_path))
    yield
    uploaded.clear_cache()


@pytest.mark.parametrize("loss", HEADS)
def test_the_file_has_the_network_and_the_head_of_the_last_step(loss: str, tmp_path: Path) -> None:
    experiment, state = trained(loss=loss)
    path = tmp_path / "encoder.safetensors"
    save_model(path, model_of(experiment, state))
    saved = load_file(path)
    assert {name: array.shape for name, array in saved.items() if name.startswith("head.")} == HEADS[loss]
    of_run = {name: a for name, a in state.tensors.items() if name.startswith(("network.", "head."))}
    assert {name.removeprefix("network.") for name in of_run} == set(saved)
    for name, array in of_run.items():
        np.testing.assert_array_equal(saved[name.removeprefix("network.")], array)


def test_the_metadata_is_enough_to_use_the_file(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "encoder.safetensors"
    save_model(path, model)
    with safe_open(path, "numpy") as file:
        metadata = file.metadata()
    assert metadata["schema_version"] == "1"
    assert Experiment.from_query(metadata["experiment"]) == (model.experiment, [])
    assert len(json.loads(metadata["classes"])) == 10
    assert set(json.loads(metadata["normalisation"])) == {"mean", "std", "shape"}
    assert metadata["steps"] == "2"
    assert json.loads(metadata["threshold"]) == asdict(THRESHOLD)


def test_nothing_but_the_whole_file_is_left(model: Model, tmp_path: Path) -> None:
    save_model(tmp_path / "encoder.safetensors", model)
    assert [path.name for path in tmp_path.iterdir()] == ["encoder.safetensors"]
    with pytest.raises(OSError, match="nowhere"):
        save_model(tmp_path / "nowhere" / "encoder.safetensors", model)


@pytest.mark.parametrize("settings", TRAINED, ids=str)
def test_what_is_read_is_what_was_packed_bit_for_bit(settings: dict[str, str]) -> None:
    model = model_of(*trained(**settings))
    assert are_equal(read_model(packed(model)), model)


@pytest.mark.parametrize("rule", ["eer", "hand", "far=1e-05", "costs=10:1:0.5"])
def test_a_threshold_comes_back(model: Model, rule: str) -> None:
    threshold = replace(THRESHOLD, rule=rule)
    assert read_model(packed(replace(model, threshold=threshold))).threshold == threshold


def test_a_model_without_a_threshold_has_none(model: Model) -> None:
    data = packed(replace(model, threshold=None))
    assert "threshold" not in metadata_of(data)
    assert read_model(data).threshold is None


def test_a_file_that_the_library_wrote_is_read(model: Model) -> None:
    """With keys of others beside ours, as Hugging Face's tools write them."""
    others = {"format": "pt"} | metadata_of(packed(model))
    arrays = {name: np.array(array) for name, array in model.tensors.items()}
    assert are_equal(read_model(save(arrays, others)), model)


def test_the_tensors_are_views_of_the_file_that_nobody_can_write_to(model: Model) -> None:
    data = packed(model)
    for array in read_model(data).tensors.values():
        assert np.shares_memory(array, np.frombuffer(data, np.uint8))
        assert not array.flags.writeable


def test_a_tensor_at_an_odd_byte_is_copied(model: Model) -> None:
    """The library pads its headers; others need not."""
    data = packed(model)
    length = int.from_bytes(data[:8], "little")
    moved = (length + 1).to_bytes(8, "little") + data[8 : 8 + length] + b" " + data[8 + length :]
    read = read_model(moved)
    assert are_equal(read, model)
    assert all(array.flags.aligned and not array.flags.writeable for array in read.tensors.values())


def test_a_model_of_images_that_are_not_here_keeps_its_experiment(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(datasets.DATASETS, "digits", replace(datasets.DATASETS["digits"], find=lambda: False))
    assert are_equal(read_model(packed(model)), replace(model, has_images=False))


# Of uploaded images


def of_uploaded_images(classes: tuple[str, ...] = ("Anna", "Ben <b>", "Zoë")) -> Model:
    pixels = np.random.default_rng(0).integers(0, 256, (4 * len(classes), 3, 28, 28), np.uint8)
    labels = np.arange(len(pixels)) % len(classes)
    key = uploaded.save("My pictures", classes, Images(pixels, labels, pixels, labels))
    experiment = Experiment(dataset=key, held_out=(1,), loss="triplet", embedding_dim=8)
    dataset = experiment.data
    tensors = {"a": np.arange(6, dtype=np.float32).reshape(2, 3)}
    return Model(experiment, classes, dataset.shape, dataset.mean, dataset.std, 7, tensors)


@pytest.mark.usefixtures("_uploads_folder")
def test_of_uploaded_images_all_is_read() -> None:
    model = of_uploaded_images()
    assert are_equal(read_model(packed(model), {model.experiment.dataset}), model)


@pytest.mark.usefixtures("_uploads_folder")
@pytest.mark.parametrize("whose", ["somebody else's", "deleted"])
def test_images_that_are_not_the_readers_are_not_named(whose: str) -> None:
    model = of_uploaded_images()
    data = packed(model)
    if whose == "deleted":
        uploaded.delete(model.experiment.dataset)
    read = read_model(data, {model.experiment.dataset} if whose == "deleted" else {"own-" + "0" * 24})
    without = Experiment(loss="triplet", embedding_dim=8)
    assert are_equal(read, replace(model, experiment=without, has_images=False))


@pytest.mark.usefixtures("_uploads_folder")
def test_images_that_are_deleted_while_the_file_is_read_are_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    model = of_uploaded_images()
    data, key = packed(model), model.experiment.dataset
    uploaded.delete(key)
    # The first check still finds them.
    monkeypatch.setattr("siamese_core.runs.model_file.find_uploaded", lambda key: True)
    assert read_model(data, {key}).experiment == Experiment(loss="triplet", embedding_dim=8)


@pytest.mark.usefixtures("_uploads_folder")
def test_classes_that_are_not_those_of_uploaded_images_are_refused() -> None:
    model = of_uploaded_images()
    with pytest.raises(ModelRejected, match="class Eva, expected Anna as in “My pictures”"):
        read_model(packed(replace(model, classes=("Eva", *model.classes[1:]))), {model.experiment.dataset})


def test_names_in_any_script_and_in_html_stay_as_they_are() -> None:
    names = ["<script>alert(1)</script>", "Ζωή", "小林", "🦊" * 40, "$x$ *y*"]
    experiment = f"dataset=own-{'0' * 24}&loss=triplet"
    data = save(
        {"a": np.ones(1, np.float32)},
        {
            "schema_version": "1", "experiment": experiment, "classes": json.dumps(names), "steps": "0",
            "normalisation": json.dumps({"mean": 0.5, "std": 0.25, "shape": [3, 160, 160]}),
        },
    )  # fmt: skip
    assert read_model(data).classes == tuple(names)


def test_two_thousand_names_of_forty_foxes_fit_a_header() -> None:
    classes = tuple("🦊" * 36 + f"{n:04d}" for n in range(2_000))
    experiment = Experiment(dataset="digits")
    model = Model(experiment, classes, (1, 8, 8), 0.3, 0.4, 0, {"a": np.ones(1, np.float32)})
    with pytest.raises(ModelRejected, match="2,000 classes, expected the 10"):
        read_model(packed(model))


def test_the_same_model_is_the_same_file_every_time() -> None:
    """The library writes metadata in an order that chance picks."""
    files = {packed(model_of(*trained(loss="softmax"))) for _ in range(8)}
    assert len(files) == 1
