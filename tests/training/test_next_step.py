"""What is shown of the next step is what the run then really does, and the run does not notice that it was asked."""

from __future__ import annotations

from itertools import combinations, islice, product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from siamese_core.datasets import DATASETS
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.snapshot import TrainingState
from siamese_core.losses import LOSSES
from siamese_core.losses.mining import MINERS, mine
from siamese_core.networks import build
from siamese_core.networks.augment import AUGMENTATIONS
from siamese_core.networks.input_transforms import INPUT_TRANSFORMS
from siamese_core.training import loop
from siamese_core.training.batches import Batch, draw_batch
from siamese_core.training.loop import never, train
from siamese_core.training.next_step import SHOWN_TRIPLETS, next_step
from siamese_core.training.siamese import Siamese, encode_both
from tests.training.test_loop import always, bits

DIGITS = DATASETS["digits"].load()
ALL = tuple(AUGMENTATIONS)

BATCH: dict[str, Any] = {}
PAIRS: dict[str, Any] = {"sampling": "random_pairs"}
TRIPLETS: dict[str, Any] = {"sampling": "random_pairs", "loss": "triplet"}
kinds = pytest.mark.parametrize("kind", [BATCH, PAIRS, TRIPLETS], ids=["batch", "pairs", "triplets"])


def small(**settings: Any) -> Experiment:
    return Experiment(**{"dataset": "digits", "encoder": "mlp", "batch_size": 24, "steps": 50} | settings)


def state_after(steps: int, experiment: Experiment) -> TrainingState | None:
    """None before the first step."""
    snapshots = list(islice(train(experiment, wants_frame=never, wants_state=always), steps))
    return snapshots[-1].state if steps else None


def used(experiment: Experiment, steps: int, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Tensor, Tensor]]:
    """The indices that each step of a run draws, and the pixels that its network then meets."""
    indices: list[Tensor] = []
    pixels: list[Tensor] = []

    def spying_draw(*arguments: Any) -> Batch:
        found = draw_batch(*arguments)
        indices.append(found.images)
        return found

    def spying_encode(siamese: Siamese, images: Tensor) -> tuple[Tensor, Tensor]:
        pixels.append(images.clone())
        return encode_both(siamese, images)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "draw_batch", spying_draw)
        patch.setattr(loop, "encode_both", spying_encode)
        state_after(steps, experiment)
    return list(zip(indices, pixels, strict=True))


