"""The baseline that every siamese tutorial compares with: a linear classifier on the embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siamese_core.losses.heads import classifier
from siamese_core.losses.param import Citation
from siamese_core.losses.record import Loss

if TYPE_CHECKING:
    from torch import Tensor


def softmax(logits: Tensor, labels: Tensor) -> Tensor:
    """Return −log of the probability that the classifier gives to the right class."""
    return -logits.log_softmax(-1).gather(-1, labels.unsqueeze(-1)).squeeze(-1)


SOFTMAX = Loss(
    key="softmax",
    title="Softmax classifier (baseline)",
    input_kind="logits",
    fn=softmax,
    written=r"-\log\frac{e^{z_c}}{\sum_k e^{z_k}},\qquad z = Wh + b",
    citation=Citation(
        "Bridle",
        1990,
        "Probabilistic Interpretation of Feedforward Classification Network Outputs",
        "Neurocomputing, NATO ASI Series 68",
    ),
    measures=("euclidean", "cosine"),
    gradient="Each image is pulled along the weights of its own class and pushed along those of the classes it is "
    "taken for. No two images ever meet: that classmates end up near each other is a side effect.",
    head=classifier,
)
