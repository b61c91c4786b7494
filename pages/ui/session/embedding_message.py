"""The message of the embedding view: the points of an experiment's evaluation images, and how they look."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from pages.ui.components.embedding.sprites import EvalSprites
from pages.ui.text import train as text
from siamese_core.embeddings.projection import PROJECTIONS
from siamese_core.engine.run import Layout
from siamese_core.experiment.experiment import Experiment
from siamese_core.export.figures import base
from siamese_core.formats.wire import pack
from siamese_core.networks.input_transforms import INPUT_TRANSFORMS

NO_POINTS = dict.fromkeys(("xy", "labels", "neighbours", "distances"), np.zeros(0, np.float32))


def empty(version: str, words: dict[str, str]) -> bytes:
    """Return a view without points, which says `words["empty"]`."""
    return pack({"key": "none", "frame": version, "classes": [], "text": words}, **NO_POINTS)


def message(
    experiment: Experiment, layout: Layout, shown: EvalSprites, version: str, pair: tuple[int, int, float] | None = None
) -> bytes:
    """Return the message: `version` names what is drawn, and changes with it.

    `pair`: two points to show, and their distance.
    """
    styles = [base.class_style(c) for c in range(len(shown.classes))]
    meta: dict[str, Any] = {
        "key": shown.key,
        "frame": version,
        "step": layout.step,
        "sent": time.time() * 1000,
        "dim": int(layout.xy.shape[1]) if layout.xy.size else 2,
        "projection": text.STAND_IN if layout.stand_in else PROJECTIONS[layout.kind].title,
        "note": text.STAND_IN if layout.stand_in else second_input(experiment),
        "second": len(shown.labels) // 2 if experiment.branches == 2 else None,
        "classes": shown.classes,
        "colours": [colour for colour, _ in styles],
        "markers": [marker for _, marker in styles],
        "held_out": list(experiment.held_out),
        "sprite": shown.sprite,
        "text": text.EMBEDDING
        | {"second": text.SECOND_POINT.format(second_input=_second_input(experiment))}
        | ({"empty": layout.problem} if layout.problem else {}),
        "pair": pair,
    }
    # Without points, as where the projection process could make none, there are no labels either.
    labels = shown.labels[: len(layout.xy)]
    return pack(meta, xy=layout.xy, labels=labels, neighbours=layout.neighbours, distances=layout.distances)


def second_input(experiment: Experiment) -> str:
    """Return what tells first inputs from second ones, where there are such."""
    return "" if experiment.branches == 1 else text.SECOND_INPUT.format(second_input=_second_input(experiment))


def _second_input(experiment: Experiment) -> str:
    return text.SAME_INPUT if experiment.view == "none" else INPUT_TRANSFORMS[experiment.view].title.lower()
