"""Losses on the distance of a pair: each rises with it where the pair is the same, falls where it is different."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siamese_core.losses.record import Loss
from siamese_core.params import Citation, Param

if TYPE_CHECKING:
    from torch import Tensor


def contrastive(d: Tensor, same: Tensor, *, margin: float) -> Tensor:
    """½ d² for a same pair, ½ max(margin − d, 0)² for a different one (Hadsell 2006, equation 4)."""
    return (d.square() / 2).where(same, (margin - d).clamp(min=0).square() / 2)


def exponential(d: Tensor, same: Tensor, *, q: float) -> Tensor:
    """(2/Q) d² for a same pair, 2Q exp(−2.77 d / Q) for a different one (Chopra 2005)."""
    return (2 / q * d.square()).where(same, 2 * q * (-2.77 / q * d).exp())


CONTRASTIVE = Loss(
    key="contrastive",
    title="Contrastive (Hadsell 2006)",
    takes="distance",
    fn=contrastive,
    params=(
        Param(
            name="margin",
            title="Margin m",
            default=1.0,
            low=0.0,
            high=10.0,
            step=0.05,
            help="Different images are pushed apart until their distance reaches the margin; beyond it they are left "
            "alone. With margin 0 nothing is pushed, and everything falls into one point.",
        ),
    ),
    formula=r"\begin{cases}\tfrac12 d^2 & \text{same}\\ \tfrac12\max(m-d,\,0)^2 & \text{different}\end{cases}",
    citation=Citation(
        "Hadsell, Chopra & LeCun",
        2006,
        "Dimensionality Reduction by Learning an Invariant Mapping",
        "CVPR, equation 4",
    ),
    measures=("euclidean", "squared_euclidean", "manhattan", "cosine"),
)

EXPONENTIAL = Loss(
    key="exponential",
    title="Exponential (Chopra 2005)",
    takes="distance",
    fn=exponential,
    params=(
        Param(
            name="q",
            title="Scale Q",
            default=5.0,
            low=0.1,
            high=50.0,
            step=0.1,
            help="Sets the scale of the distances: the two branches cross at Q/2. In the paper it is the upper bound "
            "of the distance. Different images are always pushed, ever more gently.",
        ),
    ),
    formula=r"\begin{cases}\tfrac{2}{Q}\,d^2 & \text{same}\\ 2Q\,e^{-2.77\,d/Q} & \text{different}\end{cases}",
    citation=Citation(
        "Chopra, Hadsell & LeCun",
        2005,
        "Learning a Similarity Metric Discriminatively, with Application to Face Verification",
        "CVPR",
    ),
    # The paper's distance is L1.
    measures=("manhattan", "euclidean", "squared_euclidean", "cosine"),
)
