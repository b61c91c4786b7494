from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siamese_core.export.figures import base
from siamese_core.export.figures.base import bin_shares, class_style, history, loss_curve, nice_end, triplet_surface
from siamese_core.losses.record import Curve

TEXT = defaultdict(lambda: "words", same="similar", different="different", pixels="raw pixels", loss="loss")


def contrastive(margin: float = 1.0, d_max: float = 2.0) -> Curve:
    d = np.linspace(0, d_max, 101)
    short = np.maximum(margin - d, 0)
    return Curve(d, d**2 / 2, short**2 / 2, d.copy(), -short)


def curve_figure(same=(0.1, 0.2), different=(0.9, 1.5), *, margin=1.0, d_max=2.0, **more) -> go.Figure:
    return loss_curve(contrastive(margin, d_max), same, different, text=TEXT, d_max=d_max, **more)


def surface_figure(triplets, margin=1.0, end=4.0) -> go.Figure:
    grid = np.linspace(0, end, 21)
    surface = np.maximum(grid[None, :] - grid[:, None] + margin, 0)
    return triplet_surface(grid, surface, triplets, margin=margin, text=TEXT)


def run_figure(points=50, steps=300, **more) -> go.Figure:
    at = np.arange(points)
    series = {
        "loss": (at, np.linspace(1, 0.1, points), "loss"),
        "map_at_r": (at, np.linspace(0.1, 0.6, points), "MAP@R"),
        "map_at_r.held_out": (at, np.linspace(0.1, 0.4, points), "MAP@R, held out"),
        "active": (at, np.linspace(1, 0.3, points), "active"),
    }
    return history(steps, series, text=TEXT, **{"pixels_baseline": 0.4, **more})


def panel(figure: go.Figure, axis: str) -> list[go.Scatter]:
    return [trace for trace in figure.data if (trace.yaxis or "y") == axis]


def assert_drawable(figure: go.Figure) -> None:
    """Valid for plotly, JSON without NaN, every drawn number finite, every axis with a length."""
    go.Figure(figure.to_plotly_json(), skip_invalid=False)
    json.dumps(figure.to_dict(), allow_nan=False)
    for trace in figure.data:
        for values in (trace.x, trace.y, getattr(trace, "z", None)):
            assert values is None or np.isfinite(values).all()
    axes = [axis for name, axis in figure.layout.to_plotly_json().items() if name[1:].startswith("axis")]
    assert len(axes) >= 2
    assert all(axis["range"][0] < axis["range"][1] for axis in axes)


def test_the_similar_branch_is_dashed_red_and_the_different_one_solid_blue():
    same, different = panel(curve_figure(), "y")
    assert (same.name, same.line.dash, same.line.color) == ("similar", "dash", base.SAME_COLOUR)
    assert (different.name, different.line.dash) == ("different", "solid")
    assert different.line.color == base.DIFFERENT_COLOUR
    np.testing.assert_allclose(same.y, contrastive().same, rtol=1e-6)
    np.testing.assert_allclose(different.y, contrastive().different, rtol=1e-6)


def test_the_slopes_are_thinner_and_only_there_on_demand():
    assert len(panel(curve_figure(), "y")) == 2
    same, same_slope, different, different_slope = panel(curve_figure(show_slope=True), "y")
    for branch, slope in ((same, same_slope), (different, different_slope)):
        assert slope.line.width < branch.line.width
        assert slope.line.color == branch.line.color
        assert slope.showlegend is not False
    assert curve_figure(show_slope=True).layout.yaxis.range[0] <= -1 < curve_figure().layout.yaxis.range[0]


def test_branches_and_histograms_share_the_distance_axis_and_are_read_together():
    figure = curve_figure(d_max=5.0)
    assert {trace.xaxis or "x" for trace in figure.data} == {"x"}
    assert figure.layout.xaxis.range == (0, 5.0)
    assert figure.layout.xaxis.anchor == "y2"
    assert figure.layout.hovermode == "x unified"


@pytest.mark.parametrize("distances", [[0.0], [0.3] * 7, [5.0, 0.1, np.nan, np.inf], np.linspace(0, 2, 99)])
def test_shares_sum_to_one(distances):
    share = bin_shares(np.float32(distances), 2.0)
    assert share.shape == (base.BINS,)
    assert share.sum() == pytest.approx(1, abs=1e-6)


