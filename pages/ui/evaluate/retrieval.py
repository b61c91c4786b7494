"""Each test image looks for its neighbours: how often they are of its class, which classes are mixed up, examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from pages.ui.components.components import plot_view
from pages.ui.evaluate.found import Found, group, table, with_interval
from pages.ui.shims import widgets
from pages.ui.shims.images import show_png
from pages.ui.text import evaluate as text
from pages.ui.text.plot import PLOT
from siamese_core.datasets.atlas import atlas_png
from siamese_core.evaluation.report import GroupReport
from siamese_core.export.figures import retrieval as figures

if TYPE_CHECKING:
    import plotly.graph_objects as go

QUERIES = 12
TILE = 52
"""Pixels a side, at least, of an image in the sheet."""
FRAME = 3
GAP = 2
RIGHT, WRONG, QUERY = (15, 159, 143), (229, 72, 77), (143, 151, 163)


def part(found: Found) -> None:
    table(text.SCORES, score_rows(found), text.SCORES_HELP)
    if found.file.model.experiment.branches == 2:
        st.caption(text.SEARCHED_WITH_BOTH)
    name = group(found, "retrieval_group")
    looked_at = found.groups[name]
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _sheet(found, looked_at)
    with right:
        st.markdown(f"**{text.CONFUSION_TITLE}**")
        _confusion(found, name)


def score_rows(found: Found) -> list[dict[str, str]]:
    return [
        {"group": text.GROUPS[name]}
        | {score: with_interval(looked_at.scores.get(score), None) for score in text.SCORES if score != "group"}
        for name, looked_at in found.groups.items()
    ]


def _confusion(found: Found, name: str) -> None:
    plot_view(
        lambda: confusion(found, name),
        "confusion_view",
        settings=(found.file.key, name),
        data=None,
        live=False,
        height=figures.HEIGHTS["confusion"],
        text=PLOT | {"label": text.CONFUSION["label"]},
    )


def confusion(found: Found, name: str) -> go.Figure:
    looked_at = found.groups[name]
    names = [found.file.model.classes[c] for c in looked_at.classes]
    return figures.confusion(looked_at.confusion, names, text=text.CONFUSION)


def _sheet(found: Found, looked_at: GroupReport) -> None:
    st.markdown(f"**{text.SHEET_TITLE}**")
    kind: str = widgets.segmented_control(
        text.QUERIES, list(text.QUERY_KINDS), default="spread", format_func=text.QUERY_KINDS.__getitem__,
        key="retrieval_queries"
    )  # fmt: skip
    queries = spread(looked_at) if kind == "spread" else worst(looked_at)
    images = found.file.model.experiment.data.load().test_images
    show_png(sheet(images, looked_at, queries), width="stretch")
    st.caption(text.SHEET.format(k=looked_at.neighbours.shape[1]))


def spread(looked_at: GroupReport) -> np.ndarray:
    """Rows (Q,) of some images of every class, evenly out of each, in turn."""
    rows = [np.flatnonzero(looked_at.labels == c) for c in looked_at.classes]
    each = -(-QUERIES // len(rows))
    turns = [places[(len(places) * turn) // each] for turn in range(each) for places in rows if turn < len(places)]
    return np.array(sorted(turns[:QUERIES], key=lambda row: looked_at.labels[row]))


def worst(looked_at: GroupReport) -> np.ndarray:
    """Rows (Q,) of the images with the fewest neighbours of their class; of those alike, the first ones."""
    n = len(looked_at.indices)
    own = looked_at.labels[np.arange(len(looked_at.neighbours)) % n]
    hits = (looked_at.labels[looked_at.neighbours % n] == own[:, None]).sum(axis=1)
    return np.argsort(hits, kind="stable")[:QUERIES]


def sheet(images: np.ndarray, looked_at: GroupReport, queries: np.ndarray) -> bytes:
    """A PNG with a row for each query: the image, then its neighbours in frames that say whether they are right."""
    n = len(looked_at.indices)
    tiles = []
    for query in queries:
        label = looked_at.labels[query % n]
        tiles.append(_framed(images[looked_at.indices[query % n]], QUERY, cut=False))
        for row in looked_at.neighbours[query]:
            right = looked_at.labels[row % n] == label
            tiles.append(_framed(images[looked_at.indices[row % n]], RIGHT if right else WRONG, cut=not right))
    return atlas_png(np.stack(tiles), looked_at.neighbours.shape[1] + 1)


def _framed(image: np.ndarray, colour: tuple[int, int, int], cut: bool) -> np.ndarray:
    """uint8 (3, H', W'): enlarged, in a frame; one that is wrong has a corner cut off, for eyes that see no red."""
    factor = max(1, -(-TILE // max(image.shape[1:])))
    large = np.broadcast_to(image, (3, *image.shape[1:])).repeat(factor, axis=1).repeat(factor, axis=2)
    edge = FRAME + GAP
    framed = np.full((3, large.shape[1] + 2 * edge, large.shape[2] + 2 * edge), 255, np.uint8)
    paint = np.array(colour, np.uint8)[:, None, None]
    framed[:, GAP:-GAP, GAP:-GAP] = paint
    framed[:, edge:-edge, edge:-edge] = large
    if cut:
        size = large.shape[1] // 4
        across = np.add.outer(np.arange(large.shape[1]), np.arange(large.shape[2])) < size
        framed[:, edge:-edge, edge:-edge] = np.where(across, paint, large)
    return framed
