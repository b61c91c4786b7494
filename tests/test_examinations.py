"""Examinations in a process of their own: who shares a work, who ends it, and a process that dies."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import psutil
import pytest
import torch
from threadpoolctl import threadpool_limits

from siamese_core.datasets import Images, own
from siamese_core.engine import examiner
from siamese_core.engine.examinations import DIED, KEPT, LEASE, Examination, Examinations, Kind, ModelFile, file_of
from siamese_core.engine.questions import Refused
from siamese_core.evaluation import NO_IMAGES, Reference, evaluate, reference
from siamese_core.experiment import Experiment
from siamese_core.model import Model, model_of
from siamese_core.model_file import packed, read_model
from siamese_core.report import Report, from_wire, to_wire
from siamese_core.trained import embed, load
from siamese_core.training import never, train
from tests.test_engine import ANN, BEN, Clock
from tests.waiting import PATIENCE, until

T = TypeVar("T")

Arrays = dict[str, np.ndarray]

NO_ARRAYS: Arrays = {}

ZOE = "zoe" * 8


def trained(experiment: Experiment) -> Model:
    *_, last = train(experiment, wants_frame=never)
    assert last.state is not None
    return model_of(experiment, last.state)


def digits(seed: int = 0) -> Experiment:
    return Experiment(dataset="digits", encoder="mlp", steps=4, seed=seed)


@pytest.fixture(scope="module", autouse=True)
def _own_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The process is told where the pictures lie when it starts."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(own.FOLDER, str(tmp_path_factory.mktemp("own")))
        yield
    own.let_go()


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
def examinations(clock: Clock) -> Iterator[Examinations]:
    shared = Examinations(clock)
    assert not shared.ready, "asking this starts the process"
    yield shared
    shared.close()


def look(examinations: Examinations, owner: str, kind: Kind, file: ModelFile) -> Examination:
    examination = examinations.look(owner, kind, file)
    assert examination is not None
    return examination


def until_status(examinations: Examinations, kind: Kind, file: ModelFile, status: str, owner: str = ANN) -> Examination:
    return until(lambda: (e := look(examinations, owner, kind, file)).status == status and e, f"{kind} to be {status}")


def pictures_of(model: Model, count: int = 3) -> np.ndarray:
    return model.experiment.data.load().test_images[:count]


@contextmanager
def held(examinations: Examinations) -> Iterator[None]:
    """The process stands still, so that what is asked meanwhile waits, however fast the machine is."""
    assert examinations.pid is not None
    process = psutil.Process(examinations.pid)
    process.suspend()
    try:
        yield
    finally:
        with suppress(psutil.NoSuchProcess):
            process.resume()


# What is found


def test_neighbours_and_a_threshold_are_there_once_the_reference_is_done(
    examinations: Examinations, model: Model, file: ModelFile
) -> None:
    first, second = pictures_of(model), pictures_of(model)[::-1].copy()
    before = examinations.compare(file, first, second).result(PATIENCE)
    assert set(before) == {"value", "euclidean", "cosine"}
    done = until_status(examinations, "reference", file, "done")
    expected = found_by(reference(load(model)), Reference)
    assert expected.threshold is not None
    assert done.about == {"threshold": vars(expected.threshold), "gallery": len(expected.places)}
    assert done.arrays.keys() == {"same", "different", "unlike"}
    np.testing.assert_array_equal(done.arrays["same"], expected.reported_on.same)
    np.testing.assert_array_equal(done.arrays["different"], expected.reported_on.different)
    np.testing.assert_array_equal(done.arrays["unlike"], expected.unlike)
    after = examinations.compare(file, first, second).result(PATIENCE)
    np.testing.assert_array_equal(after["value"], before["value"])
    assert after["near"].shape == after["near_distances"].shape == (2, 3, 5)
    train_images = model.experiment.data.load().train_images
    distances = np.square(embedded(model, first[:1]) - embedded(model, train_images)).sum(1)
    assert after["near"][0, 0, 0] == distances.argmin()


def embedded(model: Model, images: np.ndarray) -> np.ndarray:
    return embed(load(model), torch.tensor(images)).numpy()


def found_by(steps: Iterator[Any], kind: type[T]) -> T:
    *_, last = steps
    assert isinstance(last, kind)
    return last


def test_a_report_comes_over_as_it_was_found(examinations: Examinations, model: Model, file: ModelFile) -> None:
    done = until_status(examinations, "evaluate", file, "done")
    meta, arrays = to_wire(from_wire(done.about, done.arrays))
    # As in the process: another number of threads is other bits.
    with threadpool_limits(1):
        expected_meta, expected_arrays = to_wire(found_by(evaluate(load(model)), Report))
    assert json.loads(json.dumps(meta)) == json.loads(json.dumps(expected_meta))
    assert arrays.keys() == expected_arrays.keys()
    for name, expected in expected_arrays.items():
        np.testing.assert_array_equal(arrays[name], expected, err_msg=name)


def test_a_pair_is_explained_beside_a_work(
    examinations: Examinations, model: Model, file: ModelFile, other: ModelFile
) -> None:
    with held(examinations):
        look(examinations, ANN, "evaluate", other)
        first, second = pictures_of(model, 2)
        asked = examinations.explain(file, first, second)
    shape = first.shape[1:]
    found = asked.result(PATIENCE)
    assert {name: array.shape for name, array in found.items()} == {
        "shown": (2, *first.shape), "occlusion": (2, *shape), "gradient": (2, *shape),
    }  # fmt: skip
    np.testing.assert_array_equal(found["shown"], [first, second])
    until_status(examinations, "evaluate", other, "done")


# Files that are no models


def garbage(model: Model) -> ModelFile:
    return ModelFile(model, b"no model at all")


def of_another_network(model: Model) -> ModelFile:
    return ModelFile(model, packed(replace(model, experiment=replace(model.experiment, embedding_dim=5))))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (garbage, r"This file is no safetensors file: .*\."),
        (of_another_network, r"This file has encoder\..* of .*, expected .* of the experiment's mlp network: .*\."),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_a_sentence_and_the_next_question_is_answered(
    examinations: Examinations, model: Model, file: ModelFile, make: Callable[[Model], ModelFile], sentence: str
) -> None:
    wrong = make(model)
    with pytest.raises(Refused, match=f"^{sentence}$"):
        examinations.check(wrong).result(PATIENCE)
    with pytest.raises(Refused, match=f"^{sentence}$"):
        examinations.compare(wrong, pictures_of(model), pictures_of(model)).result(PATIENCE)
    failed = until_status(examinations, "evaluate", wrong, "failed")
    with pytest.raises(Refused) as again:
        examinations.check(wrong).result(PATIENCE)
    assert failed.sentence == str(again.value)
    assert examinations.check(file).result(PATIENCE) == {}


def test_images_of_another_size_get_no_answer_and_the_next_question_is_answered(
    examinations: Examinations, model: Model, file: ModelFile
) -> None:
    wrong = np.zeros((1, 3, 9, 9), np.uint8)
    with pytest.raises(CancelledError):
        examinations.compare(file, wrong, wrong).result(PATIENCE)
    assert examinations.check(file).result(PATIENCE) == {}


# Somebody's own pictures


def own_pictures(title: str) -> str:
    """The key of a kept set of two classes, dark and light."""
    noise = np.random.default_rng(0).integers(0, 40, (40, 1, 28, 28), np.uint8)
    labels = np.repeat([0, 1], 20)
    images = noise + (labels * 100).astype(np.uint8)[:, None, None, None]
    test = np.arange(40) % 2 == 0
    return own.keep(title, ("dark", "light"), Images(images[~test], labels[~test], images[test], labels[test]))


def read_by(data: bytes, *own_sets: str) -> ModelFile:
    return ModelFile(read_model(data, own_sets), data)


def test_a_model_of_own_pictures_is_measured_for_who_has_them_and_for_nobody_else(examinations: Examinations) -> None:
    """Its pictures have the default dataset's size, which nothing may be measured on in their place."""
    key = own_pictures("mine")
    mine = file_of(trained(Experiment(dataset=key, encoder="mlp", steps=4)))
    others = read_by(mine.data)
    assert mine.own_sets == [key] and others.own_sets == []
    assert mine.key == read_by(mine.data, key).key != others.key
    for kind in ("reference", "evaluate"):
        assert until_status(examinations, kind, mine, "done").status == "done"
        failed = until_status(examinations, kind, others, "failed", BEN)
        assert (failed.sentence, failed.about, failed.arrays) == (NO_IMAGES, None, {})
        assert len(failed.sentence.splitlines()) == 1
    pair = np.zeros((1, 1, 28, 28), np.uint8)
    assert "near" in examinations.compare(mine, pair, pair).result(PATIENCE)
    assert examinations.compare(others, pair, pair).result(PATIENCE).keys() == {"value", "euclidean", "cosine"}


