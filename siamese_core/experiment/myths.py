"""What readers of tutorials get wrong, each with the experiments that test it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.snapshot import Frame, Scores

STEPS = 150


@dataclass(frozen=True)
class Result:
    """Of one side, at its end: MAP@R of the seen classes, and the mean measure of different pairs."""

    map_at_r: float
    different: float


Verdict = tuple[bool, str]
"""Whether the claim holds in this run, and what was measured that says so."""


@dataclass(frozen=True)
class Myth:
    """`sides`: title → query string of an experiment, without its seed, which all sides share.

    `judge(results)` takes a `Result` for each side, by its title.
    """

    key: str
    claim: str
    sides: Mapping[str, str]
    judge: Callable[[Mapping[str, Result]], Verdict]

    def experiments(self, seed: int) -> dict[str, Experiment]:
        common = f"&steps={STEPS}&projection=pca&seed={seed}"
        return {title: Experiment.from_query(query + common)[0] for title, query in self.sides.items()}


def result(frame: Frame, metrics: Mapping[str, Scores]) -> Result:
    """Of a run's last frame."""
    score = metrics["map_at_r"]["seen"]
    return Result(0.0 if score is None else score, float(np.mean(frame.different_distances)))


def _scores(results: Mapping[str, Result]) -> str:
    return ", ".join(f"{title}: {found.map_at_r:.3f}" for title, found in results.items())


def _flip(results: Mapping[str, Result]) -> Verdict:
    right, flipped = results["right labels"], results["flipped labels"]
    return flipped.map_at_r >= 0.9 * right.map_at_r, (
        f"MAP@R is {right.map_at_r:.3f} with the right labels and {flipped.map_at_r:.3f} with the flipped ones, "
        f"whose different pairs end {flipped.different:.2g} apart on average, against {right.different:.2g}"
    )


def _margin_0(results: Mapping[str, Result]) -> Verdict:
    none, one, mse = results["margin 0"], results["margin 1"], results["squared error on p"]
    return none.map_at_r >= 0.9 * mse.map_at_r, (
        f"with margin 0 different pairs end {none.different:.2g} apart, with margin 1 {one.different:.2g}; MAP@R is "
        f"{none.map_at_r:.3f} with margin 0, {one.map_at_r:.3f} with margin 1 and {mse.map_at_r:.3f} for a real mean "
        "squared error"
    )


def _triplet_0(results: Mapping[str, Result]) -> Verdict:
    none, one = results["margin 0"], results["margin 1"]
    return none.map_at_r >= 0.95 * one.map_at_r and none.different >= 0.1 * one.different, (
        f"different pairs end {none.different:.2g} apart (squared) without a margin and {one.different:.2g} with "
        f"margin 1; MAP@R is {none.map_at_r:.3f} against {one.map_at_r:.3f}"
    )


def _rises(results: Mapping[str, Result]) -> Verdict:
    scores = [found.map_at_r for found in results.values()]
    return all(b > a for a, b in pairwise(scores)), f"MAP@R is {_scores(results)}"


def _alike(results: Mapping[str, Result]) -> Verdict:
    scores = [found.map_at_r for found in results.values()]
    return max(scores) - min(scores) < 0.03, (
        f"MAP@R is {_scores(results)}: {max(scores) - min(scores):.3f} between the best and the worst"
    )


def _first_wins(results: Mapping[str, Result]) -> Verdict:
    first, *others = results.values()
    best = max(results, key=lambda title: results[title].map_at_r)
    return first.map_at_r > max(other.map_at_r for other in others) + 0.01, (
        f"MAP@R is {_scores(results)}; the best is {best}"
    )


def _two_networks(results: Mapping[str, Result]) -> Verdict:
    two, one = results["not shared"].map_at_r, results["shared"].map_at_r
    return two > one + 0.01, (
        f"MAP@R is {two:.3f} with two networks and {one:.3f} with a shared one; a lead under 0.010 counts as none"
    )


def _most_sensitive(results: Mapping[str, Result]) -> Verdict:
    spreads = {}
    for name in ("contrastive", "triplet", "exponential"):
        scores = [found.map_at_r for title, found in results.items() if title.startswith(name)]
        spreads[name] = max(scores) - min(scores)
    shown = ", ".join(f"{name} {spread:.3f}" for name, spread in spreads.items())
    return spreads["contrastive"] == max(spreads.values()), f"from the worst margin to the best MAP@R moves by: {shown}"


def _few(results: Mapping[str, Result]) -> Verdict:
    few, every = results["5"], results["all 600"]
    return few.map_at_r >= 0.9 * every.map_at_r, f"MAP@R by images of each class is {_scores(results)}"


MYTHS: dict[str, Myth] = {
    myth.key: myth
    for myth in (
        Myth(
            "flip",
            "It does not matter which label means similar, as long as the code runs.",
            {"right labels": "loss=contrastive", "flipped labels": "loss=contrastive&labels=flipped"},
            _flip,
        ),
        Myth(
            "margin_0",
            "With margin 0 the contrastive loss is the mean squared error.",
            {
                "margin 0": "loss=contrastive&margin=0.0",
                "margin 1": "loss=contrastive&margin=1.0",
                "squared error on p": "loss=squared",
            },
            _margin_0,
        ),
        Myth(
            "triplet_0",
            "The triplet loss works without a margin.",
            {"margin 0": "loss=triplet&margin=0.0", "margin 1": "loss=triplet&margin=1.0"},
            _triplet_0,
        ),
        Myth(
            "larger_margin",
            "A larger margin separates better, even on the unit sphere.",
            {f"margin {m}": f"loss=contrastive&output=l2&margin={m}" for m in (0.5, 1.0, 1.4, 3.0)},
            _rises,
        ),
        Myth(
            "q",
            "Q is only a scale: it hardly matters on the unit sphere.",
            {f"Q {q:g}": f"loss=exponential&measure=euclidean&output=l2&q={q}" for q in (0.5, 1.0, 5.0, 20.0)},
            _alike,
        ),
        Myth(
            "saturated",
            "Any error on the similarity will do: log, absolute or squared.",
            {"log": "loss=log", "absolute": "loss=absolute", "squared": "loss=squared"},
            _alike,
        ),
        Myth(
            "steeper",
            "The contrastive loss is steeper than the others, so it classifies better.",
            {
                "contrastive": "loss=contrastive",
                "twice as steep": "loss=contrastive_mean",
                "exponential": "loss=exponential",
                "log": "loss=log",
                "triplet": "loss=triplet",
                "softmax": "loss=softmax",
            },
            _first_wins,
        ),
        Myth(
            "sensitive",
            "The contrastive loss is more sensitive to its margin than other losses.",
            {f"contrastive {m}": f"loss=contrastive&margin={m}" for m in (0.25, 1.0, 4.0)}
            | {f"triplet {m}": f"loss=triplet&margin={m}" for m in (0.25, 1.0, 4.0)}
            | {f"exponential {q}": f"loss=exponential&q={q}" for q in (1.25, 5.0, 20.0)},
            _most_sensitive,
        ),
        Myth(
            "sketch",
            "Photo against sketch: two networks that share nothing beat a shared one.",
            {"not shared": "view=edges&shared=false", "shared": "view=edges"},
            _two_networks,
        ),
        Myth(
            "few_pairs",
            "A few labelled pairs are enough.",
            {str(n): f"train_per_class={n}" for n in (5, 10, 20, 50, 100)} | {"all 600": "train_per_class=0"},
            _few,
        ),
    )
}
