"""The figures of verification: same or different at a threshold, and what the errors cost.

Rates are shares between 0 and 1: of false accepts among the different pairs, of false rejects among the same ones.
Groups are "seen" and "held_out" classes; the held-out ones are dotted. Every word comes from the caller.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from siamese_core.export.figures import base

if TYPE_CHECKING:
    import plotly.graph_objects as go

Curve = tuple[npt.ArrayLike, npt.ArrayLike, str]
"""False accept rates (T,) and true accept rates (T,) of all thresholds, and the name in the legend."""
HEIGHTS = {"roc": 420, "det": 460, "histogram": 340, "histograms": 500}
"""In pixels, tried out on a desk and on a phone."""

COLOUR, MARK_COLOUR = base.METRIC_COLOURS["map_at_r"], base.METRIC_COLOURS["precision_at_1"]
LOWEST_RATE = 1e-4
"""Where logarithms and normal deviates end: a rate of 0 is drawn here."""
HIGHEST_DET = 0.6
DET_TICKS = (0.0001, 0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4)


class Distances(Protocol):
    """The distances or similarities of same (P,) and of different (Q,) pairs."""

    @property
    def same(self) -> npt.NDArray[Any]: ...
    @property
    def different(self) -> npt.NDArray[Any]: ...


def roc(curves: Mapping[str, Curve], marks: Mapping[str, tuple[float, float]], *, text: Mapping[str, str]) -> go.Figure:
    """Draw true over false accepts (Fawcett 2006), by group; between its points a curve is straight on a linear axis.

    `marks` are the false and true accept rates at the threshold. The axis of false accepts is logarithmic, from
    `LOWEST_RATE` to 1. Words: false_accepts, true_accepts, chance, threshold, no_pairs.
    """
    rates = np.geomspace(LOWEST_RATE, 1, base.LINE_POINTS + 1)
    data: list[dict[str, Any]] = []
    for group, (far, tar, label) in curves.items():
        data.append(base.line_trace(rates, _read(rates, far, tar), label, ".1%", line=_line(group), legendgroup=group))
    data.append(_guide(rates, rates, text["chance"]))
    data += _markers({group: (max(far, LOWEST_RATE), tar) for group, (far, tar) in marks.items()}, text["threshold"])
    return base.figure_of(
        data,
        hovermode="x unified",
        margin={"l": 44, "r": 22, "t": 12, "b": 44},  # room for "100%"
        annotations=[base.panel_title(text["true_accepts"], "y"), *_hint(curves, text)],
        xaxis=base.axis_of(
            [math.log10(LOWEST_RATE) - 0.03, 0.01], type="log", dtick=1, tickformat="~%",
            **base.axis_title(text["false_accepts"], ".2~%"),
        ),
        yaxis=base.axis_of([-0.02, 1.02], domain=[0, 0.93], nticks=6, tickformat=".0%"),
    )  # fmt: skip


def det(curves: Mapping[str, Curve], marks: Mapping[str, tuple[float, float]], *, text: Mapping[str, str]) -> go.Figure:
    """Draw false rejects over false accepts, both as normal deviates (Martin et al. 1997).

    "The DET curve in assessment of detection task performance": where the distances are normal, it is straight.

    The arguments are those of `roc`. Words: false_accepts, false_rejects, equal, threshold, no_pairs.
    """
    low, high = _probit([LOWEST_RATE, HIGHEST_DET])
    x = np.linspace(low, high, base.LINE_POINTS + 1)
    rates = np.array([NormalDist().cdf(value) for value in x])
    hover = f"{text['false_accepts']} %{{customdata[0]:.2~%}}<br>{text['false_rejects']} %{{customdata[1]:.2~%}}"
    data = []
    for group, (far, tar, label) in curves.items():
        false_rejects = 1 - _read(rates, far, tar)
        if np.isnan(false_rejects).any():
            continue
        style: dict[str, Any] = {"customdata": np.stack([rates, false_rejects], axis=1).astype(np.float32)}
        style |= {"hovertemplate": f"{hover}<extra>%{{fullData.name}}</extra>", "line": _line(group)}
        data.append(base.line_trace(x, _probit(false_rejects), label, legendgroup=group, **style))
    data.append(_guide([low, high], [low, high], text["equal"]))
    points = {group: tuple(_probit([far, 1 - tar]).clip(low, high)) for group, (far, tar) in marks.items()}
    data += _markers(points, text["threshold"])
    ticks = {"tickvals": _probit(DET_TICKS).tolist(), "ticktext": [f"{100 * rate:g}%" for rate in DET_TICKS]}
    limits = [float(low) - 0.06, float(high)]
    return base.figure_of(
        data,
        hovermode="closest",
        annotations=[base.panel_title(text["false_rejects"], "y"), *_hint(curves, text)],
        xaxis=base.axis_of(limits, **ticks, title={"text": text["false_accepts"], "standoff": 6}),
        yaxis=base.axis_of(limits, **ticks, domain=[0, 0.93]),
    )


def distance_end(groups: Iterable[Distances], *values: float) -> float:
    """Return the end of an axis of distances: with nearly all pairs in sight, and all of the values."""
    ends = [float(np.quantile(group.different, 0.98)) for group in groups if len(group.different)]
    return base.nice_end(0.0, max([*ends, *values], default=0.0)) or 1.0


def distance_histograms(
    groups: Mapping[str, Distances],
    *,
    d_max: float,
    threshold: float | None,
    is_similarity: bool = False,
    text: Mapping[str, str],
) -> go.Figure:
    """Draw shares of the same and of the different pairs over their distance, a panel a group, the first on top.

    What lies on the wrong side of the threshold is filled: the filled area, in bins of d_max / `BINS`, is the rate of
    false accepts or false rejects. So an edge of a bin moves to the threshold, and its neighbours keep their area.
    A pair exactly at the threshold is the same. The threshold's line is drawn by the view.
    Words: same, different, false_accepts, false_rejects, axis, no_pairs, and each group's.
    """
    d_max = d_max if math.isfinite(d_max) and d_max > 0 else 1.0
    cut = np.float32(math.nan if threshold is None else threshold)
    edges = _edges(d_max, cut)
    below, above = edges[1:] <= cut, edges[1:] > cut
    accepted, rejected = (above, below) if is_similarity else (below, above)
    data: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    peak = 0.0
    axes = {f"y{n}" if n > 1 else "y": group for n, group in enumerate(groups or {"": None}, 1)}
    for axis, group in axes.items():
        same, different = (groups[group].same, groups[group].different) if group else ((), ())
        peak = max(peak, *(float(base.bin_shares(values, d_max).max()) for values in (same, different)))
        sides = (
            ("same", same, base.SAME_COLOUR, "false_rejects", rejected),
            ("different", different, base.DIFFERENT_COLOUR, "false_accepts", accepted),
        )
        filled = []
        for side, values, colour, error, wrong in sides:
            heights = _heights(values, edges, is_similarity)
            style = {"yaxis": axis, "showlegend": axis == "y", "fill": "tozeroy"}
            # Without pairs an invisible line stays: plotly draws no panel that has no trace.
            line = {"color": colour, "width": 1.2 if heights.any() else 0, "shape": "hv"}
            light = style | {"line": line, "fillcolor": base.with_alpha(colour, 0.2), "legendgroup": side}
            data.append(_steps(edges, heights, text[side], **light))
            strong = style | {
                "line": line | {"width": 0},
                "fillcolor": base.with_alpha(colour, 0.75),
                "legendgroup": error,
            }
            filled.append(_steps(edges[wrong.argmax() :], heights[wrong], text[error], **strong, hoverinfo="skip"))
        data += filled
        notes += [base.panel_title(text[group], axis)] if group else []
        notes += [] if len(same) or len(different) else [base.hint_at(text["no_pairs"], axis)]
    layout = {
        f"yaxis{axis[1:]}": base.axis_of([0, 1.1 * peak or 1.0], domain=domain, nticks=4, tickformat=".1~%")
        for axis, domain in zip(axes, _domains(len(axes)), strict=True)
    }
    standoff = 14 if len(axes) == 1 else 0  # the threshold's grip stands at the foot of a single panel
    return base.figure_of(
        data,
        hovermode="x unified",
        annotations=notes,
        xaxis=base.axis_of(
            [0, d_max], anchor=list(axes)[-1], ticklabelstandoff=standoff, **base.axis_title(text["axis"], ".2f")
        ),
        **layout,
    )


def _read(rates: npt.NDArray[Any], far: npt.ArrayLike, tar: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Interpolate a ROC curve at these false accept rates, its upper end where it rises straight up, or NaN."""
    points = np.stack([np.asarray(far, np.float64), np.asarray(tar, np.float64)])
    x, y = points[:, np.isfinite(points).all(axis=0)]
    order = np.lexsort((y, x))
    return np.asarray(np.interp(rates, x[order], y[order]) if len(x) else np.full(len(rates), np.nan))