def test_what_was_found_goes_with_the_pictures_and_other_references_stay(
    examinations: Examinations, model: Model, file: ModelFile
) -> None:
    key = own_pictures("to be deleted")
    mine = file_of(trained(Experiment(dataset=key, encoder="mlp", steps=4)))
    pair = np.zeros((1, 1, 28, 28), np.uint8)
    until_status(examinations, "reference", mine, "done")
    until_status(examinations, "reference", file, "done")
    own.forget(key)
    examinations.forget_images(key)
    assert examinations.look(ANN, "reference", mine, start=False) is None
    assert examinations.compare(mine, pair, pair).result(PATIENCE).keys() == {"value", "euclidean", "cosine"}
    assert until_status(examinations, "reference", mine, "failed").sentence == NO_IMAGES
    assert look(examinations, BEN, "reference", file).status == "done"
    assert "near" in examinations.compare(file, pictures_of(model), pictures_of(model)).result(PATIENCE)


def test_pictures_that_have_come_back_are_measured(examinations: Examinations) -> None:
    key = own_pictures("come and go")
    mine = file_of(trained(Experiment(dataset=key, encoder="mlp", steps=4)))
    own.forget(key)
    examinations.forget_images(key)
    until_status(examinations, "reference", mine, "failed")
    assert own_pictures("come and go") == key
    examinations.cancel(ANN, "reference", mine)
    until_status(examinations, "reference", mine, "done")


