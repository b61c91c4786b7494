"""Runs that are gone on with: from what was saved, by their owner, and by one process at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from siamese_core.engine.storage.saver import Keeping
from siamese_core.engine.storage.store import Shelf
from siamese_core.runs.folder import MODEL, FolderRejected, locked, packed_run
from siamese_core.runs.model_file import read_model
from siamese_core.runs.recording import RUN
from tests.support.killing import FORKED
from tests.support.saving import ANN, BEN, TOTAL, brought, everything, on_disk, saved_at
from tests.support.waiting import until


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


@pytest.fixture
def keeping(shelf: Shelf) -> Iterator[Keeping]:
    keeping = Keeping(shelf, lambda view, images: images)
    yield keeping
    keeping.close()


def until_over(keeping: Keeping, run: str) -> None:
    until(lambda: not keeping.shelf.is_held(run), "the end of the writing")


def interrupted(shelf: Shelf, **changes: Any) -> str:
    return brought(shelf, status="interrupted", **changes)


def test_a_run_is_gone_on_with_from_what_was_saved(keeping: Keeping, shelf: Shelf) -> None:
    run = interrupted(shelf, name="mine")
    record, saved = keeping.reopen(ANN, run)
    assert (record.status, record.name) == ("running", "mine")
    assert saved.state.step == 3
    np.testing.assert_array_equal(saved.loss, [1, 2, 3])
    assert shelf.find(ANN, run).status == "running"  # type: ignore[union-attr]
    assert not shelf.delete(ANN, run), "it is being written"
    keeping.state(run, saved_at(TOTAL))
    keeping.end(run, "finished")
    until_over(keeping, run)
    assert on_disk(shelf, run).step == TOTAL
    assert (on_disk(shelf, run).status, on_disk(shelf, run).name) == ("finished", "mine")


def test_a_run_that_was_killed_after_its_last_step_gets_its_model(keeping: Keeping, shelf: Shelf) -> None:
    run = interrupted(shelf)
    (shelf.folder(run) / RUN).write_bytes(packed_run(saved_at(TOTAL)))
    assert keeping.reopen(ANN, run)[1].finished
    keeping.end(run, "finished")
    until_over(keeping, run)
    assert read_model((shelf.folder(run) / MODEL).read_bytes()).steps == TOTAL


@pytest.mark.parametrize("status", ["running", "finished", "halted"])
def test_what_is_at_its_end_is_not_gone_on_with(status: str, keeping: Keeping, shelf: Shelf) -> None:
    run = brought(shelf, status=status)
    with pytest.raises(FolderRejected, match="cannot be gone on with"):
        keeping.reopen(ANN, run)


def test_only_its_owner_goes_on_with_a_run_and_only_once(keeping: Keeping, shelf: Shelf) -> None:
    run = interrupted(shelf, published=True)
    before = everything(shelf.root)
    for owner, other in ((BEN, run), (ANN, "unknown"), (ANN, "..")):
        with pytest.raises(FolderRejected, match="cannot be gone on with"):
            keeping.reopen(owner, other)
    assert everything(shelf.root) == before
    keeping.reopen(ANN, run)
    with pytest.raises(FolderRejected, match="cannot be gone on with"):
        keeping.reopen(ANN, run)


def hold(folder: Path, held: Connection) -> None:
    with locked(folder):
        held.send(True)
        held.recv()


def test_a_run_that_another_process_writes_is_refused_in_one_sentence(keeping: Keeping, shelf: Shelf) -> None:
    run = interrupted(shelf)
    ours, theirs = FORKED.Pipe()
    process = FORKED.Process(target=hold, args=(shelf.folder(run), theirs))
    process.start()
    theirs.close()
    assert ours.recv()
    with pytest.raises(FolderRejected, match="another process writes this run") as refused:
        keeping.reopen(ANN, run)
    assert "\n" not in str(refused.value)
    assert not shelf.is_held(run)
    assert shelf.find(ANN, run).status == "interrupted"  # type: ignore[union-attr]
    process.kill()
    process.join()
    assert keeping.reopen(ANN, run)[1].state.step == 3, "a kill lets go of the lock"
    with pytest.raises(FolderRejected, match="another process"), locked(shelf.folder(run)):
        pass


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("spoil", [damage, Path.unlink])
def test_a_damaged_run_is_refused_and_let_go_of(spoil: Callable[[Path], None], keeping: Keeping, shelf: Shelf) -> None:
    run = interrupted(shelf)
    spoil(shelf.folder(run) / RUN)
    with pytest.raises(FolderRejected):
        keeping.reopen(ANN, run)
    assert not shelf.is_held(run)
    with locked(shelf.folder(run)):
        pass
    assert shelf.delete(ANN, run)
