"""A run as a small film for the home page: python -m siamese_core film DIR --out FOLDER."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from siamese_core.cli.naming import WRITABLE, naming
from siamese_core.datasets.atlas import atlas_png
from siamese_core.errors import Rejected
from siamese_core.experiment.experiment import Experiment
from siamese_core.export.replay_message import replay_message
from siamese_core.formats.files import write_atomic
from siamese_core.runs.disk_format import files_of, run_history_of
from siamese_core.runs.history import RunHistory
from siamese_core.runs.layouts import Layouts, chained

FILM, IMAGES = "film.bin", "film.png"
COLUMNS = 20

PER_CLASS = 30
"""Images of each class: enough to see them part, and half a megabyte with their thumbnails."""

MOST_BYTES = 500_000

WORDS = {
    "loss": "Loss", "map_at_r": "MAP@R", "precision_at_1": "Precision@1", "active": "Active",
    "map_at_r.held_out": "MAP@R, held out", "precision_at_1.held_out": "Precision@1, held out",
    "distance": "{measure} distance", "similarity": "{measure} similarity",
    "any_distance": "distance", "any_similarity": "similarity",
}  # fmt: skip


def add_to(commands: Any) -> None:
    """Add `film` to the commands of a parser."""
    film = commands.add_parser("film", help="make a small film of a run, as on the home page")
    film.add_argument("folder", type=Path, metavar="DIR", help="what train --out was")
    film.add_argument("--out", type=Path, required=True, metavar="FOLDER", help=f"write FOLDER/{FILM} and {IMAGES}")
    film.add_argument("--per-class", type=int, default=PER_CLASS, metavar="N", help="test images of each class")
    film.set_defaults(run=_film)


def _film(options: argparse.Namespace) -> int:
    run_history = few_points(run_history_of(files_of(options.folder), str(options.folder)), options.per_class)
    if not len(run_history.film):
        raise Rejected(f"{options.folder}: this run has no frames; train it again with --frames 60")
    experiment, _ = Experiment.from_query(run_history.query)
    frames = list(chained(experiment.projection, run_history.film.embeddings))
    layouts = Layouts(experiment.projection, *(np.stack(arrays) for arrays in zip(*frames, strict=True)))
    height, width = run_history.eval_images.thumbnails.shape[2:]
    sprite = {"url": IMAGES, "columns": COLUMNS, "width": width, "height": height}
    message = replay_message(run_history, layouts, sprite=sprite, key="film", curve=None, text=WORDS)
    png = atlas_png(run_history.eval_images.thumbnails, COLUMNS)
    size = len(message) + len(png)
    if size > MOST_BYTES:
        raise Rejected(f"--per-class={options.per_class}: gives {size:,} bytes, at most {MOST_BYTES:,} are wanted")
    with naming(f"--out={options.out}", WRITABLE):
        options.out.mkdir(parents=True, exist_ok=True)
        write_atomic(options.out / FILM, message)
        write_atomic(options.out / IMAGES, png)
        write_atomic(options.out / "experiment.txt", f"{run_history.query}\n".encode())
    print(f"{len(run_history.film)} pictures of {len(run_history.eval_images.labels)} points, {size:,} bytes")
    return 0


def few_points(run_history: RunHistory, per_class: int) -> RunHistory:
    """Return the same film of the first `per_class` eval images of each class. Raises Rejected for two branches."""
    eval_images, film = run_history.eval_images, run_history.film
    if per_class < 1 or eval_images.branches != 1:
        raise Rejected("a film is made of a run with one kind of input, and of at least one image of each class")
    chosen = np.sort(
        np.concatenate([np.flatnonzero(eval_images.labels == c)[:per_class] for c in np.unique(eval_images.labels)])
    )
    fewer = replace(eval_images, labels=eval_images.labels[chosen], thumbnails=eval_images.thumbnails[chosen])
    return replace(run_history, eval_images=fewer, film=replace(film, embeddings=film.embeddings[:, chosen]))
