"""A run as a script: run where the app is not, it ends with the very loss of the run, to the last bit."""

from __future__ import annotations

import ast
import io
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from siamese_core.datasets import DatasetMissing, Images, uploaded
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.machine import ONE_THREAD
from siamese_core.export.script import source
from siamese_core.export.script.script import memory_order, script_of, script_zip
from siamese_core.losses import LOSSES
from siamese_core.networks.augment import AUGMENTATIONS
from siamese_core.networks.build import OUTPUTS
from siamese_core.networks.encoders import ENCODERS
from siamese_core.networks.input_transforms import INPUT_TRANSFORMS
from siamese_core.training.loop import never, train

HOSTILE = (
    '"""\nimport os  # a',
    "'''; raise SystemExit('b')",
    "\\",
    'c"\r\nraise SystemExit(1)\u2028#',
    "d\u202e\ud800\0\x0c{SEED}",
    "Grün, 猫, 🦊",
    "_mlp",
)
"""Names of classes that would be code, the end of a string or of a comment, if they were let."""

RUNNER = """
import contextlib, io, json, runpy, sys

for name in sys.stdin.read().split():
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        runpy.run_path(f"{name}/train.py", run_name="__main__")
    print(json.dumps([name, printed.getvalue()]))
"""


OF_EACH_KIND = ("contrastive", "log", "triplet", "softmax", "nt_xent")
"""A loss on distances, on similarities, on triplets, on classes and on a whole batch."""


def cases() -> Iterator[tuple[str, dict[str, Any]]]:
    """Experiments by name: every choice at least once, and together what makes another loop or another `loss_of`."""
    for loss in LOSSES:
        yield loss, {"loss": loss}
    for loss in OF_EACH_KIND:
        yield f"{loss}-random-edges", {"loss": loss, "sampling": "random_pairs", "view": "edges"}
        yield f"{loss}-edges", {"loss": loss, "view": "edges"}
        yield f"{loss}-random", {"loss": loss, "sampling": "random_pairs"}
        for measure in LOSSES[loss].measures[1:]:
            yield f"{loss}-{measure}", {"loss": loss, "measure": measure}
    for loss in ("contrastive", "log", "triplet"):
        yield f"{loss}-flipped", {"loss": loss, "labels": "flipped"}
        yield f"{loss}-semi_hard", {"loss": loss, "miner": "semi_hard"}
    for loss in ("contrastive", "triplet"):
        yield f"{loss}-random-flipped", {"loss": loss, "labels": "flipped", "sampling": "random_pairs"}
        yield f"{loss}-hardest-flipped", {"loss": loss, "miner": "hardest", "labels": "flipped"}
        yield f"{loss}-miner-random", {"loss": loss, "miner": "random"}
    for transform in ("none", *INPUT_TRANSFORMS):
        yield f"{transform}-not-shared", {"view": transform, "shared": False}
        if transform not in ("none", "edges"):
            yield f"{transform}-shared", {"view": transform}
    for loss in ("triplet", "softmax", "nt_xent"):
        two = {"view": "rotated", "shared": False, "second_encoder": "conv"}
        yield f"{loss}-two-encoders", {"loss": loss, "sampling": "random_pairs", **two}
    for augmentation in AUGMENTATIONS:
        yield augmentation, {"augment": (augmentation,)}
    yield "all-augmentations", {"augment": tuple(AUGMENTATIONS), "view": "noisy", "sampling": "random_pairs"}
    for output in OUTPUTS:
        yield output, {"output": output}
    for encoder in ENCODERS:
        # A step of the Koch network takes seconds; how it scales its images the LeNet shows as well.
        if encoder != "koch":
            yield encoder, {"encoder": encoder, "batch_size": 24}
    yield "held-out", {"held_out": (0, 3, 4), "loss": "softmax", "view": "inverted"}
    yield "few-images", {"train_per_class": 5, "held_out": (9,), "loss": "proxy_anchor"}
    yield "shapes", {"dataset": "shapes", "shapes_classes": 3, "shapes_noise": 0.3, "encoder": "conv"}
    yield "fashion", {"dataset": "fashion_mnist", "encoder": "conv"}
    yield "numbers", {"seed": 7, "learning_rate": 0.05, "embedding_dim": 2, "params": {"margin": 2.5}, "steps": 70}