def test_shares_count_a_distance_in_its_bin_and_one_beyond_the_axis_in_the_last():
    share = bin_shares([0.26, 0.26, 1.01, 9.0], 2.0)  # bins of 0.05
    assert {int(at): float(share[at]) for at in np.flatnonzero(share)} == {5: 0.5, 20: 0.25, 39: 0.25}


def test_shares_of_no_pairs_are_zero():
    assert not bin_shares(None, 2.0).any()
    assert not bin_shares(np.empty(0), 2.0).any()


def test_without_pairs_both_panels_stand_and_a_hint_says_what_to_do():
    hinted, drawn = curve_figure(None, None), curve_figure()
    assert len(hinted.layout.annotations) == len(drawn.layout.annotations) + 1
    assert {trace.opacity for trace in panel(hinted, "y2")} == {0}
    assert {trace.opacity for trace in panel(drawn, "y2")} == {1}


def test_bins_and_axes_do_not_jump_between_frames():
    before = curve_figure(np.full(10, 0.1), np.full(10, 0.2))
    spread = np.linspace(0, 2, 100)
    after = curve_figure(spread, spread, share_max=before.layout.yaxis2.range[1])
    for old, new in zip(panel(before, "y2"), panel(after, "y2"), strict=True):
        np.testing.assert_array_equal(old.x, new.x)
    assert before.layout.yaxis2.range == after.layout.yaxis2.range == (0, 1)
    assert before.layout.uirevision == after.layout.uirevision == base.UIREVISION


def test_the_loss_axis_is_made_for_the_different_branch_not_for_the_endless_similar_one():
    assert curve_figure(d_max=20.0).layout.yaxis.range[1] == 1
    assert curve_figure(margin=0.0, d_max=2.0).layout.yaxis.range[1] == 2


@pytest.mark.parametrize("same", [None, [], [0.0], [0.5] * 50, [np.nan, np.inf], [1e9]])
@pytest.mark.parametrize("margin", [0.0, 1.0, 50.0])
@pytest.mark.parametrize("d_max", [2.0, 1e-3, 0.0, np.nan])
def test_degenerate_distances_give_a_figure(same, margin, d_max):
    curve = contrastive(margin)
    assert_drawable(loss_curve(curve, same, same, text=TEXT, d_max=d_max, show_slope=True))


def test_a_curve_that_leaves_the_numbers_is_drawn_where_it_has_them():
    curve = contrastive()
    curve.different[0] = np.inf
    curve.same_slope[3] = np.nan
    figure = loss_curve(curve, [0.1], [0.9], text=TEXT, d_max=2.0, show_slope=True)
    assert_drawable(figure)
    assert [len(trace.x) for trace in panel(figure, "y")] == [101, 100, 100, 101]


def test_the_surface_has_a_row_for_each_d_negative_and_its_zero_line_bounds_it():
    heat, line = surface_figure(None, margin=1.0).data
    zero = np.asarray(heat.z) == 0
    np.testing.assert_array_equal(zero, heat.y[:, None] >= heat.x[None, :] + 1)
    np.testing.assert_allclose(line.y, line.x + 1)
    assert max(line.y) == 4


def test_triplets_beyond_the_grid_lie_on_its_edge_and_only_some_are_drawn():
    rng = np.random.default_rng(0)
    points = surface_figure(rng.uniform(0, 9, (2, 4001))).data[-1]
    assert base.TRIPLET_POINTS / 2 <= len(points.x) <= base.TRIPLET_POINTS
    assert points.x.max() == points.y.max() == 4
    assert points.type == "scatter"


@pytest.mark.parametrize("triplets", [None, np.empty((2, 0)), np.zeros((2, 3)), np.full((2, 4), np.nan)])
@pytest.mark.parametrize("margin", [0.0, 1.0, 9.0])
def test_degenerate_triplets_give_a_figure(triplets, margin):
    figure = surface_figure(triplets, margin)
    assert_drawable(figure)
    drawn = len(figure.data) == 3
    assert drawn == (triplets is not None and np.isfinite(triplets).any())
    assert len(figure.layout.annotations) == (1 if drawn else 2)


