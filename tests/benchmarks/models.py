"""Comparing pairs and evaluating a model, as the pages ask for it: by the process that evaluates models."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from statistics import median

import numpy as np

from siamese_core.datasets import DATASETS
from siamese_core.engine.evaluations import EvaluationProgress, Evaluations, Kind, ModelFile, file_of
from siamese_core.experiment.experiment import Experiment
from siamese_core.runs.model import model_of
from siamese_core.training.loop import always, never, train
from tests.support.waiting import until

Row = tuple[str, str, str]

PAIRS = 1_000
REPEATS = 30


def measure() -> Iterator[Row]:
    evaluations = Evaluations()
    try:
        yield from _compared(evaluations)
        yield from _evaluated(evaluations, "fashion_mnist", "")
    finally:
        evaluations.close()
    evaluations = Evaluations()
    try:
        if DATASETS["fashion_mnist_full"].find():
            yield from _evaluated(evaluations, "fashion_mnist_full", "< 15 s, < 1,000 MB")
        else:
            yield "evaluating 10,000 test images", "not measured: Fashion-MNIST is not on this machine", "< 15 s"
    finally:
        evaluations.close()


def _model(dataset: str) -> ModelFile:
    experiment = Experiment(dataset=dataset, steps=100)
    (*_, last) = islice(train(experiment, wants_frame=never, wants_state=always), 99)
    assert last.state is not None
    return file_of(model_of(experiment, last.state))


def _compared(evaluations: Evaluations) -> Iterator[Row]:
    file = _model("fashion_mnist")
    images = DATASETS["fashion_mnist"].load().test_images
    _done(evaluations, "gallery", file)
    pairs = [(images[i][None], images[-1 - i][None]) for i in range(REPEATS + 1)]
    verdicts, both = [], []
    for first, second in pairs:
        started = time.perf_counter()
        evaluations.compare(file, first, second).result()
        verdicts.append(time.perf_counter() - started)
        evaluations.explain(file, first[0], second[0]).result()
        both.append(time.perf_counter() - started)
    what = "comparing a pair after the first: verdict and neighbours, the same with both maps, median"
    yield what, f"{1000 * median(verdicts[1:]):.0f} ms, {1000 * median(both[1:]):.0f} ms", "< 50 ms"
    many = np.resize(images, (PAIRS, *images.shape[1:]))
    started = time.perf_counter()
    evaluations.compare(file, many, np.ascontiguousarray(many[::-1])).result()
    yield f"comparing {PAIRS:,} pairs, with neighbours", f"{time.perf_counter() - started:.2f} s", "< 3 s"


def _evaluated(evaluations: Evaluations, dataset: str, wanted: str) -> Iterator[Row]:
    file = _model(dataset)
    evaluations.check(file).result()
    started = time.perf_counter()
    _done(evaluations, "evaluate", file)
    seconds = time.perf_counter() - started
    assert evaluations.child is not None
    peak = _peak(evaluations.child.pid)
    count = len(DATASETS[dataset].load().test_labels)
    yield f"evaluating {count:,} test images; most memory of that process", f"{seconds:.1f} s, {peak:.0f} MB", wanted


def _peak(pid: int) -> float:
    """MB that a process held at its worst moment; Linux says so."""
    with open(f"/proc/{pid}/status") as status:
        (line,) = [line for line in status if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def _done(evaluations: Evaluations, kind: Kind, file: ModelFile) -> EvaluationProgress:
    def poll() -> EvaluationProgress:
        found = evaluations.poll("owner", kind, file)
        assert found is not None and found.status != "failed", found
        return found

    until(lambda: poll().status == "done", f"the {kind}")
    return poll()
