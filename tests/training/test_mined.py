"""What a mined batch makes smaller: what naive loops find with the miner's triplets, and what a reader can count."""

from __future__ import annotations

from itertools import islice, product
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from siamese_core.experiment.experiment import Experiment
from siamese_core.losses import LOSSES
from siamese_core.losses.distances import MEASURES
from siamese_core.losses.mining import MINERS, mine
from siamese_core.training import objective
from siamese_core.training.batches import Batch
from siamese_core.training.loop import never, train
from siamese_core.training.objective import of_all_pairs, of_batch, of_mined
from tests.training.test_loop import always, bits, small

PER_CLASS = 3
LABELS = torch.arange(12) // PER_CLASS

MINABLE = [(key, measure) for key, loss in LOSSES.items() if not loss.on_classes for measure in loss.measures]
every_measure = pytest.mark.parametrize(("loss", "measure"), MINABLE)
every_miner = pytest.mark.parametrize("miner", MINERS)

HEAD = torch.tensor([[-0.5, -0.4, -0.6]], dtype=torch.float64), torch.ones(1, dtype=torch.float64)


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def parts_of(measure: str) -> tuple[Tensor, ...]:
    return HEAD if measure == "similarity_head" else ()


def embeddings(n: int = 12, seed: int = 0) -> Tensor:
    return torch.randn(n, 3, dtype=torch.float64, generator=seeded(seed))


def table(measure: str, h: Tensor) -> Tensor:
    """(B, B), one pair at a time."""
    between, parts = MEASURES[measure].between, parts_of(measure)
    return torch.stack([torch.stack([between(a[None], b[None], *parts)[0] for b in h]) for a in h])


def loss_of(experiment: Experiment, *inputs: Any) -> Tensor:
    return LOSSES[experiment.loss].fn(*(torch.as_tensor(x) for x in inputs), **experiment.params)


def mean(values: list[Tensor]) -> Tensor:
    return torch.stack(values).mean() if values else torch.zeros((), dtype=torch.float64)


def naive(experiment: Experiment, h: Tensor) -> tuple[Tensor, float]:
    """The mean over the mined triplets; or over the same pairs that they are made of, plus over the different ones."""
    d = table(experiment.measure, h)
    distances = 1 - d if MEASURES[experiment.measure].kind == "similarity" else d
    flipped = experiment.labels == "flipped"
    triplets = list(zip(*(t.tolist() for t in mine(experiment.miner, distances, LABELS, seeded())), strict=True))
    if LOSSES[experiment.loss].input_kind == "triplet":
        ends = [(d[a, n], d[a, p]) if flipped else (d[a, p], d[a, n]) for a, p, n in triplets]
        each = [loss_of(experiment, *sides) for sides in ends]
        return mean(each), sum(bool(x != 0) for x in each) / len(each)
    same = {frozenset((a, p)) for a, p, _ in triplets}
    different = {frozenset((a, n)) for a, _, n in triplets}
    sides = [
        [loss_of(experiment, d[min(pair), max(pair)], named != flipped) for pair in pairs]
        for named, pairs in ((True, same), (False, different))
    ]
    active = [bool(x != 0) for side in sides for x in side]
    return mean(sides[0]) + mean(sides[1]), sum(active) / len(active)


@every_miner
@every_measure
@pytest.mark.parametrize("labels", ["right", "flipped"])
def test_a_mined_batch_is_the_mean_of_what_its_miner_finds(miner: str, loss: str, measure: str, labels: str) -> None:
    experiment, h = Experiment(loss=loss, measure=measure, miner=miner, labels=labels), embeddings()
    found = of_mined(experiment, h, PER_CLASS, parts_of(measure), seeded())
    value, active = naive(experiment, h)
    torch.testing.assert_close(found.value, value)
    assert found.active == pytest.approx(active)


@every_measure
def test_all_chosen_as_a_miner_is_all_pairs_or_triplets(loss: str, measure: str) -> None:
    experiment, h, parts = Experiment(loss=loss, measure=measure), embeddings(), parts_of(measure)
    mined, every = of_mined(experiment, h, PER_CLASS, parts, seeded()), of_all_pairs(experiment, h, PER_CLASS, parts)
    torch.testing.assert_close(mined.value, every.value)
    assert mined.active == pytest.approx(float(every.active))


LINE = torch.tensor([[0.0], [0.25], [0.5], [2.0]])
"""Two classes with two images each."""


def test_the_hardest_triplets_on_a_line() -> None:
    """From 0: 0.25 and 0.5; from 0.25: 0.25 twice; from 0.5: 1.5 and 0.25; from 2: 1.5 and 1.75. All squared."""
    losses = [0.0625 - 0.25 + 1, 0.0625 - 0.0625 + 1, 2.25 - 0.0625 + 1, 2.25 - 3.0625 + 1]
    found = of_mined(Experiment(loss="triplet", miner="hardest"), LINE, 2, (), seeded())
    assert found.value == pytest.approx(sum(losses) / 4)
    assert found.active == 1


