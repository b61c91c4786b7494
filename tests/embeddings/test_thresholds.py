"""A threshold is chosen by a rule on one half of the test images, and judged on the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siamese_core.embeddings.thresholds import EER, Rule, RuleError, Threshold, choose_threshold, rule_of, threshold_at
from siamese_core.embeddings.verification import Distances
from siamese_core.experiment.experiment import Experiment
from siamese_core.runs.model import Model
from siamese_core.runs.model_file import packed, read_model

CHOSEN_ON = Distances.of([1, 2, 3, 6, 4, 5, 7, 8], [True] * 4 + [False] * 4)
"""Four same pairs at 1, 2, 3 and 6, four different ones at 4, 5, 7 and 8."""

REPORTED_ON = Distances.of([1, 5, 5, 3, 9], [True] * 3 + [False] * 2)

TYPED = st.decimals(0, 1, places=6).map(float)
"""What somebody would type."""

COSTS = st.integers(1, 1_000_000).map(lambda n: n / 100)

GRID = st.integers(0, 2**24).map(lambda n: n / 2**24)
"""Similarities of which 1 − p is exact in float32."""


def by(rule: Rule, is_similarity: bool = False, chosen_on: Distances = CHOSEN_ON) -> Threshold:
    found = choose_threshold(chosen_on, REPORTED_ON, rule, "seen", is_similarity)
    assert found is not None
    return found


def random_distances(seed: int) -> Distances:
    rng = np.random.default_rng(seed)
    return Distances.of(np.r_[rng.gamma(2, 1, 60), rng.gamma(4, 1, 80)], np.arange(140) < 60)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (Rule(), "eer"),
        (Rule("far", wanted=0.01), "far=0.01"),
        (Rule("far", wanted=0), "far=0"),
        (Rule("far", wanted=1e-5), "far=1e-05"),
        (Rule("costs", accept_cost=10), "costs=10:1:0.5"),
        (Rule("costs", reject_cost=1_000_000, share_same=0.123456789), "costs=1:1000000:0.123456789"),
    ],
)
def test_a_rule_is_written_as_on_the_command_line_and_read_back(rule: Rule, text: str) -> None:
    assert rule.text == text
    assert rule_of(text) == rule


@given(TYPED)
def test_every_wanted_rate_comes_back(wanted: float) -> None:
    rule = Rule("far", wanted=wanted)
    assert rule_of(rule.text) == rule


@given(COSTS, COSTS, TYPED.filter(lambda share: 0 < share < 1))
def test_all_costs_come_back(accept: float, reject: float, share: float) -> None:
    rule = Rule("costs", accept_cost=accept, reject_cost=reject, share_same=share)
    assert rule_of(rule.text) == rule


@pytest.mark.parametrize("text", ["eer", "far=0", "far=1e-05", "far=0.000123456789", "costs=1000000:0.01:0.999999"])
def test_a_model_file_takes_what_a_rule_says(text: str) -> None:
    experiment = Experiment(dataset="digits")
    data, threshold = experiment.data, Threshold(0.5, rule_of(text).text, "seen", 0.1, 0.2, 3, 4)
    model = Model(experiment, data.classes, data.shape, data.mean, data.std, 1, {}, threshold=threshold)
    model = replace(model, tensors={"a": np.zeros(1, np.float32)})
    assert read_model(packed(model)).threshold == threshold


@pytest.mark.parametrize(
    "text",
    ["", "EER", "eer=", "eer=1", "eer:1", "far", "far=", "far=x", "far=0.1:0.2", "far=:0.1", "costs", "costs=1:1",
     "costs=1:1:0.5:", "costs=1::0.5", "costs=1:1:0.5:0.5", "costs=a:1:0.5", "hand", "0.5"],
)  # fmt: skip
def test_what_is_no_rule_is_refused_with_those_there_are(text: str) -> None:
    with pytest.raises(RuleError) as error:
        rule_of(text)
    assert str(error.value) == (
        f"threshold={text}: may be eer, far=0.01 (false accepts) or costs=10:1:0.5 (accept:reject:share)"
    )


@pytest.mark.parametrize("rate", ["nan", "-0.1", "1.1", "inf", "-inf"])
def test_a_rate_is_from_0_to_1(rate: str) -> None:
    with pytest.raises(RuleError, match=rf"^far={rate}: a rate is from 0 to 1, such as 0\.01$"):
        rule_of(f"far={rate}")


@pytest.mark.parametrize("cost", ["nan", "-1", "0", "inf", "-inf", "1000001"])
def test_a_cost_is_above_0_and_has_an_end(cost: str) -> None:
    for text in (f"costs={cost}:1:0.5", f"costs=1:{cost}:0.5"):
        with pytest.raises(RuleError, match=r"a cost is above 0, up to 1,000,000$"):
            rule_of(text)


@pytest.mark.parametrize("share", ["nan", "0", "1", "-0.5", "2", "inf"])
def test_a_share_is_between_0_and_1(share: str) -> None:
    with pytest.raises(RuleError, match=rf"^costs: the share of same pairs is between 0 and 1, not {share}$"):
        rule_of(f"costs=1:1:{share}")


def test_a_message_does_not_repeat_all_of_a_long_text() -> None:
    with pytest.raises(RuleError) as error:
        rule_of("x" * 10_000 + "\n")
    assert len(str(error.value)) < 200
    assert "\n" not in str(error.value)


def test_the_equal_error_rate_is_found_on_one_half_and_counted_on_the_other() -> None:
    """At 4.5 one of four same pairs is rejected (6), one of four different ones accepted (4). On the other half two of
    three same pairs are then rejected (5 and 5), and one of two different ones is accepted (3)."""
    assert by(EER) == Threshold(4.5, "eer", "seen", 1 / 2, 2 / 3, different=2, same=3)


def test_a_false_accept_rate_holds_on_the_half_it_was_chosen_on() -> None:
    """A quarter of the different pairs is one of them, that at 4; the next lies at 5. None of them: below 4."""
    assert by(Rule("far", wanted=0.25)).value == 4.5
    assert by(Rule("far", wanted=0)) == Threshold(3.5, "far=0", "seen", 1 / 2, 2 / 3, different=2, same=3)


def test_the_least_cost_weighs_both_errors_and_how_often_pairs_are_the_same() -> None:
    """At 3.5 a quarter of the same pairs is rejected and nothing accepted wrongly; at 6.5 nothing is rejected, and half
    of the different pairs accepted. So 0.5 × accept cost stands against 0.25 × reject cost."""
    assert by(Rule("costs", accept_cost=1, reject_cost=1)).value == 3.5
    assert by(Rule("costs", accept_cost=1, reject_cost=3)).value == 6.5
    assert by(Rule("costs", accept_cost=1, reject_cost=1, share_same=0.75)).value == 6.5


@pytest.mark.parametrize("rule", [EER, Rule("far", wanted=0.25), Rule("costs", reject_cost=3)])
def test_of_a_similarity_the_value_is_1_less_the_distance_and_all_else_the_same(rule: Rule) -> None:
    distance, similarity = by(rule), by(rule, is_similarity=True)
    assert similarity == replace(distance, value=1 - distance.value)


@pytest.mark.parametrize("rule", [EER, Rule("far"), Rule("costs")])
@pytest.mark.parametrize("lacks", [True, False])
def test_without_same_or_different_pairs_in_either_half_there_is_no_threshold(rule: Rule, lacks: bool) -> None:
    one_kind = Distances.of([1, 2], [not lacks] * 2)
    assert choose_threshold(one_kind, REPORTED_ON, rule, "seen", False) is None
    assert choose_threshold(CHOSEN_ON, one_kind, rule, "seen", False) is None


@given(st.lists(TYPED, min_size=2, max_size=6), st.integers(0, 20))
def test_whoever_allows_more_false_accepts_gets_a_threshold_no_lower(rates: list[float], seed: int) -> None:
    distances = random_distances(seed)
    values = [by(Rule("far", wanted=wanted), chosen_on=distances).value for wanted in sorted(rates)]
    assert values == sorted(values)


@given(st.lists(COSTS, min_size=2, max_size=6), st.integers(0, 20))
def test_the_dearer_a_false_accept_the_stricter_the_dearer_a_false_reject_the_more_lenient(
    costs: list[float], seed: int
) -> None:
    distances = random_distances(seed)
    accept = [by(Rule("costs", accept_cost=cost), chosen_on=distances).value for cost in sorted(costs)]
    reject = [by(Rule("costs", reject_cost=cost), chosen_on=distances).value for cost in sorted(costs)]
    assert accept == sorted(accept, reverse=True)
    assert reject == sorted(reject)


@given(st.lists(st.tuples(GRID, st.booleans()), min_size=2, max_size=12), st.sampled_from(["eer", "far=0", "far=0.3"]))
def test_a_models_verdict_on_similarities_makes_the_errors_that_were_reported(
    pairs: list[tuple[float, bool]], text: str
) -> None:
    """Also where all similarities are 1, or are neighbours in float32."""
    p, same = np.array([p for p, _ in pairs], np.float32), np.array([same for _, same in pairs])
    if same.all() or not same.any():
        return
    half = Distances.of(1 - p, same)
    found = choose_threshold(half, half, rule_of(text), "seen", True)
    assert found is not None
    experiment = Experiment(dataset="digits", loss="log")
    says_same = Model(experiment, (), (1, 8, 8), 0, 1, 1, {}).says_same(p, found.value)
    assert np.mean(says_same[~same]) == pytest.approx(found.false_accept)
    assert np.mean(~says_same[same]) == pytest.approx(found.false_reject)


def test_a_threshold_between_two_neighbours_in_float32_tells_them_apart() -> None:
    """2⁻²⁴ is what float32 can tell just below 1; the threshold lies between the second and the third step."""
    experiment = Experiment(dataset="digits", loss="log")
    p = 1 - np.array([1, 2, 3], np.float32) * np.float32(2**-24)
    model = Model(experiment, (), (1, 8, 8), 0, 1, 1, {})
    assert model.says_same(p, 1 - 1.5 * 2**-24).tolist() == [True, False, False]
    assert model.says_same(p, 1 - 2.5 * 2**-24).tolist() == [True, True, False]


def test_where_even_a_similarity_of_1_is_wrong_no_pair_is_accepted() -> None:
    alike = Distances.of(np.zeros(4), [True, True, False, False])
    found = choose_threshold(alike, alike, Rule("far", wanted=0), "seen", True)
    assert found is not None
    assert (found.false_accept, found.false_reject) == (0, 1)
    assert found.value > 1


def test_a_threshold_set_by_hand_is_reported_like_any_other() -> None:
    assert threshold_at(3.0, REPORTED_ON, "hand", "held_out", False) == Threshold(
        3.0, "hand", "held_out", 1 / 2, 2 / 3, different=2, same=3
    )
    assert threshold_at(0.25, REPORTED_ON, "hand", "seen", True).value == 0.75
