"""The engine: runs in other processes, owners, leases, and processes that die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import CancelledError
from dataclasses import replace

import numpy as np
import psutil
import pytest
import torch

from siamese_core.embeddings.projection import neighbours
from siamese_core.engine import Engine
from siamese_core.engine.engine import FORGET_AFTER, LEASE, MAX_BACKGROUND, MAX_RUNS
from siamese_core.engine.rpc.pipes import ROOT
from siamese_core.experiment.experiment import Experiment
from siamese_core.losses import LOSSES
from siamese_core.training.loop import train
from tests.support.engines import ANN, BEN, Clock, poll, until_status, until_step
from tests.support.waiting import PATIENCE, until

SHORT = Experiment(dataset="digits", encoder="mlp", steps=30)
LONG = Experiment(dataset="digits", encoder="mlp", steps=100_000)


def losses_of(experiment: Experiment) -> np.ndarray:
    return np.array([snapshot.loss for snapshot in train(experiment)], np.float32)


def assert_goes_on_with_the_same_bits(engine: Engine, run: str, step: int) -> None:
    """From `step` of a long run, which on no machine is at its end by then."""
    steps = step + 20
    loss = until_step(engine, run, steps).loss[:steps]
    np.testing.assert_array_equal(loss, losses_of(replace(LONG, steps=steps)))


def test_the_engine_only_pulls_a_run_has_the_bits_of_its_generator(engine: Engine) -> None:
    run = until_status(engine, engine.start(ANN, SHORT), "finished")
    assert run.step == 30
    np.testing.assert_array_equal(run.loss, losses_of(SHORT))
    assert run.scores[-1][0] == 30
    assert set(run.scores[-1][1]) == {"loss", "map_at_r", "precision_at_1", "auc", "eer"}


def test_pause_keeps_layout_and_step_together_and_resume_changes_no_bit(engine: Engine) -> None:
    run = engine.start(ANN, LONG)
    until_step(engine, run, 1)
    assert engine.command(ANN, run, "pause")
    paused = until_status(engine, run, "paused")
    assert paused.frame_step == paused.step > 0
    assert not engine.command(ANN, run, "pause"), "a paused run cannot be paused"
    assert engine.command(ANN, run, "resume")
    assert_goes_on_with_the_same_bits(engine, run, paused.step)


def test_step_makes_one_step(engine: Engine) -> None:
    run = engine.start(ANN, SHORT, steps=1)
    assert until_status(engine, run, "paused").step == 1
    assert engine.command(ANN, run, "step")
    stepped = until(lambda: (v := poll(engine, run)).status == "paused" and v.step == 2 and v, "the second step")
    assert stepped.frame_step == 2


def test_stop_ends_a_run_and_keeps_its_last_layout(engine: Engine) -> None:
    run = engine.start(ANN, LONG)
    until(lambda: poll(engine, run).frame is not None, "a frame")
    assert engine.command(ANN, run, "stop")
    stopped = poll(engine, run)
    assert stopped.status == "stopped"
    assert stopped.frame is not None
    assert not engine.command(ANN, run, "resume"), "what was stopped stays so"


def test_a_run_is_reached_only_with_its_owner_and_its_id(engine: Engine) -> None:
    run = engine.start(ANN, LONG)
    assert engine.poll(BEN, run) is None
    assert engine.poll(BEN, "unknown") is None
    assert engine.latest(BEN) is None
    assert not engine.command(BEN, run, "stop")
    engine.discard(BEN, run)
    engine.set_projection(BEN, run, "pca")
    assert poll(engine, run).status == "running"
    assert poll(engine, run).projection == "umap"


def test_a_later_run_need_not_wait_for_a_long_one(engine: Engine) -> None:
    long = engine.start(ANN, LONG)
    until_step(engine, long, 5)
    until_status(engine, engine.start(ANN, SHORT), "finished")
    assert poll(engine, long).status == "running"


def test_a_run_that_rested_does_not_starve_the_others(engine: Engine) -> None:
    rested = engine.start(ANN, LONG, steps=1)
    until_status(engine, rested, "paused")
    other = engine.start(BEN, LONG)
    until(lambda: (v := engine.poll(BEN, other)) is not None and v.seconds > 0.5, "half a second of the other's")
    engine.command(ANN, rested, "resume")
    before = engine.poll(BEN, other)
    assert before is not None
    until_step(engine, rested, 40)
    after = engine.poll(BEN, other)
    assert after is not None
    assert after.step > before.step


def test_a_pause_holds_when_the_end_of_the_lease_overtakes_it(engine: Engine) -> None:
    run = engine.start(ANN, LONG)
    until_step(engine, run, 1)
    engine.worker.send({"do": "park", "run": run})
    engine.command(ANN, run, "pause")
    until_status(engine, run, "paused")


def test_an_owner_has_a_bounded_number_of_runs(engine: Engine) -> None:
    runs = [engine.start(ANN, LONG, steps=1) for _ in range(MAX_RUNS + 2)]
    assert [engine.poll(ANN, run) is not None for run in runs] == [False] * 2 + [True] * MAX_RUNS


def test_a_run_nobody_looks_at_rests_and_goes_on_with_the_same_bits(engine: Engine, clock: Clock) -> None:
    run = engine.start(ANN, LONG)
    until_step(engine, run, 1)
    clock.now += LEASE + 1
    engine.sweep_expired()
    until(lambda: engine._runs[run].status == "parked", "the end of the lease")
    rested = engine._runs[run].step
    assert poll(engine, run).status == "running", "looking continues it"
    assert_goes_on_with_the_same_bits(engine, run, rested)


def test_a_paused_run_frees_its_place_and_still_steps(engine: Engine, clock: Clock) -> None:
    run = engine.start(ANN, SHORT, steps=3)
    until_status(engine, run, "paused")
    clock.now += LEASE + 1
    engine.sweep_expired()
    assert not engine._runs[run].in_worker
    assert poll(engine, run).status == "paused", "looking does not resume what a user paused"
    engine.command(ANN, run, "step")
    stepped = until(lambda: (v := poll(engine, run)).status == "paused" and v.step == 4 and v, "the fourth step")
    np.testing.assert_array_equal(stepped.loss, losses_of(SHORT)[:4])


def test_a_run_long_unseen_is_forgotten(engine: Engine, clock: Clock) -> None:
    run = until_status(engine, engine.start(ANN, SHORT), "finished").id
    clock.now += FORGET_AFTER + 1
    engine.sweep_expired()
    assert engine.poll(ANN, run) is None


def test_kill_9_of_the_worker_restarts_its_runs_from_their_last_state(engine: Engine) -> None:
    run = engine.start(ANN, LONG)
    saved = until(lambda: (s := engine._runs[run].state) is not None and s.step > 10 and s, "a state").step
    os.kill(engine.worker.pid, signal.SIGKILL)
    until(lambda: engine._runs[run].deaths == 1, "the death")
    again = until_step(engine, run, saved + 1)
    assert again.status == "running"
    restarted_at = engine._runs[run].restarted_at
    assert restarted_at >= saved > 10, "it went on from a state, not from the beginning"
    assert_goes_on_with_the_same_bits(engine, run, restarted_at)


def test_kill_9_of_the_projector_costs_a_layout_and_no_run(engine: Engine) -> None:
    run = until_status(engine, engine.start(ANN, SHORT), "finished").id
    until(lambda: poll(engine, run).layout, "a layout")
    before = engine.projector.child.pid
    engine._runs[run].layout = None
    os.kill(before, signal.SIGKILL)
    until(lambda: poll(engine, run).layout, "a layout of the new process")
    assert engine.projector.child.pid != before


def test_the_layout_has_every_eval_image_and_its_neighbours_in_the_embedding_space(engine: Engine) -> None:
    run = engine.start(ANN, Experiment(dataset="digits", encoder="mlp", steps=5, projection="pca"))
    until_status(engine, run, "finished")
    view = until(lambda: (v := poll(engine, run)).layout is not None and v.layout.step == 5 and v, "the last layout")
    assert view.layout is not None
    assert view.frame is not None
    assert view.layout.xy.shape == (len(view.frame.embeddings), 2)
    np.testing.assert_array_equal(view.layout.neighbours, neighbours(view.frame.embeddings, 5)[0])


def test_another_projection_redraws_a_run_that_rests(engine: Engine) -> None:
    run = until_status(engine, engine.start(ANN, SHORT), "finished").id
    engine.set_projection(ANN, run, "pca_3d")
    until(lambda: (layout := poll(engine, run).layout) and layout.xy.shape[1] == 3, "a 3-D layout")


def test_an_embedding_can_be_laid_out_anew_by_its_owner_only(engine: Engine) -> None:
    run = until_status(engine, engine.start(ANN, SHORT), "finished").id
    steps = SHORT.steps
    first = until(lambda: (la := poll(engine, run).layout) and la.step == steps and la, "the last layout")
    engine.lay_out_anew("somebody else", run)
    assert poll(engine, run).layout is first
    engine.lay_out_anew(ANN, run)
    assert (layout := poll(engine, run).layout) is not None
    assert layout.step in (-1, steps), "a page goes on looking"
    anew = until(lambda: (la := poll(engine, run).layout) and la.step == steps and la, "the new layout")
    assert anew.number == first.number + 1


def test_what_cannot_be_drawn_is_one_message(engine: Engine) -> None:
    run = until_status(engine, engine.start(ANN, SHORT), "finished").id
    engine.set_projection(ANN, run, "raw")
    layout = until(lambda: (la := poll(engine, run).layout) and la.kind == "raw" and la, "the raw layout")
    assert layout.problem == "Raw shows embeddings of dimension 2, and these have 32."


def test_a_curve_is_fn_computed_by_the_worker_even_while_it_trains(engine: Engine) -> None:
    engine.start(ANN, LONG)
    d = torch.linspace(0, 2, 50, dtype=torch.float64)
    arrays = engine.trainer.curve("contrastive", {"margin": 0.7}, d.numpy()).result(PATIENCE)
    different = LOSSES["contrastive"].fn(d, torch.zeros(len(d), dtype=torch.bool), margin=0.7)
    np.testing.assert_allclose(arrays["different"], different.numpy(), rtol=1e-6)


def test_another_measure_of_a_runs_embeddings_gets_a_reply(engine: Engine) -> None:
    embeddings = np.array([[0.0], [0.1], [3.0], [3.2]], np.float32)
    arrays = engine.trainer.pairs("manhattan", embeddings, np.array([0, 0, 1, 1], np.int32), 1).result(PATIENCE)
    assert set(np.round(arrays["same"], 3)) == {np.float32(0.1), np.float32(0.2)}
    assert arrays["different"].min() >= 2.8


def test_a_request_that_cannot_be_served_does_not_silence_the_worker(engine: Engine) -> None:
    with pytest.raises(CancelledError):
        engine.trainer.curve("contrastive", {"no_such_parameter": 1.0}, np.zeros(3)).result(PATIENCE)
    assert "surface" in engine.trainer.curve("triplet", {"margin": 1.0}, np.zeros(3)).result(PATIENCE)


def test_a_background_run_is_never_the_latest_and_makes_no_room(engine: Engine) -> None:
    main = engine.start(BEN, LONG)
    background = [engine.start(BEN, LONG, background=True) for _ in range(MAX_BACKGROUND + 2)]
    assert engine.latest(BEN) == main
    left = [run for run in background if engine.poll(BEN, run) is not None]
    assert left == background[2:], "the oldest of their kind make room"
    for run in (main, *left):
        engine.discard(BEN, run)


def test_a_dataset_that_is_not_here_ends_its_run_with_the_remedy(engine: Engine) -> None:
    run = engine.start(ANN, Experiment(dataset="mnist_full", steps=5))
    failed = until_status(engine, run, "failed")
    assert "mnist" in failed.message
    assert len(failed.message.splitlines()) == 1


SERVER = """
import threading
from siamese_core.engine import Engine
engine = Engine()
print(engine.worker.pid, engine.projector.child.pid, flush=True)
threading.Event().wait()
"""


def test_kill_9_of_the_server_leaves_no_process() -> None:
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert server.stdout is not None
    pids = [int(pid) for pid in server.stdout.readline().split()]
    children = [psutil.Process(pid) for pid in pids]
    assert len(children) == 2
    server.kill()
    server.wait()
    server.stdout.close()
    gone = until(lambda: all(not child.is_running() for child in children), "the children to end")
    assert gone
