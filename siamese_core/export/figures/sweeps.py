"""A sweep as a heat map: the mean score over the seeds of each combination. Every word comes from the caller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from siamese_core.experiment.grid import SCORED, CellView, SweepView
from siamese_core.export.figures.base import axis_of, axis_title, figure_of, hint_at, with_alpha
from siamese_core.export.figures.verification import COLOUR

if TYPE_CHECKING:
    import plotly.graph_objects as go

LOWER_IS_BETTER = ("eer", "loss")

ROW, REST = 56, 150
"""Pixels of a row, and of what is around the rows."""


class Tile(NamedTuple):
    """One tile of the map: its runs, a cell for each seed."""

    column: int
    row: int
    cells: list[CellView]

    def values(self, metric: str, group: str) -> list[float]:
        """Return the scores of the seeds that have one."""
        found = (cell.scores.get(metric, {}).get(group) for cell in self.cells if cell.status in SCORED)
        return [value for value in found if value is not None]


def tiles(view: SweepView) -> list[Tile]:
    """Return the tiles: the first axis from left to right, the second from below; one row where there is no second."""
    axes = [values for _, values in view.grid.axes]
    found: dict[tuple[int, int], Tile] = {}
    for cell in view.cells:
        column = axes[0].index(cell.cell.at[0])
        row = axes[1].index(cell.cell.at[1]) if len(axes) == 2 else 0
        found.setdefault((column, row), Tile(column, row, [])).cells.append(cell)
    return list(found.values())


def tile_at(view: SweepView, x: float, y: float) -> Tile | None:
    """Return the tile that a click at (x, y) of the figure means."""
    return next((p for p in tiles(view) if (p.column, p.row) == (round(x), round(y))), None)


def height_of(view: SweepView) -> int:
    """Return the height of the map in pixels."""
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
    """Draw a score for each combination, with `titles` of the axes and `names` of their values.

    Darker is better; a number is the mean over the seeds, ± their standard deviation.

    Words: no_score, and one for each status of a cell.
    """
    columns, rows = len(names[0]), len(names[1]) if len(names) == 2 else 1
    means = np.full((rows, columns), np.nan)
    shown: list[dict[str, Any]] = []
    hover = np.full((rows, columns), "", object)
    for tile in tiles(view):
        values = tile.values(metric, group)
        if values:
            means[tile.row, tile.column] = fmean(values)
            spread = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
            # A mean of fewer seeds is not to be held against one of all.
            some = f" ({len(values)}/{len(tile.cells)})" if len(values) < len(tile.cells) else ""
            label = f"{fmean(values):.3f}{spread}{some}"
        else:
            label = text.get(tile.cells[0].status, "")
        shown.append({"x": tile.column, "y": tile.row, "text": label})
        why = next((cell.message for cell in tile.cells if cell.message), "")
        hover[tile.row, tile.column] = escape(why or label or text["no_score"])
    better = -means if metric in LOWER_IS_BETTER else means
    heat: dict[str, Any] = {
        "type": "heatmap", "x": list(range(columns)), "y": list(range(rows)), "z": better, "showscale": False,
        "customdata": hover.tolist(), "hovertemplate": "%{customdata}<extra></extra>", "xgap": 2, "ygap": 2,
        "hoverongaps": True, "colorscale": [[0, with_alpha(COLOUR, 0.08)], [1, with_alpha(COLOUR, 0.75)]],
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
