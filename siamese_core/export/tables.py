"""A recorded run as downloads: embeddings for a spreadsheet, numpy and TensorBoard, and a page with their layout.

Recordings may come from anybody: nothing is named by one, no cell begins a formula, every word is escaped, and a page
asks nobody for anything. The same recording gives the same bytes.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from siamese_core.datasets.atlas import atlas_png, reduced
from siamese_core.export.figures.base import NEUTRAL, class_style, figure_of, hint_at, with_alpha
from siamese_core.export.page import plot_html, render
from siamese_core.formats.files import zipped
from siamese_core.formats.pair_lists import FORMULA, to_csv
from siamese_core.runs.history import RunHistory

if TYPE_CHECKING:
    import plotly.graph_objects as go

Array = npt.NDArray[Any]

INPUTS = ("first", "second")
GROUPS = ("seen", "held_out")

LARGEST = 1e30
"""Beyond it, squares of float32 overflow where layouts are drawn."""
LARGEST_SPRITE = 8192
"""TensorBoard's projector refuses a sprite that is wider or higher."""

PROJECTOR_CONFIG = """embeddings {{
  tensor_name: "embedding"
  tensor_path: "vectors.tsv"
  metadata_path: "metadata.tsv"
  sprite {{
    image_path: "sprite.png"
    single_image_dim: {side}
    single_image_dim: {side}
  }}
}}
"""
README = """{found}

vectors.tsv: the embeddings, a line for each point. metadata.tsv: what is known of the points, below the names of its
columns. sprite.png: their images. projector_config.pbtxt tells TensorBoard which file is which.

In TensorBoard, which works without a network:
  1. Unpack this zip into a folder of its own.
  2. pip install tensorboard
  3. tensorboard --logdir FOLDER
  4. Open the address that it prints, choose Projector in the menu at the top, and "Color by: class".

On a page of the Embedding Projector, such as projector.tensorflow.org:
  Press Load and choose vectors.tsv, then metadata.tsv. Such a page shows no images that are only on your machine.
"""
FOUND = "{count:,} points, {dim} numbers each, at step {step:,}."
LEFT_OUT = " {count:,} more have no finite embedding and are left out."
NOTHING = "This run has no embedding that could be shown: the other files are missing for that reason."

GRID = with_alpha(NEUTRAL, 0.4)
IN_SPACE = ("circle", "square", "diamond", "cross", "x")
"""Markers that plotly draws in three dimensions too; all but the last two also hollow."""


def embeddings_of(run_history: RunHistory) -> Array:
    """Return (N, D) of the last frame; (N, 0) of a recording without frames."""
    film = run_history.film
    return film.embeddings[-1] if len(film) else np.zeros((len(run_history.eval_images.labels), 0), np.float32)


def step_of(run_history: RunHistory, at: int = -1) -> int:
    """Return the training step of frame `at`; the last step where there is no frame."""
    return int(run_history.film.steps[at]) if len(run_history.film) else run_history.step


def embeddings_csv(run_history: RunHistory) -> bytes:
    """Return a row for each point; a number that is not finite is an empty cell."""
    numbers = embeddings_of(run_history)
    names = [f"e{d}" for d in range(numbers.shape[1])]
    rows = zip(_points(run_history), numbers, strict=True)
    return to_csv([point | dict(zip(names, row, strict=True)) for point, row in rows]).encode("utf-8-sig", "replace")


def embeddings_npz(run_history: RunHistory) -> bytes:
    """Return `embeddings` (N, D), `labels` (N,), `classes` (C,) of the last frame, and its `steps`, (1,) or (0,)."""
    steps = np.array([step_of(run_history)] if len(run_history.film) else [], np.int64)
    return _npz(embeddings=embeddings_of(run_history), **_names(run_history), steps=steps)


def frames_npz(run_history: RunHistory) -> bytes:
    """Return all frames: `steps` (F,), `embeddings` (F, N, D), distances of pairs (F, P).

    `loss` and `active` are those of every step (S,).
    `scores` (K, M, 2) hold the values of `metrics` (M,) for `groups` (2,) at `score_steps` (K,), NaN where there is
    none; `pixels` (2,) MAP@R on raw pixels. With 2 `branches` the points are all first inputs, then all second ones.
    """
    film = run_history.film
    metrics = list(dict.fromkeys(metric for _, found in run_history.scores for metric in found))
    scores = [[by_group(found.get(metric)) for metric in metrics] for _, found in run_history.scores]
    return _npz(
        steps=film.steps,
        embeddings=film.embeddings,
        same_distances=film.same,
        different_distances=film.different,
        **_names(run_history),
        branches=np.array(run_history.eval_images.branches),
        loss=run_history.loss,
        active=run_history.active,
        score_steps=np.array([number(step) for step, _ in run_history.scores], np.float64),
        scores=np.array(scores, np.float64).reshape(len(scores), len(metrics), len(GROUPS)),
        metrics=np.array(metrics, np.str_),
        groups=np.array(GROUPS),
        pixels=np.array(by_group(run_history.pixel_baseline)),
        query=np.array(run_history.query, np.str_),
    )


