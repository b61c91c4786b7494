"""The figures of verification: areas are error rates, rates of 0 have a place, and no word is the figure's own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from siamese_core.export.figures.base import BINS, DIFFERENT_COLOUR, SAME_COLOUR
from siamese_core.export.figures.retrieval import baselines, confusion
from siamese_core.export.figures.verification import det, distance_end, distance_histograms, roc, with_pair

WORDS = """false_accepts true_accepts false_rejects chance threshold equal no_pairs same different axis seen held_out
    true predicted images share no_images score missing precision_at_1 map_at_r auc"""
TEXT = {word: f"<{word}>" for word in WORDS.split()}
SEEN = ([0, 0, 0.5, 0.5, 1], [0, 0.4, 0.6, 0.8, 1], "seen")
HELD_OUT = ([0, 0.2, 1], [0, 0.3, 1], "held out")
SCORES = {"model": {"precision_at_1": 0.9, "map_at_r": 0.5}, "pixels": {"precision_at_1": 0.7, "map_at_r": None}}


@dataclass(frozen=True)
class Pairs:
    same: np.ndarray
    different: np.ndarray


def pairs(same: list[float] | np.ndarray = (), different: list[float] | np.ndarray = ()) -> Pairs:
    return Pairs(np.float32(same).ravel(), np.float32(different).ravel())


HAND = pairs([0.1, 0.3, 0.3, 0.9], [0.2, 0.5, 0.8, 1.1, 1.9])


def histograms(groups: Mapping[str, Pairs], threshold: float | None = 0.5, d_max: float = 2.0, **more) -> go.Figure:
    return distance_histograms(groups, d_max=d_max, threshold=threshold, text=TEXT, **more)


def lines(figure: go.Figure, name: str) -> list[go.Scatter]:
    return [trace for trace in figure.data if trace.name == name]


def area(trace: go.Scatter, d_max: float = 2.0) -> float:
    """Under a step line, in bins."""
    if not len(trace.x):
        return 0.0
    return float((np.diff(np.float64(trace.x)) * trace.y[:-1]).sum() * BINS / d_max)


def assert_drawable(figure: go.Figure) -> None:
    """Valid for plotly, JSON without NaN, every drawn number finite, every axis with a length, theme left alone."""
    go.Figure(figure.to_plotly_json(), skip_invalid=False)
    json.dumps(figure.to_dict(), allow_nan=False)
    assert len(figure.data) >= 1
    for trace in figure.data:
        for values in (trace.x, trace.y, getattr(trace, "z", None), trace.customdata):
            if isinstance(values, np.ndarray) and values.dtype.kind == "f":
                assert values.dtype == np.float32
                assert np.isfinite(values).all()
    layout = figure.layout
    axes = [axis for name, axis in layout.to_plotly_json().items() if name[1:].startswith("axis")]
    assert len(axes) >= 2
    assert all(axis["range"][0] != axis["range"][1] and np.isfinite(axis["range"]).all() for axis in axes)
    assert not [axis for axis in axes if {"gridcolor", "tickfont"} & set(axis)]
    assert layout.paper_bgcolor == layout.plot_bgcolor == "rgba(0,0,0,0)"
    assert layout.font.to_plotly_json() == {}


EVERY = {
    "roc": lambda: roc({"seen": SEEN, "held_out": HELD_OUT}, {"seen": (0.5, 0.8)}, text=TEXT),
    "roc of nothing": lambda: roc({}, {}, text=TEXT),
    "roc of an empty group": lambda: roc({"seen": ([], [], "seen")}, {"seen": (np.nan, np.nan)}, text=TEXT),
    "det": lambda: det({"seen": SEEN, "held_out": HELD_OUT}, {"seen": (0.5, 0.8)}, text=TEXT),
    "det of nothing": lambda: det({}, {}, text=TEXT),
    "det of an empty group": lambda: det({"seen": ([], [], "seen")}, {"seen": (np.nan, np.nan)}, text=TEXT),
    "histograms": lambda: histograms({"seen": HAND, "held_out": HAND}),
    "a histogram": lambda: histograms({"held_out": HAND}, threshold=None),
    "histograms of nothing": lambda: histograms({}),
    "histograms of an empty group": lambda: histograms({"seen": HAND, "held_out": pairs()}),
    "one side": lambda: histograms({"seen": pairs([0.3], [])}),
    "not finite": lambda: histograms({"seen": pairs([0.3, np.nan], [np.inf])}, threshold=np.nan, d_max=np.nan),
    "confusion": lambda: confusion([[3, 1], [0, 0]], ["a", "b"], text=TEXT),
    "confusion of nothing": lambda: confusion(np.zeros((3, 3), int), ["a", "b", "c"], text=TEXT),
    "a hundred classes": lambda: confusion(np.eye(100, dtype=int), [str(i) for i in range(100)], text=TEXT),
    "baselines": lambda: baselines(SCORES, ["precision_at_1", "map_at_r"], {"model": {"map_at_r": (0.4, 0.55)}},
                                   text=TEXT),
    "baselines of nothing": lambda: baselines({"model": {}}, ["auc"], text=TEXT),
}  # fmt: skip


@pytest.mark.parametrize("draw", EVERY.values(), ids=EVERY)
def test_every_figure_is_drawable_whatever_is_missing(draw):
    assert_drawable(draw())


@pytest.mark.parametrize("draw", EVERY.values(), ids=EVERY)
def test_a_figure_has_no_words_of_its_own(draw):
    """Everything that can be read is the caller's: titles, labels, hints; in hovers nothing stands but numbers."""
    figure = draw().to_dict()
    read = [note["text"] for note in figure["layout"].get("annotations", ())]
    read += [trace.get("name", "") for trace in figure["data"]]
    read += [axis["title"]["text"] for name, axis in figure["layout"].items() if "axis" in name and "title" in axis]
    theirs = {*TEXT.values(), "", "seen", "held out", "model", "pixels", "A and B"}
    assert set(read) <= theirs


