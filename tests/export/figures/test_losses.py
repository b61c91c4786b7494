"""The figures of the Losses page show the numbers they are given, and where branches cross."""

from __future__ import annotations

import numpy as np
import pytest

from siamese_core.export.figures.losses import Mark, Point, crossings, one_pair, overlay, trials
from siamese_core.losses import LOSSES
from siamese_core.losses.record import Curve
from siamese_core.training.loss_curves import curve

WORDS = {
    name: name
    for name in ("same", "different", "axis", "loss", "slope", "share", "crossing", "point", "step", "score", "waiting")
} | {"value": "value", "value_normalised": "value_normalised"}


def drawn(key: str, end: float = 5.0, **params: float) -> Curve:
    return curve(LOSSES[key], params, np.linspace(0, end, 201))


@pytest.mark.parametrize("q", [1.0, 5.0, 7.3])
def test_the_exponential_branches_cross_at_half_of_q(q: float) -> None:
    (found,) = crossings(drawn("exponential", 5.0, q=q))
    assert found == pytest.approx(q / 2, rel=1e-3)


def test_the_contrastive_branches_cross_at_half_the_margin() -> None:
    (found,) = crossings(drawn("contrastive", 3.0, margin=1.3))
    assert found == pytest.approx(0.65, abs=1e-3)


def test_branches_that_never_meet_have_no_crossing() -> None:
    apart = Curve(*(np.array(v, np.float32) for v in ([0, 1], [1, 2], [0, 0], [1, 1], [0, 0])))
    assert len(crossings(apart)) == 0


def test_every_loss_of_an_overlay_has_its_value_above_and_its_slope_below() -> None:
    curves = {"a": drawn("contrastive", margin=1.0), "b": drawn("exponential", q=5.0)}
    figure = overlay(curves, end=5.0, text=WORDS)
    for title, shown in curves.items():
        for branch in ("same", "different"):
            above, below = (
                next(t for t in figure.data if t.name == f"{title}: {branch}" and t.yaxis == panel)
                for panel in ("y", "y2")
            )
            np.testing.assert_allclose(above.y, getattr(shown, branch))
            np.testing.assert_allclose(below.y, getattr(shown, f"{branch}_slope"))
            assert above.line.dash == ("dash" if branch == "same" else "solid")
            assert not below.showlegend


def test_one_hover_reads_every_branch_at_a_place() -> None:
    figure = overlay({"a": drawn("contrastive", margin=1.0)}, end=5.0, text=WORDS)
    assert figure.layout.hovermode == "x unified"
    assert all("%{y" in trace.hovertemplate for trace in figure.data if trace.mode == "lines")


def test_a_similar_branch_is_red_and_a_different_one_blue() -> None:
    figure = overlay({"a": drawn("log", 1.0)}, end=1.0, text=WORDS)
    colours = {trace.name: trace.line.color for trace in figure.data if trace.yaxis == "y" and trace.mode == "lines"}
    assert colours == {"same": "#e5484d", "different": "#3b82f6"}


def test_the_needles_of_a_logarithm_do_not_set_the_axis() -> None:
    assert overlay({"log": drawn("log", 1.0)}, end=1.0, text=WORDS).layout.yaxis.range[1] <= 5


def test_the_pairs_of_a_run_stand_in_a_panel_of_their_own() -> None:
    pairs = (np.array([0.1, 0.1, 0.3]), np.array([2.0, 3.0]))
    figure = overlay({"a": drawn("contrastive", margin=1.0)}, end=5.0, text=WORDS, pairs=pairs)
    same, different = (t for t in figure.data if t.yaxis == "y3")
    assert sum(same.y[:-1]) == pytest.approx(1)
    assert sum(different.y[:-1]) == pytest.approx(1)
    domains = [figure.layout[name].domain for name in ("yaxis3", "yaxis2", "yaxis")]
    assert [edge for domain in domains for edge in domain] == sorted(edge for domain in domains for edge in domain)
    assert domains[0][0] >= 0


def test_a_pair_that_rolled_shows_its_way() -> None:
    point = Point(0.5, 0.125, np.array([0.1, 0.3]), np.array([0.4, 0.2]), same=False)
    figure = overlay({"a": drawn("contrastive", margin=1.0)}, end=5.0, text=WORDS, point=point)
    (trail,) = (t for t in figure.data if t.name == "point")
    assert list(trail.x) == pytest.approx([0.1, 0.3, 0.5])
    assert list(trail.y) == pytest.approx([0.4, 0.2, 0.125])
    assert trail.marker.size[-1] > trail.marker.size[0]


def test_a_mark_beyond_the_axis_is_left_out() -> None:
    marks = [Mark(2.0, "two"), Mark(9.0, "far"), Mark(float("inf"), "never")]
    figure = overlay({"a": drawn("contrastive", margin=1.0)}, end=5.0, text=WORDS, marks=marks)
    assert [shape.x0 for shape in figure.layout.shapes] == [2.0]
    assert "two" in [note.text for note in figure.layout.annotations]


def test_one_pair_has_two_bars_a_loss() -> None:
    figure = one_pair({"a": (0.5, 0.1), "b": (1.0, 0.0)}, text=WORDS, normalised=False)
    same, different = figure.data
    assert list(same.x) == [0.5, 1.0]
    assert list(different.x) == [0.1, 0.0]
    assert figure.layout.xaxis.title.text == "value"
    assert one_pair({"a": (1.0, 0.2)}, text=WORDS, normalised=True).layout.xaxis.range == (0, 1.02)


def test_trials_are_drawn_over_their_steps_and_say_when_there_are_none() -> None:
    figure = trials({"a": ([10, 20], [0.1, 0.4]), "b": ([], [])}, steps=150, text=WORDS)
    assert list(figure.data[0].y) == pytest.approx([0.1, 0.4])
    assert figure.layout.xaxis.range == (0, 150)
    empty = trials({"a": ([], [])}, steps=150, text=WORDS)
    assert "waiting" in [note.text for note in empty.layout.annotations]
