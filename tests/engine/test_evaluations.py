"""Evaluations in a process of their own: who shares a work, who ends it, and a process that dies."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import psutil
import pytest
import torch
from threadpoolctl import threadpool_limits

from siamese_core.datasets import uploaded
from siamese_core.engine.evaluations import DIED, Evaluations, ModelFile, file_of
from siamese_core.engine.rpc.client import RequestRejected
from siamese_core.engine.rpc.pipes import Child
from siamese_core.evaluation.evaluate import NO_IMAGES, Gallery, build_gallery, evaluate
from siamese_core.evaluation.inference import embed, load
from siamese_core.evaluation.report import Report, from_wire, to_wire
from siamese_core.experiment.experiment import Experiment
from siamese_core.runs.model import Model
from siamese_core.runs.model_file import packed, read_model
from tests.support.engines import ANN, BEN, Clock
from tests.support.evaluations import digits, found_by, held, images_of, poll, trained, until_status, uploaded_set
from tests.support.waiting import PATIENCE, until

T = TypeVar("T")


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


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def evaluations(clock: Clock) -> Iterator[Evaluations]:
    shared = Evaluations(clock)
    assert not shared.ready, "asking this starts the process"
    yield shared
    shared.close()


# What is found


def test_neighbours_and_a_threshold_are_there_once_the_gallery_is_done(evaluations: Evaluations) -> None:
    # A model that no other test has had a gallery built of.
    model = trained(digits(seed=2))
    file = file_of(model)
    first, second = images_of(model), images_of(model)[::-1].copy()
    before = evaluations.compare(file, first, second).result(PATIENCE)
    assert set(before) == {"value", "euclidean", "cosine"}
    done = until_status(evaluations, "gallery", file, "done")
    expected = found_by(build_gallery(load(model)), Gallery)
    assert expected.threshold is not None
    assert done.about == {"threshold": vars(expected.threshold), "gallery": len(expected.indices)}
    assert done.arrays.keys() == {"same", "different", "counts", "unlike"}
    np.testing.assert_array_equal(done.arrays["same"], expected.reported_on.same)
    np.testing.assert_array_equal(done.arrays["different"], expected.reported_on.different)
    np.testing.assert_array_equal(done.arrays["unlike"], expected.unlike)
    after = evaluations.compare(file, first, second).result(PATIENCE)
    np.testing.assert_array_equal(after["value"], before["value"])
    assert after["near"].shape == after["near_distances"].shape == (2, 3, 5)
    train_images = model.experiment.data.load().train_images
    distances = np.square(embedded(model, first[:1]) - embedded(model, train_images)).sum(1)
    assert after["near"][0, 0, 0] == distances.argmin()


def embedded(model: Model, images: np.ndarray) -> np.ndarray:
    return embed(load(model), torch.tensor(images)).numpy()


def test_a_report_comes_over_as_it_was_found(evaluations: Evaluations, model: Model, file: ModelFile) -> None:
    done = until_status(evaluations, "evaluate", file, "done")
    meta, arrays = to_wire(from_wire(done.about, done.arrays))
    # As in the process: another number of threads is other bits.
    with threadpool_limits(1):
        expected_meta, expected_arrays = to_wire(found_by(evaluate(load(model)), Report))
    assert json.loads(json.dumps(meta)) == json.loads(json.dumps(expected_meta))
    assert arrays.keys() == expected_arrays.keys()
    for name, expected in expected_arrays.items():
        np.testing.assert_array_equal(arrays[name], expected, err_msg=name)


def test_a_pair_is_explained_beside_a_work(
    evaluations: Evaluations, model: Model, file: ModelFile, other: ModelFile
) -> None:
    with held(evaluations):
        poll(evaluations, ANN, "evaluate", other)
        first, second = images_of(model, 2)
        reply = evaluations.explain(file, first, second)
    shape = first.shape[1:]
    found = reply.result(PATIENCE)
    assert {name: array.shape for name, array in found.items()} == {
        "shown": (2, *first.shape), "occlusion": (2, *shape), "gradient": (2, *shape),
    }  # fmt: skip
    np.testing.assert_array_equal(found["shown"], [first, second])
    until_status(evaluations, "evaluate", other, "done")


# Files that are no models


def garbage(model: Model) -> ModelFile:
    return ModelFile(model, b"no model at all")


def of_another_network(model: Model) -> ModelFile:
    return ModelFile(model, packed(replace(model, experiment=replace(model.experiment, embedding_dim=5))))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (garbage, r"This file is no safetensors file: .*\."),
        (of_another_network, r"This file has encoder\..* of .*, expected .* of the experiment's mlp network: .*\."),
    ],
)
def test_a_file_that_cannot_be_used_is_rejected_with_a_message_and_the_next_request_is_served(
    evaluations: Evaluations, model: Model, file: ModelFile, make: Callable[[Model], ModelFile], message: str
) -> None:
    wrong = make(model)
    with pytest.raises(RequestRejected, match=f"^{message}$"):
        evaluations.check(wrong).result(PATIENCE)
    with pytest.raises(RequestRejected, match=f"^{message}$"):
        evaluations.compare(wrong, images_of(model), images_of(model)).result(PATIENCE)
    failed = until_status(evaluations, "evaluate", wrong, "failed")
    with pytest.raises(RequestRejected) as again:
        evaluations.check(wrong).result(PATIENCE)
    assert failed.message == str(again.value)
    assert evaluations.check(file).result(PATIENCE) == {}


def test_images_of_another_size_get_no_reply_and_the_next_request_is_served(
    evaluations: Evaluations, model: Model, file: ModelFile
) -> None:
    wrong = np.zeros((1, 3, 9, 9), np.uint8)
    with pytest.raises(CancelledError):
        evaluations.compare(file, wrong, wrong).result(PATIENCE)
    assert evaluations.check(file).result(PATIENCE) == {}


# Uploaded images


def read_by(data: bytes, *uploaded_sets: str) -> ModelFile:
    return ModelFile(read_model(data, uploaded_sets), data)


def test_a_model_of_uploaded_images_is_measured_for_who_has_them_and_for_nobody_else(
    evaluations: Evaluations,
) -> None:
    """Its images have the default dataset's size, which nothing may be measured on in their place."""
    key = uploaded_set("Ann's")
    uploaded_file = file_of(trained(Experiment(dataset=key, encoder="mlp", steps=4)))
    others = read_by(uploaded_file.data)
    assert uploaded_file.uploaded_sets == [key] and others.uploaded_sets == []
    assert uploaded_file.key == read_by(uploaded_file.data, key).key != others.key
    for kind in ("gallery", "evaluate"):
        assert until_status(evaluations, kind, uploaded_file, "done").status == "done"
        failed = until_status(evaluations, kind, others, "failed", BEN)
        assert (failed.message, failed.about, failed.arrays) == (NO_IMAGES, None, {})
        assert len(failed.message.splitlines()) == 1
    pair = np.zeros((1, 1, 28, 28), np.uint8)
    assert "near" in evaluations.compare(uploaded_file, pair, pair).result(PATIENCE)
    assert evaluations.compare(others, pair, pair).result(PATIENCE).keys() == {"value", "euclidean", "cosine"}


