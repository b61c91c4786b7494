"""What the tests of evaluations share: small sets of digits, and models of them."""

from __future__ import annotations

import numpy as np

from siamese_core.datasets import DATASETS, Images, uploaded
from siamese_core.evaluation.evaluate import Gallery, build_gallery, evaluate
from siamese_core.evaluation.inference import TrainedModel, load
from siamese_core.evaluation.report import Report
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.machine import Machine
from siamese_core.runs.model import model_of
from siamese_core.training.learner import learner_of, state_of

DIGITS = DATASETS["digits"].load()


def few_digits(train: int, test: tuple[int, ...]) -> Images:
    """`train` images of each class, and of class c the number `test[c]` for testing, the classes mixed."""
    rng = np.random.default_rng(0)

    def take(labels: np.ndarray, counts: tuple[int, ...]) -> np.ndarray:
        return rng.permutation(np.concatenate([np.flatnonzero(labels == c)[:n] for c, n in enumerate(counts)]))

    learnt, tested = take(DIGITS.train_labels, (train,) * len(test)), take(DIGITS.test_labels, test)
    return Images(
        DIGITS.train_images[learnt], DIGITS.train_labels[learnt],
        DIGITS.test_images[tested], DIGITS.test_labels[tested],
    )  # fmt: skip


def saved_set(images: Images) -> str:
    return uploaded.save("Digits", tuple(f"digit {c}" for c in range(int(images.train_labels.max()) + 1)), images)


def untrained(images: Images, **settings: object) -> TrainedModel:
    values = {"dataset": saved_set(images), "encoder": "mlp", "embedding_dim": 4} | settings
    experiment = Experiment(**values)  # type: ignore[arg-type]
    return load(model_of(experiment, state_of(learner_of(experiment, Machine()))))


def report_of(trained: TrainedModel) -> Report:
    *_, found = evaluate(trained)
    assert isinstance(found, Report)
    return found


def gallery_of(trained: TrainedModel) -> Gallery:
    *_, found = build_gallery(trained)
    assert isinstance(found, Gallery)
    return found