def assert_shown_is_used(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = used(experiment, 5, monkeypatch)
    for made, ahead in ((0, 0), (0, 2), (2, 0), (2, 1), (3, 1)):
        indices, pixels = steps[made + ahead]
        upcoming = next_step(experiment, state_after(made, experiment), ahead)
        np.testing.assert_array_equal(upcoming["pixels"], pixels.numpy())
        np.testing.assert_array_equal(upcoming["labels"], DIGITS.train_labels[indices])


@kinds
@pytest.mark.parametrize("augment", [(), ("rotate",), ALL], ids=str)
def test_the_images_shown_are_those_that_the_step_then_uses(
    kind: dict[str, Any], augment: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_shown_is_used(small(augment=augment, seed=3, **kind), monkeypatch)


@pytest.mark.parametrize("miner", MINERS)
def test_a_miner_that_draws_shifts_what_comes_after_it(miner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_shown_is_used(small(miner=miner, augment=("flip",)), monkeypatch)


@pytest.mark.parametrize("settings", [{"view": "noisy"}, {"shared": False}, {"train_per_class": 5}], ids=str)
def test_also_with_two_branches_or_with_images_that_repeat(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_shown_is_used(small(**settings), monkeypatch)


@kinds
def test_images_that_are_not_augmented_are_training_images(kind: dict[str, Any]) -> None:
    upcoming = next_step(small(train_per_class=5, **kind), None)
    known = {DIGITS.train_images[i].tobytes() for c in range(10) for i in np.flatnonzero(DIGITS.train_labels == c)[:5]}
    assert {image.tobytes() for image in upcoming["pixels"]} <= known
    assert upcoming["pixels"].dtype == np.uint8


@kinds
def test_neither_the_state_nor_the_run_that_goes_on_from_it_is_changed(kind: dict[str, Any]) -> None:
    experiment = small(augment=ALL, **kind)
    state = state_after(2, experiment)
    before = bits(state)
    untouched = next(train(experiment, state=state, wants_frame=never, wants_state=always))
    torch.manual_seed(1)
    global_state = torch.random.get_rng_state()
    first, second = (next_step(experiment, state, ahead=1) for _ in range(2))
    assert bits(state) == before
    assert torch.equal(torch.random.get_rng_state(), global_state)
    assert {name: array.tobytes() for name, array in first.items()} == {n: a.tobytes() for n, a in second.items()}
    again = next(train(experiment, state=state, wants_frame=never, wants_state=always))
    assert bits(again.state) == bits(untouched.state)


@pytest.mark.parametrize("input_transform", INPUT_TRANSFORMS)
def test_second_inputs_are_shown_where_they_look_different(input_transform: str) -> None:
    upcoming = next_step(small(view=input_transform, augment=("rotate",)), None)
    np.testing.assert_array_equal(
        upcoming["second"], INPUT_TRANSFORMS[input_transform].fn(torch.tensor(upcoming["pixels"])).numpy()
    )
    assert "second" not in next_step(small(shared=False), None)


# Which pairs meet


def pairs_in(upcoming: dict[str, np.ndarray]) -> list[tuple[int, int]]:
    assert (
        upcoming["same"].tolist() == (upcoming["labels"][upcoming["i"]] == upcoming["labels"][upcoming["j"]]).tolist()
    )
    return list(zip(upcoming["i"].tolist(), upcoming["j"].tolist(), strict=True))


def test_of_a_batch_every_pair_meets_once() -> None:
    assert pairs_in(next_step(small(), None)) == list(combinations(range(24), 2))


@pytest.mark.parametrize("settings", [{"view": "edges"}, {"shared": False}], ids=str)
def test_with_two_branches_every_first_input_meets_every_second_one(settings: dict[str, Any]) -> None:
    assert pairs_in(next_step(small(**settings), None)) == list(product(range(24), repeat=2))


def test_random_pairs_and_triplets_meet_as_they_are_drawn() -> None:
    assert pairs_in(next_step(small(**PAIRS), None)) == [(n, n + 12) for n in range(12)]
    upcoming = next_step(small(**TRIPLETS), None)
    assert pairs_in(upcoming) == [(n, n + 8) for n in range(8)] + [(n, n + 16) for n in range(8)]
    assert upcoming["same"].tolist() == [1] * 8 + [0] * 8


# How the network sees them


def by_hand(experiment: Experiment, state: TrainingState | None, pixels: np.ndarray) -> Tensor:
    """(B, D) of a network with one branch, put together from its state."""
    assert state is not None
    data = experiment.data
    network = build.build("mlp", "linear", data.shape, experiment.embedding_dim, Generator())
    prefix = "network."
    weights = {n.removeprefix(prefix): torch.tensor(a) for n, a in state.tensors.items() if n.startswith(prefix)}
    network.load_state_dict(weights)
    with torch.no_grad():
        found: Tensor = network.eval()((torch.tensor(pixels) / 255 - data.mean) / data.std)
    return found


@kinds
def test_without_a_state_nothing_is_shown_of_distances(kind: dict[str, Any]) -> None:
    assert not {"d", "loss", "easy"} & set(next_step(small(**kind), None))


def test_without_a_state_a_batch_has_the_triplets_that_need_no_distance() -> None:
    upcoming = next_step(small(), None)
    found = dict(zip(MINERS, upcoming["counts"].tolist(), strict=True))
    # Two classes of twelve images: each has eleven classmates and twelve strangers.
    assert found == {"all": 24 * 11 * 12, "semi_hard": -1, "hardest": -1, "random": 24 * 11}
    for anchor, positive, negative in upcoming["triplets"][list(MINERS).index("all")].T:
        assert upcoming["labels"][anchor] == upcoming["labels"][positive] != upcoming["labels"][negative]
        assert anchor != positive


def test_drawn_triplets_are_shown_as_they_are() -> None:
    upcoming = next_step(small(**TRIPLETS), None)
    anchor, positive, negative = upcoming["labels"][upcoming["drawn"]]
    assert (anchor == positive).all()
    assert (anchor != negative).all()


@kinds
def test_of_a_large_batch_a_part_is_shown(kind: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = small(**kind, batch_size=120)
    whole = next_step(experiment, None)
    monkeypatch.setattr("siamese_core.training.next_step.SHOWN_IMAGES", 24)
    part = next_step(experiment, None)
    assert len(part["pixels"]) == len(part["labels"]) == 24
    assert part["total"] == len(whole["pixels"]) == 120
    roles = {"batch": 1, "pairs": 2, "triplets": 3}[id_of(kind)]
    firsts = [np.split(whole["pixels"], roles)[role][: 24 // roles] for role in range(roles)]
    np.testing.assert_array_equal(part["pixels"], np.concatenate(firsts))


def id_of(kind: dict[str, Any]) -> str:
    return "triplets" if "loss" in kind else "pairs" if kind else "batch"


def test_the_step_of_the_state_is_shown() -> None:
    assert next_step(small(), None)["step"] == 0
    assert next_step(small(), state_after(3, small()), 5)["step"] == 3


def test_what_the_optimiser_remembers_is_not_needed() -> None:
    state = state_after(3, small())
    assert state is not None
    bare = TrainingState(
        state.step, {name: t for name, t in state.tensors.items() if not name.startswith("optimiser.")}
    )
    whole, upcoming = next_step(small(), state), next_step(small(), bare)
    assert all(np.array_equal(whole[name], upcoming[name]) for name in whole)


@pytest.mark.parametrize("labels", ["right", "flipped"])
@pytest.mark.parametrize("kind", [BATCH, PAIRS], ids=["batch", "pairs"])
def test_a_pair_has_its_distance_and_its_loss_as_the_run_counts_it(kind: dict[str, Any], labels: str) -> None:
    experiment = small(labels=labels, params={"margin": 0.1}, **kind)
    state = state_after(40, small(**kind))
    upcoming = next_step(experiment, state)
    h = by_hand(experiment, state, upcoming["pixels"])
    d = (h[upcoming["i"]] - h[upcoming["j"]]).norm(dim=1).numpy()
    pulled = upcoming["same"].astype(bool) == (labels == "right")
    loss = np.where(pulled, d**2 / 2, np.maximum(0.1 - d, 0) ** 2 / 2)
    np.testing.assert_allclose(upcoming["d"], d, atol=1e-5)
    np.testing.assert_allclose(upcoming["loss"], loss, atol=1e-5)
    assert upcoming["easy"] == pytest.approx([(loss == 0).mean()])
    assert 0 < upcoming["easy"][0] < 1


@pytest.mark.parametrize("labels", ["right", "flipped"])
def test_of_triplets_the_share_is_shown_whose_loss_is_zero(labels: str) -> None:
    experiment = small(labels=labels, **TRIPLETS)
    state = state_after(40, small(**TRIPLETS))
    upcoming = next_step(experiment, state)
    h = by_hand(experiment, state, upcoming["pixels"])
    anchor, positive, negative = h.view(3, 8, -1)
    near, far = ((anchor - other).square().sum(1).numpy() for other in (positive, negative))
    np.testing.assert_allclose(upcoming["d"], np.concatenate([near, far]), rtol=1e-4)
    assert "loss" not in upcoming
    missing = near - far + 1 if labels == "right" else far - near + 1
    assert upcoming["easy"] == pytest.approx([(missing <= 0).mean()])


@pytest.mark.parametrize(("shared", "positives"), [(True, 11), (False, 12)])
def test_of_a_batch_of_triplets_every_one_counts(shared: bool, positives: int) -> None:
    """With two branches an image's own second form is one of its positives, as in training."""
    experiment = small(loss="triplet", shared=shared, params={"margin": 3.0})
    upcoming = next_step(experiment, state_after(40, small(loss="triplet", shared=shared)))
    d = np.full((24, 24), np.nan)
    d[upcoming["i"], upcoming["j"]] = upcoming["d"]
    if shared:
        d[upcoming["j"], upcoming["i"]] = upcoming["d"]
    easy = [
        d[a, p] - d[a, n] + 3 <= 0
        for a, p, n in product(range(24), repeat=3)
        if a // 12 == p // 12 != n // 12 and (a != p or not shared)
    ]
    assert len(easy) == 24 * positives * 12
    assert upcoming["easy"] == pytest.approx([np.mean(easy)], abs=1e-3)
    assert 0 < upcoming["easy"][0] < 1


@pytest.mark.parametrize("loss", LOSSES)
def test_a_pair_has_a_loss_where_the_loss_knows_pairs(loss: str) -> None:
    experiment = small(loss=loss)
    upcoming = next_step(experiment, state_after(1, experiment))
    input_kind = LOSSES[loss].input_kind
    assert ("loss" in upcoming) == (input_kind in ("distance", "similarity"))
    assert ("easy" in upcoming) == (input_kind not in ("logits", "batch"))
    assert upcoming["d"].shape == upcoming["i"].shape == (276,)
    assert np.isfinite(upcoming["d"]).all()


@pytest.mark.parametrize("miner", MINERS)
def test_what_is_easy_does_not_hang_on_the_miner(miner: str) -> None:
    """The share is of all pairs: those that a miner leaves in are seldom easy."""
    state = state_after(40, small())
    plain, mined = (next_step(small(params={"margin": 0.1}, miner=key), state)["easy"] for key in ("all", miner))
    assert 0 < plain == mined < 1


# What the miners find in it


@pytest.mark.parametrize("loss", ["contrastive", "triplet", "squared", "softmax", "supcon"])
def test_each_miner_tells_how_many_triplets_it_finds_and_some_of_them(loss: str) -> None:
    experiment = small(loss=loss)
    upcoming = next_step(experiment, state_after(2, experiment))
    square = torch.zeros(24, 24)
    d = torch.tensor(upcoming["d"])
    square[upcoming["i"], upcoming["j"]] = square[upcoming["j"], upcoming["i"]] = 1 - d if loss == "squared" else d
    square.fill_diagonal_(0)
    assert upcoming["triplets"].shape == (len(MINERS), 3, SHOWN_TRIPLETS)
    for number, key in enumerate(MINERS):
        found = torch.stack(mine(key, square, torch.tensor(upcoming["labels"]), Generator().manual_seed(0))).T.tolist()
        assert upcoming["counts"][number] == len(found)
        shown = [t for t in upcoming["triplets"][number].T.tolist() if t != [-1, -1, -1]]
        assert len(shown) == min(len(found), SHOWN_TRIPLETS)
        assert len({tuple(t) for t in shown}) == len(shown)
        assert all(t in found for t in shown)
    counts = dict(zip(MINERS, upcoming["counts"].tolist(), strict=True))
    assert counts["all"] == 24 * 11 * 12
    assert counts["hardest"] == 24
    assert counts["random"] == 24 * 11


@pytest.mark.parametrize("kind", [PAIRS, TRIPLETS], ids=["pairs", "triplets"])
def test_miners_look_at_batches_only(kind: dict[str, Any]) -> None:
    upcoming = next_step(small(**kind), state_after(1, small(**kind)))
    assert not {"counts", "triplets"} & set(upcoming)