def test_what_was_found_goes_with_the_images_and_other_galleries_stay(
    evaluations: Evaluations, model: Model, file: ModelFile
) -> None:
    key = uploaded_set("to be deleted")
    uploaded_file = file_of(trained(Experiment(dataset=key, encoder="mlp", steps=4)))
    pair = np.zeros((1, 1, 28, 28), np.uint8)
    until_status(evaluations, "gallery", uploaded_file, "done")
    until_status(evaluations, "gallery", file, "done")
    uploaded.delete(key)
    evaluations.forget_images(key)
    assert evaluations.poll(ANN, "gallery", uploaded_file, start=False) is None
    assert evaluations.compare(uploaded_file, pair, pair).result(PATIENCE).keys() == {"value", "euclidean", "cosine"}
    assert until_status(evaluations, "gallery", uploaded_file, "failed").message == NO_IMAGES
    assert poll(evaluations, BEN, "gallery", file).status == "done"
    assert "near" in evaluations.compare(file, images_of(model), images_of(model)).result(PATIENCE)


def test_images_that_have_come_back_are_measured(evaluations: Evaluations) -> None:
    key = uploaded_set("come and go")
    uploaded_file = file_of(trained(Experiment(dataset=key, encoder="mlp", steps=4)))
    uploaded.delete(key)
    evaluations.forget_images(key)
    until_status(evaluations, "gallery", uploaded_file, "failed")
    assert uploaded_set("come and go") == key
    evaluations.cancel(ANN, "gallery", uploaded_file)
    until_status(evaluations, "gallery", uploaded_file, "done")


