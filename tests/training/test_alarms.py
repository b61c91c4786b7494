"""An alarm names a failing embedding and the setting to change; a healthy one raises none."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.snapshot import Frame
from siamese_core.training.alarms import JUDGED_AFTER, alarm, not_finite, out_of_memory, spread

START = 1.0
"""Spread of the embedding when the run began."""


def frame(size: float = 1.0, same: float = 0.2, different: float = 1.0, loss: float | None = 0.1) -> Frame:
    """An embedding whose spread is `size`, with same and different distances around those given."""
    corners = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]], np.float32) / np.sqrt(2, dtype=np.float32)
    around = np.linspace(0.5, 1.5, 101, dtype=np.float32)
    return Frame(
        embeddings=corners * np.float32(size),
        same_distances=around * np.float32(same),
        different_distances=around * np.float32(different),
        triplet_distances=np.zeros((2, 0), np.float32),
        metrics={"loss": {"seen": loss, "held_out": None}},
    )


def raised(found: Frame, step: int = JUDGED_AFTER, **settings: object) -> str | None:
    return alarm(Experiment(**settings), step, START, found)  # type: ignore[arg-type]


def test_spread_is_the_root_mean_squared_distance_from_the_centre() -> None:
    square = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]])
    assert spread(square) == pytest.approx(2**0.5)
    assert spread(square + 100) == pytest.approx(2**0.5)
    assert spread(torch.ones(5, 3)) == 0


def test_a_healthy_embedding_raises_no_alarm() -> None:
    assert raised(frame()) is None


def test_one_point_with_the_loss_at_half_the_squared_margin_is_collapsed() -> None:
    collapsed = frame(size=0.001, same=1e-4, different=2e-4, loss=0.4999)
    message = raised(collapsed, learning_rate=0.5)
    assert message is not None
    assert message.startswith("Collapsed: the embedding has shrunk to 0.1% of its spread at the start")
    assert "Lower the learning rate (now 0.5)" in message


def test_a_collapse_with_margin_0_is_put_down_to_the_margin() -> None:
    message = raised(frame(size=0.001, same=1e-4, different=2e-4, loss=0.0), params={"margin": 0.0})
    assert message is not None
    assert message.startswith("Collapsed")
    assert message.endswith("raise the margin.")


@pytest.mark.parametrize(
    ("settings", "pinned"),
    [
        ({"params": {"margin": 2.0}}, 2.0),
        ({"loss": "exponential"}, 10.0),
        ({"loss": "triplet"}, 1.0),
    ],
)
def test_the_loss_at_one_point_is_that_of_the_run(settings: dict[str, object], pinned: float) -> None:
    """½ m², 2Q and m."""
    assert "Collapsed" in (raised(frame(0.001, 1e-4, 2e-4, loss=pinned), **settings) or "")
    assert raised(frame(0.001, 1e-4, 2e-4, loss=pinned / 2), **settings) is None


@pytest.mark.parametrize(
    ("loss", "pinned"),
    [("log", 2 * math.log(2)), ("absolute", 1.0), ("squared", 0.5), ("softmax", math.log(10))],
)
def test_one_point_pays_at_least_what_a_guess_pays(loss: str, pinned: float) -> None:
    """Every pair gets the same p, at best ½; every image the same ten logits."""
    near, far = (0.5, 0.499) if loss != "softmax" else (1e-4, 2e-4)
    assert "Collapsed" in (raised(frame(0.001, near, far, loss=pinned), loss=loss) or "")
    assert "Collapsed" not in (raised(frame(0.001, near, far, loss=pinned / 2), loss=loss) or "")


def test_a_cosine_sees_a_collapse_of_directions_and_not_of_lengths() -> None:
    """Ten times as far from the origin, the same square is seen under a tenth of the angle."""
    square = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    assert spread(square * 0.001, "cosine") == pytest.approx(spread(square, "cosine")) == pytest.approx(1)
    assert spread(square + 1000, "cosine") < 0.01
    assert spread(square + 1000) == pytest.approx(spread(square))


def test_same_pairs_that_are_less_alike_than_different_ones_are_inverted() -> None:
    """A similarity falls where a distance rises."""
    assert "Inverted" in (raised(frame(same=0.2, different=0.5), loss="log") or "")
    assert raised(frame(same=0.5, different=0.1), loss="log") is None


def test_a_small_embedding_that_still_learns_is_not_collapsed() -> None:
    assert raised(frame(size=0.01, same=0.001, different=0.01, loss=0.3)) is None


def test_a_loss_at_the_margin_with_a_wide_embedding_is_not_collapsed() -> None:
    assert raised(frame(size=1.0, loss=0.5)) is None


@pytest.mark.parametrize(("same", "different"), [(1.0, 0.5), (1.0, 1.0), (0.95, 1.0)])
def test_same_pairs_that_are_no_closer_than_different_ones_are_inverted(same: float, different: float) -> None:
    message = raised(frame(same=same, different=different), labels="flipped")
    assert message is not None
    assert message.startswith("Inverted: same pairs are hardly closer than different ones")
    assert f"on average {same:.3g} against {different:.3g} apart" in message
    assert message.endswith("set labels to right.")


def test_an_inversion_with_right_labels_is_not_put_down_to_the_labels() -> None:
    message = raised(frame(same=1.0, different=0.5))
    assert message is not None
    assert "learning rate" in message
    assert "labels" not in message


def test_a_few_pairs_very_far_apart_do_not_hide_that_the_medians_have_changed_places() -> None:
    found = frame(same=1.0, different=0.9)
    found.different_distances[-1] = 1e6
    assert "Inverted" in (raised(found) or "")


def test_a_run_is_not_judged_before_its_running_statistics_are_its_own() -> None:
    for failing in (frame(same=1.0, different=0.5), frame(size=0.001, same=1e-4, different=2e-4, loss=0.5)):
        assert raised(failing, step=JUDGED_AFTER - 1) is None
        assert raised(failing, step=JUDGED_AFTER) is not None


def test_an_embedding_that_is_not_finite_is_no_cause_for_an_alarm_of_its_own() -> None:
    assert raised(frame(size=np.nan, same=1.0, different=0.5)) is None


def test_a_loss_that_is_not_finite_names_the_step_and_the_learning_rate() -> None:
    message = not_finite(Experiment(learning_rate=0.5), 7)
    assert "step 7" in message
    assert "Lower learning_rate (now 0.5)" in message
    assert "q" not in message.split("Lower learning_rate")[1]
    assert message.count("\n") == 0


def test_a_small_q_is_named_as_well() -> None:
    assert "raise q" in not_finite(Experiment(loss="exponential", params={"q": 0.1}), 1)


@pytest.mark.parametrize(("batch_size", "smaller"), [(4096, 2048), (48, 24), (30, 24)])
def test_out_of_memory_names_the_batch_size_to_try(batch_size: int, smaller: int) -> None:
    experiment = Experiment(batch_size=batch_size, sampling="random_pairs")
    assert out_of_memory(experiment).endswith(f"Try batch_size {smaller}.")


def test_out_of_memory_counts_the_images_that_all_pairs_really_takes() -> None:
    assert "at batch_size 120. Try batch_size 60." in out_of_memory(Experiment(batch_size=4096))
