"""The message that the browser's replay view gets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from siamese_core.embeddings.projection import PROJECTIONS
from siamese_core.export.figures import base
from siamese_core.formats.wire import pack
from siamese_core.losses import LOSSES
from siamese_core.losses.distances import MEASURES
from siamese_core.losses.record import Curve
from siamese_core.runs.history import RunHistory
from siamese_core.runs.layouts import NEIGHBOURS, Layouts, quantised

NO_NEIGHBOUR = 65535

LARGEST_END = 1e38
"""The axis of distances ends there at last: twice as much and more would be no float32."""

SCORED = tuple(metric + suffix for metric in ("map_at_r", "precision_at_1") for suffix in ("", ".held_out"))


def end_of_axis(run_history: RunHistory) -> float:
    """Return the end of the axis of distances for all frames: nearly the largest distance of different pairs."""
    if is_similarity(run_history):
        return 1.0
    film = run_history.film
    shown = base.finite(film.different) if film.different.size else base.finite(film.same)
    return (base.nice_end(0, min(float(np.quantile(shown, 0.95)), LARGEST_END)) if shown.size else 0) or 1.0


def replay_message(
    run_history: RunHistory,
    layouts: Layouts,
    *,
    sprite: Mapping[str, Any],
    key: str,
    curve: Curve | None,
    text: Mapping[str, str],
    d_max: float | None = None,
) -> bytes:
    """Pack the message that `replay/message.js` reads.

    `curve` is left out where the loss is none of one distance or similarity.
    The axis of distances ends at `d_max`, or where those of the film do.

    Words: loss, map_at_r, map_at_r.held_out, precision_at_1, precision_at_1.held_out, active; distance and similarity,
    which name a {measure}; any_distance and any_similarity, of a measure that is not known; perhaps note.
    """
    film, eval_images = run_history.film, run_history.eval_images
    xy, scale = quantised(layouts.xy)
    styles = [base.class_style(c) for c in range(len(eval_images.classes))]
    score_steps, scored = _scores(run_history)
    d_max = d_max or end_of_axis(run_history)
    at, loss = base.downsample(np.arange(1, len(run_history.loss) + 1), run_history.loss)
    meta = {
        "key": key,
        "steps": film.steps.tolist(),
        "total": run_history.total,
        "dim": PROJECTIONS[layouts.kind].dim,
        "scale": scale,
        "projection": PROJECTIONS[layouts.kind].title,
        "classes": list(eval_images.classes),
        "colours": [colour for colour, _ in styles],
        "markers": [marker for _, marker in styles],
        "held_out": list(run_history.held_out),
        "second": len(eval_images.labels) // 2 if eval_images.branches == 2 else None,
        "sprite": dict(sprite),
        "note": text.get("note", ""),
        "d_max": d_max,
        "axis": _axis(run_history, text),
        "same_colour": base.SAME_COLOUR,
        "different_colour": base.DIFFERENT_COLOUR,
        "history": [["loss", text["loss"], base.METRIC_COLOURS["loss"], False, "loss"]]
        + [[name, text[name], base.METRIC_COLOURS[name.partition(".")[0]], "." in name, "score"] for name in scored],
    }
    return pack(
        meta,
        xy=xy,
        labels=eval_images.labels.astype(np.int32),
        neighbours=_padded(layouts.neighbours),
        shares=np.array(
            [[base.bin_shares(pairs[f], d_max) for pairs in (film.same, film.different)] for f in range(len(film))],
            np.float32,
        ).reshape(len(film), 2, base.BINS),
        curve=_branches(run_history, curve),
        loss_steps=at,
        loss=loss,
        score_steps=np.array(score_steps, np.float32),
        scores=np.array(list(scored.values()), np.float32).reshape(len(scored), len(score_steps)),
    )


def _padded(near: np.ndarray) -> np.ndarray:
    """Pad (F, N, k) to (F, N, 5) uint16; a point whose number is too large for that is left out."""
    full = np.pad(near, ((0, 0), (0, 0), (0, NEIGHBOURS - near.shape[-1])), constant_values=-1)
    return np.where((full >= 0) & (full < NO_NEIGHBOUR), full, NO_NEIGHBOUR).astype(np.uint16)


def is_similarity(run_history: RunHistory) -> bool:
    """Return whether pairs are measured by a similarity.

    Where the measure is not known, whether they are all in 0 to 1 and same pairs above different ones.
    """
    measure = MEASURES.get(run_history.settings.get("measure", ""))
    if measure is not None:
        return measure.is_similarity
    film = run_history.film
    values = np.concatenate([base.finite(film.same), base.finite(film.different)])
    same, different = (base.finite(pairs[-1:]) for pairs in (film.same, film.different))
    if not same.size or not different.size or values.min() < 0 or values.max() > 1:
        return False
    return bool(same.mean() > different.mean())


def _axis(run_history: RunHistory, text: Mapping[str, str]) -> str:
    measure = MEASURES.get(run_history.settings.get("measure", ""))
    if measure is None:
        return text["any_similarity" if is_similarity(run_history) else "any_distance"]
    return text[measure.kind].format(measure=measure.title)


def _branches(run_history: RunHistory, curve: Curve | None) -> np.ndarray:
    loss = LOSSES.get(run_history.settings.get("loss", ""))
    if curve is None or loss is None or not loss.on_pairs:
        return np.zeros((3, 0), np.float32)
    return np.stack([curve.at, curve.same, curve.different]).astype(np.float32)


def _scores(run_history: RunHistory) -> tuple[list[int], dict[str, list[float]]]:
    """Return the scored steps, and of each name a value for each step, NaN where it is missing; no name without any."""
    entries = [(step, metrics) for step, metrics in run_history.scores if 0 < step <= len(run_history.active)]
    found = {name: [_score(metrics, name) for _, metrics in entries] for name in SCORED}
    found["active"] = [_share(run_history.active[step - 1]) for step, _ in entries]
    return [step for step, _ in entries], {name: row for name, row in found.items() if np.isfinite(row).any()}


def _score(metrics: Mapping[str, Any], name: str) -> float:
    metric, _, group = name.partition(".")
    return _share(metrics.get(metric, {}).get(group or "seen"))


def _share(value: float | None) -> float:
    return float(value) if value is not None and 0 <= value <= 1 else math.nan
