"""The house keeps its shape: imports point one way, light rooms stay light, nothing runs what it reads."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st

from pages.ui.shims import widgets

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / "siamese_core"

LAYERS = (
    {"formats", "losses", "networks"},
    {"datasets", "embeddings"},
    {"experiment"},
    {"runs", "training"},
    {"evaluation", "export"},
    {"engine", "cli"},
    {"__main__", "api"},
)
"""A wing of the core may import wings of the rows above its own, and nothing else of the core but `errors`."""

LAYER = {room: layer for layer, rooms in enumerate(LAYERS) for room in rooms} | {"errors": -1}

WITH_TORCH = ("training", "evaluation", "engine.workers")
"""Wings that import torch; all others are read by pages, which must not wait for it."""

LIGHT = {"evaluation", "evaluation.report", "training"}
"""What pages read of these wings."""

HEAVY = ("torch", "torchvision", "umap", "numba", "sklearn", "plotly", "streamlit")

DOCUMENTS = ("README.md", "CONTRIBUTING.md", "docs/library.md", "data/README.md")

PAGES_MAY_IMPORT = {"siamese_core", "pages", "streamlit", "numpy", "plotly"} | sys.stdlib_module_names

CARRIES_CODE = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"}
"""What can run code that it reads from a file."""

LONGEST_FILE = 350


def python_files() -> list[Path]:
    """All of ours: a virtual environment or a cache in the folder is not."""
    folders = (f for f in ROOT.iterdir() if f.is_dir() and f.name[0] != "." and not (f / "pyvenv.cfg").exists())
    return sorted([*ROOT.glob("*.py"), *(path for folder in folders for path in folder.rglob("*.py"))])


def module_name(path: Path) -> str:
    """siamese_core/engine/run.py → engine.run."""
    return ".".join(path.relative_to(CORE).with_suffix("").parts).removesuffix(".__init__")


def core_modules() -> dict[str, Path]:
    paths = {module_name(path): path for path in CORE.rglob("*.py")}
    # The package itself is no room: it holds nothing but names of `api`, which load on first use.
    return {name: path for name, path in paths.items() if name != "__init__"}


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported anywhere, in functions too; `from a import b` may mean the module a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            yield from (f"{start}.{alias.name}" for alias in node.names)


def imports_of(path: Path) -> set[str]:
    return set(imports(ast.parse(path.read_text("utf-8"))))


def rooms(modules: set[str]) -> set[str]:
    return {parts[1] for module in modules if (parts := module.split("."))[0] == "siamese_core" and len(parts) > 1}


def runs_back(room: str, modules: set[str]) -> set[str]:
    """The rooms among `modules` that `room` must not import."""
    return {other for other in rooms(modules) - {room} if LAYER.get(other, len(LAYERS)) >= LAYER[room]}


CHOICES = {name for name in vars(widgets) if hasattr(st, name)}


def bare(tree: ast.AST) -> Iterator[str]:
    """What pages/ui/shims/widgets.py and images.py are there for: choices under a key, and images."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="st"), attr=name)) if name in CHOICES and any(
                keyword.arg == "key" for keyword in node.keywords
            ):
                yield f"st.{name}, line {node.lineno}"
            case ast.Attribute(value=ast.Name(id="st"), attr="image"):
                yield f"st.image, line {node.lineno}"


def dangers(tree: ast.AST) -> Iterator[str]:
    """Whatever runs code out of data, and whatever swallows every error."""
    for module in imports(tree):
        if module.split(".")[0] in CARRIES_CODE or module == "torch.load":
            yield module
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="eval" | "exec" as name)):
                yield f"{name}()"
            case ast.Attribute(value=ast.Name(id="torch"), attr="load"):
                yield "torch.load"
            case ast.keyword(arg="allow_pickle", value=ast.Constant(value=True)):
                yield "allow_pickle"
            case ast.ExceptHandler(type=None):
                yield "except:"


def test_the_table_of_layers_names_every_room_once() -> None:
    assert sum(map(len, LAYERS)) + 1 == len(LAYER)
    assert {name.split(".")[0] for name in core_modules()} == set(LAYER)


def test_no_arrow_of_the_core_runs_back() -> None:
    back = {}
    for module, path in core_modules().items():
        room, modules = module.split(".")[0], imports_of(path)
        assert room in LAYER, f"give {room} its place in LAYERS"
        # A relative import would hide an arrow.
        back[module] = runs_back(room, modules) | {name for name in modules if name.startswith(".")}
    assert {module: names for module, names in back.items() if names} == {}


