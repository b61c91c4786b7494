"""The evaluation process, in this process: what it sends, and what it remembers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from siamese_core.datasets import uploaded
from siamese_core.engine.evaluations import Kind, ModelFile, file_of
from siamese_core.engine.rpc.model_files import MOST_FILES, attached
from siamese_core.engine.workers import evaluator
from siamese_core.evaluation.evaluate import Gallery, build_gallery
from siamese_core.evaluation.inference import load
from siamese_core.experiment.experiment import Experiment
from siamese_core.runs.model import Model
from tests.support.evaluations import NO_ARRAYS, Arrays, digits, found_by, images_of, trained, uploaded_set


@pytest.fixture(scope="module", autouse=True)
def _uploads_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The process gets the folder of the uploaded images when it starts."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(uploaded.FOLDER, str(tmp_path_factory.mktemp("uploads")))
        yield
    uploaded.clear_cache()


@pytest.fixture(scope="module")
def model() -> Model:
    return trained(digits())


@pytest.fixture(scope="module")
def file(model: Model) -> ModelFile:
    return file_of(model)


@pytest.fixture(scope="module")
def other() -> ModelFile:
    return file_of(trained(digits(seed=1)))


class FakePipe:
    """Stands for the pipe: `send` is what the server would receive, and may react to at once."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.receive: Callable[[dict[str, Any], Arrays], None] = lambda meta, arrays: None
        self.then: Callable[[dict[str, Any]], None] = lambda meta: None

    def send(self, meta: dict[str, Any], **arrays: np.ndarray) -> None:
        self.sent.append(meta | {"arrays": arrays})
        self.then(meta)

    def listen(self, on_message: Callable[[dict[str, Any], Arrays], None]) -> None:
        self.receive = on_message


@pytest.fixture
def server() -> FakePipe:
    return FakePipe()


@pytest.fixture
def process(server: FakePipe) -> evaluator._Evaluator:
    return evaluator._Evaluator(server)  # type: ignore[arg-type]


def work(number: int, file: ModelFile, kind: Kind = "gallery") -> tuple[dict[str, Any], Arrays]:
    meta = {"do": kind, "id": number, "model": file.key, "uploaded_sets": file.uploaded_sets}
    return meta, {"file": np.frombuffer(file.data, np.uint8)}


def evaluate(server: FakePipe, process: evaluator._Evaluator, number: int, file: ModelFile) -> None:
    server.receive(*work(number, file))
    process._jobs.serve_next()


def test_a_work_that_is_cancelled_on_the_way_says_no_more_and_leaves_no_gallery(
    server: FakePipe, process: evaluator._Evaluator, model: Model, file: ModelFile
) -> None:
    server.then = lambda meta: server.receive({"do": "cancel", "id": 1}, NO_ARRAYS)
    evaluate(server, process, 1, file)
    assert [meta["is"] for meta in server.sent] == ["progress"]
    assert compared(process, model, file).keys() == {"value", "euclidean", "cosine"}


def compared(process: evaluator._Evaluator, model: Model, file: ModelFile) -> Arrays:
    meta, arrays = work(0, file)
    pair = images_of(model, 1)
    return process._compare(meta | {"do": "compare"}, arrays | {"first": pair, "second": pair})


def test_a_gallery_that_makes_room_is_reported_lost(
    server: FakePipe,
    process: evaluator._Evaluator,
    model: Model,
    file: ModelFile,
    other: ModelFile,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(evaluator, "MOST_GALLERIES", 1)
    evaluate(server, process, 1, file)
    assert "near" in compared(process, model, file)
    evaluate(server, process, 2, other)
    assert [meta["model"] for meta in server.sent if meta["is"] == "lost"] == [file.key]
    assert "near" not in compared(process, model, file)
    assert "near" in compared(process, model, other)


def test_a_gallery_outlives_the_model_that_it_was_found_with(
    server: FakePipe,
    process: evaluator._Evaluator,
    model: Model,
    file: ModelFile,
    other: ModelFile,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both threads may read the same model, and models make room for each other while a work goes on."""
    monkeypatch.setattr(evaluator, "MOST_MODELS", 1)
    evaluate(server, process, 1, file)
    compared(process, model, other)
    assert "near" in compared(process, model, file)


def test_images_that_are_deleted_during_a_work_leave_nothing_in_the_process(
    server: FakePipe, process: evaluator._Evaluator, model: Model
) -> None:
    key = uploaded_set("deleted on the way")
    uploaded_file = file_of(trained(Experiment(dataset=key, encoder="mlp", steps=4)))

    def delete(meta: dict[str, Any]) -> None:
        uploaded.delete(key)
        server.receive({"do": "cancel", "id": 1}, NO_ARRAYS)
        server.receive({"do": "forget_images", "dataset": key}, NO_ARRAYS)

    server.then = delete
    evaluate(server, process, 1, uploaded_file)
    assert [meta["is"] for meta in server.sent] == ["progress"]
    assert not process._models and not process._galleries


def test_a_gallery_of_a_work_cancelled_at_its_last_step_is_not_cached(
    server: FakePipe, process: evaluator._Evaluator, file: ModelFile, model: Model
) -> None:
    """Its images may be forgotten already."""
    found = found_by(build_gallery(load(model)), Gallery)
    first, second = work(1, file)[0], work(2, file)[0]
    server.receive(*work(1, file))
    server.receive({"do": "cancel", "id": 1}, NO_ARRAYS)
    process._remember(first, found)
    assert not process._galleries
    server.receive(*work(2, file))
    process._remember(second, found)
    assert process._galleries[evaluator._key(second)] is found


def test_a_file_comes_once_and_the_last_few_are_named_by_their_keys(
    server: FakePipe, process: evaluator._Evaluator, model: Model
) -> None:
    """Both ends remember the same ones, in whatever order they are named."""
    files = [file_of(replace(model, steps=steps)) for steps in range(MOST_FILES + 2)]
    sent: dict[str, None] = {}
    carried = []
    for file in [*files[:MOST_FILES], files[0], files[MOST_FILES], files[0], files[1], files[MOST_FILES], files[-1]]:
        arrays = attached(sent, file.key, file.data)
        carried.append("file" in arrays)
        server.receive({"do": "check", "id": 1, "model": file.key, "uploaded_sets": []}, arrays)
        assert process._files[file.key].tobytes() == file.data
        assert list(process._files) == list(sent)
        process._requests.serve_next()
    assert {meta["is"] for meta in server.sent} == {"reply"}
    assert carried == [True] * MOST_FILES + [False, True, False, True, False, True]
