"""The process that examines models, in this process: what it says, and what it keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from siamese_core.datasets import uploaded
from siamese_core.engine.evaluations import Kind, ModelFile, file_of
from siamese_core.engine.workers import evaluator
from siamese_core.evaluation.evaluate import Gallery, build_gallery
from siamese_core.evaluation.inference import load
from siamese_core.experiment.experiment import Experiment
from siamese_core.runs.model import Model
from tests.support.examining import NO_ARRAYS, Arrays, digits, found_by, own_pictures, pictures_of, trained


@pytest.fixture(scope="module", autouse=True)
def _own_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The process is told where the pictures lie when it starts."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(uploaded.FOLDER, str(tmp_path_factory.mktemp("own")))
        yield
    uploaded.let_go()


@pytest.fixture(scope="module")
def model() -> Model:
    return trained(digits())


@pytest.fixture(scope="module")
def file(model: Model) -> ModelFile:
    return file_of(model)


@pytest.fixture(scope="module")
def other() -> ModelFile:
    return file_of(trained(digits(seed=1)))


class Heard:
    """Stands for the pipe: `say` is what the server would hear, and may answer at once."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self.hear: Callable[[dict[str, Any], Arrays], None] = lambda meta, arrays: None
        self.then: Callable[[dict[str, Any]], None] = lambda meta: None

    def say(self, meta: dict[str, Any], **arrays: np.ndarray) -> None:
        self.said.append(meta | {"arrays": arrays})
        self.then(meta)

    def listen(self, hear: Callable[[dict[str, Any], Arrays], None]) -> None:
        self.hear = hear


@pytest.fixture
def server() -> Heard:
    return Heard()


@pytest.fixture
def process(server: Heard) -> evaluator._Examiner:
    return evaluator._Examiner(server)  # type: ignore[arg-type]


def work(number: int, file: ModelFile, kind: Kind = "reference") -> tuple[dict[str, Any], Arrays]:
    meta = {"do": kind, "job": number, "own_sets": file.uploaded_sets}
    return meta, {"file": np.frombuffer(file.data, np.uint8)}


def test_a_work_that_is_cancelled_on_the_way_says_no_more_and_leaves_no_reference(
    server: Heard, process: evaluator._Examiner, model: Model, file: ModelFile
) -> None:
    server.then = lambda meta: server.hear({"do": "cancel", "job": 1}, NO_ARRAYS)
    process._work(*work(1, file))
    assert [meta["is"] for meta in server.said] == ["progress"]
    assert compared(process, model, file).keys() == {"value", "euclidean", "cosine"}


def compared(process: evaluator._Examiner, model: Model, file: ModelFile) -> Arrays:
    meta, arrays = work(0, file)
    pair = pictures_of(model, 1)
    return process._compare(meta | {"do": "compare"}, arrays | {"first": pair, "second": pair})


def test_a_reference_that_makes_room_is_said_to_be_lost(
    server: Heard,
    process: evaluator._Examiner,
    model: Model,
    file: ModelFile,
    other: ModelFile,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(evaluator, "KEPT_REFERENCES", 1)
    process._work(*work(1, file))
    assert "near" in compared(process, model, file)
    process._work(*work(2, other))
    assert [meta["job"] for meta in server.said if meta["is"] == "lost"] == [1]
    assert "near" not in compared(process, model, file)
    assert "near" in compared(process, model, other)


def test_a_reference_outlives_the_model_that_it_was_found_with(
    process: evaluator._Examiner, model: Model, file: ModelFile, other: ModelFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both threads may read the same model, and models make room for each other while a work goes on."""
    monkeypatch.setattr(evaluator, "KEPT_MODELS", 1)
    process._work(*work(1, file))
    compared(process, model, other)
    assert "near" in compared(process, model, file)


def test_pictures_that_are_deleted_during_a_work_leave_nothing_in_the_process(
    server: Heard, process: evaluator._Examiner, model: Model
) -> None:
    key = own_pictures("deleted on the way")
    mine = file_of(trained(Experiment(dataset=key, encoder="mlp", steps=4)))

    def delete(meta: dict[str, Any]) -> None:
        uploaded.forget(key)
        server.hear({"do": "cancel", "job": 1}, NO_ARRAYS)
        server.hear({"do": "forget_images", "dataset": key}, NO_ARRAYS)

    server.then = delete
    process._work(*work(1, mine))
    assert [meta["is"] for meta in server.said] == ["progress"]
    assert not process._models and not process._references


def test_a_reference_of_a_work_cancelled_at_its_last_step_is_not_kept(
    server: Heard, process: evaluator._Examiner, file: ModelFile, model: Model
) -> None:
    """Its pictures may be forgotten already."""
    found = evaluator._Found(1, found_by(build_gallery(load(model)), Gallery))
    key = evaluator._key(*work(1, file))
    server.hear({"do": "cancel", "job": 1}, NO_ARRAYS)
    process._keep(key, found)
    assert not process._references
    process._keep(key, replace(found, job=2))
    assert process._references[key].job == 2
