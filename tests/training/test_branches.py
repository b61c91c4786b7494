"""A run with two kinds of input: one network for both or one for each, trained, resumed and saved."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import Generator, Tensor, nn

from siamese_core.datasets import DATASETS
from siamese_core.experiment.experiment import IMAGES_PER_CLASS, Experiment
from siamese_core.experiment.snapshot import Snapshot, TrainingState
from siamese_core.losses import LOSSES
from siamese_core.networks import build
from siamese_core.networks.input_transforms import INPUT_TRANSFORMS
from siamese_core.runs.model import model_of
from siamese_core.runs.model_file import save_model
from siamese_core.training import loop, objective
from siamese_core.training.loop import never, train
from siamese_core.training.objective import of_all_pairs, of_random_pairs, of_two_branches
from siamese_core.training.sampling import ClassIndex, pk_batch, random_pairs
from siamese_core.training.siamese import Siamese, encode_both
from tests.training.test_loop import always, bits

DIGITS = DATASETS["digits"].load()
SCALE = DATASETS["digits"]
TRAIN = torch.tensor(DIGITS.train_images)
INDEX = ClassIndex.of(torch.tensor(DIGITS.train_labels), tuple(range(10)))

WAYS: dict[str, dict[str, str]] = {
    "shared": {"view": "edges"},
    "not shared": {"view": "edges", "shared": False},
    "same images": {"shared": False},
    "two kinds": {"view": "inverted", "shared": False, "encoder": "conv", "second_encoder": "mlp"},
}
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
two_branches = pytest.mark.parametrize("way", [WAYS[name] for name in WAYS if name != "shared"], ids=[*WAYS][1:])


def small(**settings: Any) -> Experiment:
    return Experiment(**{"dataset": "digits", "encoder": "mlp", "batch_size": 24, "steps": 4} | settings)


def steps_of(experiment: Experiment, steps: int, state: TrainingState | None = None) -> list[Snapshot]:
    """Without the last step's metrics over all test images."""
    run = train(replace(experiment, steps=steps + 10), state=state, wants_frame=never, wants_state=always)
    return list(islice(run, steps))


def built(experiment: Experiment, generator: Generator) -> list[nn.Module]:
    second = experiment.encoder if experiment.second_encoder == "same" else experiment.second_encoder
    encoders = [experiment.encoder] if experiment.shared else [experiment.encoder, second]
    return [build.build(encoder, "linear", SCALE.shape, 32, generator) for encoder in encoders]


def scaled(images: Tensor) -> Tensor:
    """As training scales them, bit for bit."""
    return images.float().mul_(1 / (255 * SCALE.std)).sub_(SCALE.mean / SCALE.std)


def seen_second(experiment: Experiment, images: Tensor) -> Tensor:
    return images if experiment.view == "none" else INPUT_TRANSFORMS[experiment.view].fn(images)


# What is learnt


def test_a_run_with_one_branch_is_the_plain_loop_that_it_was() -> None:
    """One draw, one pass, all pairs, one step of Adam: to the bit."""
    generator = Generator().manual_seed(7)
    (network,) = built(small(), generator)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3, fused=True)
    for _ in range(3):
        h = network(scaled(TRAIN[pk_batch(INDEX, 24, IMAGES_PER_CLASS, generator)]))
        optimiser.zero_grad()
        of_all_pairs(small(), h, IMAGES_PER_CLASS).value.backward()
        optimiser.step()
    state = steps_of(small(seed=7), 3)[-1].state
    assert state is not None
    for name, tensor in network.state_dict().items():
        np.testing.assert_array_equal(state.tensors[f"network.{name}"], tensor.numpy())
    np.testing.assert_array_equal(state.tensors["generator"], generator.get_state().numpy())