# A process that dies


def test_kill_9_ends_what_is_open_and_the_next_look_is_answered_by_a_new_process(
    examinations: Examinations, model: Model, file: ModelFile, other: ModelFile
) -> None:
    until_status(examinations, "evaluate", file, "done")
    until_status(examinations, "reference", file, "done")
    until_status(examinations, "reference", other, "done")
    first = examinations.pid
    assert first is not None
    with held(examinations):
        working = file_of(replace(model, steps=5))
        look(examinations, ANN, "reference", working)
        look(examinations, BEN, "reference", working)
        asked = examinations.check(file)
        os.kill(first, signal.SIGKILL)
        with pytest.raises(CancelledError):
            asked.result(PATIENCE)
        assert until_status(examinations, "reference", working, "failed").sentence == DIED
    assert look(examinations, BEN, "reference", working).status == "failed"
    assert look(examinations, ANN, "evaluate", file).status == "done", "a report is here, whatever died"
    assert examinations.pid is None, "looking at what is finished needs no process"

    examinations.cancel(ANN, "reference", working)
    assert look(examinations, ANN, "reference", working).status == "waiting", "cancel and look try again"
    assert examinations.pid not in (None, first)
    until_status(examinations, "reference", working, "done")
    assert "near" not in examinations.compare(file, pictures_of(model), pictures_of(model)).result(PATIENCE)
    assert look(examinations, ANN, "reference", file).status != "done", "a reference died with its process"
    until_status(examinations, "reference", file, "done")
    assert "near" in examinations.compare(file, pictures_of(model), pictures_of(model)).result(PATIENCE)


def test_closing_ends_the_process_and_what_waits_for_it_and_nothing_is_started_after(
    model: Model, file: ModelFile
) -> None:
    mine = Examinations()
    assert mine.pid is None, "it starts with the first question or look"
    assert mine.look(ANN, "evaluate", file, start=False) is None
    mine.cancel(ANN, "evaluate", file)
    mine.forget_images("digits")
    assert mine.pid is None
    asked = mine.check(file)
    assert mine.pid is not None
    process = psutil.Process(mine.pid)
    look(mine, ANN, "evaluate", file)
    mine.close()
    assert asked.cancelled()
    assert not process.is_running()
    assert look(mine, ANN, "evaluate", file).status == "failed"
    assert mine.check(file).cancelled()
    assert look(mine, ANN, "reference", file).status == "failed"
    assert not mine.ready
    assert mine.pid is None
    mine.close()


