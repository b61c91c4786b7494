"""Losses on a whole batch are those of their papers: against loops that a reader can check, on a small batch."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from siamese_core.losses import LOSSES, SOURCES, Loss

BATCH = {key: loss for key, loss in LOSSES.items() if loss.input_kind == "batch"}
every_batch_loss = pytest.mark.parametrize("loss", BATCH.values(), ids=BATCH)

LABELS = torch.tensor([0, 1, 2, 0, 1, 2])
PROXIES = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(9))


def defaults(loss: Loss) -> dict[str, float]:
    return {param.name: param.default for param in loss.params}


def parts(loss: Loss) -> tuple[Tensor, ...]:
    return (PROXIES,) if loss.key == "proxy_anchor" else ()


def value(loss: Loss, h: Tensor, labels: Tensor = LABELS, **params: float) -> Tensor:
    return loss.fn(h, labels, *(part.to(h.dtype) for part in parts(loss)), **(defaults(loss) | params))


def embeddings(seed: int = 0, n: int = 6) -> Tensor:
    return torch.randn(n, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def cosine(a: Tensor, b: Tensor) -> float:
    return float(a @ b / a.norm() / b.norm())


def others(i: int, *, same: bool) -> list[int]:
    return [j for j in range(len(LABELS)) if j != i and bool(LABELS[i] == LABELS[j]) == same]


def nt_xent(h: Tensor, *, temperature: float) -> float:
    terms = []
    for a in range(len(h)):
        for p in others(a, same=True):
            up = math.exp(cosine(h[a], h[p]) / temperature)
            down = sum(math.exp(cosine(h[a], h[n]) / temperature) for n in others(a, same=False))
            terms.append(-math.log(up / (up + down)))
    return sum(terms) / len(terms)


def supcon(h: Tensor, *, temperature: float) -> float:
    terms = []
    for a in range(len(h)):
        down = sum(math.exp(cosine(h[a], h[k]) / temperature) for k in range(len(h)) if k != a)
        logs = [cosine(h[a], h[p]) / temperature - math.log(down) for p in others(a, same=True)]
        terms.append(-sum(logs) / len(logs))
    return sum(terms) / len(terms)


def multi_similarity(h: Tensor, *, alpha: float, beta: float, base: float) -> float:
    terms = []
    for a in range(len(h)):
        pull = sum(math.exp(-alpha * (cosine(h[a], h[p]) - base)) for p in others(a, same=True))
        push = sum(math.exp(beta * (cosine(h[a], h[n]) - base)) for n in others(a, same=False))
        terms.append(math.log(1 + pull) / alpha + math.log(1 + push) / beta)
    return sum(terms) / len(terms)


def circle(h: Tensor, *, margin: float, gamma: float) -> float:
    terms = []
    for a in range(len(h)):
        pull = push = 0.0
        for p in others(a, same=True):
            s = cosine(h[a], h[p])
            pull += math.exp(-gamma * max(1 + margin - s, 0) * (s - 1 + margin))
        for n in others(a, same=False):
            s = cosine(h[a], h[n])
            push += math.exp(gamma * max(s + margin, 0) * (s - margin))
        terms.append(math.log(1 + pull * push))
    return sum(terms) / len(terms)


def lifted_structure(h: Tensor, *, margin: float) -> float:
    terms = []
    for a in range(len(h)):
        for p in others(a, same=True):
            push = sum(
                math.exp(margin - float((h[end] - h[n]).norm())) for end in (a, p) for n in others(end, same=False)
            )
            terms.append(max(0.0, float((h[a] - h[p]).norm()) + math.log(push)) ** 2 / 2)
    return sum(terms) / len(terms)


def proxy_anchor(h: Tensor, *, margin: float, alpha: float) -> float:
    pull = push = 0.0
    for c, proxy in enumerate(PROXIES):
        s = [cosine(x, proxy) for x in h]
        pull += math.log(1 + sum(math.exp(-alpha * (s[i] - margin)) for i in range(len(h)) if LABELS[i] == c))
        push += math.log(1 + sum(math.exp(alpha * (s[i] + margin)) for i in range(len(h)) if LABELS[i] != c))
    return pull / 3 + push / 3


NAIVE = {
    "nt_xent": nt_xent, "supcon": supcon, "multi_similarity": multi_similarity, "circle": circle,
    "lifted_structure": lifted_structure, "proxy_anchor": proxy_anchor,
}  # fmt: skip


@every_batch_loss
@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_a_loop_written_from_the_paper(loss: Loss, seed: int) -> None:
    h = embeddings(seed)
    assert float(value(loss, h)) == pytest.approx(NAIVE[loss.key](h, **defaults(loss)), rel=1e-4)


@every_batch_loss
def test_the_order_of_a_batch_does_not_matter(loss: Loss) -> None:
    h = embeddings()
    order = torch.tensor([5, 0, 3, 1, 4, 2])
    torch.testing.assert_close(value(loss, h[order], LABELS[order]), value(loss, h))


@pytest.mark.parametrize("key", [key for key in BATCH if key != "circle"])
def test_autograd_gives_the_slope_of_finite_differences(key: str) -> None:
    assert torch.autograd.gradcheck(lambda h: value(LOSSES[key], h), (embeddings().requires_grad_(),))


def test_the_circle_loss_takes_its_weights_as_constant() -> None:
    """So its gradient is not quite the derivative of its value."""
    h = embeddings().requires_grad_()
    (gradient,) = torch.autograd.grad(value(LOSSES["circle"], h), h)
    step = 1e-6
    moved = h.detach().clone()
    moved[0, 0] += step
    numeric = float(value(LOSSES["circle"], moved) - value(LOSSES["circle"], h.detach())) / step
    assert abs(numeric - float(gradient[0, 0])) > 1e-3


@every_batch_loss
@pytest.mark.parametrize(
    "h",
    [torch.ones(6, 4), torch.zeros(6, 4), embeddings().float() * 1e-12, embeddings().float() * 1e6],
    ids=["identical", "zero", "tiny", "huge"],
)
def test_value_and_gradient_are_finite_in_every_batch(loss: Loss, h: Tensor) -> None:
    h = h.clone().requires_grad_()
    found = value(loss, h)
    (gradient,) = torch.autograd.grad(found, h)
    assert found.isfinite()
    assert gradient.isfinite().all()


@every_batch_loss
@pytest.mark.parametrize("labels", [[0] * 6, [0, 1, 2, 0, 1, 2][:1], []], ids=["one class", "one image", "empty"])
def test_a_batch_without_pairs_or_of_one_class_is_finite(loss: Loss, labels: list[int]) -> None:
    h = embeddings()[: len(labels)].requires_grad_()
    found = value(loss, h, torch.tensor(labels, dtype=torch.int64))
    assert found.isfinite()


def test_a_lower_temperature_lets_the_nearest_negative_count_more() -> None:
    """Of an anchor on the first axis, one negative at 60° and one at 120°."""
    h = torch.tensor([[1.0, 0], [1, 0.01], [0.5, 0.866], [-0.5, 0.866]], dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 0, 1, 2])
    shares = []
    for temperature in (2.0, 0.5, 0.1):
        (gradient,) = torch.autograd.grad(value(LOSSES["nt_xent"], h, labels, temperature=temperature), h)
        near, far = gradient[2].norm(), gradient[3].norm()
        shares.append(float(near / (near + far)))
    assert all(after > before for before, after in pairwise(shares))


# Every record of the catalogue


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_the_record_is_complete(loss: Loss) -> None:
    assert LOSSES[loss.key] is loss
    assert loss.title
    assert loss.gradient.count(". ") >= 1
    assert loss.gradient.endswith(".")
    assert loss.convention in ("zero", "one", "classes")
    for part in (str(loss.citation.year), loss.citation.authors, loss.citation.title):
        assert part in str(loss.citation)
    for param in loss.params:
        assert param.low <= param.default <= param.high
        assert 0 < param.step <= param.high - param.low
        assert param.title
        assert param.help


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_the_label_convention_swaps_the_two_branches_and_nothing_else(loss: Loss) -> None:
    one, zero = loss.with_labels(True), loss.with_labels(False)
    if isinstance(loss.written, str):
        assert one == zero == loss.written
        return
    same, different = loss.written
    assert one.index(same) < one.index(different)
    assert one.startswith("y")
    assert zero.startswith("(1-y)")
    assert one.replace("(1-y)", "?").replace("y", "(1-y)").replace("?", "y") == zero


def test_every_source_names_losses_of_the_catalogue() -> None:
    for source in SOURCES:
        assert set(source.losses) <= set(LOSSES)
        assert source.similar_is in ("zero", "one", "classes")
    assert {source.similar_is for source in SOURCES} == {"zero", "one", "classes"}
