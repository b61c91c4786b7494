"""What is trained beside the encoder: drawn, learnt, resumed like it; and every loss learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from siamese_core.datasets import DATASETS
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.snapshot import TrainingState
from siamese_core.losses import LOSSES
from siamese_core.training import loop
from siamese_core.training.batches import Batch, draw_batch
from siamese_core.training.loop import never, train
from tests.training.test_loop import always, exhausted, last_of, small, without_counters

WITH_HEAD = ["log", "softmax", "proxy_anchor"]


def head_of(state: TrainingState | None) -> dict[str, np.ndarray]:
    assert state is not None
    return {name: array for name, array in state.tensors.items() if name.startswith("head.")}


@pytest.mark.parametrize("loss", WITH_HEAD)
def test_a_head_is_drawn_from_the_seed_and_trained_with_the_encoder(loss: str) -> None:
    def heads(seed: int) -> list[dict[str, np.ndarray]]:
        return [head_of(s.state) for s in train(small(loss=loss, seed=seed, steps=3), wants_state=always)]

    first, _, last = heads(0)
    assert first
    assert all((first[name] != last[name]).any() for name in first)
    assert all(np.array_equal(last[name], again) for name, again in heads(0)[-1].items())
    assert any((last[name] != other).any() for name, other in heads(1)[-1].items())


@pytest.mark.parametrize("loss", WITH_HEAD)
def test_a_run_with_a_head_that_is_resumed_gives_the_same_bits(loss: str) -> None:
    experiment = small(loss=loss, steps=6)
    whole = list(train(experiment, wants_state=always))
    resumed = list(train(experiment, state=whole[2].state))
    assert without_counters(resumed[-1].state) == without_counters(whole[-1].state)


def at_start(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> dict[str, np.ndarray]:
    """The tensors as they were drawn: no step is made, for the objective fails at the first one."""
    with monkeypatch.context() as patched:
        patched.setattr(loop, "_objective", exhausted)
        (halted,) = train(small(**settings), wants_frame=never)
    assert halted.state is not None
    return halted.state.tensors


@pytest.mark.parametrize("loss", WITH_HEAD)
def test_the_encoder_is_drawn_first_so_every_loss_starts_with_the_same_one(
    loss: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, found = (at_start(monkeypatch, loss=key) for key in ("contrastive", loss))
    names = [name for name in expected if name.startswith("network.")]
    assert names == [name for name in found if name.startswith("network.")]
    assert all(np.array_equal(found[name], expected[name]) for name in names)


@pytest.mark.parametrize("loss", WITH_HEAD)
def test_a_head_is_drawn_from_the_generator_of_the_run_and_from_no_other(
    loss: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn(seed: int, elsewhere: int) -> np.ndarray:
        torch.manual_seed(elsewhere)
        tensors = at_start(monkeypatch, loss=loss, seed=seed)
        return tensors["head.weight"]

    assert np.array_equal(drawn(0, elsewhere=1), drawn(0, elsewhere=2))
    assert not np.array_equal(drawn(0, elsewhere=1), drawn(1, elsewhere=1))


def test_a_loss_without_head_params_has_no_head() -> None:
    assert head_of(last_of(small(loss="contrastive", steps=1)).state) == {}


def test_fewer_images_of_each_class_are_the_first_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = DATASETS["digits"].load().train_labels
    drawn: list[Tensor] = []

    def spy(*arguments: Any) -> Batch:
        found = draw_batch(*arguments)
        drawn.append(found.images)
        return found

    monkeypatch.setattr(loop, "draw_batch", spy)
    last_of(small(train_per_class=5, steps=8))
    used = set(torch.cat(drawn).tolist())
    assert used == {int(i) for c in range(10) for i in np.flatnonzero(labels == c)[:5]}


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_beats_the_untrained_network(loss: str) -> None:
    def score(**settings: Any) -> float:
        frame = last_of(Experiment(dataset="digits", encoder="mlp", loss=loss, **settings)).frame
        assert frame is not None
        return frame.metrics["map_at_r"]["seen"] or 0.0

    assert score(steps=60) > score(steps=1, learning_rate=1e-5) + 0.05
