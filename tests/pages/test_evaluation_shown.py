"""The Evaluate page without a browser: every part, the threshold that it hands on, and what can be taken away."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from functools import cache

import pytest
from streamlit.testing.v1 import AppTest

from pages.ui.evaluate import save
from pages.ui.evaluate.evaluation import Evaluation, percent, with_interval
from pages.ui.session import model_picker
from pages.ui.text import evaluate as text
from pages.ui.text import models as models_text
from siamese_core.embeddings.thresholds import EER, Rule, choose_threshold
from siamese_core.engine.rpc.pipes import ROOT
from siamese_core.evaluation.evaluate import evaluate
from siamese_core.evaluation.inference import load
from siamese_core.evaluation.report import Report
from siamese_core.formats.pair_lists import to_csv
from tests.pages.app import ran, words
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.usefixtures("patient")

EVALUATE = "pages/5_Evaluate.py"
UPLOADED = f"{model_picker.UPLOAD}_saved"


def opened(part: str = "", model: str = "fashion_mnist") -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=PATIENCE).run()
    app.switch_page(EVALUATE)
    app.query_params["model"] = model
    if part:
        app.query_params["part"] = part
    return ran(app)


def evaluated(part: str = "", model: str = "fashion_mnist") -> AppTest:
    app = opened(part, model)
    until(lambda: text.SAVE in words(ran(app)), "the evaluation")
    return app


@cache
def report(name: str = "fashion_mnist") -> Report:
    *_, found = evaluate(load(model_picker.bundled(name).model))
    assert isinstance(found, Report)
    return found


def chosen_by(app: AppTest, rule: str) -> AppTest:
    app.session_state["threshold_rule"] = rule
    return ran(app)


# The threshold


def test_both_groups_stand_beside_each_other_with_intervals() -> None:
    app = evaluated()
    shown = words(app)
    for name, group in report().groups.items():
        assert f"{text.GROUPS[name]}:" in shown
        assert f"of {len(group.reported_on.different):,}" in shown
    (table,) = app.dataframe
    auc = table.value[text.SUMMARY["auc"]].tolist()
    assert [each[:5] for each in auc] == [f"{group.scores['auc']:.3f}" for group in report().groups.values()]
    assert all("–" in each for each in auc)


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        ("eer", EER),
        ("far", Rule("far", wanted=0.01)),
        ("costs", Rule("costs", accept_cost=10, reject_cost=1, share_same=0.5)),
    ],
)
def test_a_threshold_by_each_rule_is_handed_to_the_compare_page(kind: str, rule: Rule) -> None:
    app = chosen_by(evaluated(), kind)
    group = report().groups["seen"]
    expected = choose_threshold(group.chosen_on, group.reported_on, rule, "seen", False)
    assert expected is not None
    assert f"at most **{expected.value:.3g}**" in words(app)
    app.switch_page("pages/4_Compare.py")
    until(lambda: f"the threshold **{expected.value:.3g}**" in words(ran(app)), "the verdict")
    assert "## " in words(app)


def test_wanted_false_accepts_are_held_on_the_half_that_they_were_not_chosen_on() -> None:
    app = chosen_by(evaluated(), "far")
    group = report().groups["seen"]
    found = choose_threshold(group.chosen_on, group.reported_on, Rule("far", wanted=0.01), "seen", False)
    assert found is not None
    assert found.false_accept < 0.02
    assert percent(found.false_accept) in words(app)


def test_it_can_be_chosen_on_the_classes_that_were_held_out() -> None:
    app = evaluated()
    app.session_state["threshold_group"] = "held_out"
    group = report().groups["held_out"]
    found = choose_threshold(group.chosen_on, group.reported_on, EER, "held_out", False)
    assert found is not None
    assert f"at most **{found.value:.3g}**" in words(ran(app))


def test_a_hand_moves_it_anywhere() -> None:
    app = evaluated(model="mnist")
    app.session_state["threshold_hand"] = 0.25
    assert "at most **0.25**" in words(chosen_by(app, "hand"))


# Every other part


@pytest.mark.parametrize(
    ("part", "shown_text"),
    [
        ("retrieval", text.GRID_TITLE),
        ("few_shot", "5-way 1-shot"),
        ("hardest", text.HARDEST_HELP),
        ("baselines", text.BASELINES),
    ],
)
def test_the_address_names_a_part(part: str, shown_text: str) -> None:
    app = evaluated(part)
    labels = [metric.label for metric in app.metric]
    assert shown_text in words(app) or any(shown_text in label for label in labels)


def test_a_part_that_is_none_is_reported() -> None:
    app = opened("<script>")
    # Shown once: then the address is a right one.
    texts = [words(app)]

    def is_evaluated() -> bool:
        texts.append(words(ran(app)))
        return text.SAVE in texts[-1]

    until(is_evaluated, "the evaluation")
    assert any("threshold, retrieval, few_shot" in each for each in texts)


def test_held_out_classes_that_are_fewer_than_asked_for_are_all_taken() -> None:
    labels = [metric.label for metric in evaluated("few_shot").metric]
    assert labels == [text.ACCURACY.format(ways=ways, shots=1) for ways in (5, 2)]


def test_a_cancelled_evaluation_begins_again_when_asked() -> None:
    app = evaluated(model="mnist")
    app.session_state["evaluate_stopped"] = model_picker.bundled("mnist").key
    assert text.STOPPED in words(ran(app))
    (button,) = [button for button in app.button if button.label == text.EVALUATE]
    button.click()
    until(lambda: text.SAVE in words(ran(app)), "the evaluation")


def test_a_model_without_its_images_says_so() -> None:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=PATIENCE).run()
    app.switch_page(EVALUATE)
    app.session_state["model_choice"] = model_picker.FILE
    elsewhere = replace(model_picker.bundled("mnist").model, has_images=False)
    app.session_state[UPLOADED] = model_picker.file_of(elsewhere)
    until(lambda: text.NO_IMAGES in words(ran(app)), "the message")
    assert models_text.SAVE not in words(app)


# What is taken away


def found() -> Evaluation:
    return Evaluation(model_picker.bundled("fashion_mnist"), report())


def test_the_scores_are_those_of_the_report() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(save.scores(found())))))
    by_name = {(row["classes"], row["approach"], row["score"]): row for row in rows}
    for name, group in report().groups.items():
        assert float(by_name[name, "model", "map_at_r"]["value"]) == group.scores["map_at_r"]
        assert float(by_name[name, "model", "auc"]["low"]) == group.score_intervals["auc"][0]
        assert float(by_name[name, "pixels", "auc"]["value"]) == group.baselines["pixels"]["auc"]
        ways = min(5, len(group.classes))
        few = by_name[name, "model", f"{ways}_way_1_shot"]
        assert float(few["low"]) < float(few["value"]) < float(few["high"])


def test_the_curves_rise_with_the_threshold() -> None:
    rows = save.curves(found())
    for name in report().groups:
        of_group = [row for row in rows if row["classes"] == name]
        accepts = [row["false_accept"] for row in of_group]
        assert accepts == sorted(accepts)  # type: ignore[type-var]
        assert (accepts[0], accepts[-1]) == (0, 1)


def test_the_hardest_pairs_are_named_with_their_classes() -> None:
    for row in save.hardest(found()):
        assert (row["first_class"] == row["second_class"]) == row["same"]
        assert row["first_image"] != row["second_image"]


def test_the_report_is_one_page_that_fetches_nothing_and_runs_no_class_name() -> None:
    file = model_picker.bundled("fashion_mnist")
    evil = "</script><script>alert(1)</script>"
    classes = (evil, *file.model.classes[1:])
    page = save.page(Evaluation(replace(file, model=replace(file.model, classes=classes)), report()), evil, evil, None)
    assert "<script>alert" not in page
    assert 'src="http' not in page.replace("'", '"')
    assert page.count("<img alt=") == 3 * len(report().groups)
    for words_ in (text.PARTS["threshold"], text.GROUPS["held_out"], text.SUMMARY["eer"]):
        assert words_ in page


def test_small_rates_keep_digits_that_say_something() -> None:
    assert [percent(value) for value in (0, 0.5, 0.011, 0.0034, 0.000123)] == [
        "0.0%",
        "50.0%",
        "1.1%",
        "0.34%",
        "0.012%",
    ]
    assert with_interval(0.5, (0.25, 0.75), percent) == "50.0% (25.0% – 75.0%)"
    assert with_interval(float("nan"), (0.25, 0.75)) == "–"
    assert with_interval(0.25, None) == "0.250"
    assert with_interval(None, None) == "–"


def test_the_threshold_and_its_rates_are_among_the_figures() -> None:
    threshold = model_picker.bundled("fashion_mnist").model.threshold
    assert threshold is not None
    rows = save.at_threshold(found(), threshold)
    assert rows[0]["value"] == threshold.value
    by_name = {(row["classes"], row["score"]): row for row in rows}
    assert by_name["seen", "false_accept"]["value"] == pytest.approx(threshold.false_accept, abs=1e-3)
    assert by_name["held_out", "false_reject"]["value"] > threshold.false_reject  # type: ignore[operator]
    assert save.at_threshold(found(), None) == []


def test_a_hand_begins_where_the_threshold_stood() -> None:
    app = evaluated(model="mnist")
    before = next(line for line in words(app).splitlines() if "at most **" in line)
    assert before in words(chosen_by(app, "hand"))


def test_a_rule_that_the_widgets_cannot_say_is_left_as_it_is() -> None:
    file = model_picker.bundled("mnist")
    assert file.model.threshold is not None
    rare = replace(file.model.threshold, value=0.321, rule="costs=1:1:0.001")
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=PATIENCE).run()
    app.switch_page(EVALUATE)
    app.session_state["model_choice"] = model_picker.FILE
    app.session_state[UPLOADED] = model_picker.file_of(replace(file.model, threshold=rare))
    until(lambda: text.SAVE in words(ran(app)), "the evaluation")
    assert "at most **0.321**" in words(app)
    assert text.BY_HAND.partition(":")[0] in words(app)
