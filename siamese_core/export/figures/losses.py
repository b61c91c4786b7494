"""The figures of the Losses page: losses over each other, one pair under all of them, trials side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from siamese_core.export.figures import base
from siamese_core.losses.record import Curve

if TYPE_CHECKING:
    import plotly.graph_objects as go

SAME_SHADES = ("#e5484d", "#f0989b", "#b3363b", "#ff9d6e", "#c2559d", "#a96b59")
DIFFERENT_SHADES = ("#3b82f6", "#8fb8fa", "#2456b8", "#35c2d6", "#8b6fd6", "#5c8a9c")
"""A shade for each loss of an overlay: same pairs stay red, different ones blue."""

PANEL_GAP = 0.15
"""Of the height: room for a grip and a title between two panels."""


MOST = 0.95
"""The share of a curve that its axis must show."""


@dataclass(frozen=True)
class Point:
    """A pair on a curve: where it is now, and where it has been, `trail` (S,) and its losses (S,), oldest first."""

    at: float
    loss: float
    trail: npt.NDArray[Any]
    losses: npt.NDArray[Any]
    same: bool


@dataclass(frozen=True)
class Mark:
    """A value on the axis that no pair can pass: a dotted line with its words."""

    at: float
    words: str


def crossings(curve: Curve) -> npt.NDArray[np.float64]:
    """Return (K,): where the two branches of a loss meet, between the points of its curve."""
    gap = np.asarray(curve.same, np.float64) - np.asarray(curve.different, np.float64)
    x = np.asarray(curve.at, np.float64)
    i = np.flatnonzero(gap[:-1] * gap[1:] < 0)
    between = x[i] + (x[i + 1] - x[i]) * gap[i] / (gap[i] - gap[i + 1])
    return np.sort(np.concatenate([between, x[(gap == 0) & ~(np.abs(curve.same) < 1e-12)]]))


def overlay(
    curves: Mapping[str, Curve],
    *,
    end: float,
    text: Mapping[str, str],
    pairs: tuple[npt.NDArray[Any], npt.NDArray[Any]] | None = None,
    point: Point | None = None,
    marks: Sequence[Mark] = (),
) -> go.Figure:
    """Draw several losses, title → curve, over one axis from 0 to `end`: their values above, their slopes below.

    `pairs` are the same (P,) and different (P,) distances of a run, in a panel under both.
    Words: same, different, axis, loss, slope, share, crossing, point.
    """
    data: list[dict[str, Any]] = []
    top, low, high = 0.0, 0.0, 0.0
    for i, (title, curve) in enumerate(curves.items()):
        styles = _styles(i)
        top = max(top, _top(curve))
        for branch, values, slope in (
            ("same", curve.same, curve.same_slope),
            ("different", curve.different, curve.different_slope),
        ):
            name = f"{title}: {text[branch]}" if len(curves) > 1 else text[branch]
            group = f"{i} {branch}"
            data.append(base.line_trace(curve.at, values, name, line=styles[branch], legendgroup=group))
            below: dict[str, Any] = {"yaxis": "y2", "legendgroup": group, "showlegend": False}
            data.append(base.line_trace(curve.at, slope, name, line=styles[branch], **below))
        low = max(low, *(_most(-s) for s in (curve.same_slope, curve.different_slope)))
        high = max(high, *(_most(s) for s in (curve.same_slope, curve.different_slope)))
        data += _crossing(curve, text["crossing"], top)
    if point is not None:
        data.append(_trail(point, text["point"]))
    slope_end = min(base.nice_end(0, low) or 1.0, 4 * (base.nice_end(0, top) or 1.0))
    rise = min(base.nice_end(0, high) or 1.0, slope_end if low else 4 * (base.nice_end(0, top) or 1.0))
    panels = [text["loss"], text["slope"]] + ([text["share"]] if pairs is not None else [])
    domains = _domains(len(panels), head=0.42 if pairs is None else 0.3)
    axes: dict[str, Any] = {
        "xaxis": base.axis_of([0, end], anchor=f"y{len(panels)}", **base.axis_title(text["axis"], ".3f")),
        "yaxis": base.axis_of([-0.03 * top, top or 1.0], domain=domains[0]),
        "yaxis2": base.axis_of([-slope_end, rise], domain=domains[1], nticks=5, zeroline=True),
    }
    if pairs is not None:
        same_shares, different_shares = (base.bin_shares(values, end) for values in pairs)
        for branch, share in (("same", same_shares), ("different", different_shares)):
            colour = _styles(0)[branch]["color"]
            data.append(base.share_trace(share, end, text[branch], colour, yaxis="y3"))
        peak = base.nice_end(0.05, float(max(same_shares.max(), different_shares.max())))
        axes["yaxis3"] = base.axis_of([0, peak], domain=domains[2], nticks=3, tickformat=".0%")
    notes = [base.panel_title(words, f"y{n}" if n > 1 else "y") for n, words in enumerate(panels, 1)]
    seen = [mark for mark in marks if math.isfinite(mark.at) and mark.at <= end]
    return base.figure_of(
        data,
        hovermode="x unified",
        annotations=notes + [_mark_words(mark, end) for mark in seen],
        shapes=[_mark_line(mark) for mark in seen],
        **axes,
    )


def one_pair(losses: Mapping[str, tuple[float, float]], *, text: Mapping[str, str], normalised: bool) -> go.Figure:
    """Draw bars: what each loss, by title, asks of one pair were it the same, and were it different.

    Words: same, different, value, value_normalised.
    """
    titles = list(losses)
    data: list[dict[str, Any]] = []
    for n, (branch, colour) in enumerate((("same", SAME_SHADES[0]), ("different", DIFFERENT_SHADES[0]))):
        values = [losses[title][n] for title in titles]
        data.append({
            "type": "bar", "orientation": "h", "x": values, "y": titles, "name": text[branch],
            "marker": {"color": base.with_alpha(colour, 0.75), "pattern": {"shape": "/" if branch == "same" else ""}},
            "hovertemplate": "%{y}: %{x:.4f}<extra>" + text[branch] + "</extra>",
        })  # fmt: skip
    highest = max((max(pair) for pair in losses.values()), default=0.0)
    words = text["value_normalised" if normalised else "value"]
    return base.figure_of(
        data,
        hovermode="closest",
        xaxis=base.axis_of(
            [0, 1.02] if normalised else [0, base.nice_end(0, highest) or 1.0], **base.axis_title(words, ".3f")
        ),
        yaxis=base.axis_of([len(titles) - 0.5, -0.5], type="category", automargin=True, domain=[0, 0.93]),
    )


def trials(
    series: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]], *, steps: int, text: Mapping[str, str]
) -> go.Figure:
    """Draw MAP@R of several runs, title → (steps, scores), over their steps. Words: step, score, waiting."""
    data = []
    for i, (title, (at, scores)) in enumerate(series.items()):
        colour = base.CLASS_COLOURS[i % len(base.CLASS_COLOURS)]
        dash = ("solid", "dash", "dot")[i // 3 % 3]
        data.append(base.line_trace(at, scores, title, line={"color": colour, "width": 2.5, "dash": dash}))
    empty = all(not len(trace["x"]) for trace in data)
    return base.figure_of(
        data,
        hovermode="x unified",
        annotations=[base.panel_title(text["score"], "y"), *([base.hint_at(text["waiting"], "y")] if empty else [])],
        xaxis=base.axis_of([0, steps], **base.axis_title(text["step"], ".0f")),
        yaxis=base.axis_of([0, 1], domain=[0, 0.88], nticks=6),
    )


def _styles(i: int) -> dict[str, dict[str, Any]]:
    """Return the line styles of the i-th loss of an overlay."""
    width = 2.5 if i == 0 else 2.0
    n = i % len(SAME_SHADES)
    return {
        "same": {"color": SAME_SHADES[n], "dash": "dash", "width": width, "simplify": False},
        "different": {"color": DIFFERENT_SHADES[n], "dash": "solid", "width": width, "simplify": False},
    }


def _crossing(curve: Curve, words: str, top: float) -> list[dict[str, Any]]:
    x = crossings(curve)
    y = np.interp(x, curve.at, curve.same)
    shown = y <= top
    if not shown.any():
        return []
    hover = words + " %{x:.3f}<extra></extra>"
    marker = {"symbol": "circle-open", "size": 9, "color": base.NEUTRAL, "line": {"width": 2}}
    return [base.line_trace(x[shown], y[shown], words, mode="markers", marker=marker, showlegend=False)
            | {"hovertemplate": hover}]  # fmt: skip


def _trail(point: Point, words: str) -> dict[str, Any]:
    """Draw the pair's way down the curve, its newest point last and largest."""
    x, y = np.append(point.trail, point.at), np.append(point.losses, point.loss)
    colour = (SAME_SHADES if point.same else DIFFERENT_SHADES)[0]
    sizes = [6] * len(point.trail) + [14]
    marker = {"color": colour, "size": sizes, "line": {"width": 1.5, "color": base.NEUTRAL}}
    style: dict[str, Any] = {"mode": "lines+markers", "line": {"color": base.NEUTRAL, "width": 1}, "showlegend": False}
    return base.line_trace(x, y, words, marker=marker, **style)


