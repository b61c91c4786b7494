"""What the tests of evaluations share: small models, and their progress."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import numpy as np
import psutil

from siamese_core.datasets import Images, uploaded
from siamese_core.engine.evaluations import EvaluationProgress, Evaluations, Kind, ModelFile
from siamese_core.experiment.experiment import Experiment
from siamese_core.runs.model import Model, model_of
from siamese_core.training.loop import never, train
from tests.engine.test_engine import ANN
from tests.support.waiting import until

T = TypeVar("T")

Arrays = dict[str, np.ndarray]

NO_ARRAYS: Arrays = {}


def trained(experiment: Experiment) -> Model:
    *_, last = train(experiment, wants_frame=never)
    assert last.state is not None
    return model_of(experiment, last.state)


def digits(seed: int = 0) -> Experiment:
    return Experiment(dataset="digits", encoder="mlp", steps=4, seed=seed)


def poll(evaluations: Evaluations, owner: str, kind: Kind, file: ModelFile) -> EvaluationProgress:
    progress = evaluations.poll(owner, kind, file)
    assert progress is not None
    return progress


def until_status(
    evaluations: Evaluations, kind: Kind, file: ModelFile, status: str, owner: str = ANN
) -> EvaluationProgress:
    return until(lambda: (e := poll(evaluations, owner, kind, file)).status == status and e, f"{kind} to be {status}")


def images_of(model: Model, count: int = 3) -> np.ndarray:
    return model.experiment.data.load().test_images[:count]


@contextmanager
def held(evaluations: Evaluations) -> Iterator[None]:
    """The process stands still, so that what is requested meanwhile waits, however fast the machine is."""
    assert evaluations.child is not None
    process = psutil.Process(evaluations.child.pid)
    process.suspend()
    try:
        yield
    finally:
        with suppress(psutil.NoSuchProcess):
            process.resume()


def uploaded_set(title: str) -> str:
    """The key of an uploaded set of two classes, dark and light."""
    noise = np.random.default_rng(0).integers(0, 40, (40, 1, 28, 28), np.uint8)
    labels = np.repeat([0, 1], 20)
    images = noise + (labels * 100).astype(np.uint8)[:, None, None, None]
    test = np.arange(40) % 2 == 0
    return uploaded.save(title, ("dark", "light"), Images(images[~test], labels[~test], images[test], labels[test]))


def found_by(steps: Iterator[Any], kind: type[T]) -> T:
    *_, last = steps
    assert isinstance(last, kind)
    return last
