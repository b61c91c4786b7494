"""The heat map of a sweep, and the field of it that was pressed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.ui.components.components import plot_view
from pages.ui.shims import widgets
from pages.ui.shims.escape_markdown import escape_markdown
from pages.ui.text import runs as text
from siamese_core.experiment.fields import ChoiceField
from siamese_core.experiment.grid import SCORED, CellView, SweepView, axis_field, axis_names
from siamese_core.export.figures.sweeps import heat_map, height_of, tile_at

if TYPE_CHECKING:
    import plotly.graph_objects as go

PRESSED = "sweep_pressed"


def drawn(view: SweepView) -> list[str]:
    """Draw it and return the runs of the field that was pressed last."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        metric = widgets.selectbox(text.METRIC, text.METRICS, key="sweep_metric", width=240)
        group = "seen"
        if view.grid.base.held_out:
            group = widgets.segmented_control(text.GROUP, text.GROUPS, key="sweep_group", default="seen")
    titles = [axis_names(view.grid.base)[name] for name, _ in view.grid.axes]
    names = [[_title_of(view, name, value) for value in values] for name, values in view.grid.axes]

    def figure() -> go.Figure:
        return heat_map(view, metric, group, titles=titles, names=names, text=text.MAP)

    plot_view(
        figure,
        "sweep_view",
        settings=(view.id, metric, group),
        data=[(cell.status, str(cell.scores)) for cell in view.cells],
        live=view.live,
        height=height_of(view),
        label=text.MAP["label"],
        on_clicked=lambda x, y: st.session_state.update({PRESSED: (view.id, x, y)}),
    )
    sweep, x, y = st.session_state.get(PRESSED, ("", 0.0, 0.0))
    tile = tile_at(view, x, y) if sweep == view.id else None
    if tile is None:
        st.caption(text.PRESS)
        return []
    # Of one axis or two.
    at = zip(titles, names, (tile.column, tile.row), strict=False)
    values = ", ".join(f"{title}: {of_axis[place]}" for title, of_axis, place in at)
    scores = [
        text.CELL.format(seed=cell.cell.seed, score=_score(cell.scores.get(metric, {}).get(group), cell))
        for cell in tile.cells
    ]
    why = next((cell.message for cell in tile.cells if cell.message), "")
    st.markdown(escape_markdown(" · ".join([values, *scores, *([why] if why else [])])))
    return [cell.run for cell in tile.cells if cell.run]


def _score(value: float | None, cell: CellView) -> str:
    """Of one that was stopped, where: its score is of a run half done."""
    if cell.status in SCORED and value is not None:
        return f"{value:.3f}"
    return f"{text.MAP.get(cell.status, cell.status)}{text.AT_STEP.format(step=cell.step) if cell.step else ''}"


def _title_of(view: SweepView, name: str, value: object) -> str:
    """A value of an axis, in words."""
    field = axis_field(view.grid.base, name)
    return field.choices[str(value)] if isinstance(field, ChoiceField) else f"{value:g}"