def _top(curve: Curve) -> float:
    """Return the end of the axis of losses: a logarithm's needles at p = 0 and 1 do not set it."""
    branches = (curve.same, curve.different)
    return min(
        base.loss_limit(curve), base.nice_end(0.0, max(float(np.quantile(branch, MOST)) for branch in branches)) or 1.0
    )


def _most(slope: npt.NDArray[Any]) -> float:
    finite = base.finite(slope)
    return max(float(np.quantile(finite, MOST)), 0.0) if len(finite) else 0.0


def _domains(panels: int, head: float) -> list[list[float]]:
    """Return panels from the top: the first panel takes `head` of the height, the others share the rest."""
    rest = (0.93 - head - PANEL_GAP * (panels - 1)) / (panels - 1)
    domains = [[0.93 - head, 0.93]]
    for _ in range(panels - 1):
        end = domains[-1][0] - PANEL_GAP
        domains.append([max(end - rest, 0.0), end])
    return domains


def _mark_line(mark: Mark) -> dict[str, Any]:
    line = {"color": base.NEUTRAL, "width": 1.5, "dash": "dot"}
    return {"type": "line", "x0": mark.at, "x1": mark.at, "y0": 0, "y1": 0.93, "yref": "paper", "line": line}


def _mark_words(mark: Mark, end: float) -> dict[str, Any]:
    left = mark.at > 0.6 * end
    return {
        "x": mark.at, "y": 0.93, "yref": "paper", "text": mark.words, "showarrow": False, "textangle": -90,
        "xanchor": "right" if left else "left", "yanchor": "top", "opacity": 0.75,
    }  # fmt: skip