def _probit(rates: npt.ArrayLike) -> npt.NDArray[np.float64]:
    clipped = np.clip(np.asarray(rates, np.float64), LOWEST_RATE, 1 - LOWEST_RATE)
    return np.array([NormalDist().inv_cdf(rate) for rate in clipped])


def _line(group: str) -> dict[str, Any]:
    return {"color": COLOUR, "width": 2.5, "dash": "dot" if group == "held_out" else "solid"}


def _guide(x: npt.ArrayLike, y: npt.ArrayLike, words: str) -> dict[str, Any]:
    line = {"color": base.NEUTRAL, "width": 1, "dash": "dash"}
    return base.line_trace(x, y, words, line=line, hoverinfo="skip", hovertemplate=None)


def _markers(points: Mapping[str, tuple[float, ...]], words: str) -> list[dict[str, Any]]:
    traces: list[dict[str, Any]] = []
    for n, (group, (x, y)) in enumerate(points.items()):
        symbol = "circle-open" if group == "held_out" else "circle"
        marker = {"color": MARK_COLOUR, "size": 11, "symbol": symbol, "line": {"width": 2.5, "color": MARK_COLOUR}}
        style: dict[str, Any] = {"mode": "markers", "marker": marker, "legendgroup": "threshold", "showlegend": not n}
        traces.append(base.line_trace([x], [y], words, **style, hoverinfo="skip", hovertemplate=None))
    return traces