def read_at(line: go.Scatter, x: float) -> float:
    (place,) = np.flatnonzero(np.isclose(line.x, x, rtol=1e-5, atol=1e-9))
    return float(line.y[place])


def test_the_roc_curve_passes_through_its_points_and_jumps_where_it_jumps():
    (line,) = lines(roc({"seen": ([0, 0.1, 0.1, 1], [0, 0.2, 0.55, 1], "seen")}, {}, text=TEXT), "seen")
    assert read_at(line, 0.1) == pytest.approx(0.55)
    assert read_at(line, 1.0) == 1
    assert line.y[line.x < 0.0999].max() <= 0.2
    assert (np.diff(line.y) >= 0).all()


def test_a_collapsed_embedding_lies_on_the_line_of_chance():
    figure = roc({"seen": ([0, 1], [0, 1], "seen")}, {}, text=TEXT)
    (curve,), (chance,) = lines(figure, "seen"), lines(figure, TEXT["chance"])
    np.testing.assert_allclose(curve.y, chance.y, rtol=1e-6)
    np.testing.assert_allclose(chance.x, chance.y)
    assert (chance.line.dash, chance.line.width) == ("dash", 1)


def test_a_false_accept_rate_of_0_stands_at_the_left_end_of_the_logarithmic_axis():
    figure = roc({"seen": ([0, 0, 0.01, 1], [0, 0.7, 0.9, 1], "seen")}, {"seen": (0.0, 0.7)}, text=TEXT)
    (curve,), (mark,) = lines(figure, "seen"), lines(figure, TEXT["threshold"])
    assert figure.layout.xaxis.type == "log"
    assert curve.x[0] == mark.x[0] == np.float32(1e-4)
    assert curve.y[0] == pytest.approx(0.702)
    left, right = figure.layout.xaxis.range
    assert left < -4 < 0 < right


@pytest.mark.parametrize("draw", [roc, det])
def test_held_out_classes_are_dotted_in_the_same_colour_and_their_mark_is_open(draw):
    figure = draw({"seen": SEEN, "held_out": HELD_OUT}, {"seen": (0.5, 0.8), "held_out": (0.2, 0.3)}, text=TEXT)
    (seen,), (held_out,) = lines(figure, "seen"), lines(figure, "held out")
    assert (seen.line.dash, held_out.line.dash) == ("solid", "dot")
    assert seen.line.color == held_out.line.color
    marks = lines(figure, TEXT["threshold"])
    assert [mark.marker.symbol for mark in marks] == ["circle", "circle-open"]
    assert [mark.showlegend for mark in marks] == [True, False]


