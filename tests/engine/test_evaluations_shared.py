"""Who shares a work, who ends it, and what stays: the server's side, and a process that says what a test wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from siamese_core.datasets import uploaded
from siamese_core.engine.evaluations import LEASE, MOST_FINISHED, Evaluations, ModelFile, file_of
from siamese_core.runs.model import Model
from tests.support.engines import ANN, BEN, Clock
from tests.support.evaluations import digits, poll, trained, uploaded_set

ZOE = "zoe" * 8


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
def clock() -> Clock:
    return Clock()


class FakeProcess:
    pid = 1

    def __init__(self, module: str, on_message: Callable[..., None], on_exit: Callable[[], None]) -> None:
        self.on_message, self.on_exit = on_message, on_exit
        self.received: list[dict[str, Any]] = []

    def send(self, meta: dict[str, Any], **arrays: np.ndarray) -> None:
        self.received.append(meta)

    def close(self) -> None:
        pass

    @property
    def works(self) -> list[int]:
        """The numbers of the evaluations that it was given and that were not cancelled."""
        given = [meta["id"] for meta in self.received if meta["do"] in ("gallery", "evaluate")]
        cancelled = {meta["id"] for meta in self.received if meta["do"] == "cancel"}
        return [number for number in given if number not in cancelled]

    def progress(self, number: int, **meta: Any) -> None:
        self.on_message({"is": "progress", "id": number} | meta, {})

    def reply(self, number: int, about: Any = None) -> None:
        self.on_message({"is": "reply", "id": number, "about": about or {}}, {})

    def reject(self, number: int, message: str) -> None:
        self.on_message({"is": "rejected", "id": number, "message": message}, {})

    def lose(self, file: ModelFile) -> None:
        self.on_message({"is": "lost", "model": file.key}, {})


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[FakeProcess]:
    made: list[FakeProcess] = []

    def start(*arguments: Any) -> FakeProcess:
        made.append(FakeProcess(*arguments))
        return made[-1]

    monkeypatch.setattr("siamese_core.engine.evaluations.Child", start)
    return made


@pytest.fixture
def evaluations(clock: Clock) -> Evaluations:
    return Evaluations(clock)


def named(model: Model, number: int) -> ModelFile:
    """Files that differ."""
    return ModelFile(model, b"%d" % number)


def test_owners_of_the_same_file_share_one_work(
    evaluations: Evaluations, processes: list[FakeProcess], model: Model
) -> None:
    for number in range(30):
        poll(evaluations, f"owner {number}", "evaluate", named(model, 1))
    (process,) = processes
    assert len(process.works) == 1
    assert poll(evaluations, ANN, "evaluate", named(model, 2)).ahead == 1
    assert poll(evaluations, ANN, "gallery", named(model, 1)).ahead == 2, "another kind is another work"


def test_a_work_says_how_far_it_is_and_how_many_come_first(
    evaluations: Evaluations, processes: list[FakeProcess], model: Model
) -> None:
    first, second = named(model, 1), named(model, 2)
    waiting = poll(evaluations, ANN, "evaluate", first)
    assert (waiting.status, waiting.ahead, waiting.stage, waiting.done, waiting.total) == ("waiting", 0, "", 0, 1)
    assert poll(evaluations, BEN, "evaluate", second).ahead == 1
    (process,) = processes
    number, _ = process.works
    process.progress(number, stage="test", done=200, total=900)
    working = poll(evaluations, ANN, "evaluate", first)
    assert (working.status, working.stage, working.done, working.total) == ("working", "test", 200, 900)
    assert poll(evaluations, BEN, "evaluate", second).ahead == 1
    process.reply(number, about={})
    assert poll(evaluations, ANN, "evaluate", first).status == "done"
    assert poll(evaluations, BEN, "evaluate", second).ahead == 0


def test_who_waits_no_longer_ends_a_work_only_for_himself(
    evaluations: Evaluations, processes: list[FakeProcess], model: Model
) -> None:
    file = named(model, 1)
    poll(evaluations, ANN, "evaluate", file)
    poll(evaluations, BEN, "evaluate", file)
    (process,) = processes
    works = process.works
    evaluations.cancel(ZOE, "evaluate", file)
    evaluations.cancel(ANN, "evaluate", file)
    evaluations.cancel(ANN, "evaluate", file)
    assert process.works == works, "Ben still waits"
    evaluations.cancel(BEN, "evaluate", file)
    assert process.works == [], "it ends with the last"
    process.reply(works[0], about={})
    assert evaluations.poll(BEN, "evaluate", file, start=False) is None, "what it says after that is nobody's"
    assert poll(evaluations, ANN, "evaluate", file).status == "waiting"
    assert process.works == [works[0] + 1], "a later poll begins anew"


def test_what_is_done_stays_so_whoever_cancels(
    evaluations: Evaluations, processes: list[FakeProcess], model: Model
) -> None:
    poll(evaluations, ANN, "evaluate", named(model, 1))
    processes[0].reply(1, about={"seen": 1})
    evaluations.cancel(ANN, "evaluate", named(model, 1))
    assert poll(evaluations, ANN, "evaluate", named(model, 1)).about == {"seen": 1}


def test_who_shares_a_failed_work_can_begin_it_again(
    evaluations: Evaluations, processes: list[FakeProcess], model: Model
) -> None:
    """Ben has seen it fail too, and has gone."""
    file = named(model, 1)
    poll(evaluations, ANN, "evaluate", file)
    poll(evaluations, BEN, "evaluate", file)
    processes[0].reject(1, message="No.")
    assert poll(evaluations, BEN, "evaluate", file).message == "No."
    assert poll(evaluations, ANN, "evaluate", file).message == "No.", "polling alone does not begin it again"
    evaluations.cancel(ANN, "evaluate", file)
    assert poll(evaluations, ANN, "evaluate", file).status == "waiting"
    assert poll(evaluations, BEN, "evaluate", file).status == "waiting"
    assert processes[0].works == [1, 2]


def test_a_work_goes_on_as_long_as_one_of_its_owners_looks(
    evaluations: Evaluations, processes: list[FakeProcess], model: Model, clock: Clock
) -> None:
    file = named(model, 1)
    poll(evaluations, ANN, "evaluate", file)
    poll(evaluations, BEN, "evaluate", file)
    clock.now += LEASE
    poll(evaluations, BEN, "evaluate", file)
    clock.now += LEASE
    poll(evaluations, ZOE, "evaluate", named(model, 2))
    assert processes[0].works == [1, 2], "Ben has polled within the lease"
    clock.now += 1
    poll(evaluations, ZOE, "evaluate", named(model, 2))
    assert processes[0].works == [2]
    assert evaluations.poll(BEN, "evaluate", file, start=False) is None


def test_what_is_finished_stays_longer_than_a_lease(
    evaluations: Evaluations, processes: list[FakeProcess], model: Model, clock: Clock
) -> None:
    poll(evaluations, ANN, "evaluate", named(model, 1))
    processes[0].reply(1, about={})
    clock.now += 100 * LEASE
    assert poll(evaluations, ANN, "evaluate", named(model, 1)).status == "done"


def test_of_finished_works_those_polled_last_stay(
    evaluations: Evaluations, processes: list[FakeProcess], model: Model
) -> None:
    files = [named(model, number) for number in range(MOST_FINISHED + 2)]
    for number, file in enumerate(files, 1):
        poll(evaluations, ANN, "evaluate", file)
        if number % 2:
            processes[0].reject(number, "No.")
        else:
            processes[0].reply(number)
        poll(evaluations, ANN, "evaluate", files[0])
    found = [evaluations.poll(ANN, "evaluate", file, start=False) is not None for file in files]
    assert found == [True, False, False] + [True] * (MOST_FINISHED - 1)


def test_images_that_are_deleted_end_works_on_them_and_take_what_was_found(
    evaluations: Evaluations, processes: list[FakeProcess], model: Model
) -> None:
    key = uploaded_set("of Ann")
    uploaded_model = replace(model, experiment=replace(model.experiment, dataset=key))
    poll(evaluations, ANN, "evaluate", named(uploaded_model, 1))
    poll(evaluations, ANN, "gallery", named(uploaded_model, 1))
    poll(evaluations, BEN, "evaluate", named(model, 1))
    (process,) = processes
    process.reply(1, about={})
    process.reply(3, about={})
    evaluations.forget_images(key)
    assert process.works == [1, 3]
    assert process.received[-1] == {"do": "forget_images", "dataset": key}
    for kind in ("evaluate", "gallery"):
        assert evaluations.poll(ANN, kind, named(uploaded_model, 1), start=False) is None
    assert poll(evaluations, BEN, "evaluate", named(model, 1)).status == "done"


def test_rights_to_the_images_are_part_of_what_is_asked(
    evaluations: Evaluations, processes: list[FakeProcess], model: Model
) -> None:
    key = uploaded_set("of Ann")
    uploaded_model = replace(model, experiment=replace(model.experiment, dataset=key))
    poll(evaluations, ANN, "evaluate", named(uploaded_model, 1))
    poll(evaluations, BEN, "evaluate", named(replace(uploaded_model, has_images=False), 1))
    evaluations.check(named(uploaded_model, 1))
    assert [meta["uploaded_sets"] for meta in processes[0].received] == [[key], [], [key]]


def test_a_gallery_that_the_process_has_lost_is_looked_for_again(
    evaluations: Evaluations, processes: list[FakeProcess], model: Model
) -> None:
    poll(evaluations, ANN, "gallery", named(model, 1))
    processes[0].reply(1, about={})
    processes[0].lose(named(model, 1))
    assert poll(evaluations, ANN, "gallery", named(model, 1)).status == "waiting"
    processes[0].lose(named(model, 1))
    assert processes[0].works == [1, 2]


def test_a_process_is_ready_when_it_says_so_and_each_new_one_is_waited_for(
    evaluations: Evaluations, processes: list[FakeProcess]
) -> None:
    assert processes == []
    assert not evaluations.ready
    assert not evaluations.ready
    processes[0].on_message({"is": "ready"}, {})
    assert evaluations.ready
    processes[0].on_exit()
    assert evaluations.child is None
    assert not evaluations.ready
    assert len(processes) == 2
