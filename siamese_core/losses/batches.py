"""Losses on a whole batch of embeddings and classes, taken from pytorch-metric-learning, not written again.

The library is imported when such a loss is computed, and not before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from siamese_core.losses.heads import class_proxies
from siamese_core.losses.pairs import MARGIN
from siamese_core.losses.param import Citation, FloatField
from siamese_core.losses.record import Library, Loss

if TYPE_CHECKING:
    from torch import Tensor


def nt_xent(h: Tensor, labels: Tensor, *, temperature: float) -> Tensor:
    """Return the mean over the positive pairs of a batch (B, D): each against all negatives of its anchor.

    After Sohn 2016 and Chen 2020: as in SimCLR two images of each class meet at a time.
    """
    from pytorch_metric_learning.losses import NTXentLoss

    loss = NTXentLoss(temperature=temperature)
    return _in_groups(h, labels, 2, loss)


def supcon(h: Tensor, labels: Tensor, *, temperature: float) -> Tensor:
    """Return the mean over the anchors of a batch (B, D): all their positives against all others (Khosla 2020)."""
    from pytorch_metric_learning.losses import SupConLoss

    loss: Tensor = SupConLoss(temperature=temperature)(h, labels)
    return loss


def multi_similarity(h: Tensor, labels: Tensor, *, alpha: float, beta: float, base: float) -> Tensor:
    """Return the mean over the anchors of a batch (B, D): soft maxima over positives and negatives (Wang 2019)."""
    from pytorch_metric_learning.losses import MultiSimilarityLoss

    loss: Tensor = MultiSimilarityLoss(alpha=alpha, beta=beta, base=base)(h, labels)
    return loss


def circle(h: Tensor, labels: Tensor, *, margin: float, gamma: float) -> Tensor:
    """Return the mean over the anchors of a batch (B, D); each similarity weighs as much as it misses its goal (Sun
    2020)."""
    from pytorch_metric_learning.losses import CircleLoss

    loss: Tensor = CircleLoss(m=margin, gamma=gamma)(h, labels)
    return loss


def lifted_structure(h: Tensor, labels: Tensor, *, margin: float) -> Tensor:
    """Return the mean over the positive pairs of a batch (B, D): each against the negatives of both its ends (Oh Song
    2016).

    Four images of each class meet at a time.
    """
    from pytorch_metric_learning.distances import LpDistance
    from pytorch_metric_learning.losses import LiftedStructureLoss

    loss = LiftedStructureLoss(neg_margin=margin, distance=LpDistance(normalize_embeddings=False))
    return _in_groups(h, labels, 4, loss)


def proxy_anchor(h: Tensor, labels: Tensor, proxies: Tensor, *, margin: float, alpha: float) -> Tensor:
    """Return the soft maxima over a batch (B, D), for each of the trained points `proxies` (C, D) of the classes (Kim
    2020)."""
    from pytorch_metric_learning.losses import ProxyAnchorLoss
    from torch.func import functional_call

    classes, dim = proxies.shape
    module = ProxyAnchorLoss(classes, dim, margin=margin, alpha=alpha, weight_init_func=lambda drawn: drawn)
    loss: Tensor = functional_call(module, {"proxies": proxies}, (h, labels))
    return loss


def _in_groups(h: Tensor, labels: Tensor, size: int, loss: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The mean of `loss` over the positive pairs of groups that hold at most `size` images of each class.

    The library holds every positive of a batch against every negative: 17 million numbers for 120 images, 0.7 s a step.
    """
    alike = labels[:, None] == labels
    # The rank of each image among those of its class: how many before it are of the same.
    group = alike.tril(-1).sum(1) // size
    total, pairs = h.sum() * 0, 0
    for number in sorted(set(group.tolist())):
        chosen = group == number
        positives = int(alike[chosen][:, chosen].sum() - chosen.sum())
        if positives:
            total = total + positives * loss(h[chosen], labels[chosen])
            pairs += positives
    return total / max(pairs, 1)


def _temperature(default: float) -> FloatField:
    effect = "Similarities are divided by it: the lower it is, the more the hardest negatives alone count."
    return FloatField("temperature", "Temperature τ", default, 0.01, 2.0, 0.01, effect)


_batch_loss = partial(Loss, input_kind="batch", measures=("cosine",))

NT_XENT = _batch_loss(
    key="nt_xent",
    title="NT-Xent (SimCLR)",
    fn=nt_xent,
    params=(_temperature(0.07),),
    written=r"-\log\frac{e^{s_{ap}/\tau}}{e^{s_{ap}/\tau} + \sum_{n} e^{s_{an}/\tau}},\qquad s = \cos(h_1, h_2)",
    citation=Citation(
        "Chen, Kornblith, Norouzi & Hinton",
        2020,
        "A Simple Framework for Contrastive Learning of Visual Representations",
        "ICML; with class labels, as in Sohn 2016, each classmate is a positive",
    ),
    gradient="A positive is pulled as long as any negative comes near its similarity; each negative is pushed by its "
    "share of the sum. The lower the temperature, the more the nearest negatives get all of it.",
    library=Library("NTXentLoss(temperature={temperature})", "Here two images of each class meet at a time."),
)