def test_det_curves_of_normal_scores_are_straight_with_the_slope_of_their_spreads():
    """Same pairs N(0, 1), different ones N(2, 2): at a threshold t, probit(FAR) = (t - 2) / 2 and probit(FRR) = -t."""
    t = np.linspace(-8, 8, 4001)
    normal = np.vectorize(NormalDist().cdf)
    (line,) = lines(det({"seen": (normal((t - 2) / 2), normal(t), "seen")}, {}, text=TEXT), "seen")
    np.testing.assert_allclose(line.y, np.clip(-(2 * line.x + 2), *line.y[[-1, 0]]), atol=2e-3)


def test_det_ticks_and_marks_stand_at_their_rates():
    figure = det({"seen": SEEN}, {"seen": (0.02, 0.9), "held_out": (0.0, 0.0)}, text=TEXT)
    for axis in (figure.layout.xaxis, figure.layout.yaxis):
        ticks = dict(zip(axis.ticktext, axis.tickvals, strict=True))
        assert {"0.1%", "5%", "20%", "40%"} <= set(ticks)
        assert ticks["2%"] == pytest.approx(-2.05375, abs=1e-5)
    seen, held_out = lines(figure, TEXT["threshold"])
    assert (seen.x[0], seen.y[0]) == pytest.approx((-2.05375, -1.28155), abs=1e-5)
    # Rates that no normal deviate has stand at the ends of the axes.
    assert held_out.x[0] == pytest.approx(NormalDist().inv_cdf(1e-4))
    assert figure.layout.yaxis.range[0] < held_out.y[0] <= figure.layout.yaxis.range[1]


def test_det_and_roc_show_the_same_curve_and_the_hover_tells_the_rates():
    rng = np.random.default_rng(0)
    distances = np.r_[rng.normal(1, 0.4, 300), rng.normal(2, 0.5, 900)]
    far, tar, _ = roc_curve(np.arange(1200) < 300, -distances)
    (line,) = lines(det({"seen": (far, tar, "seen")}, {}, text=TEXT), "seen")
    accepts, rejects = line.customdata.T
    np.testing.assert_allclose(rejects, 1 - np.interp(accepts, far, tar), atol=2e-3)
    np.testing.assert_allclose(accepts, [NormalDist().cdf(x) for x in line.x], atol=1e-6)


def test_the_filled_areas_are_the_error_rates():
    """Of four same pairs one lies above 0.5; of five different ones 0.2 and 0.5 itself are accepted."""
    figure = histograms({"seen": HAND}, threshold=0.5)
    assert area(lines(figure, TEXT["false_rejects"])[0]) == pytest.approx(1 / 4)
    assert area(lines(figure, TEXT["false_accepts"])[0]) == pytest.approx(2 / 5)
    assert area(lines(figure, TEXT["same"])[0]) == pytest.approx(1)
    assert area(lines(figure, TEXT["different"])[0]) == pytest.approx(1)


def test_of_a_similarity_the_same_pairs_are_right_of_the_threshold():
    """At 0.5, a same pair at 0.2 is rejected; a different one at 0.5 and one at 0.7 are accepted."""
    found = pairs([0.2, 0.6, 0.9, 0.95], [0.1, 0.3, 0.5, 0.7])
    figure = histograms({"seen": found}, threshold=0.5, d_max=1.0, is_similarity=True)
    (rejects,), (accepts,) = lines(figure, TEXT["false_rejects"]), lines(figure, TEXT["false_accepts"])
    assert area(rejects, 1.0) == pytest.approx(1 / 4)
    assert area(accepts, 1.0) == pytest.approx(2 / 4)
    assert max(rejects.x) == min(accepts.x) == np.float32(0.5)


distances = st.lists(st.floats(0, 3, width=32), min_size=1, max_size=30)


