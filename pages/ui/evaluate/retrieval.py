"""Each test image retrieves its neighbours: how often they are of its class, which classes are mixed up, examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from pages.ui.components.components import plot_view
from pages.ui.evaluate.evaluation import Evaluation, choose_group, table, with_interval
from pages.ui.shims import widgets
from pages.ui.shims.images import show_png
from pages.ui.text import evaluate as text
from siamese_core.datasets.atlas import atlas_png
from siamese_core.evaluation.report import GroupReport
from siamese_core.export.figures import retrieval as figures

if TYPE_CHECKING:
    import plotly.graph_objects as go

QUERIES = 12
TILE = 52
"""Pixels a side, at least, of an image in the grid."""
BORDER = 3
GAP = 2
RIGHT, WRONG, QUERY = (15, 159, 143), (229, 72, 77), (143, 151, 163)


def part(evaluation: Evaluation) -> None:
    table(text.SCORES, score_rows(evaluation), text.SCORES_HELP)
    if evaluation.model.experiment.branches == 2:
        st.caption(text.SEARCHED_WITH_BOTH)
    name = choose_group(evaluation, "retrieval_group")
    group = evaluation.groups[name]
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _grid(evaluation, group)
    with right:
        st.markdown(f"**{text.CONFUSION_TITLE}**")
        plot_view(
            lambda: confusion(evaluation, name),
            "confusion_view",
            settings=(evaluation.file.key, name),
            height=figures.HEIGHTS["confusion"],
            label=text.CONFUSION["label"],
        )


def score_rows(evaluation: Evaluation) -> list[dict[str, str]]:
    """Return a row for each group: what its nearest neighbours score."""
    return [
        {"group": text.GROUPS[name]}
        | {score: with_interval(group.scores.get(score), None) for score in text.SCORES if score != "group"}
        for name, group in evaluation.groups.items()
    ]


def confusion(evaluation: Evaluation, name: str) -> go.Figure:
    group = evaluation.groups[name]
    names = [evaluation.model.classes[c] for c in group.classes]
    return figures.confusion(group.confusion, names, text=text.CONFUSION)


def _grid(evaluation: Evaluation, group: GroupReport) -> None:
    st.markdown(f"**{text.GRID_TITLE}**")
    kind: str = widgets.segmented_control(text.QUERIES, text.QUERY_KINDS, default="evenly", key="retrieval_queries")
    queries = evenly(group) if kind == "evenly" else worst(group)
    images = evaluation.model.experiment.data.load().test_images
    show_png(neighbour_grid(images, group, queries), width="stretch")
    st.caption(text.GRID.format(k=group.neighbours.shape[1]))


def evenly(group: GroupReport) -> np.ndarray:
    """Return rows (Q,) of some images of every class, evenly out of each, in turn."""
    rows = [np.flatnonzero(group.labels == c) for c in group.classes]
    each = -(-QUERIES // len(rows))
    turns = [indices[(len(indices) * turn) // each] for turn in range(each) for indices in rows if turn < len(indices)]
    return np.array(sorted(turns[:QUERIES], key=lambda row: group.labels[row]))


def worst(group: GroupReport) -> np.ndarray:
    """Return rows (Q,) of the images with the fewest neighbours of their class; of those alike, the first ones."""
    n = len(group.indices)
    label = group.labels[np.arange(len(group.neighbours)) % n]
    hits = (group.labels[group.neighbours % n] == label[:, None]).sum(axis=1)
    return np.argsort(hits, kind="stable")[:QUERIES]


def neighbour_grid(images: np.ndarray, group: GroupReport, queries: np.ndarray) -> bytes:
    """Return a PNG with a row for each query: the image, then its neighbours, in borders that show which are right."""
    n = len(group.indices)
    tiles = []
    for query in queries:
        label = group.labels[query % n]
        tiles.append(_bordered(images[group.indices[query % n]], QUERY, cut=False))
        for row in group.neighbours[query]:
            right = group.labels[row % n] == label
            tiles.append(_bordered(images[group.indices[row % n]], RIGHT if right else WRONG, cut=not right))
    return atlas_png(np.stack(tiles), group.neighbours.shape[1] + 1)


def _bordered(image: np.ndarray, colour: tuple[int, int, int], cut: bool) -> np.ndarray:
    """uint8 (3, H', W'): enlarged, in a border; one that is wrong has a corner cut off, for eyes that see no red."""
    factor = max(1, -(-TILE // max(image.shape[1:])))
    large = np.broadcast_to(image, (3, *image.shape[1:])).repeat(factor, axis=1).repeat(factor, axis=2)
    edge = BORDER + GAP
    bordered = np.full((3, large.shape[1] + 2 * edge, large.shape[2] + 2 * edge), 255, np.uint8)
    paint = np.array(colour, np.uint8)[:, None, None]
    bordered[:, GAP:-GAP, GAP:-GAP] = paint
    bordered[:, edge:-edge, edge:-edge] = large
    if cut:
        size = large.shape[1] // 4
        across = np.add.outer(np.arange(large.shape[1]), np.arange(large.shape[2])) < size
        bordered[:, edge:-edge, edge:-edge] = np.where(across, paint, large)
    return bordered
