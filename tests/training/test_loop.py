"""A run is a generator whose bits depend on its experiment alone, however it is pulled, watched or interrupted."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import cycle, islice
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from siamese_core.datasets import DATASETS
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.machine import Machine
from siamese_core.experiment.snapshot import Snapshot, TrainingState
from siamese_core.losses import LOSSES
from siamese_core.networks.build import ENCODERS, OUTPUTS
from siamese_core.training import loop, objective, siamese
from siamese_core.training.batches import Batch, draw_batch
from siamese_core.training.eval_subset import EVAL_PER_CLASS, METRICS, pixels_map_at_r
from siamese_core.training.loop import every, never, train

BUNDLED = ("digits", "fashion_mnist", "mnist")
SAMPLINGS = ("all_pairs", "random_pairs")
QUICK = ("conv", "mlp")
"""Encoders that are trained in every way; the others take seconds a step."""

WAYS = [(loss, sampling) for loss in LOSSES for sampling in SAMPLINGS]
every_way = pytest.mark.parametrize(("loss", "sampling"), WAYS)

every_kind = pytest.mark.parametrize(
    ("loss", "sampling"),
    [(loss, sampling) for loss in ("contrastive", "log", "triplet", "softmax", "nt_xent") for sampling in SAMPLINGS],
)
"""A loss on distances, on similarities with a head, on triplets, on classes with proxies, and on a whole batch."""

flippable = pytest.mark.parametrize("loss", [key for key, loss in LOSSES.items() if not loss.on_classes])


def small(**settings: Any) -> Experiment:
    """Cheap to train: 8×8 pixels and no convolution."""
    return Experiment(**{"dataset": "digits", "encoder": "mlp", "steps": 6} | settings)


def always() -> bool:
    return True


def bits(state: TrainingState | None) -> dict[str, bytes]:
    """All of a state but the seconds that it took."""
    assert state is not None
    tensors = dict(state.tensors)
    images, _, start_spread = tensors.pop("counters")
    return {name: array.tobytes() for name, array in tensors.items()} | {
        "counters": np.array([state.step, images, start_spread]).tobytes()
    }


def last_of(experiment: Experiment, **how: Any) -> Snapshot:
    *_, last = train(experiment, **({"wants_frame": never} | how))
    return last


# The same seed, the same bits


def test_another_seed_gives_other_bits() -> None:
    assert bits(last_of(small(seed=1)).state) != bits(last_of(small(seed=2)).state)


@every_kind
def test_a_run_gives_the_same_bits_alone_and_between_three_others(loss: str, sampling: str) -> None:
    experiment = small(loss=loss, sampling=sampling)
    alone = list(train(experiment))
    others = [train(small(seed=1)), train(small(loss="triplet", output="l2")), train(small(encoder="conv"))]
    beside = []
    for snapshot in train(experiment):
        beside.append(snapshot)
        for other in others:
            next(other)
    assert bits(beside[-1].state) == bits(alone[-1].state)
    assert [s.loss for s in beside] == [s.loss for s in alone]


def test_four_threads_at_once_give_the_bits_of_each_alone() -> None:
    experiments = [small(seed=seed, steps=15) for seed in (3, 3, 4, 5)]
    found: dict[int, dict[str, bytes]] = {}

    def work(place: int) -> None:
        found[place] = bits(last_of(experiments[place], wants_frame=every(4)).state)

    threads = [Thread(target=work, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[place] for place in range(4)] == [bits(last_of(e).state) for e in experiments]


def test_a_run_neither_reads_nor_moves_torchs_own_generator() -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = bits(last_of(small(), wants_frame=always).state)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    assert bits(last_of(small()).state) == first


@every_kind
def test_a_run_that_is_watched_gives_the_same_bits(loss: str, sampling: str) -> None:
    experiment = small(loss=loss, sampling=sampling)
    watched = last_of(experiment, wants_frame=always, wants_state=always)
    assert bits(watched.state) == bits(last_of(experiment).state)


def test_a_cpu_run_computes_on_one_thread_whatever_the_process_is_set_to() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        run = train(small())
        next(run)
        assert torch.get_num_threads() == 1
        torch.set_num_threads(2)
        next(run)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


# Pause, resume


@pytest.mark.parametrize(
    ("loss", "sampling", "encoder"), [(*way, QUICK[(i + i // 2) % 2]) for i, way in enumerate(WAYS)]
)
def test_a_run_taken_out_and_put_back_goes_on_bit_for_bit(loss: str, sampling: str, encoder: str) -> None:
    experiment = small(loss=loss, sampling=sampling, encoder=encoder)
    whole = list(train(experiment, wants_state=always))
    for stop in (1, 3, 5):
        state = whole[stop - 1].state
        assert state is not None
        assert state.step == stop
        resumed = list(train(experiment, state=state, wants_state=always))
        assert [s.step for s in resumed] == list(range(stop + 1, 7))
        assert [s.loss for s in resumed] == [s.loss for s in whole[stop:]]
        assert [bits(s.state) for s in resumed] == [bits(s.state) for s in whole[stop:]]


@pytest.mark.parametrize(
    "encoder",
    [pytest.param(e, marks=pytest.mark.slow) if e == "koch" else e for e in sorted(set(ENCODERS) - set(QUICK))],
)
def test_a_run_of_any_encoder_goes_on_bit_for_bit(encoder: str) -> None:
    """The slow ones: two steps, without the final metrics over all test images."""
    experiment = small(encoder=encoder, steps=3, batch_size=24)
    first, second = islice(train(experiment, wants_frame=never, wants_state=always), 2)
    assert first.state is not None
    resumed = next(train(experiment, state=first.state, wants_frame=never, wants_state=always))
    assert bits(resumed.state) == bits(second.state)
    assert bits(first.state) != bits(second.state)


def test_a_state_has_weights_statistics_moments_and_the_generator() -> None:
    state = last_of(small()).state
    assert state is not None
    names = " ".join(state.tensors)
    for part in ("running_mean", "running_var", "weight", "exp_avg", "exp_avg_sq", "generator", "counters"):
        assert part in names
    assert all(isinstance(array, np.ndarray) for array in state.tensors.values())


def test_a_state_stays_as_it_was_while_the_run_goes_on() -> None:
    run = train(small(), wants_state=always)
    state = next(run).state
    before = bits(state)
    list(run)
    assert bits(state) == before


def test_a_state_is_not_changed_by_the_run_that_goes_on_from_it() -> None:
    state = next(train(small(), wants_state=always)).state
    before = bits(state)
    last_of(small(), state=state)
    assert bits(state) == before


def test_a_finished_run_has_nothing_to_resume() -> None:
    assert list(train(small(), state=last_of(small()).state)) == []


def test_more_steps_go_on_from_where_fewer_ended() -> None:
    longer = last_of(small(steps=9), state=last_of(small(steps=6)).state)
    assert bits(longer.state) == bits(last_of(small(steps=9)).state)


# What a run shows


def test_steps_are_counted_from_one_and_images_by_the_batch() -> None:
    found = [(s.step, s.images) for s in train(small(batch_size=48))]
    assert found == [(step, 48 * step) for step in range(1, 7)]


@pytest.mark.parametrize(
    ("settings", "images"),
    [
        ({"batch_size": 4096}, 120),
        ({"batch_size": 35}, 24),
        ({"batch_size": 120, "held_out": (8, 9)}, 96),
        ({"batch_size": 121, "sampling": "random_pairs"}, 120),
        ({"batch_size": 121, "sampling": "random_pairs", "loss": "triplet"}, 120),
    ],
    ids=str,
)
def test_a_step_takes_the_images_that_its_sampling_draws(settings: dict[str, Any], images: int) -> None:
    """At most twelve of each class in a P×K batch, whole pairs and whole triplets elsewhere."""
    assert next(train(small(**settings))).images == images


def test_frames_come_when_they_are_asked_for_and_at_the_end() -> None:
    assert [s.step for s in train(small(steps=7), wants_frame=every(3)) if s.frame] == [3, 6, 7]
    assert [s.step for s in train(small(steps=3), wants_frame=never) if s.frame] == [3]


def test_two_runs_left_to_their_defaults_each_show_every_tenth_step() -> None:
    runs = [train(small(steps=21)), train(small(steps=21))]
    shown: list[list[int]] = [[], []]
    for snapshots in zip(*runs, strict=True):
        for steps, snapshot in zip(shown, snapshots, strict=True):
            if snapshot.frame:
                steps.append(snapshot.step)
    assert shown == [[10, 20, 21]] * 2


def test_states_come_when_they_are_asked_for_and_at_the_end() -> None:
    assert [s.step for s in train(small(), wants_state=every(4)) if s.state] == [4, 6]


def test_a_frame_holds_the_eval_subset_and_what_is_drawn_live() -> None:
    snapshot = next(train(small(embedding_dim=5), wants_frame=always))
    assert snapshot.frame is not None
    images = sum(min(EVAL_PER_CLASS, n) for n in np.bincount(DATASETS["digits"].load().test_labels))
    assert snapshot.frame.embeddings.shape == (images, 5)
    assert snapshot.frame.embeddings.dtype == np.float32
    assert set(snapshot.frame.metrics) == {"loss", "map_at_r", "precision_at_1"}


def test_the_last_snapshot_has_all_metrics_and_the_state() -> None:
    last = last_of(small())
    assert last.frame is not None
    assert last.state is not None
    assert tuple(last.frame.metrics) == METRICS == ("loss", "map_at_r", "precision_at_1", "auc", "eer")
    for scores in last.frame.metrics.values():
        assert scores["held_out"] is None
        assert scores["seen"] is not None
        assert 0 <= scores["seen"] <= 1


def test_classes_held_out_have_metrics_of_their_own() -> None:
    last = last_of(small(held_out=(7, 8, 9)))
    assert last.frame is not None
    for scores in last.frame.metrics.values():
        assert set(scores) == {"seen", "held_out"}
        assert None not in scores.values()
    # Scores that count neighbours may be equal by chance, a mean over other pairs is not.
    assert last.frame.metrics["loss"]["seen"] != last.frame.metrics["loss"]["held_out"]


def test_a_run_can_be_stopped_at_any_step() -> None:
    run = train(small())
    assert len(list(islice(run, 2))) == 2
    run.close()  # type: ignore[attr-defined]
    assert list(run) == []


# What is learnt from


@pytest.mark.parametrize(
    ("loss", "sampling", "dataset"), [(*way, d) for way, d in zip(WAYS, cycle(BUNDLED), strict=False)]
)
def test_every_dataset_learns_and_every_loss_and_sampling(dataset: str, loss: str, sampling: str) -> None:
    snapshots = list(train(small(dataset=dataset, loss=loss, sampling=sampling, steps=3), wants_frame=always))
    assert [s.step for s in snapshots] == [1, 2, 3]
    for snapshot in snapshots:
        assert math.isfinite(snapshot.loss)
        assert math.isnan(snapshot.active) if LOSSES[loss].input_kind == "batch" else 0 <= snapshot.active <= 1
        assert snapshot.halted is None
        assert snapshot.frame is not None
        assert np.isfinite(snapshot.frame.embeddings).all()
        assert len(snapshot.frame.same_distances) == len(snapshot.frame.different_distances) > 0
        assert (snapshot.frame.triplet_distances.shape[1] > 0) == (loss == "triplet")


@pytest.mark.parametrize("encoder", QUICK)
@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("embedding_dim", [2, 256])
def test_every_encoder_learns_with_every_output(encoder: str, output: str, embedding_dim: int) -> None:
    experiment = small(encoder=encoder, output=output, embedding_dim=embedding_dim, steps=3)
    first, *_, last = train(experiment, wants_frame=always, wants_state=always)
    assert first.frame is not None
    assert last.frame is not None
    assert last.frame.embeddings.shape[1] == embedding_dim
    assert not np.array_equal(first.frame.embeddings, last.frame.embeddings)


@flippable
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_flipped_labels_teach_something_else(loss: str, sampling: str) -> None:
    right = last_of(small(loss=loss, sampling=sampling, steps=2))
    flipped = last_of(small(loss=loss, sampling=sampling, steps=2, labels="flipped"))
    assert bits(right.state) != bits(flipped.state)
    assert right.images == flipped.images


@every_way
def test_a_class_that_is_held_out_is_never_trained_on(
    loss: str, sampling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = torch.tensor(DATASETS["digits"].load().train_labels)
    drawn: list[Tensor] = []

    def spy(*arguments: Any) -> Batch:
        found = draw_batch(*arguments)
        drawn.append(labels[found.images])
        return found

    monkeypatch.setattr(loop, "draw_batch", spy)
    last_of(small(loss=loss, sampling=sampling, held_out=(3, 8)))
    assert set(torch.cat(drawn).tolist()) == {0, 1, 2, 4, 5, 6, 7, 9}


def test_bfloat16_is_only_for_computing() -> None:
    last = last_of(small(), machine=Machine(precision="bf16"))
    assert math.isfinite(last.loss)
    assert last.state is not None
    assert {str(a.dtype) for name, a in last.state.tensors.items() if "weight" in name} == {"float32"}
    assert bits(last.state) != bits(last_of(small()).state)


# Runs that fail


def spoilt(monkeypatch: pytest.MonkeyPatch, at_call: int, spoil: Callable[[Any], Any]) -> None:
    """Changes what the objective gives at its n-th call."""
    calls = iter(range(1, 1000))
    of_all_pairs = objective.of_all_pairs

    def spoiling(*arguments: Any) -> Any:
        found = of_all_pairs(*arguments)
        return spoil(found) if next(calls) == at_call else found

    monkeypatch.setattr(objective, "of_all_pairs", spoiling)


def infinite(found: objective.Objective) -> objective.Objective:
    return found._replace(value=found.value * math.inf)


def without_slope(found: objective.Objective) -> objective.Objective:
    """A finite loss whose gradient is not: 0 · the root's slope at 0."""
    return found._replace(value=found.value + (found.value * 0).sqrt())


