"""The pairs that the model is most wrong about, and where they lie among the others."""

from __future__ import annotations

import numpy as np
import streamlit as st

from pages.ui.components.components import embedding_view
from pages.ui.components.embedding.sprites import eval_sprites
from pages.ui.evaluate.evaluation import Evaluation, choose_group
from pages.ui.session import embedding_message
from pages.ui.session.engine import engine
from pages.ui.shims import widgets
from pages.ui.shims.escape_markdown import escape_markdown
from pages.ui.shims.futures import request_once
from pages.ui.shims.images import show_grid
from pages.ui.shims.polling import rerun_when
from pages.ui.text import evaluate as text
from siamese_core.engine.run import Layout, layout_of
from siamese_core.evaluation.report import GroupReport, Hardest

WAIT = 6.0
"""Seconds for the layout of a thousand points; UMAP may have to warm up first, and PCA stands in for it."""
POLL_EVERY = 1.0

LAYOUT = "evaluated_layout"

SHOWN = 12
TILE_WIDTH = 112


def part(evaluation: Evaluation) -> None:
    name = choose_group(evaluation, "hardest_group")
    st.caption(text.HARDEST_HELP)
    left, right = st.columns([1, 1], gap="medium")
    with left:
        kind: str = widgets.segmented_control(
            text.KIND, text.HARDEST, default="different",
            key="hardest_kind", wrap=True,
        )  # fmt: skip
        group = evaluation.groups[name]
        pairs = group.hardest_same if kind == "same" else group.hardest_different
        _gallery(evaluation, group, kind, pairs)
    with right:
        st.markdown(f"**{text.POINTS_TITLE}**")
        _points(evaluation)


def _gallery(evaluation: Evaluation, group: GroupReport, kind: str, pairs: Hardest) -> None:
    images = evaluation.model.experiment.data.load().test_images
    n = len(group.indices)
    with st.container(horizontal=True):
        for number in range(min(SHOWN, len(pairs.value))):
            rows = (int(pairs.first[number]), int(pairs.second[number]))
            indices = [int(group.indices[row % n]) for row in rows]
            names = [escape_markdown(evaluation.model.classes[group.labels[row % n]]) for row in rows]
            value = evaluation.model.measure.from_distance(float(pairs.value[number]))
            with st.container(width=TILE_WIDTH):
                caption = f"{' · '.join(dict.fromkeys(names))}  \n{value:.3g}"
                show_grid(images[indices], 2, caption=caption, width="stretch")
                st.button(
                    text.SHOW, key=f"show_{kind}_{number}", help=text.SHOW_HELP, width="stretch",
                    on_click=_point_at, args=(evaluation, n, rows, indices, float(value)),
                )  # fmt: skip


def _point_at(evaluation: Evaluation, n: int, rows: tuple[int, int], indices: list[int], value: float) -> None:
    """Where two images are in the layout; None where one of them is not among those shown."""
    shown = evaluation.report.shown
    points: list[int] = []
    for row, index in zip(rows, indices, strict=True):
        at = int(np.searchsorted(shown, index))
        if at < len(shown) and shown[at] == index:
            points.append(at + (len(shown) if row >= n else 0))
    st.session_state["pointed"] = (evaluation.file.key, (*points, value) if len(points) == 2 else None)


def _points(evaluation: Evaluation) -> None:
    key, pointed = st.session_state.get("pointed", (None, None))
    layout = _layout(evaluation)
    if layout is None:
        st.caption(text.LAYING_OUT)
        rerun_when(_has_reply, POLL_EVERY)
        return
    if key == evaluation.file.key and pointed is None:
        st.caption(text.NO_POINT.format(count=f"{len(evaluation.report.shown):,}"))
    pair = pointed if key == evaluation.file.key else None
    experiment = evaluation.model.experiment
    version = f"{evaluation.file.key} {layout.kind} {layout.stand_in} {pair}"
    if layout.stand_in:
        rerun_when(lambda: engine().projector.is_warm, POLL_EVERY)
    message = embedding_message.message(experiment, layout, eval_sprites(experiment), version, pair)
    embedding_view(key="evaluated_embedding", data=message)


def _layout(evaluation: Evaluation) -> Layout | None:
    """Requested once for each model; again, where UMAP was not warm."""
    embeddings = evaluation.report.embeddings
    reply = request_once(LAYOUT, evaluation.file.key, lambda: engine().projector.lay_out(embeddings, "umap"), WAIT)
    layout = layout_of(reply.meta, reply, 1) if reply is not None else None
    if layout is not None and layout.stand_in and engine().projector.is_warm:
        del st.session_state[LAYOUT]
        return _layout(evaluation)
    return layout


def _has_reply() -> bool:
    _, reply = st.session_state.get(LAYOUT, (None, None))
    return reply is None or reply.done()