# A process that dies


def test_kill_9_ends_what_is_open_and_the_next_poll_is_served_by_a_new_process(
    evaluations: Evaluations, model: Model, file: ModelFile, other: ModelFile
) -> None:
    until_status(evaluations, "evaluate", file, "done")
    until_status(evaluations, "gallery", file, "done")
    until_status(evaluations, "gallery", other, "done")
    first = evaluations.child.pid
    with held(evaluations):
        working = file_of(replace(model, steps=5))
        poll(evaluations, ANN, "gallery", working)
        poll(evaluations, BEN, "gallery", working)
        reply = evaluations.check(file)
        os.kill(first, signal.SIGKILL)
        with pytest.raises(CancelledError):
            reply.result(PATIENCE)
        assert until_status(evaluations, "gallery", working, "failed").message == DIED
    assert poll(evaluations, BEN, "gallery", working).status == "failed"
    assert poll(evaluations, ANN, "evaluate", file).status == "done", "a report is here, whatever died"
    assert evaluations.child is None, "polling what is finished needs no process"

    evaluations.cancel(ANN, "gallery", working)
    assert poll(evaluations, ANN, "gallery", working).status == "waiting", "cancel and poll try again"
    assert evaluations.child is not None and evaluations.child.pid != first
    until_status(evaluations, "gallery", working, "done")
    assert "near" not in evaluations.compare(file, images_of(model), images_of(model)).result(PATIENCE)
    assert poll(evaluations, ANN, "gallery", file).status != "done", "a gallery died with its process"
    until_status(evaluations, "gallery", file, "done")
    assert "near" in evaluations.compare(file, images_of(model), images_of(model)).result(PATIENCE)


def test_closing_ends_the_process_and_what_waits_for_it_and_nothing_is_started_after(
    model: Model, file: ModelFile
) -> None:
    evaluations = Evaluations()
    assert evaluations.child is None, "it starts with the first request or poll"
    assert evaluations.poll(ANN, "evaluate", file, start=False) is None
    evaluations.cancel(ANN, "evaluate", file)
    evaluations.forget_images("digits")
    assert evaluations.child is None
    reply = evaluations.check(file)
    assert evaluations.child is not None
    process = psutil.Process(evaluations.child.pid)
    poll(evaluations, ANN, "evaluate", file)
    evaluations.close()
    assert reply.cancelled()
    assert not process.is_running()
    assert poll(evaluations, ANN, "evaluate", file).status == "failed"
    assert evaluations.check(file).cancelled()
    assert poll(evaluations, ANN, "gallery", file).status == "failed"
    assert not evaluations.ready
    assert evaluations.child is None
    evaluations.close()


def test_a_model_travels_to_a_process_once_and_to_the_next_one_again(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file is 60 KB here, and 45 MB for a large encoder: with every image of a page it would be slow."""
    evaluations, file = Evaluations(), file_of(model)
    carried: list[bool] = []
    send = Child.send

    def counted(child: Child, meta: dict[str, Any], **arrays: np.ndarray) -> None:
        if meta.get("model") == file.key:
            carried.append("file" in arrays)
        send(child, meta, **arrays)

    monkeypatch.setattr(Child, "send", counted)
    try:
        pair = images_of(model, 1)
        before = evaluations.compare(file, pair, pair).result(PATIENCE)["value"]
        assert evaluations.check(file).result(PATIENCE) == {}
        assert evaluations.explain(file, pair[0], pair[0]).result(PATIENCE).keys() == {"shown", "occlusion", "gradient"}
        assert carried == [True, False, False]
        assert evaluations.child is not None
        os.kill(evaluations.child.pid, signal.SIGKILL)
        until(lambda: evaluations.child is None, "the death")
        np.testing.assert_array_equal(evaluations.compare(file, pair, pair).result(PATIENCE)["value"], before)
        assert carried == [True, False, False, True]
    finally:
        evaluations.close()