def exhausted(found: objective.Objective) -> objective.Objective:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


def without_counters(state: TrainingState | None) -> dict[str, bytes]:
    """Also without the generator, which the failed step has drawn from."""
    return {name: raw for name, raw in bits(state).items() if name not in ("counters", "generator")}


@pytest.mark.parametrize("spoil", [infinite, without_slope, exhausted])
def test_a_failed_step_leaves_the_weights_and_statistics_of_the_step_before(
    spoil: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    good = last_of(small(steps=2))
    spoilt(monkeypatch, 3, spoil)
    *before, halted = train(small(), wants_frame=never)
    assert [s.step for s in before] == [1, 2]
    assert all(s.halted is None for s in before)
    assert halted.step == 2, "the steps that were made"
    assert math.isnan(halted.loss)
    assert halted.images == before[-1].images
    assert halted.state is not None
    assert halted.state.step == 2
    assert without_counters(halted.state) == without_counters(good.state)
    assert halted.frame is not None
    assert good.frame is not None
    assert halted.frame.metrics == good.frame.metrics


@pytest.mark.parametrize("spoil", [infinite, without_slope])
def test_a_loss_that_is_not_finite_halts_the_run_and_names_the_learning_rate(
    spoil: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    spoilt(monkeypatch, 3, spoil)
    halted = last_of(small(learning_rate=0.5)).halted
    assert halted is not None
    assert "step 3" in halted
    assert "Lower learning_rate (now 0.5)" in halted


@pytest.mark.parametrize("loss", [key for key, loss in LOSSES.items() if loss.input_kind in ("distance", "triplet")])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_weights_so_large_that_the_loss_overflows_halt_the_run(loss: str, sampling: str) -> None:
    experiment = small(loss=loss, sampling=sampling)
    state = next(train(experiment, wants_state=always)).state
    assert state is not None
    name = max((n for n in state.tensors if n.startswith("network.") and n.endswith(".weight")), key=_layer)
    huge = TrainingState(1, dict(state.tensors) | {name: state.tensors[name] * np.float32(1e25)})
    (halted,) = train(experiment, state=huge)
    assert halted.halted is not None
    assert "learning_rate" in halted.halted
    assert without_counters(halted.state) == without_counters(huge)
    assert halted.frame is not None
    assert tuple(halted.frame.metrics) == METRICS
    for scores in halted.frame.metrics.values():
        assert scores["seen"] is None or math.isfinite(scores["seen"])


def _layer(name: str) -> int:
    return max(int(part) for part in name.split(".") if part.isdigit())


def test_a_gpu_out_of_memory_ends_the_run_with_the_batch_size_to_try(monkeypatch: pytest.MonkeyPatch) -> None:
    spoilt(monkeypatch, 3, exhausted)
    last = last_of(small(batch_size=96))
    assert last.step == 2
    assert last.halted == "The GPU ran out of memory at batch_size 96. Try batch_size 48."


def test_a_gpu_without_memory_for_a_frame_still_gives_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    run = train(small(batch_size=96), wants_frame=never)
    next(run)
    monkeypatch.setattr(siamese, "encode", exhausted_encoder)
    (last,) = run
    assert last.halted is not None
    assert last.frame is None
    assert last.state is not None


def exhausted_encoder(*arguments: Any) -> Tensor:
    raise torch.OutOfMemoryError("CUDA out of memory.")


# Alarms of real runs


def test_margin_0_raises_the_alarm_that_the_embedding_has_collapsed() -> None:
    last = last_of(small(params={"margin": 0.0}, steps=120))
    assert last.alarm is not None
    assert last.alarm.startswith("Collapsed")
    assert last.alarm.endswith("raise the margin.")
    assert last.halted is None


@flippable
def test_flipped_labels_raise_the_alarm_that_the_embedding_is_inverted(loss: str) -> None:
    last = last_of(small(loss=loss, labels="flipped", steps=60))
    assert last.alarm is not None
    assert last.alarm.startswith("Inverted")
    assert last.alarm.endswith("set labels to right.")


@pytest.mark.parametrize(
    ("loss", "sampling"),
    [way if (i + i // 2) % 2 else pytest.param(*way, marks=pytest.mark.slow) for i, way in enumerate(WAYS)],
)
def test_a_healthy_run_raises_no_alarm(loss: str, sampling: str) -> None:
    assert [s.alarm for s in train(small(loss=loss, sampling=sampling, steps=60)) if s.alarm] == []


# What is learnt


def test_sixty_steps_of_the_defaults_beat_an_untrained_network_and_the_pixels() -> None:
    def map_at_r(**settings: Any) -> float:
        last = last_of(Experiment(**settings))
        assert last.frame is not None
        found = last.frame.metrics["map_at_r"]["seen"]
        assert found is not None
        return found

    untrained = map_at_r(steps=1, learning_rate=1e-5)
    pixels = pixels_map_at_r(Experiment())["seen"]
    assert pixels is not None
    trained = map_at_r(steps=60)
    assert trained > untrained + 0.1
    assert trained > pixels + 0.1


def test_a_frame_without_scores_has_everything_else() -> None:
    snapshots = list(
        islice(train(Experiment(dataset="digits", encoder="mlp", steps=3), wants_frame=always, wants_scores=never), 3)
    )
    scored = list(islice(train(Experiment(dataset="digits", encoder="mlp", steps=3), wants_frame=always), 3))
    assert [bool(s.frame and s.frame.metrics) for s in snapshots] == [False, False, True], (
        "the last one is always scored"
    )
    for plain, full in zip(snapshots, scored, strict=True):
        assert plain.frame is not None
        assert full.frame is not None
        np.testing.assert_array_equal(plain.frame.embeddings, full.frame.embeddings)