@given(distances, distances, st.floats(2**-10, 1.875, width=32), st.booleans())
def test_areas_are_rates_for_any_pairs_and_any_threshold(same, different, threshold, is_similarity):
    figure = histograms({"seen": pairs(same, different)}, threshold, is_similarity=is_similarity)
    says_same = np.greater_equal if is_similarity else np.less_equal
    wanted = {
        "false_accepts": says_same(different, threshold).mean(),
        "false_rejects": 1 - says_same(same, threshold).mean(),
    }
    found = {name: area(lines(figure, TEXT[name])[0]) for name in wanted}
    assert found == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize(("threshold", "accepted"), [(-1.0, 0), (0.0, 0), (2.0, 1), (9.0, 1)])
def test_a_threshold_beyond_the_axis_accepts_all_or_none(threshold, accepted):
    figure = histograms({"seen": HAND}, threshold)
    assert area(lines(figure, TEXT["false_accepts"])[0]) == pytest.approx(accepted)
    assert area(lines(figure, TEXT["false_rejects"])[0]) == pytest.approx(1 - accepted)


def test_what_is_filled_ends_at_the_threshold_and_lies_under_its_own_histogram():
    figure = histograms({"seen": HAND}, threshold=0.713)
    (accepts,), (rejects,) = lines(figure, TEXT["false_accepts"]), lines(figure, TEXT["false_rejects"])
    assert (accepts.x[0], rejects.x[-1]) == (0, 2)
    assert accepts.x[-1] == rejects.x[0] == np.float32(0.713)
    for error, side, colour in ((accepts, "different", DIFFERENT_COLOUR), (rejects, "same", SAME_COLOUR)):
        (whole,) = lines(figure, TEXT[side])
        assert set(error.x) <= set(whole.x)
        assert whole.line.color == error.line.color == colour
        assert alpha(error) > 2 * alpha(whole)


def alpha(trace: go.Scatter) -> float:
    return float(trace.fillcolor.rsplit(",", 1)[1].rstrip(")"))


def test_a_threshold_that_moves_leaves_the_other_bins_and_the_axes_where_they_were():
    before, after = (histograms({"seen": HAND}, threshold) for threshold in (0.5, 1.013))
    assert len(set(lines(before, TEXT["same"])[0].x) - set(lines(after, TEXT["same"])[0].x)) <= 1
    assert before.layout.yaxis.range == after.layout.yaxis.range
    assert before.layout.xaxis.range == after.layout.xaxis.range == (0, 2)


def test_without_a_threshold_nothing_is_filled():
    figure = histograms({"seen": HAND}, threshold=None)
    assert [len(lines(figure, TEXT[name])[0].x) for name in ("false_accepts", "false_rejects")] == [0, 0]


def test_seen_classes_stand_above_held_out_ones_over_one_axis_and_one_legend():
    figure = histograms({"seen": HAND, "held_out": HAND})
    assert figure.layout.yaxis.domain[0] > figure.layout.yaxis2.domain[1]
    assert {trace.xaxis or "x" for trace in figure.data} == {"x"}
    assert figure.layout.xaxis.anchor == "y2"
    assert figure.layout.yaxis.range == figure.layout.yaxis2.range
    assert [trace.showlegend for trace in figure.data] == [True] * 4 + [False] * 4
    assert [note.text for note in figure.layout.annotations] == [TEXT["seen"], TEXT["held_out"]]
    assert histograms({"held_out": HAND}).layout.xaxis.anchor == "y"


def test_a_group_without_pairs_keeps_its_panel_and_says_so():
    figure = histograms({"seen": HAND, "held_out": pairs()})
    assert TEXT["no_pairs"] in [note.text for note in figure.layout.annotations]
    assert {trace.yaxis for trace in figure.data if len(trace.x)} == {"y", "y2"}
    assert {trace.line.width for trace in figure.data if trace.yaxis == "y2"} == {0}
    one_sided = histograms({"seen": pairs([0.3], [])})
    assert TEXT["no_pairs"] not in [note.text for note in one_sided.layout.annotations]


