"""The pairs that the model is most wrong about, and where they lie among the others."""

from __future__ import annotations

from concurrent.futures import CancelledError, TimeoutError

import numpy as np
import streamlit as st

from pages.ui.components.components import embedding_view
from pages.ui.components.embedding.sprites import eval_sprites
from pages.ui.evaluate.found import Found, group
from pages.ui.session import embedding_message
from pages.ui.session.image_grid import sheet
from pages.ui.session.session import engine
from pages.ui.shims import widgets
from pages.ui.shims.escape_markdown import plain
from pages.ui.shims.inline import show_png
from pages.ui.text import evaluate as text
from siamese_core.engine.run import Layout, layout_of
from siamese_core.evaluation.report import GroupReport, Hardest

WAIT = 6.0
"""Seconds for a picture of a thousand points; UMAP may have to warm up first, and PCA stands in for it."""
LOOK_EVERY = 1.0

SHOWN = 12
TILE_WIDTH = 112

Pointed = tuple[int, int, float]
"""Two of the points in the picture, and their distance."""


def part(found: Found) -> None:
    name = group(found, "hardest_group")
    st.caption(text.HARDEST_HELP)
    left, right = st.columns([1, 1], gap="medium")
    with left:
        kind: str = widgets.segmented_control(
            text.KIND, list(text.HARDEST), default="different", format_func=text.HARDEST.__getitem__,
            key="hardest_kind", wrap=True,
        )  # fmt: skip
        looked_at = found.groups[name]
        _gallery(found, looked_at, kind, looked_at.hardest_same if kind == "same" else looked_at.hardest_different)
    with right:
        st.markdown(f"**{text.POINTS_TITLE}**")
        _points(found)


def _gallery(found: Found, looked_at: GroupReport, kind: str, pairs: Hardest) -> None:
    images = found.file.model.experiment.data.load().test_images
    n = len(looked_at.places)
    with st.container(horizontal=True):
        for number in range(min(SHOWN, len(pairs.value))):
            rows = (int(pairs.first[number]), int(pairs.second[number]))
            places = [int(looked_at.places[row % n]) for row in rows]
            names = [plain(found.file.model.classes[looked_at.labels[row % n]]) for row in rows]
            value = float(pairs.value[number])
            value = 1 - value if found.file.model.is_similarity else value
            with st.container(width=TILE_WIDTH):
                caption = f"{' · '.join(dict.fromkeys(names))}  \n{value:.3g}"
                show_png(sheet(images[places], 2), caption=caption, width="stretch")
                st.button(
                    text.SHOW, key=f"show_{kind}_{number}", help=text.SHOW_HELP, width="stretch",
                    on_click=_point_at, args=(found, n, rows, places, float(value)),
                )  # fmt: skip


def _point_at(found: Found, n: int, rows: tuple[int, int], places: list[int], value: float) -> None:
    """Where two images are in the picture; None where one of them is not among those shown."""
    shown = found.report.shown
    points: list[int] = []
    for row, place in zip(rows, places, strict=True):
        at = int(np.searchsorted(shown, place))
        if at < len(shown) and shown[at] == place:
            points.append(at + (len(shown) if row >= n else 0))
    st.session_state["pointed"] = (found.file.key, (*points, value) if len(points) == 2 else None)


def _points(found: Found) -> None:
    key, pointed = st.session_state.get("pointed", (None, None))
    layout = _layout(found)
    if layout is None:
        st.caption(text.LAYING_OUT)
        st.fragment(_once_there, run_every=LOOK_EVERY)(found)
        return
    if key == found.file.key and pointed is None:
        st.caption(text.NO_POINT.format(count=f"{len(found.report.shown):,}"))
    pair: Pointed | None = pointed if key == found.file.key else None
    experiment = found.file.model.experiment
    frame = f"{found.file.key} {layout.kind} {layout.stand_in} {pair}"
    if layout.stand_in:
        st.fragment(_once_warm, run_every=LOOK_EVERY)()
    embedding_view(
        embedding_message.message(experiment, layout, eval_sprites(experiment), frame, pair), key="evaluated_embedding"
    )


def _layout(found: Found) -> Layout | None:
    """Asked for once for each model; again, where UMAP was not warm."""
    kept = st.session_state.get("evaluated_layout")
    if kept is None or kept[0] != found.file.key or kept[1].cancelled():
        kept = (found.file.key, engine().projector.lay_out(found.report.embeddings, "umap"))
        st.session_state["evaluated_layout"] = kept
    try:
        reply = kept[1].result(WAIT)
    except (TimeoutError, CancelledError):
        return None
    layout = layout_of(reply.meta, reply, 1)
    if layout.stand_in and engine().projector.is_warm:
        del st.session_state["evaluated_layout"]
        return _layout(found)
    return layout


def _once_there(found: Found) -> None:
    kept = st.session_state.get("evaluated_layout")
    if kept is None or kept[1].done():
        st.rerun()


def _once_warm() -> None:
    if engine().projector.is_warm:
        st.rerun()
