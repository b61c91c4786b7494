"""Our live components: mounted once, then only given new bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import streamlit as st

from pages.ui import static
from siamese_core.wire import pack

if TYPE_CHECKING:
    import plotly.graph_objects as go


def _view(name: str) -> Any:
    # The module is a static file: inline JavaScript is sent again with every update.
    return st.components.v2.component(
        name,
        js=f"""const view = import(new URL("{static.views()}/{name}.js", document.baseURI));
export default function (component) {{ view.then((module) => module.render(component)); }}""",
    )


_embedding = _view("embedding_view")
_plot = _view("plot_view")


def embedding_view(message: bytes | None, key: str) -> None:
    """Draws a message of `wire.pack` that embedding_view.js describes; None is its hint."""
    _embedding(key=key, data=message)


def plot_view(
    figure: go.Figure,
    key: str,
    *,
    height: int,
    text: dict[str, str],
    handle: dict[str, Any] | None = None,
    on_dragged: Callable[[float], None] | None = None,
) -> None:
    """Draws a plotly figure. `handle` is a line that can be dragged; `on_dragged(value)` is called before the run that
    a drag starts, whether that is the whole page or a fragment: of two drags in a row none is lost."""
    meta = {
        "figure": figure.to_dict(),
        "plotly_url": static.plotly_js(),
        "height": height,
        "handle": handle,
        "text": text,
    }

    def dragged() -> None:
        value = st.session_state[key].get("dragged")
        if value is not None and on_dragged is not None:
            on_dragged(float(value))

    _plot(key=key, data=pack(meta), on_dragged_change=dragged)
