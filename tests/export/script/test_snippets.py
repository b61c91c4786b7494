"""What is copied from the page is what is trained: the text is run, and gives the same numbers."""

from __future__ import annotations

import importlib.util
import itertools
from pathlib import Path
from types import ModuleType

import pytest
import torch

from siamese_core.experiment.experiment import Experiment
from siamese_core.export.script.snippets import library, stand_alone
from siamese_core.losses import LOSSES
from siamese_core.losses.distances import MEASURES
from siamese_core.training.objective import of_all_pairs

WITH_MEASURES = [(key, measure) for key, loss in LOSSES.items() for measure in loss.measures]
numbers = itertools.count()

BATCH = """import torch

h = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))  # as embeddings(6)
labels = torch.tensor([0, 0, 1, 1, 2, 2])
"""


def run(text: str, tmp_path: Path) -> ModuleType:
    """The text as a module of its own."""
    name = f"copied_{next(numbers)}"
    path = tmp_path / f"{name}.py"
    path.write_text(text, "utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def odd(key: str) -> dict[str, float]:
    """Parameters that are not the defaults."""
    return {p.name: round(p.default * 0.8 + p.step, 6) for p in LOSSES[key].params}


def embeddings(n: int = 12, dim: int = 5, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("one_is_similar", [True, False])
@pytest.mark.parametrize(("key", "measure"), WITH_MEASURES)
def test_the_copied_function_gives_the_same_numbers(
    key: str, measure: str, one_is_similar: bool, tmp_path: Path
) -> None:
    loss, params = LOSSES[key], odd(key)
    copied = run(stand_alone(key, params, measure, one_is_similar), tmp_path).loss_of
    h1, h2, h3 = embeddings(36).chunk(3)
    labels = torch.arange(12) % 3
    weight, bias, between = embeddings(1, 5, 4), torch.tensor([0.2]), MEASURES[measure].between
    if loss.input_kind == "triplet":
        found, expected = copied(h1, h2, h3), loss.fn(between(h1, h2), between(h1, h3), **params)
    elif loss.input_kind == "logits":
        found, expected = copied(h1, labels), loss.fn(h1, labels)
    elif loss.input_kind == "batch":
        parts = (embeddings(3, 5, 7),) if key == "proxy_anchor" else ()
        found, expected = copied(h1, labels, *parts), loss.fn(h1, labels, *parts, **params)
    else:
        parts = (weight, bias) if measure == "similarity_head" else ()
        same = labels == 0
        y = (same if one_is_similar else ~same).int()
        found, expected = copied(h1, h2, y, *parts), loss.fn(between(h1, h2, *parts), same, **params)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("key", [key for key, loss in LOSSES.items() if loss.library is not None])
def test_the_librarys_call_runs(key: str, tmp_path: Path) -> None:
    assert library_value(key, odd(key), tmp_path).isfinite()


def library_value(key: str, params: dict[str, float], tmp_path: Path) -> torch.Tensor:
    text = library(key, params, classes=3, dim=5)
    assert text is not None
    return run(BATCH + text, tmp_path).loss


@pytest.mark.parametrize("key", ["nt_xent", "supcon", "multi_similarity", "circle", "lifted_structure"])
def test_the_librarys_batch_loss_is_ours_on_one_group(key: str, tmp_path: Path) -> None:
    ours = LOSSES[key].fn(embeddings(6), torch.tensor([0, 0, 1, 1, 2, 2]), **odd(key))
    torch.testing.assert_close(library_value(key, odd(key), tmp_path), ours)


def test_the_librarys_triplet_loss_set_like_ours_is_ours(tmp_path: Path) -> None:
    ours = of_all_pairs(Experiment(loss="triplet", params={"margin": 0.7}), embeddings(6), 2).value
    torch.testing.assert_close(library_value("triplet", {"margin": 0.7}, tmp_path), ours)


def test_the_librarys_contrastive_loss_is_linear_and_so_another(tmp_path: Path) -> None:
    ours = of_all_pairs(Experiment(params={"margin": 3.0}), embeddings(6), 2).value
    theirs = library_value("contrastive", {"margin": 3.0}, tmp_path)
    assert abs(float(ours - theirs)) > 0.1
    text = library("contrastive", {"margin": 3.0}, 3, 5)
    assert text is not None
    assert "linear" in text


@pytest.mark.parametrize("key", [key for key, loss in LOSSES.items() if loss.library is None])
def test_a_loss_that_the_library_lacks_has_no_call(key: str) -> None:
    assert library(key, {p.name: p.default for p in LOSSES[key].params}, 3, 5) is None
