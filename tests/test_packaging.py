"""What `pip install .` installs: the whole core with its data and nothing else, and it works from any folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
FILES = ("pyproject.toml", "setup.py", "requirements.txt", "LICENSE")
NEVER = ("__pycache__", ".gitattributes", "README.md", "make_bundles.py", "run.state", "lock")

USE = """
import io, json, sys
import numpy as np
from PIL import Image
from siamese_core import DATASETS, ImageRejected, compare, decode_image, load_model
from siamese_core.datasets.bundled import data_folder

model = load_model(data_folder() / "models" / "mnist" / "model.safetensors")
first, second = DATASETS["mnist"].load().test_images[:2]
file = io.BytesIO()
Image.fromarray(np.full((20, 20), 9, np.uint8)).save(file, "PNG")
pixels = decode_image(file.getvalue(), 20)
json.dump([str(data_folder()), compare(model, first, first).value, pixels.max().item()], sys.stdout)
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a wheel is made of: building leaves folders behind."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("siamese_core", "data"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(*NEVER))
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    # Without isolation, since that would download setuptools.
    options = ["--no-build-isolation", "--no-deps", "--no-index", "--quiet", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(source)], check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run(site: Path, folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_the_core_and_its_data_and_nothing_else(source: Path, wheel: Path) -> None:
    core = {path.relative_to(source).as_posix() for path in (source / "siamese_core").rglob("*") if path.is_file()}
    data = {path.relative_to(source).as_posix() for path in (source / "data").rglob("*") if path.is_file()}
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert found == core | {f"siamese_core/{name}" for name in data}


def test_it_requires_what_the_app_needs(site: Path) -> None:
    (metadata,) = site.glob("*.dist-info/METADATA")
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    required = {line.removeprefix("Requires-Dist: ") for line in metadata.read_text("utf-8").splitlines()
                if line.startswith("Requires-Dist: ")}  # fmt: skip
    assert required == {line for line in lines if line and not line.startswith("#")}


def test_the_library_finds_its_data_and_its_children_from_any_folder(site: Path, tmp_path: Path) -> None:
    assert json.loads(run(site, tmp_path, "-c", USE)) == [str(site / "siamese_core" / "data"), 0.0, 9]


def test_the_command_line_trains_and_compares_from_any_folder(site: Path, tmp_path: Path) -> None:
    command = ("-m", "siamese_core")
    run(site, tmp_path, *command, "train", "dataset=mnist&steps=5", "--out", "run")
    model = "run/model.safetensors"
    film = str(site / "siamese_core" / "data" / "recorded" / "film.png")
    found = json.loads(run(site, tmp_path, *command, "compare", model, film, film, "--json"))
    assert found["value"] == 0 and found["same"] is True and found["neighbours"]
