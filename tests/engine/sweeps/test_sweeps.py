"""Sweeps: which cells run when, what a restart and a loss do to them, and whose they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from siamese_core.engine.storage.store import UNDO_FOR
from siamese_core.engine.sweeps import sweeps as module
from siamese_core.engine.sweeps.sweeps import AT_ONCE, FULL, LOST, MAX_SWEEPS, MAX_TRIES, Sweeps
from siamese_core.errors import Rejected
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.grid import Cell, Grid, SweepView
from siamese_core.experiment.machine import Machine
from siamese_core.runs.info import RunInfo

ANN, BEN = "a" * 64, "b" * 64
BASE = Experiment(dataset="digits", encoder="mlp", steps=5)


def grid(count: int = 4) -> Grid:
    return Grid(BASE, (("margin", tuple(0.5 + 0.25 * n for n in range(count))),))


class FakeRuns:
    """Runs that do only what the test says."""

    def __init__(self) -> None:
        self.infos: dict[str, RunInfo] = {}
        self.running: set[str] = set()
        self.begun: list[tuple[str, Experiment]] = []
        self.stopped: list[str] = []
        self.forgotten: list[str] = []
        self.resumed: list[str] = []
        self.can_resume = True

    def start_cell(self, owner: str, experiment: Experiment, machine: Machine, sweep: str) -> str:
        run = f"run {len(self.begun)}"
        self.begun.append((owner, experiment))
        self.infos[run] = RunInfo(experiment.to_query(), machine, 0.0, 0.0, "running", id=run, owner=owner)
        self.running.add(run)
        return run

    def resume_cell(self, owner: str, run: str) -> bool:
        if self.can_resume:
            self.resumed.append(run)
            self.running.add(run)
        return self.can_resume

    def stop_cell(self, run: str) -> None:
        self.stopped.append(run)
        self.ends(run, "stopped")

    def forget_cell(self, owner: str, run: str) -> None:
        self.forgotten.append(run)

    def cell(self, owner: str, run: str) -> tuple[bool, RunInfo | None]:
        return run in self.running, self.infos.get(run)

    def ends(self, run: str, status: str = "finished", score: float = 0.5) -> None:
        self.running.discard(run)
        scores = {"map_at_r": {"seen": score, "held_out": None}}
        self.infos[run] = replace(self.infos[run], status=status, step=5, scores=scores)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


@pytest.fixture(autouse=True)
def _only_the_test_tends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SWEEP_EVERY", 1e6)


@pytest.fixture
def runs() -> FakeRuns:
    return FakeRuns()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sweeps(tmp_path: Path, runs: FakeRuns, clock: Clock) -> Sweeps:
    return Sweeps(tmp_path, runs, clock)


def polled(sweeps: Sweeps, owner: str, sweep: str) -> SweepView:
    view = sweeps.poll(owner, sweep)
    assert view is not None
    return view


def statuses(sweeps: Sweeps, sweep: str, owner: str = ANN) -> list[str]:
    return [cell.status for cell in polled(sweeps, owner, sweep).cells]


def test_a_few_cells_run_at_a_time_in_their_order(sweeps: Sweeps, runs: FakeRuns) -> None:
    sweep = sweeps.start(ANN, grid(4), Machine(), "margins")
    sweeps.sweep_expired()
    assert statuses(sweeps, sweep) == ["running"] * AT_ONCE + ["waiting"] * (4 - AT_ONCE)
    runs.ends("run 0", score=0.7)
    sweeps.sweep_expired()
    assert statuses(sweeps, sweep) == ["finished", "running", "running", "waiting"]
    view = polled(sweeps, ANN, sweep)
    assert (view.done, view.live) == (1, True)
    assert view.cells[0].scores["map_at_r"]["seen"] == 0.7
    for run in ("run 1", "run 2"):
        runs.ends(run)
    sweeps.sweep_expired()
    runs.ends("run 3", "halted")
    sweeps.sweep_expired()
    assert statuses(sweeps, sweep) == ["finished"] * 3 + ["halted"]
    assert [experiment.params["margin"] for _, experiment in runs.begun] == [0.5, 0.75, 1.0, 1.25]
    assert not polled(sweeps, ANN, sweep).live


def test_what_contradicts_is_left_out_and_never_run(sweeps: Sweeps, runs: FakeRuns) -> None:
    both = Grid(BASE, (("loss", ("softmax", "contrastive")), ("margin", (1.0,))))
    sweep = sweeps.start(ANN, both, Machine(), "")
    sweeps.sweep_expired()
    assert statuses(sweeps, sweep) == ["left out", "running"]
    assert len(runs.begun) == 1


def test_owners_take_turns(sweeps: Sweeps, runs: FakeRuns) -> None:
    sweeps.start(ANN, grid(4), Machine(), "first")
    sweeps.start(BEN, grid(4), Machine(), "second")
    sweeps.sweep_expired()
    assert {owner for owner, _ in runs.begun} == {ANN, BEN}


def test_nobody_elses_sweep_is_seen_or_touched(sweeps: Sweeps, runs: FakeRuns) -> None:
    sweep = sweeps.start(ANN, grid(), Machine(), "")
    sweeps.sweep_expired()
    assert sweeps.poll(BEN, sweep) is None is sweeps.poll(BEN, "unknown")
    assert sweeps.all(BEN) == []
    sweeps.cancel(BEN, sweep)
    sweeps.delete(BEN, sweep)
    assert not sweeps.restore(BEN, sweep)
    assert runs.stopped == []
    assert [view.id for view in sweeps.all(ANN)] == [sweep]


def test_a_cancelled_sweep_keeps_what_is_done(sweeps: Sweeps, runs: FakeRuns) -> None:
    sweep = sweeps.start(ANN, grid(4), Machine(), "")
    sweeps.sweep_expired()
    runs.ends("run 0")
    sweeps.sweep_expired()
    sweeps.cancel(ANN, sweep)
    assert statuses(sweeps, sweep) == ["finished", "cancelled", "cancelled", "cancelled"]
    assert sorted(runs.stopped) == ["run 1", "run 2"]
    sweeps.sweep_expired()
    assert len(runs.begun) == 3, "nothing more begins"


def test_a_run_that_ended_just_before_its_sweep_is_cancelled_keeps_its_score(sweeps: Sweeps, runs: FakeRuns) -> None:
    sweep = sweeps.start(ANN, grid(2), Machine(), "")
    sweeps.sweep_expired()
    runs.ends("run 0", score=0.7)
    sweeps.cancel(ANN, sweep)
    assert statuses(sweeps, sweep) == ["finished", "cancelled"]
    assert polled(sweeps, ANN, sweep).cells[0].scores["map_at_r"]["seen"] == 0.7
    assert runs.stopped == ["run 1"]


def test_a_deleted_sweep_stays_deleted_when_the_server_is_killed(tmp_path: Path, runs: FakeRuns, clock: Clock) -> None:
    before = Sweeps(tmp_path, runs, clock)
    sweep = before.start(ANN, grid(1), Machine(), "")
    before.delete(ANN, sweep)
    before.close()
    after = Sweeps(tmp_path, runs, clock)
    assert after.poll(ANN, sweep) is None
    assert after.restore(ANN, sweep), "there is still time"
    after.close()
    assert polled(Sweeps(tmp_path, runs, clock), ANN, sweep).id == sweep


def test_a_deleted_sweep_can_be_had_back_for_a_while_and_takes_its_runs_along(
    sweeps: Sweeps, runs: FakeRuns, clock: Clock, tmp_path: Path
) -> None:
    sweep = sweeps.start(ANN, grid(2), Machine(), "")
    sweeps.sweep_expired()
    sweeps.delete(ANN, sweep)
    assert sweeps.poll(ANN, sweep) is None
    assert sweeps.is_deleted(ANN, sweep)
    assert sweeps.restore(ANN, sweep)
    assert statuses(sweeps, sweep) == ["cancelled", "cancelled"]
    sweeps.delete(ANN, sweep)
    clock.now += UNDO_FOR + 1
    sweeps.sweep_expired()
    assert not sweeps.restore(ANN, sweep)
    assert sorted(runs.forgotten) == ["run 0", "run 1"]
    assert list(tmp_path.glob("*.json")) == []


def test_a_second_server_leaves_the_sweeps_of_the_first_alone(tmp_path: Path, runs: FakeRuns, clock: Clock) -> None:
    first = Sweeps(tmp_path, runs, clock)
    sweep = first.start(ANN, grid(), Machine(), "")
    second = Sweeps(tmp_path, runs, clock)
    second.sweep_expired()
    assert runs.begun == []
    with pytest.raises(Rejected, match="Another server"):
        second.start(ANN, grid(), Machine(), "")
    first.close()
    third = Sweeps(tmp_path, runs, clock)
    third.sweep_expired()
    assert statuses(third, sweep)[:AT_ONCE] == ["running"] * AT_ONCE


def test_a_cell_that_cannot_be_any_more_holds_up_nobody(
    sweeps: Sweeps, runs: FakeRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its images have gone since, say."""
    broken, sound = sweeps.start(ANN, grid(1), Machine(), ""), sweeps.start(BEN, grid(1), Machine(), "")
    cells = Grid.cells

    def gone(self: Grid) -> Iterator[Cell]:
        for number, cell in enumerate(cells(self)):
            is_broken = not runs.begun and number == 0
            yield replace(cell, experiment=None, why="these pictures are gone") if is_broken else cell

    monkeypatch.setattr(Grid, "cells", gone)
    sweeps.sweep_expired()
    monkeypatch.undo()
    assert statuses(sweeps, broken) == ["failed"]
    assert polled(sweeps, ANN, broken).cells[0].message == "these pictures are gone"
    monkeypatch.setattr(module, "SWEEP_EVERY", 1e6)
    sweeps.sweep_expired()
    assert statuses(sweeps, sound, BEN)[0] in ("running", "failed")


