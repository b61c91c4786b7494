"""Web pages to download: each needs nothing from anywhere, and everything written into its template is escaped."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from jinja2 import Environment

TEMPLATES = Path(__file__).with_name("templates")

CONFIG = {
    "displaylogo": False,
    "responsive": True,
    "plotlyServerURL": "",
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
}


def render(template: str, **values: Any) -> bytes:
    """Return the page of a template in `templates/`, in UTF-8. What is HTML already it marks as safe itself."""
    from plotly.offline import get_plotlyjs

    page = _environment().get_template(template).render(values, plotly=get_plotlyjs())
    return page.encode("utf-8", "replace")


def plot_html(figure: go.Figure, name: str, height: str) -> str:
    """Return a figure as HTML within a page; no other element there has the id `name`."""
    import plotly.graph_objects as go

    styled = go.Figure(figure).update_layout(font={"family": "system-ui, sans-serif"})
    return str(
        styled.to_html(config=CONFIG, include_plotlyjs=False, full_html=False, div_id=name, default_height=height)
    )


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(TEMPLATES)
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