def tensorboard_zip(run_history: RunHistory) -> bytes:
    """Return what TensorBoard's Embedding Projector reads, without the points that are not finite: it stops at them.

    Its sprites are square, and so is the grid of them.
    """
    numbers = embeddings_of(run_history)
    finite = np.flatnonzero(np.isfinite(numbers).all(axis=1) & bool(numbers.shape[1]))
    if not len(finite):
        return zipped({"README.txt": README.format(found=NOTHING).encode()})
    found = FOUND.format(count=len(finite), dim=numbers.shape[1], step=step_of(run_history))
    if len(finite) < len(numbers):
        found += LEFT_OUT.format(count=len(numbers) - len(finite))
    points = _points(run_history)
    rows = [list(points[0]), *(list(points[i].values()) for i in finite)]
    sprite, side = _sprite(run_history.eval_images.thumbnails[finite])
    files = {
        "vectors.tsv": _tsv(numbers[finite]),
        "metadata.tsv": _tsv([[_tsv_cell(cell) for cell in row] for row in rows]),
        "sprite.png": sprite,
        "projector_config.pbtxt": PROJECTOR_CONFIG.format(side=side).encode(),
    }
    return zipped({**files, "README.txt": README.format(found=found).encode()})


def embedding_figure(run_history: RunHistory, xy: Array | None, at: int = -1, *, text: Mapping[str, str]) -> go.Figure:
    """Draw the points of frame `at` at `xy` (N, 2 or 3) in colour and marker of their class; second inputs are hollow.

    Points that are not finite are left out. Words: embedding (of a step), image, second, held_out, no_layout.
    """
    title = {"text": text["embedding"].format(step=f"{step_of(run_history, at):,}")}
    eval_images, points, held_out = run_history.eval_images, _points(run_history), run_history.held_out
    xy = drawable(run_history, xy)
    shown = np.isfinite(xy).all(axis=1)
    second = np.array([point.get("input") == "second" for point in points])
    index = np.array([point["index"] for point in points], np.int32)
    kind = "scatter" if xy.shape[1] == 2 else "scatter3d"
    data: list[dict[str, Any]] = []
    for c in np.unique(eval_images.labels[shown]).tolist():
        # Plotly reads a little HTML, and a class may be called like that.
        name = escape(eval_images.classes[c], False) + (f" ({text['held_out']})" if c in held_out else "")
        for hollow in (False, True):
            indices = np.flatnonzero(shown & (eval_images.labels == c) & (second == hollow))
            if len(indices):
                below = f"<br>{text['second']}" if hollow else ""
                data.append({
                    "type": kind, **dict(zip("xyz", xy[indices].T, strict=False)), "mode": "markers",
                    "name": name, "legendgroup": str(c),
                    "marker": _marker(c, xy.shape[1], hollow, c in held_out), "showlegend": not hollow,
                    "customdata": index[indices],
                    "hovertemplate": f"{text['image']} %{{customdata}}<br>%{{fullData.name}}{below}<extra></extra>",
                })  # fmt: skip
    legend = {"orientation": "h", "x": 0, "xanchor": "left", "y": -0.01, "yanchor": "top", "itemsizing": "constant"}
    layout = {"title": title, "hovermode": "closest", "legend": legend, "margin": {"l": 8, "r": 8, "t": 48, "b": 8}}
    hint = [] if data else [hint_at(text["no_layout"], "y")]
    # Plotly draws no panel that has no trace.
    return figure_of(data or [{"type": "scatter"}], **layout, annotations=hint, **axes_around(xy))


def drawable(run_history: RunHistory, xy: Array | None) -> Array:
    """Return a layout (N, 2 or 3) for the points of a recording; NaN where `xy` does not fit it."""
    count = len(run_history.eval_images.labels)
    if xy is None or xy.ndim != 2 or len(xy) != count or xy.shape[1] not in (2, 3):
        return np.full((count, 2), np.nan, np.float32)
    return np.where(np.abs(xy) < LARGEST, xy, np.nan).astype(np.float32)