def test_a_cell_that_gets_on_is_not_given_up_however_often_its_server_is_killed(sweeps: Sweeps, runs: FakeRuns) -> None:
    sweep = sweeps.start(ANN, grid(1), Machine(), "")
    sweeps.sweep_expired()
    for step in range(1, 3 * MAX_TRIES):
        runs.running.clear()
        runs.infos["run 0"] = replace(runs.infos["run 0"], status="interrupted", step=step)
        sweeps.sweep_expired()
    assert statuses(sweeps, sweep) == ["running"]
    assert len(runs.begun) == 1


def test_uploaded_images_are_refused(sweeps: Sweeps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "is_uploaded", lambda dataset: True)
    with pytest.raises(Rejected, match="your own pictures"):
        sweeps.start(ANN, grid(), Machine(), "")


def test_after_a_restart_it_goes_on_where_it_was(tmp_path: Path, runs: FakeRuns, clock: Clock) -> None:
    before = Sweeps(tmp_path, runs, clock)
    sweep = before.start(ANN, grid(4), Machine(), "margins")
    before.sweep_expired()
    runs.ends("run 0", score=0.6)
    before.sweep_expired()
    before.close()
    runs.running.clear()
    runs.infos["run 1"] = replace(runs.infos["run 1"], status="interrupted")
    del runs.infos["run 2"]
    after = Sweeps(tmp_path, runs, clock)
    assert polled(after, ANN, sweep).name == "margins"
    assert polled(after, ANN, sweep).cells[0].scores["map_at_r"]["seen"] == 0.6
    after.sweep_expired()
    assert runs.resumed == ["run 1"], "from where it was saved last"
    assert statuses(after, sweep) == ["finished", "running", "running", "waiting"]
    assert len(runs.begun) == 4, "one that had left nothing starts again"