@pytest.mark.parametrize(
    ("line", "back"),
    [
        ("from siamese_core.losses import LOSSES", set()),
        ("from siamese_core.experiment.experiment import Experiment", set()),
        ("import siamese_core.evaluation.compare", {"evaluation"}),
        ("from siamese_core import engine", {"engine"}),
        ("from siamese_core.engine.run import RunState", {"engine"}),
        ("def later():\n    from siamese_core import losses, runs", {"runs"}),
        ("from siamese_core.runs.layouts import Layouts", {"runs"}),
        ("from siamese_core.training.loss_curves import curve", set()),
        ("from siamese_core.errors import Rejected", set()),
        ("from siamese_core import LOSSES", {"LOSSES"}),
        ("from siamese_core.cellar import wine", {"cellar"}),
    ],
)
def test_an_arrow_that_runs_back_is_seen(line: str, back: set[str]) -> None:
    """As `training` would import it: from its own row, from one below, or from a wing nobody knows."""
    assert runs_back("training", set(imports(ast.parse(line)))) == back


def test_the_core_knows_nothing_of_streamlit_or_of_the_pages() -> None:
    tops = {module: {name.split(".")[0] for name in imports_of(path)} for module, path in core_modules().items()}
    assert [module for module, found in tops.items() if found & {"streamlit", "pages", "app"}] == []


def test_a_page_imports_only_what_pages_may() -> None:
    for path in (ROOT / "app.py", *(ROOT / "pages").rglob("*.py")):
        found = imports_of(path)
        assert {name.split(".")[0] for name in found} <= PAGES_MAY_IMPORT, path
        assert all(name.startswith("pages.ui.") for name in found if name.split(".")[0] == "pages"), path


def test_nothing_runs_code_out_of_data_or_swallows_every_error() -> None:
    found = {path: list(dangers(ast.parse(path.read_text("utf-8")))) for path in python_files()}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from pickle import loads",
        "import os, joblib",
        "from torch import load",
        "torch.load(path)",
        "np.load(path, allow_pickle=True)",
        "eval(text)",
        "def f():\n    exec(text)",
        "try:\n    pass\nexcept:\n    pass",
    ],
)
def test_a_danger_is_seen(code: str) -> None:
    assert len(list(dangers(ast.parse(code)))) == 1


def test_choices_and_images_are_drawn_by_shims() -> None:
    """A busy browser would show the lowest values of the first, and miss the second."""
    for path in (ROOT / "pages").rglob("*.py"):
        if path.parent.name != "shims":
            assert list(bare(ast.parse(path.read_text("utf-8")))) == [], path


def test_a_choice_or_an_image_of_streamlit_is_seen() -> None:
    tree = ast.parse("st.slider('a', key='a'); st.slider('b'); widgets.slider('c', key='c'); st.button('d', key='d')")
    assert list(bare(tree)) == ["st.slider, line 1"]
    assert list(bare(ast.parse("st.image(png)"))) == ["st.image, line 1"]


def test_putting_a_network_in_eval_mode_is_no_danger() -> None:
    assert not list(dangers(ast.parse("network.eval()\ntry:\n    pass\nexcept ValueError:\n    pass")))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_file_that_a_document_names_is_there(document: str) -> None:
    """Named from the top folder, or from the core."""
    named = re.findall(r"(?<![\w/.])[\w.]+(?:/[\w.]+)+\.(?:py|md|js)\b", (ROOT / document).read_text("utf-8"))
    assert [name for name in named if not ((ROOT / name).is_file() or (CORE / name).is_file())] == []


@pytest.mark.parametrize("folder", [CORE, ROOT / "pages"], ids=lambda folder: folder.name)
def test_a_file_can_be_read_in_one_sitting(folder: Path) -> None:
    for path in folder.rglob("*.py"):
        assert len(path.read_text("utf-8").splitlines()) <= LONGEST_FILE, path


def test_what_a_page_reads_of_the_core_loads_nothing_heavy() -> None:
    light = sorted(
        f"siamese_core.{name}" for name in core_modules() if name in LIGHT or not name.startswith(WITH_TORCH)
    )
    code = f"import sys, {', '.join(light)}; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