def test_a_row_of_the_confusion_matrix_shows_its_shares_and_tells_its_counts():
    figure = confusion([[3, 1], [0, 0]], ["cat", "dog"], text=TEXT)
    heat, numbers = figure.data
    np.testing.assert_array_equal(heat.z, [[0.75, 0.25], [0, 0]])
    np.testing.assert_array_equal(heat.customdata, [[3, 1], [0, 0]])
    assert heat.x == heat.y == ("cat", "dog")
    assert list(zip(numbers.y, numbers.x, numbers.text, strict=True)) == [("cat", "cat", "75"), ("cat", "dog", "25")]
    assert figure.layout.yaxis.range == (1.5, -0.5)  # the first class on top


def test_many_classes_have_neither_numbers_nor_names_on_the_axes_and_long_names_are_cut():
    many = confusion(np.eye(41, dtype=int), [f"class {i}" for i in range(41)], text=TEXT)
    assert len(many.data) == 1
    assert not many.layout.xaxis.showticklabels
    few = confusion(np.eye(2, dtype=int), ["cat", "a very long name indeed"], text=TEXT)
    assert few.layout.yaxis.showticklabels
    assert few.layout.yaxis.ticktext == ("cat", "a very long n…")
    assert few.data[0].y == ("cat", "a very long name indeed")


def test_every_approach_has_a_bar_in_each_metric_and_says_where_it_has_no_score():
    figure = baselines(SCORES, ["precision_at_1", "map_at_r"], text=TEXT)
    bars = [trace for trace in figure.data if trace.type == "bar"]
    assert {bar.name: bar.x.tolist() for bar in bars} == {
        "model": pytest.approx([0.9, 0.5]), "pixels": pytest.approx([0.7, 0.0])}  # fmt: skip
    words = {trace.legendgroup: trace.text for trace in figure.data if trace.type == "scatter"}
    assert words == {"model": ("0.900", "0.500"), "pixels": ("0.700", TEXT["missing"])}
    assert figure.layout.yaxis.ticktext == (TEXT["precision_at_1"], TEXT["map_at_r"])


def test_the_bars_of_a_metric_lie_side_by_side_around_its_name():
    bars = [trace for trace in baselines(SCORES, ["auc", "map_at_r"], text=TEXT).data if trace.type == "bar"]
    first, second = (np.stack([bar.y - bar.width / 2, bar.y + bar.width / 2]) for bar in bars)
    np.testing.assert_allclose(first[1], second[0], atol=1e-6)
    np.testing.assert_allclose((first[0] + second[1]) / 2, [0, 1], atol=1e-6)


def test_an_interval_reaches_from_its_low_to_its_high_end_and_the_number_stands_beyond():
    figure = baselines(SCORES, ["map_at_r"], {"model": {"map_at_r": (0.42, 0.55)}}, text=TEXT)
    bar, number, other, _ = figure.data
    assert bar.x[0] - bar.error_x.arrayminus[0] == pytest.approx(0.42)
    assert bar.x[0] + bar.error_x.array[0] == pytest.approx(0.55)
    assert number.x[0] > 0.55
    assert not other.error_x.visible


def test_importing_the_figures_imports_neither_plotly_nor_torch():
    code = (
        "import sys, siamese_core.export.figures.verification; print({'plotly', 'torch', 'sklearn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_class_that_is_called_like_html_is_shown_as_it_is_called():
    figure = confusion(np.eye(2, dtype=int), ["<b>bold", "R&D"], text=TEXT)
    assert list(figure.layout.xaxis.ticktext) == ["&lt;b&gt;bold", "R&amp;D"]
    assert list(figure.data[0].x) == ["&lt;b&gt;bold", "R&amp;D"]


def test_one_pair_stands_in_all_panels_and_at_the_end_where_it_is_beyond():
    for at, x, side in ((0.7, 0.7, "left"), (1.4, 1.4, "right"), (9.0, 2.0, "right")):
        figure = with_pair(histograms({"seen": HAND}), at, "this pair", 2.0)
        (line,) = figure.layout.shapes
        assert (line.x0, line.x1, line.yref) == (x, x, "paper")
        assert {note.text: note.xanchor for note in figure.layout.annotations}["this pair"] == side


def test_an_axis_ends_with_nearly_all_pairs_and_every_value_in_sight():
    spread = pairs([0.1], np.linspace(0, 1.5, 101))
    assert distance_end([spread]) == 2
    assert distance_end([spread], 0.3, 4.2) == 5
    assert distance_end([]) == 1
