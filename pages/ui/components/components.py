"""Our live components: mounted once, then only given new bytes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from pages.ui.shims import assets
from pages.ui.shims.widgets import once
from pages.ui.text.plot import PLOT
from pages.ui.text.replay import REPLAY
from siamese_core.formats.wire import pack

if TYPE_CHECKING:
    import plotly.graph_objects as go


def _component(name: str) -> Any:
    # The module is a static file: inline JavaScript is sent again with every update.
    return st.components.v2.component(
        f"{name}_view",
        js=f"""const view = import(new URL("{assets.components()}/{name}/view.js", document.baseURI));
export default function (component) {{ view.then((module) => module.render(component)); }}""",
    )


REDRAW_EVERY = 0.7

embedding_view = _component("embedding")
"""Draws `data`, a message of `wire.pack` that embedding/message.js describes, under its `key`."""

_plot = _component("plot")
_replay = _component("replay")


def replay_view(runs: list[str], titles: list[str], key: str, **how: Any) -> None:
    """Play recorded runs from their addresses, `how` replay/view.js says; loads again only when these change."""
    _replay(key=key, data={"runs": runs, "titles": titles, "text": REPLAY} | how)


def plot_view(
    build: Callable[[], go.Figure],
    key: str,
    *,
    settings: object,
    height: int,
    label: str,
    data: object = None,
    live: bool = False,
    handles: Sequence[dict[str, Any]] = (),
    on_dragged: Callable[[str, float], None] | None = None,
    on_dropped: Callable[[str, float], None] | None = None,
    on_clicked: Callable[[float, float], None] | None = None,
) -> None:
    """Draw the plotly figure that `build` makes, again when `settings` or `data` change: settings at once, data of a
    live run at most every `REDRAW_EVERY` seconds, because the browser's drawing of a chart holds up the embedding.

    `handles` are lines that can be dragged: `on_dragged(key, value)` is called while a pointer holds one, before the
    run that this starts, `on_dropped(key, value)` when it is dropped, or moved by a key. `on_clicked(x, y)` is called
    for a click into the first panel.
    """

    def draw() -> tuple[object, float, bytes]:
        meta = {
            "figure": build().to_dict(),
            "plotly_url": assets.plotly_js(),
            "height": height,
            "handles": list(handles),
            "clickable": on_clicked is not None,
            "text": PLOT | {"label": label},
        }
        return data, time.monotonic(), pack(meta)

    def is_fresh(drawn: tuple[object, float, bytes]) -> bool:
        drawn_data, at, _ = drawn
        return drawn_data == data or (live and time.monotonic() - at < REDRAW_EVERY)

    def dispatch(event: str, listener: Callable[..., None] | None) -> None:
        sent = st.session_state[key].get(event)
        # From the browser: two numbers, or the name of a line that is drawn and a number.
        first_fits = (
            isinstance(sent, list | tuple)
            and len(sent) == 2
            and (_is_number(sent[0]) if event == "clicked" else sent[0] in {handle["key"] for handle in handles})
        )
        if listener is not None and first_fits and _is_number(sent[1]):
            listener(*sent)

    _, _, message = once(f"{key}_drawn", settings, draw, is_fresh)
    _plot(
        key=key,
        data=message,
        on_dragged_change=lambda: dispatch("dragged", on_dragged),
        on_dropped_change=lambda: dispatch("dropped", on_dropped),
        on_clicked_change=lambda: dispatch("clicked", on_clicked),
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