def test_history_keeps_loss_and_scores_apart_on_one_step_axis():
    figure = run_figure(steps=300)
    assert [trace.name for trace in panel(figure, "y")] == ["loss"]
    assert {"MAP@R", "active", "raw pixels"} <= {trace.name for trace in panel(figure, "y2")}
    assert figure.layout.xaxis.range == (0, 300)
    assert figure.layout.yaxis2.range[0] <= 0
    assert figure.layout.yaxis2.range[1] >= 1


def test_held_out_classes_are_dotted_in_the_colour_of_their_metric():
    lines = {trace.name: trace.line for trace in run_figure().data}
    assert lines["MAP@R"].dash == "solid"
    assert lines["MAP@R, held out"].dash == "dot"
    assert lines["MAP@R"].color == lines["MAP@R, held out"].color


def test_raw_pixels_are_a_dashed_level_over_all_steps_or_absent():
    (line,) = (trace for trace in run_figure().data if trace.name == "raw pixels")
    assert line.line.dash == "dash"
    np.testing.assert_allclose([*line.x, *line.y], [0, 300, 0.4, 0.4])
    assert not [trace for trace in run_figure(pixels_baseline=None).data if trace.name == "raw pixels"]


def test_a_long_run_is_thinned_to_points_that_stay_where_they_were():
    short, long = (panel(run_figure(points, steps=10_000), "y")[0].x for points in (4500, 5000))
    assert len(short) <= base.LINE_POINTS
    assert len(long) <= base.LINE_POINTS
    assert short[-1] == 4499
    assert long[-1] == 4999
    assert set(short[:-1]) <= set(long)


@pytest.mark.parametrize("points", [0, 1, 2, 499, 500, 501])
def test_a_run_of_any_length_gives_a_figure(points):
    assert_drawable(run_figure(points, steps=1))


def test_a_run_without_anything_gives_two_panels_and_a_hint():
    figure = history(300, {}, pixels_baseline=None, text=TEXT)
    assert_drawable(figure)
    assert {trace.yaxis for trace in figure.data} == {"y", "y2"}
    assert len(figure.layout.annotations) == 3


def test_a_step_without_a_number_is_left_out():
    figure = history(9, {"loss": ([0, 1, 2], [1.0, np.nan, 0.5], "loss")}, pixels_baseline=None, text=TEXT)
    assert panel(figure, "y")[0].x.tolist() == [0, 2]


@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_an_axis_only_grows_and_shows_the_value(before, value):
    limit = nice_end(before, value)
    assert limit >= before
    assert limit * (1 + 1e-5) >= value or value < 1e-30
    assert nice_end(limit, value) == limit


def test_an_axis_grows_in_steps():
    steps = {0.011: 0.02, 0.3: 0.5, 1.0: 1.0, 1.2: 2.0, 2.0: 2.0, 4.9: 5.0, 7.0: 10.0}
    assert {value: nice_end(0, value) for value in steps} == pytest.approx(steps)
    assert nice_end(3.0, 2.0) == 3.0
    assert nice_end(2.0, float("nan")) == nice_end(2.0, float("inf")) == nice_end(2.0, -1.0) == 2.0
    assert nice_end(0, float(np.nextafter(np.float32(1), np.float32(2)))) == 1


def test_a_hundred_classes_differ_in_colour_or_marker():
    assert len({class_style(index) for index in range(100)}) == 100
    assert class_style(3) == ("#94a4a2", "diamond")


@pytest.mark.parametrize("draw", [curve_figure, lambda: surface_figure(np.ones((2, 5))), run_figure])
def test_figures_leave_the_theme_to_the_page_and_send_their_arrays_as_float32(draw):
    figure = draw()
    assert_drawable(figure)
    layout = figure.layout
    assert layout.paper_bgcolor == layout.plot_bgcolor == "rgba(0,0,0,0)"
    assert layout.font.color is None
    assert layout.template.layout.to_plotly_json() == {}
    assert {trace["x"]["dtype"] for trace in figure.to_dict()["data"]} == {"f4"}


def test_importing_figures_imports_neither_plotly_nor_torch():
    code = "import sys, siamese_core.export.figures.base; print({'plotly', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_pages_theme_has_the_colours_of_the_classes() -> None:
    config = tomllib.loads((Path(__file__).parents[3] / ".streamlit" / "config.toml").read_text("utf-8"))
    assert tuple(config["theme"]["chartCategoricalColors"]) == base.CLASS_COLOURS
