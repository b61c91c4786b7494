"""A trained encoder on disk has all of its tensors, those of its loss's head, and the link that made it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from siamese_core.experiment import Experiment
from siamese_core.model_file import save_model
from siamese_core.snapshot import Snapshot
from siamese_core.training import train

HEADS = {
    "log": {"head.weight": (1, 6), "head.bias": (1,)},
    "softmax": {"head.weight": (8, 6), "head.bias": (8,)},
    "proxy_anchor": {"head.weight": (8, 6)},
    "contrastive": {},
}
"""Eight of ten classes are trained on."""


def trained(loss: str) -> tuple[Experiment, Snapshot]:
    experiment = Experiment(
        dataset="digits", encoder="mlp", loss=loss, embedding_dim=6, held_out=(3, 8), steps=2, seed=5
    )
    *_, last = train(experiment)
    return experiment, last


@pytest.mark.parametrize("loss", HEADS)
def test_the_file_has_the_network_and_the_head_of_the_last_step(loss: str, tmp_path: Path) -> None:
    experiment, last = trained(loss)
    assert last.state is not None
    path = tmp_path / "encoder.safetensors"
    save_model(path, experiment, last)
    saved = load_file(path)
    assert {name: array.shape for name, array in saved.items() if name.startswith("head.")} == HEADS[loss]
    of_run = {name: a for name, a in last.state.tensors.items() if name.startswith(("network.", "head."))}
    assert {name.removeprefix("network.") for name in of_run} == set(saved)
    for name, array in of_run.items():
        np.testing.assert_array_equal(saved[name.removeprefix("network.")], array)


def test_the_metadata_is_enough_to_use_the_file(tmp_path: Path) -> None:
    experiment, last = trained("softmax")
    path = tmp_path / "encoder.safetensors"
    save_model(path, experiment, last)
    with safe_open(path, "numpy") as file:
        metadata = file.metadata()
    assert Experiment.from_query(metadata["experiment"]) == (experiment, [])
    assert len(json.loads(metadata["classes"])) == 10
    assert set(json.loads(metadata["normalisation"])) == {"mean", "std", "shape"}
    assert metadata["steps"] == "2"


def test_nothing_but_the_whole_file_is_left(tmp_path: Path) -> None:
    experiment, last = trained("contrastive")
    save_model(tmp_path / "encoder.safetensors", experiment, last)
    assert [path.name for path in tmp_path.iterdir()] == ["encoder.safetensors"]
    with pytest.raises(OSError, match="nowhere"):
        save_model(tmp_path / "nowhere" / "encoder.safetensors", experiment, last)
