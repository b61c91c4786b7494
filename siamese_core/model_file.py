"""A trained encoder on disk: safetensors, with all that is needed to use it in its metadata."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from siamese_core.experiment import Experiment
from siamese_core.snapshot import Snapshot

SCHEMA_VERSION = 1


def save_model(path: Path, experiment: Experiment, snapshot: Snapshot) -> None:
    """The network's tensors of `snapshot.state`, and under "head." those of the loss's head.

    The file is whole or not there. Raises OSError.
    """
    from safetensors.numpy import save

    assert snapshot.state is not None, "the last snapshot of a run has its state"
    dataset = experiment.data
    tensors = {
        name.removeprefix("network."): np.ascontiguousarray(array)
        for name, array in snapshot.state.tensors.items()
        if name.startswith(("network.", "head."))
    }
    metadata = {
        "schema_version": str(SCHEMA_VERSION),
        "experiment": experiment.to_query(),
        "classes": json.dumps(dataset.classes),
        "normalisation": json.dumps({"mean": dataset.mean, "std": dataset.std, "shape": dataset.shape}),
        "steps": str(snapshot.state.step),
    }
    unfinished = path.with_suffix(".part")
    try:
        with unfinished.open("wb") as file:
            file.write(save(tensors, metadata))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