def axes_around(xy: Array) -> dict[str, Any]:
    """Return axes for a layout: without numbers, equally long, with all finite points (M, 2 or 3) in sight."""
    points = xy[np.isfinite(xy).all(axis=1)].astype(np.float64)
    low, high = (
        (points.min(axis=0), points.max(axis=0)) if len(points) else (-np.ones(xy.shape[1]), np.ones(xy.shape[1]))
    )
    half = 0.54 * (float((high - low).max()) or 1.0)
    ranges = [[float(middle - half), float(middle + half)] for middle in (low + high) / 2]
    if len(ranges) == 2:
        return {
            f"{name}axis": {"range": limits, "visible": False, "constrain": "domain"}
            | ({"scaleanchor": "x"} if name == "y" else {})
            for name, limits in zip("xy", ranges, strict=True)
        }
    plain = {"showticklabels": False, "title": {"text": ""}, "gridcolor": GRID, "showbackground": False}
    axes = {f"{name}axis": {"range": limits, **plain} for name, limits in zip("xyz", ranges, strict=True)}
    return {"scene": {**axes, "aspectmode": "cube", "camera": {"eye": {"x": 1.4, "y": 1.4, "z": 1.2}}}}


def figure_html(figure: go.Figure) -> bytes:
    """Return a page with one figure and all that it takes to draw it."""
    return render("figure.html.j2", title=figure.layout.title.text or "", plot=plot_html(figure, "figure", "90vh"))


def number(value: Any) -> float:
    """Return a score or a step as a float, NaN where no figure could show it."""
    return float(value) if isinstance(value, int | float) and abs(value) < LARGEST else math.nan


def by_group(scores: Mapping[str, Any] | None) -> list[float]:
    """Return the scores of seen and of held-out classes, NaN where there is none."""
    return [number((scores or {}).get(group)) for group in GROUPS]


def _points(run_history: RunHistory) -> list[dict[str, Any]]:
    """Return of each point the index and the class of its image and, with two branches, as which input it is seen."""
    eval_images = run_history.eval_images
    images = max(len(eval_images.labels) // eval_images.branches, 1)
    named = [{"index": i % images, "class": eval_images.classes[c]} for i, c in enumerate(eval_images.labels.tolist())]
    if eval_images.branches == 1:
        return named
    return [point | {"input": INPUTS[i >= images]} for i, point in enumerate(named)]


def _names(run_history: RunHistory) -> dict[str, Array]:
    return {"labels": run_history.eval_images.labels, "classes": np.array(run_history.eval_images.classes, np.str_)}


def _marker(label: int, dim: int, hollow: bool, held_out: bool) -> dict[str, Any]:
    colour, symbol = class_style(label)
    if dim == 3 and symbol not in IN_SPACE:
        symbol = "circle"
    if hollow and (dim == 2 or symbol in IN_SPACE[:3]):
        symbol = f"{symbol}-open"
    edge = {"width": 1.5, "color": NEUTRAL} if held_out and not hollow else {"width": 1.2 * hollow, "color": colour}
    return {"color": colour, "symbol": symbol, "size": 6 if dim == 2 else 3, "opacity": 0.85, "line": edge}


def _sprite(thumbnails: Array) -> tuple[bytes, int]:
    """Return a PNG and the side of an image in it; it has as many columns as rows, as the projector's shader counts."""
    columns = math.ceil(math.sqrt(len(thumbnails)))
    images = reduced(thumbnails, LARGEST_SPRITE // columns)
    side = max(images.shape[2:])
    top, left = ((side - size) // 2 for size in images.shape[2:])
    square = np.zeros((columns**2, images.shape[1], side, side), np.uint8)
    square[: len(images), :, top : top + images.shape[2], left : left + images.shape[3]] = images
    return atlas_png(square, columns), side


def _tsv(rows: Any) -> bytes:
    return "".join("\t".join(map(str, row)) + "\n" for row in rows).encode("utf-8", "replace")


def _tsv_cell(cell: object) -> str:
    """Return one line without a tab: the format knows no quotation marks."""
    return FORMULA.sub("'", "".join(c if c.isprintable() else " " for c in str(cell)))


def _npz(**arrays: Array) -> bytes:
    """Pack arrays: the same ones give the same bytes."""
    packed = io.BytesIO()
    np.savez(packed, allow_pickle=False, **arrays)
    return packed.getvalue()
