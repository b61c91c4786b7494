"""Losses on the distance of a pair: each rises with it where the pair is the same, falls where it is different."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from siamese_core.losses.param import Citation, FloatField
from siamese_core.losses.record import Library, Loss

if TYPE_CHECKING:
    from torch import Tensor


def contrastive(d: Tensor, same: Tensor, *, margin: float) -> Tensor:
    """Return ½ d² for a same pair, ½ max(margin − d, 0)² for a different one (Hadsell 2006, equation 4)."""
    return (d.square() / 2).where(same, (margin - d).clamp(min=0).square() / 2)


def contrastive_mean(d: Tensor, same: Tensor, *, margin: float) -> Tensor:
    """Return d² for a same pair, max(margin − d, 0)² for a different one: twice Hadsell's."""
    return d.square().where(same, (margin - d).clamp(min=0).square())


def exponential(d: Tensor, same: Tensor, *, q: float) -> Tensor:
    """Return (2/Q) d² for a same pair, 2Q exp(−2.77 d / Q) for a different one (Chopra 2005)."""
    return (2 / q * d.square()).where(same, 2 * q * (-2.77 / q * d).exp())


MARGIN = FloatField(
    "margin",
    "Margin m",
    *(1.0, 0.0, 10.0, 0.05),
    "Different images are pushed apart until their distance reaches the margin; beyond it they are left "
    "alone. With margin 0 nothing is pushed, and everything falls into one point.",
)

_distance_loss = partial(
    Loss,
    input_kind="distance",
    measures=("euclidean", "squared_euclidean", "manhattan", "cosine"),
    convention="zero",
)

LINEAR = Library(
    "ContrastiveLoss(pos_margin=0, neg_margin={margin}, distance=LpDistance(normalize_embeddings=False))",
    "The library's contrastive loss is linear, d and max(m − d, 0), and averaged over the pairs whose loss is not "
    "zero: another loss than this one, with the same margin.",
)

CONTRASTIVE = _distance_loss(
    key="contrastive",
    title="Contrastive (Hadsell 2006)",
    fn=contrastive,
    params=(MARGIN,),
    written=(r"\tfrac12 d^2", r"\tfrac12\max(m-d,\,0)^2"),
    citation=Citation(
        "Hadsell, Chopra & LeCun", 2006, "Dimensionality Reduction by Learning an Invariant Mapping", "CVPR, equation 4"
    ),
    gradient="A same pair is pulled like a spring, harder the farther it is apart. A different pair is pushed hardest "
    "where it coincides, ever less towards the margin, and not at all beyond it.",
    library=LINEAR,
)

CONTRASTIVE_MEAN = _distance_loss(
    key="contrastive_mean",
    title="Contrastive, Keras form",
    fn=contrastive_mean,
    params=(MARGIN,),
    written=(r"d^2", r"\max(m-d,\,0)^2"),
    citation=Citation(
        "Mehdi",
        2021,
        "Image similarity estimation using a Siamese Network with a contrastive loss",
        "Keras code examples",
    ),
    gradient="Twice the slope of Hadsell's form everywhere, so its minimum is the same. Adam, which divides by the "
    "size of the gradient, hardly notices.",
    library=LINEAR,
)

QUALITY = replace(
    CONTRASTIVE_MEAN,
    key="quality",
    title="“Quality” (a tutorial)",
    params=(
        replace(
            MARGIN,
            default=0.5,
            help="A tutorial calls this loss an improvement on the contrastive one; it is the contrastive loss with "
            "margin 0.5 and without the factor ½.",
        ),
    ),
    gradient="It is the contrastive loss with margin 0.5 and without the factor ½: a same pair is pulled like a "
    "spring. A different pair is left alone at half the distance, so the classes end up half as far apart.",
    # Its text says 0, the code beside it takes 1.
    convention="one",
)

EXPONENTIAL = _distance_loss(
    key="exponential",
    title="Exponential (Chopra 2005)",
    fn=exponential,
    params=(
        FloatField(
            "q",
            "Scale Q",
            *(5.0, 0.1, 50.0, 0.1),
            "Sets the scale of the distances: the two branches cross at Q/2. In the paper it is the upper bound "
            "of the distance. Different images are always pushed, ever more gently.",
        ),
    ),
    written=(r"\tfrac{2}{Q}\,d^2", r"2Q\,e^{-2.77\,d/Q}"),
    citation=Citation(
        "Chopra, Hadsell & LeCun",
        2005,
        "Learning a Similarity Metric Discriminatively, with Application to Face Verification",
        "CVPR",
    ),
    # The paper's distance is L1.
    measures=("manhattan", "euclidean", "squared_euclidean", "cosine"),
    gradient="A same pair is pulled like a spring, softer for a larger Q. A different pair is always pushed, hardest "
    "where it coincides, and never left alone: at d = Q a sixteenth of the push is left.",
)