# Who shares what: the server's side, with a process that says what the test lets it say


class Told:
    """Stands for the process."""

    pid = 1

    def __init__(self, module: str, on_message: Callable[..., None], on_exit: Callable[[], None]) -> None:
        self.on_message, self.on_exit = on_message, on_exit
        self.heard: list[dict[str, Any]] = []

    def say(self, meta: dict[str, Any], **arrays: np.ndarray) -> None:
        self.heard.append(meta)

    def close(self) -> None:
        pass

    @property
    def works(self) -> list[int]:
        """The numbers of the works that it was given and that were not cancelled."""
        given = [meta["job"] for meta in self.heard if meta["do"] in ("reference", "evaluate")]
        cancelled = {meta["job"] for meta in self.heard if meta["do"] == "cancel"}
        return [number for number in given if number not in cancelled]

    def says(self, what: str, number: int, **meta: Any) -> None:
        self.on_message({"is": what, "job": number} | meta, {})


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[Told]:
    made: list[Told] = []

    def start(*arguments: Any) -> Told:
        made.append(Told(*arguments))
        return made[-1]

    monkeypatch.setattr("siamese_core.engine.examinations.Child", start)
    return made


@pytest.fixture
def mine(clock: Clock) -> Examinations:
    return Examinations(clock)


def named(model: Model, number: int) -> ModelFile:
    """Files that differ."""
    return ModelFile(model, b"%d" % number)


def test_owners_of_the_same_file_share_one_work(mine: Examinations, processes: list[Told], model: Model) -> None:
    for number in range(30):
        look(mine, f"owner {number}", "evaluate", named(model, 1))
    (process,) = processes
    assert len(process.works) == 1
    assert look(mine, ANN, "evaluate", named(model, 2)).ahead == 1
    assert look(mine, ANN, "reference", named(model, 1)).ahead == 2, "another kind is another work"


def test_a_work_says_how_far_it_is_and_how_many_come_first(
    mine: Examinations, processes: list[Told], model: Model
) -> None:
    first, second = named(model, 1), named(model, 2)
    waiting = look(mine, ANN, "evaluate", first)
    assert (waiting.status, waiting.ahead, waiting.stage, waiting.done, waiting.total) == ("waiting", 0, "", 0, 1)
    assert look(mine, BEN, "evaluate", second).ahead == 1
    (process,) = processes
    number, _ = process.works
    process.says("progress", number, stage="test", done=200, total=900)
    working = look(mine, ANN, "evaluate", first)
    assert (working.status, working.stage, working.done, working.total) == ("working", "test", 200, 900)
    assert look(mine, BEN, "evaluate", second).ahead == 1
    process.says("done", number, about={})
    assert look(mine, ANN, "evaluate", first).status == "done"
    assert look(mine, BEN, "evaluate", second).ahead == 0


def test_who_waits_no_longer_ends_a_work_only_for_himself(
    mine: Examinations, processes: list[Told], model: Model
) -> None:
    file = named(model, 1)
    look(mine, ANN, "evaluate", file)
    look(mine, BEN, "evaluate", file)
    (process,) = processes
    works = process.works
    mine.cancel(ZOE, "evaluate", file)
    mine.cancel(ANN, "evaluate", file)
    mine.cancel(ANN, "evaluate", file)
    assert process.works == works, "Ben still waits"
    mine.cancel(BEN, "evaluate", file)
    assert process.works == [], "it ends with the last"
    process.says("done", works[0], about={})
    assert mine.look(BEN, "evaluate", file, start=False) is None, "what it says after that is nobody's"
    assert look(mine, ANN, "evaluate", file).status == "waiting"
    assert process.works == [works[0] + 1], "a later look begins anew"


