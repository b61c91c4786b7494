"""Where "same" should end: rules that choose a threshold on one half of the test images, and its rates on the other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from siamese_core.embeddings.verification import Distances, at_eer, at_false_accept, at_least_cost, rates
from siamese_core.errors import Rejected
from siamese_core.formats.text import shortened

MAX_COST = 1_000_000.0

FEW = 100
"""Pairs of a kind below which a rate says little."""


@dataclass(frozen=True)
class Threshold:
    """Where "same" ends: at `value` in units of the model's measure, chosen on one half of the test images.

    `rule` says by what: "eer", "far=0.01", "costs=10:1:0.5" (of a false accept, of a false reject, the share of same
    pairs) or "hand"; `group` ("seen" or "held_out") on which classes. `false_accept` and `false_reject` are its error
    rates on the other half, over `different` and `same` pairs; "hand" was set by looking at that half.
    """

    value: float
    rule: str
    group: str
    false_accept: float
    false_reject: float
    different: int
    same: int


class RuleError(Rejected):
    """Says which part of a rule cannot be used, and what it may be."""


@dataclass(frozen=True)
class Rule:
    """`kind` "eer": as many false accepts as false rejects. "far": at most the share `wanted` of different pairs is
    accepted. "costs": the least cost, where a false accept costs `accept_cost`, a false reject `reject_cost`, and
    `share_same` of the pairs to come are the same.

    Raises RuleError.
    """

    kind: Literal["eer", "far", "costs"] = "eer"
    wanted: float = 0.01
    accept_cost: float = 1.0
    reject_cost: float = 1.0
    share_same: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.wanted <= 1:
            raise RuleError("far={wanted:g}: a rate is from 0 to 1, such as 0.01", wanted=self.wanted)
        if not all(0 < cost <= MAX_COST for cost in (self.accept_cost, self.reject_cost)):
            message = "costs={rule.accept_cost:g}:{rule.reject_cost:g}: a cost is above 0, up to {most:,.0f}"
            raise RuleError(message, rule=self, most=MAX_COST)
        if not 0 < self.share_same < 1:
            raise RuleError("costs: the share of same pairs is between 0 and 1, not {share:g}", share=self.share_same)

    @property
    def text(self) -> str:
        """Return it as on the command line: "eer", "far=0.01", "costs=10:1:0.5"."""
        if self.kind == "far":
            return f"far={_written(self.wanted)}"
        if self.kind == "costs":
            return "costs=" + ":".join(map(_written, (self.accept_cost, self.reject_cost, self.share_same)))
        return "eer"


def _written(number: float) -> str:
    return f"{number:.12g}"


EER = Rule()


def rule_of(text: str) -> Rule:
    """Read a rule, the inverse of `Rule.text`. Raises RuleError."""
    if text == "eer":
        return EER
    kind, _, numbers = text.partition("=")
    try:
        values = [float(number) for number in numbers.split(":")]
    except ValueError:
        values = []
    if kind == "far" and len(values) == 1:
        return Rule("far", wanted=values[0])
    if kind == "costs" and len(values) == 3:
        return Rule("costs", accept_cost=values[0], reject_cost=values[1], share_same=values[2])
    may_be = "eer, far=0.01 (false accepts) or costs=10:1:0.5 (accept:reject:share)"
    raise RuleError("threshold={text}: may be {may_be}", text=shortened(text), may_be=may_be)


def choose_threshold(
    chosen_on: Distances, reported_on: Distances, rule: Rule, group: str, is_similarity: bool
) -> Threshold | None:
    """Return the threshold that a rule gives on one half, with its rates on the other.

    Distances are 1 − p for a similarity. None where either half lacks same or different pairs, or their distances are
    not finite.
    """
    sides = [side for half in (chosen_on, reported_on) for side in (half.same, half.different)]
    if not all(len(side) and math.isfinite(side[-1]) for side in sides):
        return None
    if rule.kind == "far":
        at = at_false_accept(chosen_on, rule.wanted)
    elif rule.kind == "costs":
        at = at_least_cost(chosen_on, rule.accept_cost, rule.reject_cost, rule.share_same)
    else:
        at = at_eer(chosen_on)
    return threshold_at(at, reported_on, rule.text, group, is_similarity)


def threshold_at(distance: float, reported_on: Distances, rule: str, group: str, is_similarity: bool) -> Threshold:
    """Return a threshold at a distance, with its rates on one half of the test images."""
    found = rates(reported_on, distance)
    # A threshold below all distances accepts no pair, not even one whose similarity is 1.
    similarity = 1 - distance if distance >= 0 else math.nextafter(1, 2)
    same, different = map(int, reported_on.counts)
    return Threshold(similarity if is_similarity else distance, rule, group, *found, different, same)
