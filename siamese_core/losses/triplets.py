"""Losses on triplets: an anchor, a positive of its class and a negative of another."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from siamese_core.losses.pairs import MARGIN
from siamese_core.losses.param import Citation
from siamese_core.losses.record import Library, Loss

if TYPE_CHECKING:
    from torch import Tensor


def triplet(d_ap: Tensor, d_an: Tensor, *, margin: float) -> Tensor:
    """Return max(d⁺ − d⁻ + margin, 0), on squared L2 distances (Schroff 2015)."""
    return (d_ap - d_an + margin).clamp(min=0)


TRIPLET = Loss(
    key="triplet",
    title="Triplet (Schroff 2015)",
    input_kind="triplet",
    fn=triplet,
    params=(
        replace(
            MARGIN,
            help="The negative must be farther than the positive by this much, in squared distance. FaceNet's 0.2 "
            "belongs to L2-normalised embeddings, whose squared distances end at 4.",
        ),
    ),
    written=r"\max(d^{+} - d^{-} + m,\ 0),\qquad d = \lVert h_1 - h_2 \rVert_2^2",
    citation=Citation(
        "Schroff, Kalenichenko & Philbin",
        2015,
        "FaceNet: A Unified Embedding for Face Recognition and Clustering",
        "CVPR",
    ),
    measures=("squared_euclidean",),
    gradient="While the negative is not farther than the positive by the margin, the anchor pulls the one and pushes "
    "the other; on squared distances both forces grow with it. A triplet that keeps the margin is left alone.",
    library=Library(
        "TripletMarginLoss(margin={margin}, distance=LpDistance(normalize_embeddings=False, power=2), "
        "reducer=MeanReducer())",
        "By default the library averages over the triplets whose loss is not zero, on normalised embeddings and "
        "without the square; set as here it gives the same numbers.",
    ),
)