def _hint(curves: Mapping[str, Curve], text: Mapping[str, str]) -> list[dict[str, Any]]:
    return [] if any(np.size(far) for far, _, _ in curves.values()) else [base.hint_at(text["no_pairs"], "y")]


def _edges(d_max: float, cut: np.float32) -> base.Array:
    """Return (BINS + 1,): equal bins of [0, d_max], the inner edge nearest to the cut moved onto it."""
    edges = np.linspace(0, d_max, base.BINS + 1, dtype=np.float32)
    if 0 < cut < edges[-1]:
        edges[1 + np.abs(edges[1:-1] - cut).argmin()] = cut
    return edges


def _heights(values: npt.ArrayLike, edges: base.Array, is_similarity: bool) -> base.Array:
    """Return (BINS,): the shares of the values in bins, over the widths of the bins, in mean widths."""
    found = np.ravel(np.asarray(values, np.float32))
    found = found[np.isfinite(found)]
    # At an edge a distance belongs to the bin below, a similarity to the one above: both are accepted there.
    bins = np.searchsorted(edges, found, "right" if is_similarity else "left") - 1
    counts = np.bincount(bins.clip(0, base.BINS - 1), minlength=base.BINS)
    widths = np.diff(edges.astype(np.float64))
    return np.asarray(counts / max(len(found), 1) * widths.mean() / widths, np.float32)


def _steps(edges: base.Array, heights: base.Array, name: str, **style: Any) -> dict[str, Any]:
    return base.line_trace(edges[: len(heights) + 1], np.append(heights, heights[-1:]), name, ".1%", **style)


def _domains(panels: int) -> list[list[float]]:
    """Return panels from the top, with room for the threshold's grip and a title between two."""
    gap, top = 0.17, 0.92
    height = (top - gap * (panels - 1)) / panels
    return [[max(top - n * (height + gap) - height, 0.0), top - n * (height + gap)] for n in range(panels)]


def with_pair(figure: go.Figure, at: float, words: str, d_max: float) -> go.Figure:
    """Add one pair to all panels of a figure over distances: a dotted line, and the words at its top."""
    x = min(max(at, 0.0), d_max)
    side, shift = ("left", 4) if x < 0.5 * d_max else ("right", -4)
    line = {"color": MARK_COLOUR, "width": 2, "dash": "dot"}
    figure.add_shape({"type": "line", "x0": x, "x1": x, "xref": "x", "y0": 0, "y1": 0.9, "yref": "paper", "line": line})
    place = {"x": x, "y": 0.9, "yref": "paper", "xanchor": side, "yanchor": "top", "xshift": shift}
    figure.add_annotation({"text": words, "showarrow": False, "font": {"color": MARK_COLOUR}, **place})
    return figure
