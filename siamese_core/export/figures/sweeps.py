"""A sweep as a heat map: the mean score over the seeds of each combination. Every word comes from the caller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from siamese_core.experiment.grid import SCORED, CellView, SweepView
from siamese_core.export.figures.base import axis_of, axis_title, faded, figure_of, hint_at
from siamese_core.export.figures.verification import COLOUR

if TYPE_CHECKING:
    import plotly.graph_objects as go

LOWER_IS_BETTER = ("eer", "loss")

ROW, REST = 56, 150
"""Pixels of a row, and of what is around the rows."""


class Place(NamedTuple):
    """One field of the map: its runs, a cell for each seed."""

    column: int
    row: int
    cells: list[CellView]

    def values(self, metric: str, group: str) -> list[float]:
        found = (cell.scores.get(metric, {}).get(group) for cell in self.cells if cell.status in SCORED)
        return [value for value in found if value is not None]


def places(view: SweepView) -> list[Place]:
    """The first axis from left to right, the second from below; one row where there is no second."""
    axes = [values for _, values in view.grid.axes]
    found: dict[tuple[int, int], Place] = {}
    for cell in view.cells:
        column = axes[0].index(cell.cell.at[0])
        row = axes[1].index(cell.cell.at[1]) if len(axes) == 2 else 0
        found.setdefault((column, row), Place(column, row, [])).cells.append(cell)
    return list(found.values())


def place_at(view: SweepView, x: float, y: float) -> Place | None:
    """The field that a click at (x, y) of the figure means."""
    return next((p for p in places(view) if (p.column, p.row) == (round(x), round(y))), None)


def height_of(view: SweepView) -> int:
    rows = len(view.grid.axes[1][1]) if len(view.grid.axes) == 2 else 1
    return rows * ROW + REST


def heat_map(
    view: SweepView,
    metric: str,
    group: str,
    *,
    titles: Sequence[str],
    names: Sequence[Sequence[str]],
    text: Mapping[str, str],
) -> go.Figure:
    """`titles` of the axes and `names` of their values. Darker is better; a number is the mean, ± the spread of seeds.

    Words: no_score, and one for each status of a cell.
    """
    columns, rows = len(names[0]), len(names[1]) if len(names) == 2 else 1
    means = np.full((rows, columns), np.nan)
    shown: list[dict[str, Any]] = []
    hover = np.full((rows, columns), "", object)
    for place in places(view):
        values = place.values(metric, group)
        if values:
            means[place.row, place.column] = fmean(values)
            spread = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
            # A mean of fewer seeds is not to be held against one of all.
            some = f" ({len(values)}/{len(place.cells)})" if len(values) < len(place.cells) else ""
            said = f"{fmean(values):.3f}{spread}{some}"
        else:
            said = text.get(place.cells[0].status, "")
        shown.append({"x": place.column, "y": place.row, "text": said})
        why = next((cell.message for cell in place.cells if cell.message), "")
        hover[place.row, place.column] = escape(why or said or text["no_score"])
    better = -means if metric in LOWER_IS_BETTER else means
    heat: dict[str, Any] = {
        "type": "heatmap", "x": list(range(columns)), "y": list(range(rows)), "z": better, "showscale": False,
        "customdata": hover.tolist(), "hovertemplate": "%{customdata}<extra></extra>", "xgap": 2, "ygap": 2,
        "hoverongaps": True, "colorscale": [[0, faded(COLOUR, 0.08)], [1, faded(COLOUR, 0.75)]],
    }  # fmt: skip
    words = {
        "type": "scatter", "mode": "text", "x": [s["x"] for s in shown], "y": [s["y"] for s in shown],
        "text": [s["text"] for s in shown], "hoverinfo": "skip", "showlegend": False,
    }  # fmt: skip
    hints = [] if np.isfinite(means).any() else [hint_at(text["no_score"], "y")]
    return figure_of(
        [heat, words],
        hovermode="closest",
        annotations=hints,
        xaxis=axis_of([-0.5, columns - 0.5], **axis_title(escape(titles[0]), ""), **_ticks(names[0])),
        yaxis=axis_of(
            [-0.5, rows - 0.5],
            **(axis_title(escape(titles[1]), "") | _ticks(names[1]) if len(names) == 2 else {"showticklabels": False}),
        ),
    )


def _ticks(names: Sequence[str]) -> dict[str, Any]:
    shown = [escape(name, False) for name in names]
    return {"tickvals": list(range(len(names))), "ticktext": shown, "showgrid": False, "automargin": True}
