"""The catalogue of losses. To add one: write its function and record in its family's file, list it here."""

from siamese_core.losses.pairs import CONTRASTIVE, EXPONENTIAL
from siamese_core.losses.record import Loss
from siamese_core.losses.triplets import TRIPLET

LOSSES: dict[str, Loss] = {loss.key: loss for loss in (CONTRASTIVE, EXPONENTIAL, TRIPLET)}

__all__ = ["LOSSES", "Loss"]
