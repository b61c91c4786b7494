"""The images of a step: index tensors drawn from the run's generator, always on the CPU.

Drawn on the CPU, the same seed draws the same batches on every device.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor


@dataclass(frozen=True)
class ClassIndex:
    """Where the images of each class are: `images` (N,) sorted by class, `starts` (C,) and `counts` (C,) into it."""

    images: Tensor
    starts: Tensor
    counts: Tensor

    @classmethod
    def of(cls, labels: Tensor, classes: tuple[int, ...], per_class: int | None = None) -> ClassIndex:
        """Return the images of `classes`, those without any left out; at most the first `per_class` of each.

        `labels` is (N,) int64.
        """
        groups = [torch.nonzero(labels == c).flatten()[:per_class] for c in classes]
        groups = [group for group in groups if len(group)]
        counts = torch.tensor([len(group) for group in groups])
        images = torch.cat(groups) if groups else torch.zeros(0, dtype=torch.int64)
        return cls(images, counts.cumsum(0) - counts, counts)

    def __len__(self) -> int:
        return len(self.counts)


def pk_batch(index: ClassIndex, batch_size: int, per_class: int, generator: Generator) -> Tensor:
    """Draw (P·K,) image indices, class by class: K different images of P = min(classes, batch_size // K) classes.

    A class with fewer than K images repeats some.
    """
    p = min(len(index), batch_size // per_class)
    chosen = torch.randperm(len(index), generator=generator)[:p].sort().values
    counts = index.counts[chosen]
    indices = _below(counts[:, None].expand(p, per_class), generator)
    ordered = indices.sort(dim=1).values
    # Drawing with repetition and shuffling only the rows that repeat is uniform, and far cheaper than shuffling all.
    repeats = (ordered[:, 1:] == ordered[:, :-1]).any(dim=1)
    for row in repeats.nonzero().flatten().tolist():
        if counts[row] >= per_class:
            indices[row] = torch.randperm(int(counts[row]), generator=generator)[:per_class]
    return index.images[index.starts[chosen][:, None] + indices].flatten()


def random_pairs(index: ClassIndex, pairs: int, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Draw (P,), (P,) image indices and (P,) bool `same`: the first half same, the second half different.

    An image is never paired with itself, unless it is the only one of its class.
    """
    same = torch.arange(pairs) < pairs // 2
    c1, c2 = _two_classes(index, pairs, generator)
    first = _below(index.counts[c1], generator)
    second = torch.where(same, _another(first, index.counts[c1], generator), _below(index.counts[c2], generator))
    c2 = torch.where(same, c1, c2)
    return index.images[index.starts[c1] + first], index.images[index.starts[c2] + second], same


def sampled_pairs(
    index: ClassIndex, pairs: int, generator: Generator, *, with_itself: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw (P,), (P,) image indices and (P,) bool `same`, half of each kind, all pairs of a kind equally likely.

    With `random_pairs` it is every class that is. With `with_itself` an image may meet itself, as in two branches.
    """
    same = torch.arange(pairs) < pairs // 2
    n, total = index.counts.double(), int(index.counts.sum())
    c_same = torch.multinomial(n * n if with_itself else n * (n - 1), pairs // 2, True, generator=generator)
    c_other = torch.multinomial(n * (total - n), pairs - pairs // 2, True, generator=generator)
    c1 = torch.cat([c_same, c_other])
    counts, starts = index.counts[c1], index.starts[c1]
    first = _below(counts, generator)
    mate = _below(counts, generator) if with_itself else _another(first, counts, generator)
    # An index into the images of all other classes, which stand before and behind those of this one.
    stranger = _below(total - counts, generator)
    stranger = torch.where(stranger < starts, stranger, stranger + counts)
    return index.images[starts + first], index.images[torch.where(same, starts + mate, stranger)], same


def random_triplets(index: ClassIndex, triplets: int, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Draw (T,), (T,), (T,) image indices of anchors, positives and negatives."""
    c1, c2 = _two_classes(index, triplets, generator)
    anchor = _below(index.counts[c1], generator)
    positive = _another(anchor, index.counts[c1], generator)
    negative = _below(index.counts[c2], generator)
    start1, start2 = index.starts[c1], index.starts[c2]
    return index.images[start1 + anchor], index.images[start1 + positive], index.images[start2 + negative]


def _two_classes(index: ClassIndex, n: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """(n,) classes and (n,) others, never the same one twice in a row of two."""
    c1 = torch.randint(len(index), (n,), generator=generator)
    shift = torch.randint(1, len(index), (n,), generator=generator)
    return c1, (c1 + shift) % len(index)


def _below(counts: Tensor, generator: Generator) -> Tensor:
    """One whole number in [0, count) for each count."""
    # In float64 the product stays below the count; in float32 it can round up to it.
    return (torch.rand(counts.shape, generator=generator, dtype=torch.float64) * counts).long()


def _another(indices: Tensor, counts: Tensor, generator: Generator) -> Tensor:
    """An index into each class that is not the given one; the same one where the class has no other."""
    shift = _below((counts - 1).clamp(min=1), generator) + 1
    return (indices + shift) % counts


def all_pairs(labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return (P,), (P,) indices i < j in a batch and (P,) bool `same`, for labels (B,)."""
    i, j = torch.triu_indices(len(labels), len(labels), offset=1).to(labels.device)
    return i, j, labels[i] == labels[j]