@every_way
@pytest.mark.parametrize("sampling", ["all_pairs", "random_pairs"])
def test_a_step_with_two_branches_is_two_passes_or_one_over_both_inputs(way: dict[str, str], sampling: str) -> None:
    experiment = small(sampling=sampling, seed=7, **way)
    generator = Generator().manual_seed(7)
    nets = built(experiment, generator)
    optimiser = torch.optim.Adam([p for net in nets for p in net.parameters()], lr=3e-3, fused=True)
    losses = []
    for _ in range(3):
        if sampling == "all_pairs":
            indices, same = pk_batch(INDEX, 24, IMAGES_PER_CLASS, generator), None
        else:
            first, second, same = random_pairs(INDEX, 12, generator)
            indices = torch.cat([first, second])
        images = TRAIN[indices]
        inputs = scaled(images), scaled(seen_second(experiment, images))
        if len(nets) == 1:
            h1, h2 = nets[0](torch.cat(inputs)).chunk(2)
        else:
            h1, h2 = (net(batch) for net, batch in zip(nets, inputs, strict=True))
        if same is None:
            target = of_two_branches(experiment, h1, h2, IMAGES_PER_CLASS)
        else:
            target = of_random_pairs(experiment, h1[:12], h2[12:], same)
        optimiser.zero_grad()
        target.value.backward()
        optimiser.step()
        losses.append(target.value.item())
    snapshots = steps_of(experiment, 3)
    assert [s.loss for s in snapshots] == pytest.approx(losses, rel=1e-5)
    assert snapshots[-1].images == 3 * 24
    state = snapshots[-1].state
    assert state is not None
    for name, net in zip(("first.", "second."), nets, strict=False):
        for key, tensor in net.state_dict().items():
            under = f"network.{name if len(nets) == 2 else ''}{key}"
            np.testing.assert_allclose(state.tensors[under], tensor.numpy(), rtol=1e-3, atol=1e-4)


@every_way
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_learns_from_two_inputs(loss: str, way: dict[str, str]) -> None:
    run = train(small(loss=loss, **way), wants_frame=always, wants_state=always)
    first, _, third = islice(run, 3)
    for snapshot in (first, third):
        assert math.isfinite(snapshot.loss)
        assert snapshot.halted is None
        assert snapshot.frame is not None
        assert np.isfinite(snapshot.frame.embeddings).all()
        assert snapshot.frame.metrics["loss"]["seen"] is not None
        assert snapshot.frame.metrics["map_at_r"]["seen"] is not None
    moved = {name for name, raw in bits(first.state).items() if raw != bits(third.state)[name]}
    assert first.state is not None
    weights = {name for name in first.state.tensors if name.startswith("network.") and name.endswith("weight")}
    assert weights <= moved, "both networks learn, in every layer"