def test_what_is_done_stays_so_whoever_cancels(mine: Examinations, processes: list[Told], model: Model) -> None:
    look(mine, ANN, "evaluate", named(model, 1))
    processes[0].says("done", 1, about={"seen": 1})
    mine.cancel(ANN, "evaluate", named(model, 1))
    assert look(mine, ANN, "evaluate", named(model, 1)).about == {"seen": 1}


def test_who_shares_a_failed_work_can_begin_it_again(mine: Examinations, processes: list[Told], model: Model) -> None:
    """Ben has seen it fail too, and has gone."""
    file = named(model, 1)
    look(mine, ANN, "evaluate", file)
    look(mine, BEN, "evaluate", file)
    processes[0].says("failed", 1, sentence="No.")
    assert look(mine, BEN, "evaluate", file).sentence == "No."
    assert look(mine, ANN, "evaluate", file).sentence == "No.", "looking alone does not begin it again"
    mine.cancel(ANN, "evaluate", file)
    assert look(mine, ANN, "evaluate", file).status == "waiting"
    assert look(mine, BEN, "evaluate", file).status == "waiting"
    assert processes[0].works == [1, 2]


def test_a_work_goes_on_as_long_as_one_of_its_owners_looks(
    mine: Examinations, processes: list[Told], model: Model, clock: Clock
) -> None:
    file = named(model, 1)
    look(mine, ANN, "evaluate", file)
    look(mine, BEN, "evaluate", file)
    clock.now += LEASE
    look(mine, BEN, "evaluate", file)
    clock.now += LEASE
    look(mine, ZOE, "evaluate", named(model, 2))
    assert processes[0].works == [1, 2], "Ben has looked within the lease"
    clock.now += 1
    look(mine, ZOE, "evaluate", named(model, 2))
    assert processes[0].works == [2]
    assert mine.look(BEN, "evaluate", file, start=False) is None


def test_what_is_finished_is_kept_longer_than_a_lease(
    mine: Examinations, processes: list[Told], model: Model, clock: Clock
) -> None:
    look(mine, ANN, "evaluate", named(model, 1))
    processes[0].says("done", 1, about={})
    clock.now += 100 * LEASE
    assert look(mine, ANN, "evaluate", named(model, 1)).status == "done"


def test_of_finished_works_those_looked_at_last_are_kept(
    mine: Examinations, processes: list[Told], model: Model
) -> None:
    files = [named(model, number) for number in range(KEPT + 2)]
    for number, file in enumerate(files, 1):
        look(mine, ANN, "evaluate", file)
        processes[0].says("failed" if number % 2 else "done", number, about={}, sentence="No.")
        look(mine, ANN, "evaluate", files[0])
    kept = [mine.look(ANN, "evaluate", file, start=False) is not None for file in files]
    assert kept == [True, False, False] + [True] * (KEPT - 1)


def test_pictures_that_are_deleted_end_works_on_them_and_take_what_was_found(
    mine: Examinations, processes: list[Told], model: Model
) -> None:
    key = own_pictures("of Ann")
    own_model = replace(model, experiment=replace(model.experiment, dataset=key))
    look(mine, ANN, "evaluate", named(own_model, 1))
    look(mine, ANN, "reference", named(own_model, 1))
    look(mine, BEN, "evaluate", named(model, 1))
    (process,) = processes
    process.says("done", 1, about={})
    process.says("done", 3, about={})
    mine.forget_images(key)
    assert process.works == [1, 3]
    assert process.heard[-1] == {"do": "forget_images", "dataset": key}
    for kind in ("evaluate", "reference"):
        assert mine.look(ANN, kind, named(own_model, 1), start=False) is None
    assert look(mine, BEN, "evaluate", named(model, 1)).status == "done"


def test_rights_to_the_pictures_are_part_of_what_is_asked(
    mine: Examinations, processes: list[Told], model: Model
) -> None:
    key = own_pictures("of Ann")
    own_model = replace(model, experiment=replace(model.experiment, dataset=key))
    look(mine, ANN, "evaluate", named(own_model, 1))
    look(mine, BEN, "evaluate", named(replace(own_model, has_images=False), 1))
    mine.check(named(own_model, 1))
    assert [meta["own_sets"] for meta in processes[0].heard] == [[key], [], [key]]


