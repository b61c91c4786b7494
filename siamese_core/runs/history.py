"""What of a run can be replayed: its eval images, frames of their embeddings, and how it went.

Frames are stored in half precision, each divided by its largest number: a plot shows no more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from siamese_core.experiment.settings import FIELDS
from siamese_core.experiment.snapshot import Frame, Scores
from siamese_core.formats.safetensors import Damaged, is_int, packed, unpacked

MAX_FRAMES = 200
"""Of the film of a run; between two frames the browser interpolates."""

MAX_SCORES = 1_000
"""Of a run, over all its steps: they lie in the header of its file, which is never longer than a million bytes."""

EVAL_IMAGES = "probe.safetensors"
RUN = "run.safetensors"
FRAMES = "frames/"
SUFFIX = ".safetensors"

ScoreHistory = list[tuple[int, dict[str, Scores]]]
"""Step, and its metrics; in the order of the steps."""


@dataclass(frozen=True, eq=False)
class EvalImages:
    """`labels` (N,) int32 and `thumbnails` (N, C, H, W) uint8 of the points; of two branches first all first inputs."""

    classes: tuple[str, ...]
    labels: np.ndarray
    thumbnails: np.ndarray
    branches: int


@dataclass(frozen=True, eq=False)
class Film:
    """F frames: `steps` (F,) ascending, `embeddings` (F, N, D), distances of pairs `same` and `different` (F, P)."""

    steps: np.ndarray
    embeddings: np.ndarray
    same: np.ndarray
    different: np.ndarray

    def __len__(self) -> int:
        return len(self.steps)


@dataclass(frozen=True, eq=False)
class RunHistory:
    """`query` is the experiment. `loss`, `active` (S,): of every step; `pixel_baseline`: MAP@R on raw pixels.

    The experiment may be one that this server cannot repeat: on images that are gone.
    """

    query: str
    total: int
    step: int
    images: int
    seconds: float
    eval_images: EvalImages
    film: Film
    loss: np.ndarray
    active: np.ndarray
    scores: ScoreHistory
    pixel_baseline: Scores | None

    def __post_init__(self) -> None:
        # All browsers share one.
        for array in (self.loss, self.active):
            array.setflags(write=False)

    @property
    def settings(self) -> dict[str, str]:
        """Return field → text, as in the address bar."""
        from urllib.parse import parse_qsl

        return dict(parse_qsl(self.query, keep_blank_values=True))

    @property
    def held_out(self) -> tuple[int, ...]:
        """Return the classes never trained on. Read by itself, for other fields may be those of another version."""
        found = FIELDS["held_out"].read(self.settings.get("held_out", ""))
        numbers = found if isinstance(found, tuple) else ()
        return tuple(c for c in numbers if isinstance(c, int) and 0 <= c < len(self.eval_images.classes))


def gap_of(total: int) -> int:
    """Return the steps between two frames of a run of `total` steps: at most `MAX_FRAMES`, evenly over them."""
    return max(1, math.ceil(total / MAX_FRAMES))


def film_of(frames: Sequence[tuple[int, Frame]]) -> Film:
    """Return the film of (step, frame)s in the order of the steps."""
    return Film(
        np.array([step for step, _ in frames], np.int64),
        np.stack([frame.embeddings for _, frame in frames]).astype(np.float32),
        np.stack([frame.same_distances for _, frame in frames]).astype(np.float32),
        np.stack([frame.different_distances for _, frame in frames]).astype(np.float32),
    )


NO_FILM = Film(
    np.zeros(0, np.int64), np.zeros((0, 0, 0), np.float32), np.zeros((0, 0), np.float32), np.zeros((0, 0), np.float32)
)


def packed_film(film: Film) -> bytes:
    """Return the content of a file of frames."""
    halves: dict[str, np.ndarray] = {"steps": film.steps}
    for name in ("embeddings", "same", "different"):
        values = getattr(film, name)
        flat = np.where(np.isfinite(values), np.abs(values), 0).reshape(len(values), -1)
        scale = flat.max(axis=1, initial=0).astype(np.float64)
        scale[scale == 0] = 1.0
        halves[f"{name}_scale"] = scale
        halves[name] = (values / scale.reshape(-1, *[1] * (values.ndim - 1))).astype(np.float16)
    return packed({}, halves)


def read_film(content: bytes) -> Film:
    """Read a file of frames. Raises Damaged, also for what is no film."""
    _, found = unpacked(content)
    steps = _array(found, "steps", 1, np.int64)
    if len(steps) == 0 or (steps < 0).any() or (np.diff(steps) <= 0).any():
        raise Damaged
    values = {}
    for name, rank in (("embeddings", 3), ("same", 2), ("different", 2)):
        halves, scale = _array(found, name, rank, np.float16), _array(found, f"{name}_scale", 1, np.float64)
        if not (len(halves) == len(scale) == len(steps)) or not np.isfinite(scale).all():
            raise Damaged
        with np.errstate(over="ignore", invalid="ignore"):
            factor = scale.astype(np.float32).reshape(-1, *[1] * (rank - 1))
            values[name] = halves.astype(np.float32) * factor
    return Film(steps, **values)


def packed_eval_images(eval_images: EvalImages) -> bytes:
    """Return the content of probe.safetensors."""
    arrays = {"labels": eval_images.labels.astype(np.int32), "thumbnails": eval_images.thumbnails}
    return packed({"classes": list(eval_images.classes), "branches": eval_images.branches}, arrays)


def read_eval_images(content: bytes) -> EvalImages:
    """Read probe.safetensors. Raises Damaged."""
    meta, found = unpacked(content)
    labels, thumbnails = _array(found, "labels", 1, np.int32), _array(found, "thumbnails", 4, np.uint8)
    match meta:
        case {"classes": [*classes], "branches": branches} if is_int(branches) and branches in (1, 2):
            pass
        case _:
            raise Damaged
    fits = (
        all(isinstance(name, str) and name.isprintable() and 0 < len(name) <= 100 for name in classes)
        and len(labels) == len(thumbnails) > 0
        and len(labels) % branches == 0
        and labels.min() >= 0
        and labels.max() < len(classes)
        and thumbnails.shape[1] in (1, 3)
        and 0 not in thumbnails.shape
        and max(thumbnails.shape[2:]) <= 256
    )
    if not fits:
        raise Damaged
    return EvalImages(tuple(classes), labels, thumbnails, branches)


def joined(films: Sequence[Film], last: int) -> Film:
    """Join parts of one film, in order; leave out frames beyond step `last`. Raises Damaged where they do not fit."""
    parts = [part for film in films if len(part := cut(film, last))]
    if not parts:
        return NO_FILM
    if len({(f.embeddings.shape[1:], f.same.shape[1:], f.different.shape[1:]) for f in parts}) > 1:
        raise Damaged
    if len(parts) == 1:
        return parts[0]
    film = Film(*(np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])))
    if (np.diff(film.steps) <= 0).any():
        raise Damaged
    return film


def cut(film: Film, last: int) -> Film:
    """Return the film up to step `last`."""
    before = film.steps <= last
    return film if before.all() else replace(film, **{name: array[before] for name, array in vars(film).items()})


def _array(found: Mapping[str, np.ndarray], name: str, rank: int, dtype: Any) -> np.ndarray:
    array = found.get(name)
    if array is None or array.ndim != rank or array.dtype != dtype:
        raise Damaged
    return array