@every_way
@pytest.mark.parametrize("loss", ["supcon", "softmax"])
def test_an_images_two_embeddings_stand_side_by_side_in_a_loss_on_classes(
    loss: str, way: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[tuple[Tensor, Tensor]] = []
    given: list[tuple[Tensor, Tensor]] = []
    of_classes = objective.of_classes

    def spying_encode(siamese: Siamese, images: Tensor) -> tuple[Tensor, Tensor]:
        encoded.append(encode_both(siamese, images))
        return encoded[-1]

    def spying_loss(experiment: Experiment, h: Tensor, labels: Tensor, parts: Any) -> objective.Objective:
        given.append((h, labels))
        return of_classes(experiment, h, labels, parts)

    monkeypatch.setattr(loop, "encode_both", spying_encode)
    monkeypatch.setattr(objective, "of_classes", spying_loss)
    steps_of(small(loss=loss, **way), 1)
    (h1, h2), (h, labels) = encoded[0], given[0]
    assert len(h) == 48
    assert torch.equal(h[0::2], h1)
    assert torch.equal(h[1::2], h2)
    assert not torch.equal(h1, h2)
    classes = labels[:: 2 * IMAGES_PER_CLASS]
    assert labels.tolist() == [int(c) for c in classes for _ in range(2 * IMAGES_PER_CLASS)]
    assert len(set(classes.tolist())) == 2


@every_way
def test_a_class_that_is_held_out_is_never_trained_on_and_scored_on_its_own(
    way: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = {image.numpy().tobytes() for image in TRAIN[~np.isin(DIGITS.train_labels, (3, 8))]}

    def spy(siamese: Siamese, images: Tensor) -> tuple[Tensor, Tensor]:
        assert {image.numpy().tobytes() for image in images} <= allowed
        return encode_both(siamese, images)

    monkeypatch.setattr(loop, "encode_both", spy)
    *_, last = train(small(held_out=(3, 8), **way), wants_frame=never)
    assert last.frame is not None
    for scores in last.frame.metrics.values():
        assert scores.keys() == {"seen", "held_out"}
        assert None not in scores.values()
    # Scores that count neighbours may be equal by chance, a mean over other pairs is not.
    assert last.frame.metrics["loss"]["seen"] != last.frame.metrics["loss"]["held_out"]


# One set of weights or two


def names_of(state: TrainingState | None) -> dict[str, set[str]]:
    """The tensors of the network, by their branch."""
    assert state is not None
    found: dict[str, set[str]] = defaultdict(set)
    for name in state.tensors:
        if name.startswith("network."):
            branch, _, rest = name.removeprefix("network.").partition(".")
            found[branch].add(rest)
    return found


def test_shared_weights_are_one_set_of_tensors_and_others_two() -> None:
    (one,), (shared,), (two,) = (steps_of(small(**way), 1) for way in ({}, WAYS["shared"], WAYS["not shared"]))
    assert names_of(shared.state) == names_of(one.state)
    assert set(names_of(one.state)) == {"encoder"}
    names = names_of(two.state)
    assert set(names) == {"first", "second"}
    assert names["first"] == names["second"] == {f"encoder.{name}" for name in names_of(one.state)["encoder"]}


@two_branches
def test_two_networks_start_with_different_weights_from_the_one_seed(way: dict[str, str]) -> None:
    state = steps_of(small(learning_rate=1e-5, **way), 1)[0].state
    assert state is not None
    first, second = built(small(**way), Generator().manual_seed(0))
    for branch, net in (("first", first), ("second", second)):
        for name, tensor in net.named_parameters():
            np.testing.assert_allclose(state.tensors[f"network.{branch}.{name}"], tensor.detach(), atol=1e-4)
    if small(**way).second_encoder == "same":
        assert not np.array_equal(*(state.tensors[f"network.{b}.encoder.1.weight"] for b in ("first", "second")))


def test_a_second_encoder_may_be_of_another_kind() -> None:
    names = names_of(steps_of(small(**WAYS["two kinds"]), 1)[0].state)
    (conv,), (mlp,) = (steps_of(small(encoder=encoder), 1) for encoder in ("conv", "mlp"))
    for branch, alone in (("first", conv), ("second", mlp)):
        assert names[branch] == {f"encoder.{name}" for name in names_of(alone.state)["encoder"]}


@every_way
@pytest.mark.parametrize("settings", [{}, {"sampling": "random_pairs"}, {"loss": "softmax"}], ids=str)
def test_a_run_goes_on_bit_for_bit(way: dict[str, str], settings: dict[str, str]) -> None:
    experiment = small(augment=("rotate",), **way, **settings)
    whole = steps_of(experiment, 4)
    resumed = steps_of(experiment, 2, whole[1].state)
    assert [bits(s.state) for s in resumed] == [bits(s.state) for s in whole[2:]]
    assert [s.loss for s in resumed] == [s.loss for s in whole[2:]]


@two_branches
def test_the_saved_file_holds_both_networks(way: dict[str, str], tmp_path: Path) -> None:
    *_, last = train(small(loss="softmax", **way), wants_frame=never)
    assert last.state is not None
    path = tmp_path / "networks.safetensors"
    save_model(path, model_of(small(loss="softmax", **way), last.state))
    saved = load_file(path)
    assert {name.split(".")[0] for name in saved} == {"first", "second", "head"}
    for branch, net in zip(("first", "second"), built(small(**way), Generator()), strict=True):
        assert {name for name in saved if name.startswith(branch)} == {f"{branch}.{name}" for name in net.state_dict()}
    for name, array in saved.items():
        key = name if name.startswith("head.") else f"network.{name}"
        np.testing.assert_array_equal(array, last.state.tensors[key])
