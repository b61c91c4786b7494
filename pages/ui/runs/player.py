"""The film of one run, or of up to four side by side."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import streamlit as st

from pages.ui.components.components import replay_view
from pages.ui.runs import differences, downloads
from pages.ui.runs.actions import take_up
from pages.ui.runs.titles import is_paused, title_of
from pages.ui.session.embedding_message import second_input
from pages.ui.session.loss_curves import exact_arrays, has_come, is_waiting, places
from pages.ui.session.session import engine, film_stem, token
from pages.ui.shims import assets
from pages.ui.shims.escape_markdown import plain
from pages.ui.text import runs as text
from pages.ui.text.replay import REPLAY
from siamese_core.datasets.atlas import atlas_png
from siamese_core.engine.storage.replays import LayoutProgress
from siamese_core.engine.storage.store import hashed
from siamese_core.experiment.experiment import Experiment
from siamese_core.export.replay_message import end_of_axis, is_similarity, replay_message
from siamese_core.losses import LOSSES
from siamese_core.losses.record import Curve
from siamese_core.runs.folder import FolderRejected
from siamese_core.runs.history import RunHistory
from siamese_core.runs.info import RunInfo
from siamese_core.runs.layouts import Layouts

COLUMNS = 40
LOOK_EVERY = 0.5


@dataclass(frozen=True)
class Seen:
    info: RunInfo
    run_history: RunHistory
    layouts: Layouts


def part(chosen: list[RunInfo], too_many: bool) -> None:
    if too_many:
        st.info(text.TOO_MANY, icon=":material/info:")
    seen = [found for info in chosen if (found := _seen(info)) is not None]
    if len(seen) < len(chosen) and st.session_state.get("runs_drawing"):
        st.fragment(_progress, run_every=LOOK_EVERY)(chosen)
        return
    if not seen:
        return
    # One axis for all of them, so that what looks alike is alike.
    ends = {is_similarity(found.run_history): 0.0 for found in seen}
    for found in seen:
        kind = is_similarity(found.run_history)
        ends[kind] = max(ends[kind], end_of_axis(found.run_history))
    urls = [_published(found, ends[is_similarity(found.run_history)]) for found in seen]
    replay_view(
        {
            "runs": urls, "titles": [title_of(found.info) for found in seen], "text": REPLAY, "autoplay": False,
            "loop": False, "seconds": 8.0, "compact": False,
        },
        key="replay",
    )  # fmt: skip
    if is_waiting():
        st.fragment(_once_there, run_every=LOOK_EVERY)()
    if len(seen) > 1:
        differences.part([found.info for found in seen])
    else:
        downloads.part(seen[0].info, seen[0].run_history, seen[0].layouts)


def _seen(info: RunInfo) -> Seen | None:
    """The film, where it is there; else a sentence says how far it is, or why there is none."""
    me, name = hashed(token()), plain(title_of(info))
    if engine().store.is_busy(info.id):
        paused = is_paused(info)
        st.info((text.PAUSED if paused else text.STILL_RUNNING).format(name=name), icon=":material/info:")
        if info.owner == me and st.button(text.WATCH, key=f"runs_watch_{info.id}", icon=":material/play_circle:"):
            take_up(info.id)
            st.switch_page("pages/1_Train.py")
        return None
    try:
        run_history, found = engine().replays.run_history(me, info.id), engine().replays.poll(me, info.id)
    except FolderRejected as rejected:
        st.warning(plain(str(rejected)), icon=":material/info:")
        return None
    if isinstance(found, Layouts) and run_history is not None:
        return Seen(info, run_history, found)
    if isinstance(found, LayoutProgress):
        st.session_state["runs_drawing"] = True
    elif isinstance(found, str):
        st.warning(text.CANNOT.format(name=name, why=plain(found)), icon=":material/info:")
    else:
        st.info(text.NO_FILM.format(name=name), icon=":material/info:")
    return None


def _progress(chosen: list[RunInfo]) -> None:
    """Draws the page again when no film is on its way any more."""
    me, waiting = hashed(token()), False
    for info in chosen:
        try:
            found = engine().replays.poll(me, info.id)
        except FolderRejected:
            continue
        if isinstance(found, LayoutProgress):
            waiting = True
            name = plain(title_of(info))
            line = text.LAYING_OUT.format(name=name, done=found.done, of=found.of)
            st.progress(found.done / max(1, found.of), text=line if found.of else text.WAITING.format(name=name))
    if not waiting:
        st.session_state["runs_drawing"] = False
        st.rerun()


def _once_there() -> None:
    """The curve of the loss comes when the training process has started."""
    if has_come():
        st.rerun()


def _published(seen: Seen, d_max: float) -> str:
    """The address of a run's film, as a file of its own that the browser fetches once."""
    curve = _curve(seen.run_history, d_max)
    name = (seen.info.id, len(seen.run_history.film), seen.run_history.step, curve is not None, d_max)
    kept: dict[tuple[object, ...], str] = st.session_state.setdefault("runs_films", {})
    if name not in kept or not assets.is_there(kept[name]):
        eval_images = seen.run_history.eval_images
        png = atlas_png(eval_images.thumbnails, COLUMNS)
        height, width = eval_images.thumbnails.shape[2:]
        sprite = {
            "url": assets.publish(film_stem(seen.info.id), ".png", png),
            "columns": COLUMNS, "width": width, "height": height,
        }  # fmt: skip
        key = hashlib.sha256(eval_images.labels.tobytes() + png).hexdigest()
        words = text.FILM | {"note": _note(seen.run_history)}
        message = replay_message(
            seen.run_history, seen.layouts, sprite=sprite, key=key, curve=curve, text=words, d_max=d_max
        )
        kept[name] = assets.publish(film_stem(seen.info.id), ".bin", message)
    return kept[name]


def _note(run_history: RunHistory) -> str:
    experiment, _ = Experiment.from_query(run_history.query)
    return second_input(experiment) if run_history.eval_images.branches == 2 else ""


def _curve(run_history: RunHistory, d_max: float) -> Curve | None:
    """The loss along the axis of the film's distances; None where it has no such curve, or the worker is not ready."""
    experiment, ignored = Experiment.from_query(run_history.query)
    loss = LOSSES[experiment.loss]
    if any(problem.name in ("loss", "measure") for problem in ignored) or loss.input_kind not in (
        "distance",
        "similarity",
    ):
        return None
    arrays = exact_arrays(loss.key, experiment.params, places(loss, d_max))
    return Curve(**{name: np.asarray(values, np.float32) for name, values in arrays.items()}) if arrays else None
