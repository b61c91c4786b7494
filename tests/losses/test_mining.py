"""A miner finds what naive loops find, and what a reader can count on a line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from torch import Generator, Tensor

from siamese_core.losses.mining import MINERS, mine, pairs_of

# Points on a line: class 0 at 0, 1 and 5, class 1 at 2 and 9.
LINE, CLASSES = [0.0, 1.0, 5.0, 2.0, 9.0], [0, 0, 0, 1, 1]

every_miner = pytest.mark.parametrize("miner", MINERS)


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def on_a_line(points: list[float]) -> Tensor:
    x = torch.tensor(points)
    return (x[:, None] - x).abs()


def mined(miner: str, points: list[float], labels: list[int], seed: int = 0) -> list[tuple[int, int, int]]:
    found = mine(miner, on_a_line(points), torch.tensor(labels), seeded(seed))
    return list(zip(*(part.tolist() for part in found), strict=True))


def naive_pairs(labels: list[int]) -> Iterator[tuple[int, int, list[int]]]:
    """Every anchor with every positive, and the negatives they have."""
    for a in range(len(labels)):
        for p in range(len(labels)):
            if a != p and labels[a] == labels[p]:
                yield a, p, [n for n in range(len(labels)) if labels[n] != labels[a]]


def naive(miner: str, points: list[float], labels: list[int]) -> list[tuple[int, int, int]]:
    def d(i: int, j: int) -> float:
        return abs(points[i] - points[j])

    found = []
    for a, p, negatives in naive_pairs(labels):
        if miner == "all":
            found += [(a, p, n) for n in negatives]
        elif miner == "semi_hard":
            farther = [n for n in negatives if d(a, n) > d(a, p)]
            found += [(a, p, min(farther, key=lambda n: d(a, n)))] if farther else []
        elif negatives:
            others = [q for q in range(len(labels)) if q != a and labels[q] == labels[a]]
            # min and max take the first of equals, as the miners do.
            if p == max(others, key=lambda q: d(a, q)):
                found.append((a, p, min(negatives, key=lambda n: d(a, n))))
    return found


def test_there_are_four_miners_known_by_their_keys_and_explained() -> None:
    assert list(MINERS) == ["all", "semi_hard", "hardest", "random"]
    for miner in MINERS.values():
        assert miner.title
        assert miner.help.endswith(".")


def test_all_on_a_line() -> None:
    """Six ordered pairs of class 0 with two negatives each, two of class 1 with three."""
    assert len(mined("all", LINE, CLASSES)) == 6 * 2 + 2 * 3


def test_the_hardest_on_a_line() -> None:
    """From 0 the farthest classmate is at 5 and the nearest stranger at 2, and so on."""
    assert mined("hardest", LINE, CLASSES) == [(0, 2, 3), (1, 2, 3), (2, 0, 3), (3, 4, 1), (4, 3, 2)]


def test_semi_hard_on_a_line() -> None:
    """From 0 with its classmate at 5 it is the stranger at 9; the one at 2 is too near. From 2 with 9 none is left."""
    found = mined("semi_hard", LINE, CLASSES)
    assert found == [(0, 1, 3), (0, 2, 4), (1, 0, 4), (1, 2, 4), (4, 3, 1)]


@pytest.mark.parametrize("miner", ["all", "semi_hard", "hardest"])
@pytest.mark.parametrize("seed", range(20))
def test_a_miner_finds_what_naive_loops_find(miner: str, seed: int) -> None:
    """Whole numbers from 0 to 7 give many ties; some classes have one image."""
    generator = seeded(seed)
    points = torch.randint(8, (14,), generator=generator).double().tolist()
    labels = torch.randint(5, (14,), generator=generator).tolist()
    assert mined(miner, points, labels) == naive(miner, points, labels)


def test_of_equals_the_lower_index_is_taken() -> None:
    points, labels = [0.0, 3.0, -3.0, 4.0, -4.0, 4.0], [0, 0, 0, 1, 1, 1]
    assert mined("hardest", points, labels)[0] == (0, 1, 3)
    assert mined("semi_hard", points, labels)[:2] == [(0, 1, 3), (0, 2, 3)]


def test_a_stranger_as_far_as_the_classmate_is_not_semi_hard() -> None:
    assert mined("semi_hard", [0.0, 2.0, -2.0], [0, 0, 1]) == [(1, 0, 2)]


def test_random_takes_each_pair_of_classmates_once_with_any_of_its_strangers() -> None:
    drawn = [mined("random", LINE, CLASSES, seed) for seed in range(300)]
    pairs = [(a, p) for a, p, _ in naive_pairs(CLASSES)]
    assert all([(a, p) for a, p, _ in triplets] == pairs for triplets in drawn)
    for place, (_, _, negatives) in enumerate(naive_pairs(CLASSES)):
        chosen = [triplets[place][2] for triplets in drawn]
        shares = {n: chosen.count(n) / len(drawn) for n in sorted(set(chosen))}
        assert shares == pytest.approx({n: 1 / len(negatives) for n in negatives}, abs=0.1)


def test_random_is_the_same_for_the_same_seed_and_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    assert mined("random", LINE, CLASSES, 1) == mined("random", LINE, CLASSES, 1)
    assert mined("random", LINE, CLASSES, 1) != mined("random", LINE, CLASSES, 2)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("miner", ["all", "semi_hard", "hardest"])
def test_the_other_miners_draw_nothing(miner: str) -> None:
    generator = seeded()
    before = generator.get_state()
    mine(miner, on_a_line(LINE), torch.tensor(CLASSES), generator)
    assert torch.equal(generator.get_state(), before)


@every_miner
@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2], [], [4]], ids=["one class", "no pair", "nothing", "one"])
def test_a_batch_without_triplets_gives_none(miner: str, labels: list[int]) -> None:
    parts = mine(miner, on_a_line([float(i) for i in range(len(labels))]), torch.tensor(labels), seeded())
    assert [part.shape for part in parts] == [(0,)] * 3
    assert all(part.dtype == torch.int64 for part in (*parts, *pairs_of(*parts)[:2]))
    assert [part.shape for part in pairs_of(*parts)] == [(0,)] * 3


@every_miner
@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_network_that_diverged_still_gets_triplets_of_the_right_classes(miner: str, broken: float) -> None:
    labels = torch.tensor(CLASSES)
    anchor, positive, negative = mine(miner, torch.full((5, 5), broken), labels, seeded())
    assert (anchor != positive).all()
    assert (labels[anchor] == labels[positive]).all()
    assert (labels[anchor] != labels[negative]).all()


@every_miner
def test_mining_takes_no_gradient_and_leaves_the_distances_as_they_are(miner: str) -> None:
    d = on_a_line(LINE).requires_grad_()
    mine(miner, d, torch.tensor(CLASSES), seeded())
    assert torch.equal(d.detach(), on_a_line(LINE))


def test_the_pairs_of_triplets_are_counted_once_whatever_their_direction() -> None:
    anchor, positive, negative = torch.tensor([[0, 1, 0], [1, 0, 1], [4, 4, 3]])
    first, second, same = pairs_of(anchor, positive, negative)
    assert first.tolist() == [0, 0, 0, 1]
    assert second.tolist() == [1, 3, 4, 4]
    assert same.tolist() == [True, False, False, False]


@pytest.mark.parametrize("seed", range(5))
def test_the_pairs_of_all_triplets_are_those_that_loops_collect(seed: int) -> None:
    labels = torch.randint(3, (9,), generator=seeded(seed))
    triplets = mine("all", torch.zeros(9, 9), labels, seeded())
    expected = set()
    for a, p, n in zip(*(part.tolist() for part in triplets), strict=True):
        expected |= {(min(a, p), max(a, p), True), (min(a, n), max(a, n), False)}
    found = list(zip(*(part.tolist() for part in pairs_of(*triplets)), strict=True))
    assert found == sorted(expected)


def test_a_bad_argument_is_named_with_what_it_may_be() -> None:
    with pytest.raises(ValueError, match="miner is 'hard'; it may be all, semi_hard, hardest, random"):
        mine("hard", on_a_line(LINE), torch.tensor(CLASSES), seeded())
    with pytest.raises(ValueError, match=r"d is \(5, 5\) for 4 labels; it must be \(4, 4\)"):
        mine("all", on_a_line(LINE), torch.tensor(CLASSES[:4]), seeded())


def test_listing_the_miners_does_not_import_torch() -> None:
    code = "import sys, siamese_core.losses.mining as m; m.MINERS; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