def test_a_run_that_is_lost_again_and_again_is_given_up(sweeps: Sweeps, runs: FakeRuns) -> None:
    sweep = sweeps.start(ANN, grid(1), Machine(), "")
    for _ in range(MAX_TRIES + 1):
        sweeps.sweep_expired()
        runs.running.clear()
        runs.infos.clear()
    sweeps.sweep_expired()
    assert statuses(sweeps, sweep) == ["failed"]
    assert polled(sweeps, ANN, sweep).cells[0].message == LOST
    assert len(runs.begun) == MAX_TRIES + 1


def test_a_run_that_is_lost_at_the_same_step_again_and_again_is_given_up(sweeps: Sweeps, runs: FakeRuns) -> None:
    runs.can_resume = False
    sweep = sweeps.start(ANN, grid(1), Machine(), "")
    for _ in range(2 * MAX_TRIES + 2):
        sweeps.sweep_expired()
        run = f"run {len(runs.begun) - 1}"
        for step in (0, 1) if run in runs.running else ():
            runs.infos[run] = replace(runs.infos[run], step=step)
            sweeps.sweep_expired()
        runs.running.clear()
        runs.infos[run] = replace(runs.infos[run], status="interrupted")
    assert statuses(sweeps, sweep) == ["failed"]
    assert len(runs.begun) == MAX_TRIES + 1


