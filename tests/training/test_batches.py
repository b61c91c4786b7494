"""What a step draws is what the samplers draw, laid out as its kind says; and augmentation changes nothing but that."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from siamese_core.datasets import DATASETS
from siamese_core.experiment.experiment import IMAGES_PER_CLASS, Experiment
from siamese_core.experiment.snapshot import Snapshot
from siamese_core.losses import LOSSES
from siamese_core.networks import build
from siamese_core.networks.augment import AUGMENTATIONS, augmented
from siamese_core.training import loop
from siamese_core.training.batches import draw_batch
from siamese_core.training.loop import never, train
from siamese_core.training.sampling import ClassIndex, pk_batch, random_pairs, random_triplets
from siamese_core.training.siamese import encode_both
from tests.training.test_loop import always, bits

DIGITS = DATASETS["digits"].load()
LABELS = torch.tensor(DIGITS.train_labels)
INDEX = ClassIndex.of(LABELS, tuple(range(10)))
ALL = tuple(AUGMENTATIONS)


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def small(**settings: Any) -> Experiment:
    return Experiment(**{"dataset": "digits", "encoder": "mlp", "batch_size": 24, "steps": 5} | settings)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_batch_is_twelve_images_of_each_class_class_after_class_whatever_the_loss(loss: str) -> None:
    batch = draw_batch(small(loss=loss, batch_size=60), INDEX, seeded())
    assert batch.kind == "classes"
    assert batch.same is None
    classes = LABELS[batch.images].view(5, IMAGES_PER_CLASS)
    assert (classes == classes[:, :1]).all()
    assert len(classes[:, 0].unique()) == 5
    assert torch.equal(batch.images, pk_batch(INDEX, 60, IMAGES_PER_CLASS, seeded()))


@pytest.mark.parametrize("loss", [key for key, loss in LOSSES.items() if loss.input_kind != "triplet"])
def test_pairs_are_the_first_inputs_and_then_the_second_ones(loss: str) -> None:
    batch = draw_batch(small(loss=loss, sampling="random_pairs"), INDEX, seeded())
    first, second, same = random_pairs(INDEX, 12, seeded())
    assert batch.kind == "pairs"
    assert batch.same is not None
    assert torch.equal(batch.images, torch.cat([first, second]))
    assert torch.equal(batch.same, same)
    assert torch.equal(LABELS[batch.images[:12]] == LABELS[batch.images[12:]], same)


def test_triplets_are_the_anchors_the_positives_and_the_negatives() -> None:
    batch = draw_batch(small(loss="triplet", sampling="random_pairs"), INDEX, seeded())
    assert batch.kind == "triplets"
    assert torch.equal(batch.images, torch.cat(random_triplets(INDEX, 8, seeded())))
    anchor, positive, negative = LABELS[batch.images].view(3, 8)
    assert torch.equal(anchor, positive)
    assert (anchor != negative).all()


@pytest.mark.parametrize(
    "settings",
    [{}, {"sampling": "random_pairs"}, {"loss": "triplet", "sampling": "random_pairs"}],
    ids=["classes", "pairs", "triplets"],
)
def test_nothing_but_the_images_is_drawn(settings: dict[str, Any]) -> None:
    """What comes from the generator afterwards is what came before input transforms, miners and augmentations."""
    generator, alone = seeded(), seeded()
    draw_batch(small(**settings), INDEX, generator)
    if settings.get("loss"):
        random_triplets(INDEX, 8, alone)
    elif settings:
        random_pairs(INDEX, 12, alone)
    else:
        pk_batch(INDEX, 24, IMAGES_PER_CLASS, alone)
    assert torch.equal(generator.get_state(), alone.get_state())


# Augmented batches in a run


def run(**settings: Any) -> Iterator[Snapshot]:
    return train(small(**settings), wants_frame=never, wants_state=always)


@pytest.mark.parametrize("chosen", [*((key,) for key in ALL), ALL], ids=str)
def test_an_augmented_run_has_bits_of_its_own_and_the_same_ones_each_time(chosen: tuple[str, ...]) -> None:
    plain, once, again = (bits(list(islice(run(augment=keys), 2))[-1].state) for keys in ((), chosen, chosen))
    assert once == again
    assert once["network.encoder.1.weight"] != plain["network.encoder.1.weight"]


@pytest.mark.parametrize("settings", [{}, {"sampling": "random_pairs"}, {"loss": "supcon"}], ids=str)
def test_an_augmented_run_goes_on_bit_for_bit(settings: dict[str, Any]) -> None:
    whole = list(run(augment=ALL, **settings))
    resumed = list(train(small(augment=ALL, **settings), state=whole[1].state, wants_frame=never, wants_state=always))
    assert [bits(s.state) for s in resumed] == [bits(s.state) for s in whole[2:]]


def test_a_step_sees_its_images_augmented_by_what_its_generator_draws_next(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []

    def spy(siamese: Any, images: Tensor) -> tuple[Tensor, Tensor]:
        seen.append(images.clone())
        return encode_both(siamese, images)

    monkeypatch.setattr(loop, "encode_both", spy)
    first, *_ = run(augment=ALL)
    assert first.state is not None
    generator = seeded()
    generator.set_state(torch.tensor(first.state.tensors["generator"]))
    images = torch.tensor(DIGITS.train_images)
    for step in range(1, 5):
        chosen = images[pk_batch(INDEX, 24, IMAGES_PER_CLASS, generator)]
        expected = augmented(chosen, ALL, generator)
        assert torch.equal(seen[step], expected)
        assert not torch.equal(expected, chosen)


def test_images_that_are_only_looked_at_are_never_augmented() -> None:
    """A frame is the test images themselves, through the weights of its state."""
    *_, last = run(augment=ALL)
    assert last.state is not None
    assert last.frame is not None
    network = build.build("mlp", "linear", DATASETS["digits"].shape, 32, seeded())
    prefix = "network."
    weights = {name: torch.tensor(a) for name, a in last.state.tensors.items() if name.startswith(prefix)}
    network.load_state_dict({name.removeprefix(prefix): tensor for name, tensor in weights.items()})
    pixels = (torch.tensor(DIGITS.test_images) / 255 - DATASETS["digits"].mean) / DATASETS["digits"].std
    with torch.no_grad():
        expected = network.eval()(pixels).numpy()
    np.testing.assert_allclose(last.frame.embeddings, expected, atol=1e-4)