def test_a_reference_that_the_process_has_lost_is_looked_for_again(
    mine: Examinations, processes: list[Told], model: Model
) -> None:
    look(mine, ANN, "reference", named(model, 1))
    processes[0].says("done", 1, about={})
    processes[0].says("lost", 1)
    assert look(mine, ANN, "reference", named(model, 1)).status == "waiting"
    processes[0].says("lost", 1)
    assert processes[0].works == [1, 2]


def test_a_process_is_ready_when_it_says_so_and_each_new_one_is_waited_for(
    mine: Examinations, processes: list[Told]
) -> None:
    assert processes == []
    assert not mine.ready
    assert not mine.ready
    processes[0].on_message({"is": "ready"}, {})
    assert mine.ready
    processes[0].on_exit()
    assert mine.pid is None
    assert not mine.ready
    assert len(processes) == 2


# The process's side, in this process


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
def process(server: Heard) -> examiner._Examiner:
    return examiner._Examiner(server)  # type: ignore[arg-type]


def work(number: int, file: ModelFile, kind: Kind = "reference") -> tuple[dict[str, Any], Arrays]:
    meta = {"do": kind, "job": number, "own_sets": file.own_sets}
    return meta, {"file": np.frombuffer(file.data, np.uint8)}


def test_a_work_that_is_cancelled_on_the_way_says_no_more_and_leaves_no_reference(
    server: Heard, process: examiner._Examiner, model: Model, file: ModelFile
) -> None:
    server.then = lambda meta: server.hear({"do": "cancel", "job": 1}, NO_ARRAYS)
    process._work(*work(1, file))
    assert [meta["is"] for meta in server.said] == ["progress"]
    assert compared(process, model, file).keys() == {"value", "euclidean", "cosine"}


def compared(process: examiner._Examiner, model: Model, file: ModelFile) -> Arrays:
    meta, arrays = work(0, file)
    pair = pictures_of(model, 1)
    return process._compare(meta | {"do": "compare"}, arrays | {"first": pair, "second": pair})


def test_a_reference_that_makes_room_is_said_to_be_lost(
    server: Heard,
    process: examiner._Examiner,
    model: Model,
    file: ModelFile,
    other: ModelFile,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(examiner, "KEPT_REFERENCES", 1)
    process._work(*work(1, file))
    assert "near" in compared(process, model, file)
    process._work(*work(2, other))
    assert [meta["job"] for meta in server.said if meta["is"] == "lost"] == [1]
    assert "near" not in compared(process, model, file)
    assert "near" in compared(process, model, other)


def test_a_reference_outlives_the_model_that_it_was_found_with(
    process: examiner._Examiner, model: Model, file: ModelFile, other: ModelFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both threads may read the same model, and models make room for each other while a work goes on."""
    monkeypatch.setattr(examiner, "KEPT_MODELS", 1)
    process._work(*work(1, file))
    compared(process, model, other)
    assert "near" in compared(process, model, file)


def test_pictures_that_are_deleted_during_a_work_leave_nothing_in_the_process(
    server: Heard, process: examiner._Examiner, model: Model
) -> None:
    key = own_pictures("deleted on the way")
    mine = file_of(trained(Experiment(dataset=key, encoder="mlp", steps=4)))

    def delete(meta: dict[str, Any]) -> None:
        own.forget(key)
        server.hear({"do": "cancel", "job": 1}, NO_ARRAYS)
        server.hear({"do": "forget_images", "dataset": key}, NO_ARRAYS)

    server.then = delete
    process._work(*work(1, mine))
    assert [meta["is"] for meta in server.said] == ["progress"]
    assert not process._models and not process._references


def test_a_reference_of_a_work_cancelled_at_its_last_step_is_not_kept(
    server: Heard, process: examiner._Examiner, file: ModelFile, model: Model
) -> None:
    """Its pictures may be forgotten already."""
    found = examiner._Found(1, found_by(reference(load(model)), Reference))
    key = examiner._key(*work(1, file))
    server.hear({"do": "cancel", "job": 1}, NO_ARRAYS)
    process._keep(key, found)
    assert not process._references
    process._keep(key, replace(found, job=2))
    assert process._references[key].job == 2
