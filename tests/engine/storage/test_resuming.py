"""Runs that are resumed: from what was saved, by their owner, and by one process at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from siamese_core.engine.storage.saver import RunSaver
from siamese_core.engine.storage.store import RunStore
from siamese_core.runs.disk_format import MODEL, FolderRejected, locked, packed_run
from siamese_core.runs.history import RUN
from siamese_core.runs.model_file import read_model
from tests.support.kills import FORKED
from tests.support.runs import ANN, BEN, TOTAL, checkpoint_at, everything, imported, on_disk
from tests.support.waiting import until


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path)


@pytest.fixture
def saver(store: RunStore) -> Iterator[RunSaver]:
    saver = RunSaver(store, lambda input_transform, images: images)
    yield saver
    saver.close()


def until_over(saver: RunSaver, run: str) -> None:
    until(lambda: not saver.store.is_busy(run), "the end of the writing")


def interrupted(store: RunStore, **changes: Any) -> str:
    return imported(store, status="interrupted", **changes)


def test_a_run_is_resumed_from_what_was_saved(saver: RunSaver, store: RunStore) -> None:
    run = interrupted(store, name="first try")
    record, checkpoint = saver.resume_saved(ANN, run)
    assert (record.status, record.name) == ("running", "first try")
    assert checkpoint.state.step == 3
    np.testing.assert_array_equal(checkpoint.loss, [1, 2, 3])
    assert store.find(ANN, run).status == "running"  # type: ignore[union-attr]
    assert not store.delete(ANN, run), "it is being written"
    saver.add_checkpoint(run, checkpoint_at(TOTAL))
    saver.end(run, "finished")
    until_over(saver, run)
    assert on_disk(store, run).step == TOTAL
    assert (on_disk(store, run).status, on_disk(store, run).name) == ("finished", "first try")


def test_a_run_that_was_killed_after_its_last_step_gets_its_model(saver: RunSaver, store: RunStore) -> None:
    run = interrupted(store)
    (store.folder(run) / RUN).write_bytes(packed_run(checkpoint_at(TOTAL)))
    assert saver.resume_saved(ANN, run)[1].finished
    saver.end(run, "finished")
    until_over(saver, run)
    assert read_model((store.folder(run) / MODEL).read_bytes()).steps == TOTAL


@pytest.mark.parametrize("status", ["running", "finished", "halted"])
def test_what_is_at_its_end_is_not_resumed(status: str, saver: RunSaver, store: RunStore) -> None:
    run = imported(store, status=status)
    with pytest.raises(FolderRejected, match="cannot be gone on with"):
        saver.resume_saved(ANN, run)


def test_only_its_owner_goes_on_with_a_run_and_only_once(saver: RunSaver, store: RunStore) -> None:
    run = interrupted(store, published=True)
    before = everything(store.root)
    for owner, other in ((BEN, run), (ANN, "unknown"), (ANN, "..")):
        with pytest.raises(FolderRejected, match="cannot be gone on with"):
            saver.resume_saved(owner, other)
    assert everything(store.root) == before
    saver.resume_saved(ANN, run)
    with pytest.raises(FolderRejected, match="cannot be gone on with"):
        saver.resume_saved(ANN, run)


def hold(folder: Path, held: Connection) -> None:
    with locked(folder):
        held.send(True)
        held.recv()


def test_a_run_that_another_process_writes_is_refused_in_one_message(saver: RunSaver, store: RunStore) -> None:
    run = interrupted(store)
    ours, theirs = FORKED.Pipe()
    process = FORKED.Process(target=hold, args=(store.folder(run), theirs))
    process.start()
    theirs.close()
    assert ours.recv()
    with pytest.raises(FolderRejected, match="another process writes this run") as refused:
        saver.resume_saved(ANN, run)
    assert "\n" not in str(refused.value)
    assert not store.is_busy(run)
    assert store.find(ANN, run).status == "interrupted"  # type: ignore[union-attr]
    process.kill()
    process.join()
    assert saver.resume_saved(ANN, run)[1].state.step == 3, "a kill lets go of the lock"
    with pytest.raises(FolderRejected, match="another process"), locked(store.folder(run)):
        pass


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("spoil", [damage, Path.unlink])
def test_a_damaged_run_is_refused_and_let_go_of(
    spoil: Callable[[Path], None], saver: RunSaver, store: RunStore
) -> None:
    run = interrupted(store)
    spoil(store.folder(run) / RUN)
    with pytest.raises(FolderRejected):
        saver.resume_saved(ANN, run)
    assert not store.is_busy(run)
    with locked(store.folder(run)):
        pass
    assert store.delete(ANN, run)
