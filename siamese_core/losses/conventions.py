"""Which source calls a similar pair 0 and which 1: the same words, opposite code."""

from __future__ import annotations

from dataclasses import dataclass

from siamese_core.losses.record import Convention


@dataclass(frozen=True)
class Source:
    """`similar_is` as its code takes the label; `note` where its words say something else."""

    title: str
    year: int
    losses: tuple[str, ...]
    similar_is: Convention
    note: str = ""


SOURCES: tuple[Source, ...] = (
    Source("Chopra, Hadsell & LeCun, CVPR", 2005, ("exponential",), "zero", "0 is a genuine pair, 1 an impostor"),
    Source("Hadsell, Chopra & LeCun, CVPR (DrLIM)", 2006, ("contrastive",), "zero"),
    Source("Caffe, ContrastiveLossLayer", 2014, ("contrastive",), "one", "averages as 1/(2N) Σ"),
    Source(
        "Koch, Zemel & Salakhutdinov, ICML workshop", 2015, ("log",), "one", "p is the probability of the same class"
    ),
    Source(
        "Keras example, siamese contrastive", 2022, ("contrastive_mean",), "zero", "many tutorials before it take 1"
    ),
    Source("A TensorFlow port of Chopra's loss", 2017, ("exponential",), "zero", "and takes L2 for the paper's L1"),
    Source(
        "A tutorial on contrastive loss",
        2020,
        ("quality",),
        "one",
        "its text says 0 = similar; its code takes 1, and calls a distance y_pred",
    ),
    Source("pytorch-metric-learning", 2019, ("contrastive", "triplet", "nt_xent"), "classes"),
)
