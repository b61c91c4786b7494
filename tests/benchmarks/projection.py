"""A frame of LiveUmap beside umap.UMAP().fit_transform, on the embeddings of the default run as it trains; and a film.

    python -m tests.benchmarks.projection

One thread, CPU seconds of the process, the two measured in turn.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from siamese_core.embeddings.projection import LiveUmap, warm_up
from siamese_core.runs.history import MAX_FRAMES
from siamese_core.runs.layouts import chained

Floats = npt.NDArray[np.float32]

STEPS_A_FRAME = 10
RESTING_FRAMES = 20
COMPARED_EVERY = 5
NEIGHBOURS = 15
STEPS_OF_A_FILM = 2 * MAX_FRAMES


@dataclass(frozen=True)
class Measured:
    """Medians. Seconds are CPU seconds, movement is in standard deviations of the layout.

    `lost` is the worst of the compared frames: trustworthiness of fit_transform's layout less that of ours.
    """

    frame_seconds: float
    fit_seconds: float
    ratio: float
    trustworthiness: float
    fit_trustworthiness: float
    lost: float
    moving: float
    resting: float


@dataclass(frozen=True)
class MeasuredFilm:
    """CPU seconds of all its layouts; the median movement between two, in standard deviations of the layout."""

    shape: tuple[int, ...]
    seconds: float
    moving: float


def embeddings_while_training(steps: int = 300, gap: int = STEPS_A_FRAME) -> list[Floats]:
    """The 1,000 bundled Fashion-MNIST test images in 32 dimensions, every `gap` steps of the default run."""
    from siamese_core.experiment.experiment import Experiment
    from siamese_core.training.loop import every, train

    snapshots = train(Experiment(steps=steps), wants_frame=every(gap))
    return [np.asarray(s.frame.embeddings) for s in snapshots if s.frame is not None]


def movement(before: Floats, after: Floats) -> float:
    """The median way of a point between two layouts, over the standard deviation of a coordinate."""
    return float(np.median(np.linalg.norm(after - before, axis=1)) / before.std(axis=0).mean())


def compare(embeddings: list[Floats]) -> Measured:
    import numba
    import umap
    from sklearn.manifold import trustworthiness
    from threadpoolctl import threadpool_limits

    def fit(points: Floats) -> Floats:
        return np.asarray(umap.UMAP().fit_transform(points))

    numba.set_num_threads(1)
    with threadpool_limits(1):
        warm_up()
        fit(embeddings[0])

        live = LiveUmap()
        layouts, frame_seconds, fit_seconds, ours, theirs = [], [], [], [], []
        for i, points in enumerate(embeddings):
            layout, seconds = timed(lambda points=points: live.frame(points))
            layouts.append(layout)
            if i:
                frame_seconds.append(seconds)
            if i % COMPARED_EVERY == COMPARED_EVERY - 1:
                layout, seconds = timed(lambda points=points: fit(points))
                fit_seconds.append(seconds)
                ours.append(trustworthiness(points, layout, n_neighbors=NEIGHBOURS))
                theirs.append(trustworthiness(points, layout, n_neighbors=NEIGHBOURS))
        rest = [layouts[-1], *(live.frame(embeddings[-1]) for _ in range(RESTING_FRAMES))]

    return Measured(
        frame_seconds=float(np.median(frame_seconds)),
        fit_seconds=float(np.median(fit_seconds)),
        ratio=float(np.median(fit_seconds) / np.median(frame_seconds)),
        trustworthiness=float(np.median(ours)),
        fit_trustworthiness=float(np.median(theirs)),
        lost=float(np.max(np.subtract(theirs, ours))),
        moving=float(np.median([movement(a, b) for a, b in pairwise(layouts)])),
        resting=float(np.median([movement(a, b) for a, b in pairwise(rest)])),
    )


def lay_out(film: Floats) -> MeasuredFilm:
    """A whole recorded run, (F, N, D)."""
    import numba
    from threadpoolctl import threadpool_limits

    numba.set_num_threads(1)
    with threadpool_limits(1):
        warm_up()
        layouts, seconds = timed(lambda: np.stack([xy for xy, _ in chained("umap", film)]))
    return MeasuredFilm(film.shape, seconds, float(np.median([movement(a, b) for a, b in pairwise(layouts)])))


def timed(work: Callable[[], Floats]) -> tuple[Floats, float]:
    start = time.process_time()
    done = work()
    return done, time.process_time() - start


def rows(m: Measured) -> list[tuple[str, str, str]]:
    """(what, measured, wanted) for the benchmark's table."""
    return [
        ("UMAP frame, 1,000 × 32", f"{m.frame_seconds:.3f} s", ""),
        ("umap.UMAP().fit_transform, the same", f"{m.fit_seconds:.2f} s", ""),
        ("UMAP frame against fit_transform", f"{m.ratio:.0f}× faster", "≥ 25×"),
        ("Trustworthiness, ours and fit_transform's", f"{m.trustworthiness:.3f}, {m.fit_trustworthiness:.3f}", ""),
        ("Trustworthiness lost, worst frame", f"{m.lost:.4f}", "≤ 0.005"),
        ("Median movement between frames, training", f"{m.moving:.2f} σ", "< 0.5 σ"),
        ("Median movement between frames, resting", f"{m.resting:.2f} σ", "< 0.25 σ"),
    ]


def film_rows(m: MeasuredFilm) -> list[tuple[str, str, str]]:
    frames, points, dim = m.shape
    return [
        (f"Film of {frames} frames, {points:,} × {dim}", f"{m.seconds:.0f} s", "< 60 s"),
        ("Median movement between frames, film", f"{m.moving:.2f} σ", "< 0.25 σ"),
    ]


def measure() -> list[tuple[str, str, str]]:
    """Takes about two minutes of one core."""
    film = np.stack(embeddings_while_training(STEPS_OF_A_FILM, STEPS_OF_A_FILM // MAX_FRAMES))
    return rows(compare(embeddings_while_training())) + film_rows(lay_out(film))


def main() -> None:
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, numpy {np.__version__}")
    for what, measured, wanted in measure():
        print(f"{what:<44} {measured:>16}   {wanted}".rstrip())


if __name__ == "__main__":
    main()
