"""A recorded run as it is played: one aligned picture for each frame, and the message that the browser's view gets."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from siamese_core.distances import MEASURES
from siamese_core.figures import (
    BINS,
    DIFFERENT_COLOUR,
    METRIC_COLOURS,
    SAME_COLOUR,
    Curve,
    class_style,
    grown,
    shares,
    thinned,
)
from siamese_core.losses import LOSSES
from siamese_core.projection import PROJECTIONS, NotProjectable, neighbours
from siamese_core.recording import Recording
from siamese_core.run_format import Damaged, packed, unpacked
from siamese_core.wire import pack

NEIGHBOURS = 5

NO_NEIGHBOUR = 65535

LARGEST_INT = 32767
"""A coordinate is kept as a whole number up to this, times one scale for the whole film: finer than any screen."""

LARGEST_END = 1e38
"""The axis of distances ends there at last: twice as much and more would be no float32."""

SCORED = tuple(metric + suffix for metric in ("map_at_r", "precision_at_1") for suffix in ("", ".held_out"))


@dataclass(frozen=True, eq=False)
class Layouts:
    """The pictures of a film, by the projection `kind`: `xy` (F, N, dim) float32.

    `neighbours` (F, N, k) int32: nearest points in the embedding space, −1 where they are not known; k is 5, or
    N − 1 where there are fewer points.
    """

    kind: str
    xy: np.ndarray
    neighbours: np.ndarray


def chained(kind: str, embeddings: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of embeddings (F, N, D), frame after frame, points (N, dim) float32 and their neighbours (N, k) int32.

    Each picture starts from the one before it, so that what moved is what the network moved. A frame that cannot be
    drawn repeats the one before, or is all zeros. Raises NotProjectable in the end where no frame could be drawn.
    """
    _, n, _ = embeddings.shape
    projector = PROJECTIONS[kind].make()
    k = min(NEIGHBOURS, max(n - 1, 0))
    before = np.zeros((n, PROJECTIONS[kind].dim), np.float32), np.full((n, k), -1, np.int32)
    drawn, problem = False, NotProjectable("There are no frames to draw.")
    for points in embeddings:
        try:
            before = projector.frame(points), neighbours(points, k)[0]
            drawn = True
        except NotProjectable as why:
            problem = why
        yield before
    if not drawn:
        raise problem


def packed_layouts(layouts: Layouts) -> bytes:
    whole, scale = _quantised(layouts.xy)
    # The format knows no int16.
    arrays = {"xy": whole.view(np.uint16), "neighbours": layouts.neighbours}
    return packed({"kind": layouts.kind, "scale": scale}, arrays)


def read_layouts(content: bytes) -> Layouts:
    """Raises Damaged, also for what are no layouts."""
    meta, arrays = unpacked(content)
    match meta, arrays:
        case {"kind": str(kind), "scale": float(scale)}, {"xy": whole, "neighbours": near} if kind in PROJECTIONS:
            pass
        case _:
            raise Damaged
    if whole.dtype != np.uint16 or near.dtype != np.int32 or whole.ndim != 3:
        raise Damaged
    frames, n, dim = whole.shape
    if dim != PROJECTIONS[kind].dim or n == 0 or near.shape != (frames, n, min(NEIGHBOURS, n - 1)):
        raise Damaged
    with np.errstate(over="ignore", invalid="ignore"):
        xy = (whole.view(np.int16) * scale).astype(np.float32)
    if not np.isfinite(xy).all() or near.min(initial=0) < -1 or near.max(initial=0) >= n:
        raise Damaged
    return Layouts(kind, xy, near)


def end_of_axis(recording: Recording) -> float:
    """Where the axis of distances ends, one for the whole film: nearly the largest distance of different pairs."""
    if is_similarity(recording):
        return 1.0
    film = recording.film
    shown = _finite(film.different) if film.different.size else _finite(film.same)
    return (grown(0, min(float(np.quantile(shown, 0.95)), LARGEST_END)) if shown.size else 0) or 1.0