CASES = dict(cases())
SPOILT = "spoilt"
UPLOADED = {
    "uploaded": {"loss": "softmax", "augment": tuple(AUGMENTATIONS), "sampling": "random_pairs", "batch_size": 24}
}


def quick(**settings: Any) -> Experiment:
    return Experiment(**{"dataset": "digits", "encoder": "mlp", "batch_size": 48, "steps": 3} | settings)


@pytest.fixture(scope="module")
def uploaded_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Four coloured images of each of seven classes with hostile names, two of them for testing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(uploaded.FOLDER, str(tmp_path_factory.mktemp("uploads")))
        pixels = np.random.default_rng(0).integers(0, 256, (28, 3, 28, 28), np.uint8)
        labels = np.arange(28) % 7
        test = np.arange(28) >= 14
        yield uploaded.save('"""\n# me', HOSTILE, Images(pixels[~test], labels[~test], pixels[test], labels[test]))
        uploaded.clear_cache()


@pytest.fixture(scope="module")
def experiments(uploaded_key: str) -> dict[str, Experiment]:
    on_uploaded = {name: quick(dataset=uploaded_key, **settings) for name, settings in UPLOADED.items()}
    return {name: quick(**settings) for name, settings in CASES.items()} | on_uploaded


@pytest.fixture(scope="module")
def folder(experiments: dict[str, Experiment], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an unpacked zip for each experiment."""
    home = tmp_path_factory.mktemp("scripts")
    for name, experiment in experiments.items():
        unpack(script_zip(experiment), home / name)
    return home


@pytest.fixture(scope="module")
def printed(folder: Path) -> dict[str, str]:
    """What each script prints: one after the other in a process of their own, for torch takes seconds to import."""
    (folder / "runner.py").write_text(RUNNER, "utf-8")
    spoil(folder / "contrastive", folder / SPOILT)
    names = [*CASES, *UPLOADED, SPOILT]
    lines = run_alone(folder / "runner.py", "\n".join(names)).splitlines()
    return dict(map(json.loads, lines))


def unpack(packed: bytes, folder: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        archive.extractall(folder)


def run_alone(script: Path, text: str = "") -> str:
    """In isolated mode, where neither the folder nor the environment adds to the path: there is no siamese_core."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | ONE_THREAD
    command = [sys.executable, "-I", "-W", "error", script.name]
    done = subprocess.run(command, cwd=script.parent, env=environment, input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def spoil(good: Path, spoilt: Path) -> None:
    """The same script, whose loss is not finite at step 2."""
    shutil.copytree(good, spoilt)
    script = (good / "train.py").read_text("utf-8")
    assert script.count("loss = loss_of(h)") == 1
    spoiling = "loss = loss_of(h) * (math.inf if step == 2 else 1)"
    (spoilt / "train.py").write_text(script.replace("loss = loss_of(h)", spoiling), "utf-8")


def final_loss(text: str) -> str:
    (found,) = re.findall(r"^final loss (.+)$", text, re.MULTILINE)
    return str(found)


def arrays(folder: Path) -> dict[str, np.ndarray]:
    """The images as (N, C, H, W)."""
    with np.load(folder / "images.npz") as file:
        found = dict(file)
    axes = found.pop("axes")
    return {name: array.transpose(axes) if array.ndim == 4 else array for name, array in found.items()}


def constant(script: str, name: str) -> Any:
    """The value of a constant at the top of a script."""
    (found,) = (
        n.value for n in ast.parse(script).body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == name
    )
    return ast.literal_eval(found)


# What it prints


@pytest.mark.parametrize("name", [*CASES, *UPLOADED])
def test_the_script_ends_with_the_loss_of_the_run(
    name: str, printed: dict[str, str], experiments: dict[str, Experiment]
) -> None:
    *_, last = train(experiments[name])
    assert final_loss(printed[name]) == repr(last.loss)
    assert last.frame is not None
    for group, words in (("seen", "precision_at_1"), ("held_out", "precision_at_1 of the classes held out")):
        score = last.frame.metrics["precision_at_1"][group]
        found = re.findall(rf"^{words} ([\d.]+)$", printed[name], re.MULTILINE)
        # Two neighbours that are nearly as near may change places.
        assert [float(text) for text in found] == pytest.approx([] if score is None else [score], abs=0.01)


def test_by_itself_it_prints_a_loss_every_few_steps(folder: Path, experiments: dict[str, Experiment]) -> None:
    losses = [snapshot.loss for snapshot in train(experiments["numbers"], wants_frame=never)]
    lines = run_alone(folder / "numbers" / "train.py").splitlines()
    expected = {step: f"{losses[step - 1]:.6f}" for step in (1, *range(2, 71, 2))}
    assert [line.split() for line in lines[:36]] == [["step", str(s), "loss", loss] for s, loss in expected.items()]
    assert lines[36] == f"final loss {losses[-1]!r}"
    assert lines[37].startswith("precision_at_1 ")


def test_where_it_is_run_the_app_cannot_be_imported(tmp_path: Path) -> None:
    script = tmp_path / "look.py"
    script.write_text("import importlib.util\nprint(importlib.util.find_spec('siamese_core'))\n", "utf-8")
    assert run_alone(script).strip() == "None"


def test_a_loss_that_is_not_finite_ends_the_run(printed: dict[str, str]) -> None:
    assert "step 2: the loss or its gradient is not finite" in printed[SPOILT]
    assert final_loss(printed[SPOILT]) == "nan"


# The script


def test_a_script_needs_nothing_of_ours_and_only_what_it_uses(folder: Path) -> None:
    texts = {path.parent.name: path.read_text("utf-8") for path in folder.glob("*/train.py")}
    assert not [name for name, text in texts.items() if "siamese_core" in text]
    assert {name for name, text in texts.items() if "torchvision" in text} == {
        "resnet18", "mobilenet_v3", "flip", "colour", "all-augmentations", "uploaded",
    }  # fmt: skip
    from_library = {name.partition("-")[0] for name, text in texts.items() if "pytorch_metric_learning" in text}
    assert from_library == {key for key, loss in LOSSES.items() if loss.input_kind == "batch"} | {"few"}


def test_in_no_script_a_name_is_missing_or_idle(folder: Path) -> None:
    """Also where two encoders meet. Names that nobody defines, imports that nobody uses, definitions that are lost."""
    for first, second in itertools.combinations(ENCODERS, 2):
        both = quick(encoder=first, shared=False, second_encoder=second)
        (folder / f"{first}-{second}.py").write_text(script_of(both), "utf-8")
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--select", "F,E9", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_variable_of_a_script_takes_the_place_of_a_function(folder: Path) -> None:
    for path in folder.glob("*/train.py"):
        tree = ast.parse(path.read_text("utf-8"))
        functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
        inner = {id(n) for f in tree.body if isinstance(f, ast.FunctionDef | ast.ClassDef) for n in ast.walk(f)}
        stored = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        outer = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in inner and n.id in stored}
        assert len(set(functions)) == len(functions)
        assert not outer & set(functions), path


def test_the_link_of_the_experiment_stands_at_the_top() -> None:
    experiment = quick(held_out=(1, 2), loss="triplet", augment=("crop", "flip"))
    (link,) = (line for line in script_of(experiment).splitlines() if line.startswith("# ?"))
    assert Experiment.from_query(link.removeprefix("# ")) == (experiment, [])


def test_the_other_losses_are_left_out() -> None:
    script = script_of(quick(loss="triplet"))
    assert "def triplet(" in script
    others = {loss.fn.__name__ for loss in LOSSES.values()} - {"triplet"}
    assert not others & {node.name for node in ast.walk(ast.parse(script)) if isinstance(node, ast.FunctionDef)}
    assert "torch.pdist" in script
    assert "manhattan" not in script
    assert "BatchNorm1d" in script
    assert "Residual" not in script


def test_what_is_taken_has_the_name_of_one_thing() -> None:
    code = source.SourceSlice()
    source.include("siamese_core.networks.input_transforms", "_pixels", code)
    with pytest.raises(ValueError, match="_pixels is defined in"):
        source.include("siamese_core.training.eval_subset", "_pixels", code)


def test_an_underscore_stays_where_the_bare_name_is_taken() -> None:
    text = "_A = 1\n\n\ndef _f(b):\n    return b + _A\n\n\ndef _b(x):\n    return x._f + _f(x)\n"
    bare = "A = 1\n\n\ndef f(b):\n    return b + A\n\n\ndef _b(x):\n    return x._f + f(x)\n"
    assert source.without_underscores(text) == bare


@pytest.mark.parametrize("loss", LOSSES)
def test_a_script_makes_the_head_of_its_loss_or_its_measure(loss: str) -> None:
    for measure in LOSSES[loss].measures:
        experiment = quick(loss=loss, measure=measure, held_out=(1,), embedding_dim=5)
        script = script_of(experiment)
        made = re.findall(r"^loss_head = drawn\(lambda: (\w+)\(EMBEDDING_DIM, len\(CLASSES\)\), ", script, re.MULTILINE)
        assert made == ([experiment.head.__name__] if experiment.head else [])
        assert all(f"def {name}(dim: int, classes: int)" in script for name in made)


# The zip


def test_the_zip_holds_three_files_and_is_the_same_every_time(tmp_path: Path) -> None:
    experiment = quick(held_out=(3,))
    packed = script_zip(experiment)
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert sorted(archive.namelist()) == ["README.txt", "images.npz", "train.py"]
        assert archive.read("train.py").decode() == script_of(experiment)
        assert archive.testzip() is None
        readme = archive.read("README.txt").decode()
    assert "CC BY 4.0" in readme, "a licence goes with its images"
    assert f"?{experiment.to_query()}" in readme
    code = f"""
import sys
from siamese_core.experiment.experiment import Experiment
from siamese_core.export.script.script import script_zip
sys.stdout.buffer.write(script_zip(Experiment.from_query({experiment.to_query()!r})[0]))
assert "torch" not in sys.modules, "a page must not wait for torch"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == packed


def test_the_readme_asks_for_what_the_script_imports() -> None:
    def asked(**settings: Any) -> list[str]:
        with zipfile.ZipFile(io.BytesIO(script_zip(quick(**settings)))) as archive:
            (line,) = re.findall(r"pip install (.+)", archive.read("README.txt").decode())
        assert "+" not in line
        return [package.partition("==")[0] for package in line.split()]

    assert asked() == ["numpy", "torch"]
    assert asked(encoder="resnet18") == ["numpy", "torch", "torchvision"]
    assert asked(loss="circle") == ["numpy", "torch", "pytorch-metric-learning"]


def test_the_images_are_those_that_are_learnt_from_and_all_to_test_with(
    folder: Path, experiments: dict[str, Experiment]
) -> None:
    """Of digits 0 to 8 five images each; 9 is held out, and comes last among the test labels."""
    images, found = experiments["few-images"].data.load(), arrays(folder / "few-images")
    for c in range(9):
        expected = images.train_images[images.train_labels == c][:5]
        np.testing.assert_array_equal(found["train_images"][found["train_labels"] == c], expected)
    assert len(found["train_images"]) == 45
    np.testing.assert_array_equal(found["test_images"], images.test_images)
    np.testing.assert_array_equal(found["test_labels"], images.test_labels)
    assert {array.dtype.name for array in found.values()} == {"uint8", "int64"}


def test_seen_classes_are_numbered_before_those_held_out(folder: Path, experiments: dict[str, Experiment]) -> None:
    """0, 3 and 4 of ten are held out: 1 is the first class, 0 the eighth."""
    images, found = experiments["held-out"].data.load(), arrays(folder / "held-out")
    places = [7, 0, 1, 8, 9, 2, 3, 4, 5, 6]
    assert found["test_labels"].tolist() == [places[label] for label in images.test_labels]
    assert set(found["train_labels"].tolist()) == set(range(7))
    script = script_of(experiments["held-out"])
    assert constant(script, "CLASSES") == ("1", "2", "5", "6", "7", "8", "9")
    assert constant(script, "HELD_OUT") == ("0", "3", "4")


BASE = np.arange(12 * 8 * 10, dtype=np.uint8).reshape(12, 1, 8, 10)
COLOURS = np.arange(12 * 8 * 10 * 3, dtype=np.uint32).astype(np.uint8)


@pytest.mark.parametrize(
    "images",
    [
        BASE,
        BASE[:, 0][:, None],
        BASE[:, 0][:, None][np.arange(12) % 2 > 0],
        BASE[:, 0][:, None].swapaxes(2, 3),
        BASE[:, 0][:, None].swapaxes(2, 3)[np.arange(12) % 2 > 0],
        COLOURS.reshape(12, 3, 8, 10),
        COLOURS.reshape(12, 8, 10, 3).transpose(0, 3, 1, 2),
        COLOURS.reshape((8, 10, 3, 12), order="F").transpose(3, 2, 0, 1),
        COLOURS.reshape(8, 10, 3, 12).transpose(3, 2, 0, 1),
    ],
)
def test_a_batch_lies_in_memory_as_that_of_the_app(images: np.ndarray) -> None:
    """As sets are read: whole, an axis put in, chosen from, turned, colours last, MATLAB's order and its reverse."""
    order = memory_order(images)
    contiguous, axes = np.ascontiguousarray(images.transpose(order)), np.argsort(order).tolist()
    indices = torch.tensor([3, 0, 4])
    ours, theirs = torch.tensor(images)[indices], torch.from_numpy(contiguous).permute(axes)[indices]
    assert theirs.stride() == ours.stride()
    assert torch.equal(theirs, ours)


# Words of others


def test_names_of_classes_stay_names(folder: Path, experiments: dict[str, Experiment]) -> None:
    script = (folder / "uploaded" / "train.py").read_text("utf-8")
    assert constant(script, "CLASSES") == HOSTILE
    assert "\u202e" not in script, "what turns the line around is escaped"
    assert all(c.isprintable() for c in script.replace("\n", ""))
    plain = script_of(quick(**UPLOADED["uploaded"]))
    # All that differs from an experiment on digits is in constants and comments.
    assert [ast.dump(node) for node in statements(script)] == [ast.dump(node) for node in statements(plain)]


def statements(script: str) -> list[ast.stmt]:
    """All but the constants at the top."""
    varying = {"CLASSES", "SHAPE", "(MEAN, STD)"}
    return [
        node
        for node in ast.parse(script).body
        if not (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in varying)
    ]


def test_the_title_of_uploaded_images_stays_in_its_line(folder: Path) -> None:
    script = (folder / "uploaded" / "train.py").read_text("utf-8")
    assert script.startswith('# A siamese network learns """�# me.\n')
    readme = (folder / "uploaded" / "README.txt").read_text("utf-8")
    assert "Your own pictures." in readme
    assert "server" not in readme


def test_names_of_classes_fill_their_lines() -> None:
    script = script_of(Experiment())
    assert constant(script, "CLASSES")[0] == "T-shirt/top"
    assert '\n    "T-shirt/top", "Trouser",' in script
    assert "\n\n    " not in script.partition("CLASSES")[2].partition(")")[0]


def test_images_that_have_gone_are_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(uploaded.FOLDER, str(tmp_path))
    pixels, labels = np.zeros((4, 1, 28, 28), np.uint8), np.array([0, 0, 1, 1])
    key = uploaded.save("gone", ("a", "b"), Images(pixels, labels, pixels, labels))
    experiment = quick(dataset=key)
    uploaded.delete(key)
    with pytest.raises(DatasetMissing):
        script_of(experiment)
    with pytest.raises(DatasetMissing):
        script_zip(experiment)