SUPCON = _batch_loss(
    key="supcon",
    title="SupCon",
    fn=supcon,
    params=(_temperature(0.1),),
    written=r"-\frac{1}{|P(a)|}\sum_{p\in P(a)}\log\frac{e^{s_{ap}/\tau}}{\sum_{k\ne a} e^{s_{ak}/\tau}}",
    citation=Citation("Khosla et al.", 2020, "Supervised Contrastive Learning", "NeurIPS, equation 2"),
    gradient="All classmates of an anchor are pulled together, and also held against each other, because they stand in "
    "the sum below the line. Near negatives are pushed most.",
    library=Library("SupConLoss(temperature={temperature})"),
)

MULTI_SIMILARITY = _batch_loss(
    key="multi_similarity",
    title="Multi-similarity",
    fn=multi_similarity,
    params=(
        FloatField("alpha", "Pull α", 2.0, 0.1, 50.0, 0.1, "How sharply the farthest positives are preferred."),
        FloatField("beta", "Push β", 50.0, 0.1, 100.0, 0.1, "How sharply the nearest negatives are preferred."),
        FloatField("base", "Threshold λ", 0.5, -1.0, 1.0, 0.05, "The similarity above which a negative is too near."),
    ),
    written=r"\tfrac1\alpha\log\Big[1+\sum_{p} e^{-\alpha(s_{ap}-\lambda)}\Big]"
    r" + \tfrac1\beta\log\Big[1+\sum_{n} e^{\beta(s_{an}-\lambda)}\Big]",
    citation=Citation(
        "Wang, Han, Huang, Dong & Scott",
        2019,
        "Multi-Similarity Loss with General Pair Weighting for Deep Metric Learning",
        "CVPR",
    ),
    gradient="Positives below the threshold and negatives above it carry nearly all of the slope. Among them the "
    "farthest positive and the nearest negative count most.",
    library=Library("MultiSimilarityLoss(alpha={alpha}, beta={beta}, base={base})"),
)

CIRCLE = _batch_loss(
    key="circle",
    title="Circle",
    fn=circle,
    params=(
        FloatField("margin", "Relaxation m", 0.4, 0.0, 1.0, 0.05, "Goals are 1 − m for positives and m for negatives."),
        FloatField("gamma", "Scale γ", 80.0, 1.0, 256.0, 1.0, "How sharply the worst pairs are preferred."),
    ),
    written=r"\log\Big[1+\sum_{n} e^{\gamma[s_{an}+m]_+(s_{an}-m)}"
    r"\sum_{p} e^{-\gamma[1+m-s_{ap}]_+(s_{ap}-1+m)}\Big]",
    citation=Citation(
        "Sun et al.", 2020, "Circle Loss: A Unified Perspective of Pair Similarity Optimization", "CVPR, equation 6"
    ),
    gradient="Each similarity is moved as strongly as it misses its goal; that weight is taken as constant, so the "
    "slope is not quite the derivative of the value. Pairs near their goals are left nearly alone.",
    library=Library("CircleLoss(m={margin}, gamma={gamma})"),
)

LIFTED_STRUCTURE = _batch_loss(
    key="lifted_structure",
    title="Lifted structure",
    fn=lifted_structure,
    params=(replace(MARGIN, help="How far negatives should be, softly, beyond the positive."),),
    written=r"\tfrac12\max\Big(0,\ d_{ap} + \log\sum_{n} \big[e^{m-d_{an}} + e^{m-d_{pn}}\big]\Big)^2",
    citation=Citation(
        "Oh Song, Xiang, Jegelka & Savarese",
        2016,
        "Deep Metric Learning via Lifted Structured Feature Embedding",
        "CVPR",
    ),
    measures=("euclidean",),
    gradient="Each positive pair is pulled, and all negatives of both its ends are pushed, the nearest most. Unlike a "
    "hinge it pushes on beyond the margin, as long as the pair's whole sum is above zero.",
    library=Library(
        "LiftedStructureLoss(neg_margin={margin}, distance=LpDistance(normalize_embeddings=False))",
        "Here four images of each class meet at a time.",
    ),
)

PROXY_ANCHOR = _batch_loss(
    key="proxy_anchor",
    title="Proxy-anchor",
    fn=proxy_anchor,
    params=(
        FloatField(
            "margin", "Margin δ", 0.1, 0.0, 1.0, 0.05, "Goals are a cosine above δ to the own proxy, below −δ else."
        ),
        FloatField("alpha", "Scale α", 32.0, 1.0, 128.0, 1.0, "How sharply the worst images are preferred."),
    ),
    written=r"\frac{1}{|P^+|}\sum_{p\in P^+}\log\Big[1+\sum_{h\in X_p^+} e^{-\alpha(s_{hp}-\delta)}\Big]"
    r" + \frac{1}{|P|}\sum_{p\in P}\log\Big[1+\sum_{h\in X_p^-} e^{\alpha(s_{hp}+\delta)}\Big]",
    citation=Citation("Kim, Kim, Cho & Kwak", 2020, "Proxy Anchor Loss for Deep Metric Learning", "CVPR, equation 4"),
    gradient="Images are pulled to the trained point of their own class and pushed from those of the others, the worst "
    "image most. Images never meet each other, so a step costs no pairs.",
    head=class_proxies,
    library=Library("ProxyAnchorLoss(num_classes={classes}, embedding_size={dim}, margin={margin}, alpha={alpha})"),
)
