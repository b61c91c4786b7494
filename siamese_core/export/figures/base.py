"""Arrays in, plotly figures out: what the pages show beside the embedding.

Every word comes from the caller. Backgrounds are transparent and no figure sets a font or a grid colour: the
page's theme does. Plotly itself is imported when the first figure is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from siamese_core.losses.record import Curve

if TYPE_CHECKING:
    import plotly.graph_objects as go

Array = npt.NDArray[np.float32]
Series = tuple[npt.ArrayLike, npt.ArrayLike, str]
"""Steps, values, and the name in the legend."""

CLASS_COLOURS = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6",
    "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip
"""Petroff (2021), "Accessible Color Sequences for Data Visualization": told apart with any colour vision."""
CLASS_MARKERS = (
    "circle", "square", "triangle-up", "diamond", "triangle-down",
    "cross", "x", "star", "pentagon", "hexagon",
)  # fmt: skip
SAME_COLOUR = "#e5484d"
DIFFERENT_COLOUR = "#3b82f6"
METRIC_COLOURS = {
    "loss": "#8b6fd6", "test_loss": "#3f90da", "map_at_r": "#0f9f8f", "precision_at_1": "#d98200", "active": "#c2559d",
}  # fmt: skip
NEUTRAL = "#8f97a3"

UIREVISION = "siamese-playground"
"""Never changes: what a user zoomed into or hid stays so from frame to frame."""
BINS = 40
SHARES_SHOWN = 0.2
LINE_POINTS = 500
TRIPLET_POINTS = 250  # each is an SVG node, and they are half of what an update costs the browser


def class_style(index: int) -> tuple[str, str]:
    """Return colour and marker of a class, the same everywhere; unique for the first hundred classes."""
    lap = index // len(CLASS_COLOURS)
    return CLASS_COLOURS[index % len(CLASS_COLOURS)], CLASS_MARKERS[(index + lap) % len(CLASS_MARKERS)]


def nice_end(before: float, value: float) -> float:
    """Return the end of an axis that must show `value`: 1, 2 or 5 times a power of ten, never less than before."""
    if not math.isfinite(value) or value <= before or value < 1e-30:
        return before
    power = 10.0 ** math.floor(math.log10(value))
    # A float32 maximum lies a rounding error above its round number and must not double the axis.
    ends = (power * step for step in (1, 2, 5, 10))
    return max(before, next(end for end in ends if value <= end * (1 + 1e-6)))


def bin_shares(distances: npt.ArrayLike | None, d_max: float) -> Array:
    """Return the shares of the pairs in `BINS` equal bins of [0, d_max], (BINS,); they sum to 1, or to 0 without pairs.

    Distances above `d_max` count in the last bin.
    """
    values = np.ravel(np.asarray(() if distances is None else distances, np.float32))
    values = values[np.isfinite(values)].clip(0, d_max)
    counts, _ = np.histogram(values, BINS, (0.0, d_max))
    return (counts / max(len(values), 1)).astype(np.float32)


def loss_curve(
    curve: Curve,
    same_distances: npt.ArrayLike | None,
    different_distances: npt.ArrayLike | None,
    *,
    text: Mapping[str, str],
    d_max: float,
    show_slope: bool = False,
    share_max: float = 0.0,
) -> go.Figure:
    """Draw the two branches of a loss over the distance, and under them where the pairs are now.

    The distances (P,) are None or empty before a run. The axes end at `d_max` and, for the shares, at
    `nice_end(share_max, …)`: pass `layout.yaxis2.range[1]` of the figure before, and they only grow. The margin
    is not drawn here but by the view, whose line can be dragged.
    Words: same, different, same_slope, different_slope, distance, loss, loss_and_slope, share, no_pairs.
    """
    d_max = d_max if math.isfinite(d_max) and d_max > 0 else 1.0
    branches = (
        ("same", curve.same, curve.same_slope, same_distances, SAME_COLOUR, "dash"),
        ("different", curve.different, curve.different_slope, different_distances, DIFFERENT_COLOUR, "solid"),
    )
    data: list[dict[str, Any]] = []
    peak = 0.0
    for name, loss, slope, distances, colour, dash in branches:
        line: dict[str, Any] = {"color": colour, "dash": dash, "width": 2.5, "simplify": False}
        data.append(line_trace(curve.at, loss, text[name], line=line, legendgroup=name))
        if show_slope:
            line = {"color": colour, "dash": dash, "width": 1.2}
            data.append(line_trace(curve.at, slope, text[f"{name}_slope"], line=line, opacity=0.75))
        share = bin_shares(distances, d_max)
        peak = max(peak, float(share.max()))
        # Without pairs an invisible line stays: plotly draws no panel that has no trace.
        visible = float(share.any())
        data.append(share_trace(share, d_max, text[name], colour, yaxis="y2", legendgroup=name, opacity=visible))
    top = loss_limit(curve)
    slopes = (curve.same_slope, curve.different_slope) if show_slope else ()
    fall = -min((float(finite(slope).min(initial=0)) for slope in slopes), default=0.0)
    low = -min(top, nice_end(0, fall))
    share_end = nice_end(max(share_max, SHARES_SHOWN), peak)
    axes = {
        "xaxis": axis_of([0, d_max], anchor="y2", **axis_title(text["distance"], ".2f")),
        "yaxis": axis_of([low - 0.03 * top, top], domain=[0.41, 0.93]),
        "yaxis2": axis_of([0, share_end], domain=[0, 0.26], nticks=4, tickformat=".0%"),
    }
    titles = [panel_title(text["loss_and_slope" if show_slope else "loss"], "y"), panel_title(text["share"], "y2")]
    hints = [] if peak else [hint_at(text["no_pairs"], "y2")]
    return figure_of(data, hovermode="x unified", annotations=titles + hints, **axes)


def triplet_surface(
    grid: npt.NDArray[Any],
    surface: npt.NDArray[Any],
    triplets: npt.NDArray[Any] | None,
    *,
    margin: float,
    text: Mapping[str, str],
) -> go.Figure:
    """Draw the triplet loss over d⁺ (x) and d⁻ (y), the line where it becomes zero, and the current triplets.

    `grid` (n,) is the scale of both axes; `surface` (n, n) has a row for each d⁻ and a column for each d⁺;
    `triplets` (2, T) are d⁺ and d⁻. Those beyond the grid lie on its edge; at most `TRIPLET_POINTS` are drawn.
    Words: d_positive, d_negative, loss, zero_line, triplets, no_triplets.
    """
    grid, surface = np.asarray(grid, np.float32), np.asarray(surface, np.float32)
    end, loss = float(grid[-1]), METRIC_COLOURS["loss"]
    heat = {
        "type": "heatmap", "zsmooth": "fast", "x": grid, "y": grid, "z": surface, "showscale": False,
        "colorscale": [[0, with_alpha(loss, 0)], [0.001, with_alpha(loss, 0.12)], [1, with_alpha(loss, 0.75)]],
        "hovertemplate": "d⁺ %{x:.2f}<br>d⁻ %{y:.2f}<br>" + text["loss"] + " %{z:.3f}<extra></extra>",
    }  # fmt: skip
    edge = np.array([0, max(end - margin, 0)], np.float32)
    line = {"color": NEUTRAL, "width": 2}
    data = [heat, line_trace(edge, edge + np.float32(margin), text["zero_line"], line=line, hoverinfo="skip")]
    points = np.empty((2, 0), np.float32) if triplets is None else np.asarray(triplets, np.float32)
    points = points[:, np.isfinite(points).all(axis=0)].clip(0, end)
    if points.size:
        points = points[:, :: -(-points.shape[1] // TRIPLET_POINTS)]
        marker = {"color": NEUTRAL, "size": 5, "opacity": 0.55, "line": {"width": 0}}
        data.append({
            "type": "scatter", "mode": "markers", "x": points[0], "y": points[1], "name": text["triplets"],
            "marker": marker, "hoverinfo": "skip",
        })  # fmt: skip
    hints = [] if points.size else [hint_at(text["no_triplets"], "y")]
    return figure_of(
        data,
        hovermode="closest",
        annotations=[panel_title(text["d_negative"], "y"), *hints],
        xaxis=axis_of([0, end], **axis_title(text["d_positive"], ".2f")),
        yaxis=axis_of([0, end], domain=[0, 0.93]),
    )


def history(
    steps: int, series: Mapping[str, Series], *, pixels_baseline: float | None, text: Mapping[str, str]
) -> go.Figure:
    """Draw how a run went: its loss above, its scores between 0 and 1 below, over `steps` steps.

    `series` is drawn by name: "loss" and "test_loss" in the upper panel, everything else in the lower one; the names of
    `METRIC_COLOURS` have a colour, and "map_at_r.held_out" is "map_at_r" dotted. `pixels_baseline` is the score
    of nearest neighbours on raw pixels. Words: step, loss, scores, held_out, pixels, no_history.
    """
    data, highest, last_step = [], 0.0, 1.0
    dotted = {"color": NEUTRAL, "width": 2, "dash": "dot"}
    for name, (at, values, label) in series.items():
        metric, _, held_out = name.partition(".")
        x, y = downsample(at, values)
        dash = "dot" if held_out else "solid"
        line = {"color": METRIC_COLOURS.get(metric, NEUTRAL), "width": 2, "dash": dash}
        panel = "y" if metric in ("loss", "test_loss") else "y2"
        listed = metric != "loss" and not held_out
        data.append(line_trace(x, y, label, line=line, yaxis=panel, legendgroup=metric, showlegend=listed))
        last_step = max(last_step, float(x.max(initial=0)))
        if panel == "y":
            highest = max(highest, float(y.max(initial=0)))
    end = max(float(steps), last_step)
    if pixels_baseline is not None:
        level = np.full(2, pixels_baseline, np.float32)
        line = {"color": NEUTRAL, "width": 1.5, "dash": "dash"}
        data.append(line_trace([0, end], level, text["pixels"], line=line, yaxis="y2"))
    if any("." in name for name in series):
        data.append(line_trace([0, 0], [-1, -1], text["held_out"], line=dotted, yaxis="y2", hoverinfo="skip"))
    drawn = {trace["yaxis"] for trace in data if len(trace["x"])}
    # Plotly draws no panel that has no trace.
    for panel in ("y", "y2"):
        if panel not in drawn:
            data.append(line_trace([0, end], [-1, -1], "", yaxis=panel, showlegend=False))
    titles = [panel_title(text["loss"], "y"), panel_title(text["scores"], "y2")]
    hints = [hint_at(text["no_history"], "y")] if "y" not in drawn else []
    return figure_of(
        data,
        hovermode="x unified",
        annotations=titles + hints,
        xaxis=axis_of([0, end], anchor="y2", **axis_title(text["step"], ".0f")),
        yaxis=axis_of([0, nice_end(0, highest) or 1], domain=[0.6, 0.93], nticks=5),
        yaxis2=axis_of([-0.02, 1.02], domain=[0, 0.48], nticks=6),
    )


def line_trace(x: npt.ArrayLike, y: npt.ArrayLike, name: str, number: str = ".3f", **style: Any) -> dict[str, Any]:
    """Return a line through the finite ones of the points (S,), whose values are shown in the format `number`."""
    x, y = np.asarray(x, np.float32), np.asarray(y, np.float32)
    drawn = np.isfinite(x) & np.isfinite(y)
    # An empty array would stay an array in `to_dict`, which is to be JSON.
    points = {"x": x[drawn], "y": y[drawn]} if drawn.any() else {"x": [], "y": []}
    trace = {"type": "scatter", "mode": "lines", "name": name, "yaxis": "y"}
    return trace | {"hovertemplate": f"%{{y:{number}}}"} | points | style


def share_trace(share: Array, end: float, name: str, colour: str, **style: Any) -> dict[str, Any]:
    """Return the outline of the shares (BINS,) of pairs in equal bins of [0, end], filled."""
    line = {"color": colour, "width": 1, "shape": "hv"}
    fill: dict[str, Any] = {"fill": "tozeroy", "fillcolor": with_alpha(colour, 0.3), "showlegend": False}
    edges = np.linspace(0, end, BINS + 1, dtype=np.float32)
    return line_trace(edges, np.append(share, share[-1]), name, ".1%", line=line, **fill, **style)


def downsample(steps: npt.ArrayLike, values: npt.ArrayLike) -> tuple[Array, Array]:
    """Return every 2^k-th point and the last one: points that were drawn once stay where they were, or go."""
    x, y = np.asarray(steps, np.float32), np.asarray(values, np.float32)
    x, y = x[np.isfinite(y)], y[np.isfinite(y)]
    stride = 1
    while len(x) / stride > LINE_POINTS - 1:
        stride *= 2
    indices = np.arange(0, len(x), stride)
    if len(x) and indices[-1] != len(x) - 1:
        indices = np.append(indices, len(x) - 1)
    return x[indices], y[indices]


def loss_limit(curve: Curve) -> float:
    """Return the end of the axis of losses: twice the different branch, for the same one rises without end."""
    rising, falling = (float(finite(branch).max(initial=0)) for branch in (curve.same, curve.different))
    return nice_end(0, min(rising, 2 * falling) if falling > 0 else rising) or 1.0


def finite(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the finite ones of the values, (N,)."""
    return np.asarray(values[np.isfinite(values)], np.float64)