def test_the_oldest_that_is_done_makes_room_and_what_goes_on_does_not(sweeps: Sweeps, runs: FakeRuns) -> None:
    first = [sweeps.start(ANN, grid(1), Machine(), str(number)) for number in range(MAX_SWEEPS)]
    with pytest.raises(Rejected) as refused:
        sweeps.start(ANN, grid(1), Machine(), "one more")
    assert str(refused.value) == FULL
    sweeps.cancel(ANN, first[3])
    last = sweeps.start(ANN, grid(1), Machine(), "one more")
    left = {view.id for view in sweeps.all(ANN)}
    assert left == {*first, last} - {first[3]}


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"torn {", b'{"schema": 2}', b"5", b"null", b'"text"', b"\xff", b"[" * 10_000]
)
def test_a_torn_or_foreign_file_is_skipped_named_and_left_alone(
    content: bytes, tmp_path: Path, runs: FakeRuns, clock: Clock
) -> None:
    (tmp_path / "other.json").write_bytes(content)
    found = Sweeps(tmp_path, runs, clock)
    assert found.skipped == ["other.json"]
    assert (tmp_path / "other.json").read_bytes() == content


@pytest.mark.parametrize(
    "change",
    [
        {"status": "unheard of"},
        {"status": "running", "run": 5},
        {"scores": [1]},
        {"scores": {"map_at_r": {"seen": "high"}}},
        {"step": "one"},
        {"sentence": None},
    ],
)
def test_a_cell_that_is_none_of_ours_is_a_foreign_file(
    change: dict[str, object], tmp_path: Path, runs: FakeRuns, clock: Clock
) -> None:
    first = Sweeps(tmp_path, runs, clock)
    path = tmp_path / f"{first.start(ANN, grid(), Machine(), '')}.json"
    first.close()
    table = json.loads(path.read_bytes())
    table["cells"][0].update(change)
    path.write_text(json.dumps(table))
    assert Sweeps(tmp_path, runs, clock).skipped == [path.name]


def test_a_file_under_anothers_name_is_skipped(tmp_path: Path, runs: FakeRuns, clock: Clock) -> None:
    sweep = Sweeps(tmp_path, runs, clock).start(ANN, grid(), Machine(), "")
    (tmp_path / f"{sweep}.json").rename(tmp_path / "copy.json")
    assert Sweeps(tmp_path, runs, clock).skipped == ["copy.json"]


def test_no_token_of_a_browser_is_on_the_disk(tmp_path: Path, sweeps: Sweeps) -> None:
    sweep = sweeps.start(ANN, grid(), Machine(), "")
    assert json.loads((tmp_path / f"{sweep}.json").read_bytes())["owner"] == ANN
