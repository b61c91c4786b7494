"""The catalogue of losses. To add one: write its function and record in its family's file, list it here."""

from siamese_core.losses.batches import CIRCLE, LIFTED_STRUCTURE, MULTI_SIMILARITY, NT_XENT, PROXY_ANCHOR, SUPCON
from siamese_core.losses.classes import SOFTMAX
from siamese_core.losses.conventions import SOURCES, Source
from siamese_core.losses.pairs import CONTRASTIVE, CONTRASTIVE_MEAN, EXPONENTIAL, QUALITY
from siamese_core.losses.record import Loss
from siamese_core.losses.similarities import ABSOLUTE, LOG, SQUARED
from siamese_core.losses.triplets import TRIPLET

LOSSES: dict[str, Loss] = {
    loss.key: loss
    for loss in (
        *(CONTRASTIVE, CONTRASTIVE_MEAN, QUALITY, EXPONENTIAL),
        *(LOG, ABSOLUTE, SQUARED),
        TRIPLET,
        SOFTMAX,
        *(NT_XENT, SUPCON, MULTI_SIMILARITY, CIRCLE, LIFTED_STRUCTURE, PROXY_ANCHOR),
    )
}

__all__ = ["LOSSES", "SOURCES", "Loss", "Source"]