def test_a_pair_of_two_of_the_hardest_triplets_counts_once() -> None:
    """Same: 0.25 and 1.5 apart. Different: 0.5 (from 0), 0.25 (from 0.25 and from 0.5 alike), 1.75 (from 2)."""
    same, different = (0.25**2 / 2 + 1.5**2 / 2) / 2, (0.5**2 / 2 + 0.75**2 / 2 + 0) / 3
    found = of_mined(Experiment(miner="hardest"), LINE, 2, (), seeded())
    assert found.value == pytest.approx(same + different)
    assert found.active == pytest.approx(4 / 5)


@pytest.mark.parametrize("loss", ["contrastive", "triplet", "log"])
@pytest.mark.parametrize("per_class", [1, 4])
@every_miner
def test_where_a_miner_finds_nothing_the_loss_and_its_gradient_are_0(miner: str, per_class: int, loss: str) -> None:
    """Four images of four classes, or all of one."""
    h = embeddings(4).requires_grad_()
    experiment = Experiment(loss=loss, miner=miner)
    found = of_mined(experiment, h, per_class, parts_of(experiment.measure), seeded())
    found.value.backward()
    assert found.value == found.active == 0
    assert h.grad is not None
    assert (h.grad == 0).all()


def test_in_a_collapsed_batch_nothing_is_semi_hard() -> None:
    """No stranger is farther away than a classmate."""
    found = of_mined(Experiment(loss="triplet", miner="semi_hard"), torch.zeros(4, 1), 2, (), seeded())
    assert found.value == found.active == 0
    assert of_mined(Experiment(loss="triplet", miner="hardest"), torch.zeros(4, 1), 2, (), seeded()).active == 1


@every_miner
@pytest.mark.parametrize("loss", ["contrastive", "exponential", "triplet", "squared"])
@pytest.mark.parametrize("point", [0.0, 1.0])
def test_a_collapsed_batch_has_a_finite_gradient(miner: str, loss: str, point: float) -> None:
    h = torch.full((12, 3), point, dtype=torch.float64, requires_grad=True)
    experiment = Experiment(loss=loss, miner=miner)
    of_mined(experiment, h, PER_CLASS, parts_of(experiment.measure), seeded()).value.backward()
    assert h.grad is not None
    assert h.grad.isfinite().all()


@every_miner
def test_the_gradient_is_that_of_the_chosen_triplets_alone(miner: str) -> None:
    """Which ones are chosen is looked up, not learnt."""
    experiment = Experiment(loss="triplet", miner=miner)
    h, again = embeddings().requires_grad_(), embeddings().requires_grad_()
    of_mined(experiment, h, PER_CLASS, (), seeded()).value.backward()
    naive(experiment, again)[0].backward()
    assert h.grad is not None
    assert again.grad is not None
    torch.testing.assert_close(h.grad, again.grad)
    assert (h.grad != 0).any()


@every_miner
def test_only_the_random_miner_draws(miner: str) -> None:
    generator, before = seeded(), seeded().get_state()
    of_batch(Experiment(miner=miner), Batch("classes", torch.arange(12)), embeddings(), embeddings(), 3, (), generator)
    assert torch.equal(generator.get_state(), before) == (miner != "random")


# A mined run


@pytest.mark.parametrize(("loss", "miner"), list(product(["contrastive", "triplet", "log"], MINERS)))
def test_a_mined_run_goes_on_bit_for_bit_and_is_its_own(loss: str, miner: str) -> None:
    experiment = small(loss=loss, miner=miner, batch_size=36, steps=5)
    whole = list(islice(train(experiment, wants_frame=never, wants_state=always), 4))
    resumed = islice(train(experiment, state=whole[1].state, wants_frame=never, wants_state=always), 2)
    assert [bits(s.state) for s in resumed] == [bits(s.state) for s in whole[2:]]
    plain = list(islice(train(small(loss=loss, batch_size=36, steps=5), wants_frame=never, wants_state=always), 4))
    assert (bits(whole[-1].state) == bits(plain[-1].state)) == (miner == "all")


def test_all_as_a_miner_takes_the_way_that_a_run_without_one_took(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the bits of a run without a miner stay what they were."""

    def refused(*arguments: Any) -> Any:
        raise AssertionError("mined")

    monkeypatch.setattr(objective, "mine", refused)
    assert len(list(islice(train(small(miner="all")), 2))) == 2
    with pytest.raises(AssertionError, match="mined"):
        next(train(small(miner="hardest")))
