"""The figures of an evaluation beside its threshold: which classes are mixed up, and how a model stands beside others.

Every word comes from the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from siamese_core.export.figures import base
from siamese_core.export.figures.verification import COLOUR

if TYPE_CHECKING:
    import plotly.graph_objects as go

HEIGHTS = {"confusion": 540, "baselines": 380}
"""In pixels, tried out on a desk and on a phone."""
MOST_NUMBERED = 12
"""Classes whose cells of a confusion matrix have room for a number."""
MOST_NAMED = 40
LONGEST_NAME = 14


def confusion(matrix: npt.ArrayLike, names: Sequence[str], *, text: Mapping[str, str]) -> go.Figure:
    """Draw counts (C, C), rows are true classes and columns predicted ones, coloured by their share of the row.

    Words: true, predicted, images, share, no_images.
    """
    shown = [escape(name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…", False) for name in names]
    # Plotly reads a little HTML, and a class may be called like that.
    names = [escape(name, False) for name in names]
    counts = np.asarray(matrix, np.float32)
    totals = counts.sum(axis=1, keepdims=True)
    share = counts / np.where(totals > 0, totals, 1)
    # Rare errors must be seen beside a full diagonal.
    stops = ((0, 0.0), (1e-6, 0.08), (0.02, 0.2), (0.1, 0.33), (0.5, 0.55), (1, 0.8))
    heat: dict[str, Any] = {
        "type": "heatmap", "x": names, "y": names, "z": share, "customdata": counts, "zmin": 0, "zmax": 1,
        "xgap": 0.5, "ygap": 0.5, "showscale": False,
        "colorscale": [[at, base.with_alpha(COLOUR, alpha)] for at, alpha in stops],
        "hovertemplate": f"{text['true']}: %{{y}}<br>{text['predicted']}: %{{x}}<br>%{{customdata:,.0f}} "
        f"{text['images']}, %{{z:.1%}}<extra></extra>",
    }  # fmt: skip
    data = [heat]
    if len(names) <= MOST_NUMBERED:
        # In the theme's own colour, which a heat map would not give to its text.
        cells = np.argwhere(share >= 0.005).tolist()
        data.append({
            "type": "scatter", "mode": "text", "x": [names[j] for _, j in cells], "y": [names[i] for i, _ in cells],
            "text": [f"{100 * share[i, j]:.0f}" for i, j in cells], "hoverinfo": "skip", "showlegend": False,
        })  # fmt: skip
    labels = {"tickvals": names, "ticktext": shown, "showticklabels": len(names) <= MOST_NAMED}
    axis: dict[str, Any] = {"type": "category", "showgrid": False, "automargin": True, **labels}
    end = len(names) - 0.5
    return base.figure_of(
        data,
        hovermode="closest",
        annotations=[
            base.panel_title(text["share"], "y"),
            *([] if totals.any() else [base.hint_at(text["no_images"], "y")]),
        ],
        xaxis=base.axis_of([-0.5, end], **axis, title={"text": text["predicted"], "standoff": 6}),
        yaxis=base.axis_of([end, -0.5], **axis, domain=[0, 0.95], title={"text": text["true"], "standoff": 6}),
    )


def baselines(
    by_approach: Mapping[str, Mapping[str, float | None]],
    metrics: Sequence[str],
    intervals: Mapping[str, Mapping[str, tuple[float, float]]] | None = None,
    *,
    text: Mapping[str, str],
) -> go.Figure:
    """Draw bars: the scores of approaches, by title, in each of `metrics`, between 0 and 1; None where it has none.

    `intervals` hold the low and the high end of a score, where it is known. Words: score, missing, and each metric's.
    """
    data: list[dict[str, Any]] = []
    titles = [text[metric] for metric in metrics]
    thickness = 0.8 / max(len(by_approach), 1)
    for i, (title, scores) in enumerate(by_approach.items()):
        colour = base.with_alpha(base.CLASS_COLOURS[i % len(base.CLASS_COLOURS)], 0.85)
        values = [scores.get(metric) for metric in metrics]
        known = (intervals or {}).get(title, {})
        lengths = np.array([value or 0.0 for value in values], np.float32)
        ends = [known.get(metric, (length, length)) for metric, length in zip(metrics, lengths, strict=True)]
        low, high = np.array(ends, np.float32).reshape(-1, 2).T
        y = (np.arange(len(metrics)) + thickness * (i + 0.5) - 0.4).astype(np.float32)
        words = [text["missing"] if value is None else f"{value:.3f}" for value in values]
        data.append({
            "type": "bar", "orientation": "h", "x": lengths, "y": y, "width": thickness, "name": title,
            "legendgroup": title, "marker": {"color": colour},
            "error_x": {"array": high - lengths, "arrayminus": lengths - low, "color": base.NEUTRAL, "symmetric": False,
                        "thickness": 1.5, "width": 3, "visible": bool(known)},
            "customdata": list(zip(titles, words, strict=True)),
            "hovertemplate": "%{customdata[0]}: %{customdata[1]}<extra>%{fullData.name}</extra>",
        })  # fmt: skip
        # The bar's own text would lie over the interval.
        data.append({
            "type": "scatter", "mode": "text", "x": np.maximum(lengths, high) + 0.01, "y": y, "text": words,
            "textposition": "middle right", "legendgroup": title, "showlegend": False, "hoverinfo": "skip",
        })  # fmt: skip
    ticks = {"tickvals": list(range(len(metrics))), "ticktext": titles, "showgrid": False, "automargin": True}
    return base.figure_of(
        data,
        hovermode="closest",
        barmode="overlay",
        xaxis=base.axis_of([0, 1.18], tickvals=[0, 0.2, 0.4, 0.6, 0.8, 1], **base.axis_title(text["score"], ".3f")),
        yaxis=base.axis_of([len(metrics) - 0.5, -0.5], **ticks, domain=[0, 0.95]),
    )