def axis_of(limits: list[float], **more: Any) -> dict[str, Any]:
    """Return an axis from limits[0] to limits[1], without lines of its own."""
    return {"range": limits, "zeroline": False, "showline": False, "ticks": "", **more}


def axis_title(words: str, number: str) -> dict[str, Any]:
    """Return the title of an x axis, also for the box under the pointer, with its value in the format `number`."""
    title = {"text": words, "standoff": 6}
    return {"title": title, "unifiedhovertitle": {"text": f"{words} %{{x:{number}}}"}}


def panel_title(words: str, panel: str) -> dict[str, Any]:
    """Return the annotation above a panel, which is named by its y axis."""
    place = {"xref": "paper", "x": 0, "xanchor": "left", "yref": f"{panel} domain", "y": 1}
    return {"text": words, "showarrow": False, **place, "yanchor": "bottom", "yshift": 3}


def hint_at(words: str, panel: str) -> dict[str, Any]:
    """Return the annotation in the middle of a panel that has nothing to show."""
    place = {"xref": "paper", "x": 0.5, "yref": f"{panel} domain", "y": 0.5}
    return {"text": words, "showarrow": False, "opacity": 0.65, **place}


def with_alpha(colour: str, alpha: float) -> str:
    """Return the colour "#rrggbb" with an opacity from 0 to 1, as CSS."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


def figure_of(data: list[dict[str, Any]], **layout: Any) -> go.Figure:
    """Return a figure in the style of all of them, with these traces and what is special in its layout."""
    import plotly.graph_objects as go

    for name, axis in layout.items():
        if name.startswith("xaxis"):
            axis.setdefault("anchor", "y")
    base = {
        "template": {}, "uirevision": UIREVISION, "margin": {"l": 44, "r": 12, "t": 12, "b": 44},
        "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)",
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom"},
    }  # fmt: skip
    return go.Figure({"data": data, "layout": base | layout})
