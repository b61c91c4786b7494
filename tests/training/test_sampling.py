"""Draws are what they say: so many of each class, never an image with itself, and the same ones for the same seed."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from siamese_core.training.sampling import ClassIndex, all_pairs, pk_batch, random_pairs, random_triplets, sampled_pairs

LABELS = torch.tensor([2, 0, 1, 0, 2, 2, 0, 1, 2, 0, 1, 2, 0, 2, 1, 0, 2, 2])
"""Classes 0, 1 and 2 with 6, 4 and 8 images, mixed."""

ALL = ClassIndex.of(LABELS, (0, 1, 2))


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def counts(values: Tensor, n: int) -> list[int]:
    return torch.bincount(values, minlength=n).tolist()


def test_a_class_index_has_every_image_of_its_classes_once() -> None:
    assert sorted(ALL.images.tolist()) == list(range(18))
    assert ALL.counts.tolist() == [6, 4, 8]
    for c, (start, count) in enumerate(zip(ALL.starts, ALL.counts, strict=True)):
        assert set(LABELS[ALL.images[start : start + count]].tolist()) == {c}


def test_a_class_without_images_is_left_out() -> None:
    assert len(ClassIndex.of(LABELS, (0, 7, 2))) == 2
    assert len(ClassIndex.of(LABELS, (7,))) == 0


@pytest.mark.parametrize(("batch_size", "per_class", "p"), [(12, 4, 3), (8, 4, 2), (7, 2, 3), (5, 2, 2), (100, 3, 3)])
def test_a_pk_batch_holds_k_different_images_of_each_of_p_classes(batch_size: int, per_class: int, p: int) -> None:
    generator = seeded()
    for _ in range(50):
        batch = pk_batch(ALL, batch_size, per_class, generator)
        blocks = LABELS[batch].view(p, per_class)
        assert (blocks == blocks[:, :1]).all(), "class after class"
        assert len(set(blocks[:, 0].tolist())) == p
        assert len(set(batch.tolist())) == len(batch), "no image twice"


def test_a_class_that_is_too_small_repeats_images_and_the_others_do_not() -> None:
    generator = seeded()
    for _ in range(20):
        batch = pk_batch(ALL, 18, 6, generator)
        images = [set(batch[LABELS[batch] == c].tolist()) for c in range(3)]
        assert counts(LABELS[batch], 3) == [6, 6, 6]
        assert [len(i) for i in images][0::2] == [6, 6]
        assert 1 <= len(images[1]) <= 4


def test_a_pk_batch_draws_every_class_and_every_image_of_it_equally_often() -> None:
    generator = seeded()
    drawn = torch.cat([pk_batch(ALL, 6, 3, generator) for _ in range(3_000)])
    by_class = torch.bincount(LABELS[drawn], minlength=3) / len(drawn)
    torch.testing.assert_close(by_class, torch.full((3,), 1 / 3), atol=0.02, rtol=0)
    by_image = torch.bincount(drawn, minlength=18) / len(drawn)
    expected = 1 / 3 / ALL.counts[LABELS]
    torch.testing.assert_close(by_image, expected, atol=0.01, rtol=0)


def test_within_a_class_of_a_pk_batch_every_order_is_equally_likely() -> None:
    """Rows that repeat an image are drawn again: that must favour no arrangement."""
    index = ClassIndex.of(torch.zeros(3, dtype=torch.int64), (0,))
    generator = seeded()
    orders = [tuple(pk_batch(index, 3, 3, generator).tolist()) for _ in range(3_000)]
    shares = [orders.count(order) / len(orders) for order in sorted(set(orders))]
    assert len(shares) == 6
    assert shares == pytest.approx([1 / 6] * 6, abs=0.03)


@pytest.mark.parametrize(("pairs", "n_same"), [(60, 30), (61, 30), (2, 1), (1, 0)])
def test_random_pairs_are_half_same_half_different(pairs: int, n_same: int) -> None:
    first, second, same = random_pairs(ALL, pairs, seeded())
    assert len(first) == len(second) == len(same) == pairs
    assert torch.equal(LABELS[first] == LABELS[second], same)
    assert same.sum() == n_same


def test_no_image_is_paired_with_itself() -> None:
    first, second, _ = random_pairs(ALL, 5_000, seeded())
    assert (first != second).all()


def test_an_image_that_is_alone_in_its_class_makes_a_same_pair_with_itself() -> None:
    index = ClassIndex.of(torch.tensor([0, 1, 1]), (0, 1))
    first, second, same = random_pairs(index, 200, seeded())
    alone = same & (first == 0)
    assert alone.any()
    assert torch.equal(first == second, alone)


def test_random_pairs_draw_classes_and_partners_equally_often() -> None:
    first, second, same = random_pairs(ALL, 30_000, seeded())
    for images in (first, second):
        for side in (same, ~same):
            shares = torch.bincount(LABELS[images[side]], minlength=3) / side.sum()
            torch.testing.assert_close(shares, torch.full((3,), 1 / 3), atol=0.02, rtol=0)
    partners = second[same & (first == 1)]
    assert set(partners.tolist()) == {3, 6, 9, 12, 15}
    torch.testing.assert_close(
        torch.bincount(partners)[[3, 6, 9, 12, 15]] / len(partners), torch.full((5,), 0.2), atol=0.05, rtol=0
    )


def test_a_triplet_is_an_anchor_another_image_of_its_class_and_one_of_another_class() -> None:
    anchor, positive, negative = random_triplets(ALL, 5_000, seeded())
    assert torch.equal(LABELS[anchor], LABELS[positive])
    assert (anchor != positive).all()
    assert (LABELS[anchor] != LABELS[negative]).all()
    assert set(anchor.tolist()) == set(positive.tolist()) == set(negative.tolist()) == set(range(18))


DRAWS = {
    "pk_batch": lambda index, g: pk_batch(index, 12, 4, g),
    "random_pairs": lambda index, g: torch.stack(random_pairs(index, 40, g)[:2]),
    "random_triplets": lambda index, g: torch.stack(random_triplets(index, 40, g)),
}

every_draw = pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)


@every_draw
def test_the_state_of_the_generator_decides_the_draw_and_nothing_else_does(draw) -> None:  # type: ignore[no-untyped-def]
    one, two = seeded(1), seeded(2)
    two.set_state(one.get_state())
    before = torch.random.get_rng_state()
    first, second = draw(ALL, one), draw(ALL, one)
    assert torch.equal(draw(ALL, two), first)
    assert not torch.equal(second, first)
    assert torch.equal(torch.random.get_rng_state(), before)


@every_draw
def test_a_class_that_is_held_out_is_never_drawn(draw) -> None:  # type: ignore[no-untyped-def]
    index = ClassIndex.of(LABELS, (0, 2))
    generator = seeded()
    drawn = torch.cat([draw(index, generator).flatten() for _ in range(100)])
    assert set(LABELS[drawn].tolist()) == {0, 2}


def test_all_pairs_are_every_two_places_once() -> None:
    i, j, same = all_pairs(torch.tensor([0, 1, 0]))
    assert list(zip(i.tolist(), j.tolist(), same.tolist(), strict=True)) == [(0, 1, False), (0, 2, True), (1, 2, False)]


@pytest.mark.parametrize("with_itself", [False, True])
def test_a_sample_holds_every_pair_of_a_kind_as_often_as_any_other(with_itself: bool) -> None:
    """Classes of 2, 3 and 7 images, and one of a single image, which is a same pair only with itself."""
    labels = torch.tensor([0] * 2 + [1] * 3 + [2] * 7 + [3])
    index = ClassIndex.of(labels, (0, 1, 2, 3))
    n, drawn = len(labels), 200_000
    first, second, same = sampled_pairs(index, drawn, seeded(), with_itself=with_itself)
    assert torch.equal(same, labels[first] == labels[second])
    assert int(same.sum()) == drawn // 2
    times = torch.zeros(n, n).index_put_((first, second), torch.ones(drawn), accumulate=True)
    is_pair = torch.ones(n, n, dtype=torch.bool) if with_itself else ~torch.eye(n, dtype=torch.bool)
    alike = labels[:, None] == labels
    assert (times[~is_pair] == 0).all()
    for kind in (alike & is_pair, ~alike):
        expected = drawn / 2 / int(kind.sum())
        assert ((times[kind] - expected).abs() < 6 * expected**0.5).all()