def replay_message(
    recording: Recording,
    layouts: Layouts,
    *,
    sprite: Mapping[str, Any],
    key: str,
    curve: Curve | None,
    text: Mapping[str, str],
    d_max: float | None = None,
) -> bytes:
    """What `replay_message.js` reads. `curve` is left out where the loss is none of one distance or similarity.

    The axis of distances ends at `d_max`, or where those of the film do.

    Words: loss, map_at_r, map_at_r.held_out, precision_at_1, precision_at_1.held_out, active; distance and similarity,
    which name a {measure}; any_distance and any_similarity, of a measure that is not known; perhaps note.
    """
    film, probe = recording.film, recording.probe
    whole, scale = _quantised(layouts.xy)
    styles = [class_style(c) for c in range(len(probe.classes))]
    score_steps, scored = _scores(recording)
    d_max = d_max or end_of_axis(recording)
    at, loss = thinned(np.arange(1, len(recording.loss) + 1), recording.loss)
    meta = {
        "key": key,
        "steps": film.steps.tolist(),
        "total": recording.total,
        "dim": PROJECTIONS[layouts.kind].dim,
        "scale": scale,
        "projection": PROJECTIONS[layouts.kind].title,
        "classes": list(probe.classes),
        "colours": [colour for colour, _ in styles],
        "markers": [marker for _, marker in styles],
        "held_out": list(recording.held_out),
        "second": len(probe.labels) // 2 if probe.branches == 2 else None,
        "sprite": dict(sprite),
        "note": text.get("note", ""),
        "d_max": d_max,
        "axis": _axis(recording, text),
        "same_colour": SAME_COLOUR,
        "different_colour": DIFFERENT_COLOUR,
        "history": [["loss", text["loss"], METRIC_COLOURS["loss"], False, "loss"]]
        + [[name, text[name], METRIC_COLOURS[name.partition(".")[0]], "." in name, "score"] for name in scored],
    }
    return pack(
        meta,
        xy=whole,
        labels=probe.labels.astype(np.int32),
        neighbours=_padded(layouts.neighbours),
        shares=np.array(
            [[shares(film.same[f], d_max), shares(film.different[f], d_max)] for f in range(len(film))], np.float32
        ).reshape(len(film), 2, BINS),
        curve=_branches(recording, curve),
        loss_steps=at,
        loss=loss,
        score_steps=np.array(score_steps, np.float32),
        scores=np.array(list(scored.values()), np.float32).reshape(len(scored), len(score_steps)),
    )


def _quantised(xy: np.ndarray) -> tuple[np.ndarray, float]:
    """int16, and by what it is to be multiplied."""
    scale = float(np.abs(xy).max(initial=0)) / LARGEST_INT or 1.0
    return (xy.astype(np.float64) / scale).round().astype(np.int16), scale


def _padded(near: np.ndarray) -> np.ndarray:
    """(F, N, k) → (F, N, 5) uint16; a point whose number is too large for that is left out."""
    full = np.pad(near, ((0, 0), (0, 0), (0, NEIGHBOURS - near.shape[-1])), constant_values=-1)
    return np.where((full >= 0) & (full < NO_NEIGHBOUR), full, NO_NEIGHBOUR).astype(np.uint16)


def is_similarity(recording: Recording) -> bool:
    """As the experiment says; where that is not known, as the numbers look: in 0 to 1, and same pairs above others."""
    measure = MEASURES.get(recording.settings.get("measure", ""))
    if measure is not None:
        return measure.kind == "similarity"
    film = recording.film
    values = np.concatenate([_finite(film.same), _finite(film.different)])
    same, different = (_finite(pairs[-1:]) for pairs in (film.same, film.different))
    if not same.size or not different.size or values.min() < 0 or values.max() > 1:
        return False
    return bool(same.mean() > different.mean())


def _axis(recording: Recording, text: Mapping[str, str]) -> str:
    measure = MEASURES.get(recording.settings.get("measure", ""))
    if measure is None:
        return text["any_similarity" if is_similarity(recording) else "any_distance"]
    return text[measure.kind].format(measure=measure.title)


def _branches(recording: Recording, curve: Curve | None) -> np.ndarray:
    loss = LOSSES.get(recording.settings.get("loss", ""))
    if curve is None or loss is None or loss.takes not in ("distance", "similarity"):
        return np.zeros((3, 0), np.float32)
    return np.stack([curve.at, curve.same, curve.different]).astype(np.float32)


def _scores(recording: Recording) -> tuple[list[int], dict[str, list[float]]]:
    """Scored steps, and of each name a value for each of them, NaN where it is missing; no name without any value."""
    entries = [(step, metrics) for step, metrics in recording.scores if 0 < step <= len(recording.active)]
    found = {name: [_score(metrics, name) for _, metrics in entries] for name in SCORED}
    found["active"] = [_share(recording.active[step - 1]) for step, _ in entries]
    return [step for step, _ in entries], {name: row for name, row in found.items() if np.isfinite(row).any()}


def _score(metrics: Mapping[str, Any], name: str) -> float:
    metric, _, group = name.partition(".")
    return _share(metrics.get(metric, {}).get(group or "seen"))


def _share(value: float | None) -> float:
    return float(value) if value is not None and 0 <= value <= 1 else math.nan


def _finite(values: np.ndarray) -> npt.NDArray[np.float64]:
    finite: npt.NDArray[np.float64] = values[np.isfinite(values)].astype(np.float64)
    return finite
