"""The film of one run, or of up to four side by side."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import streamlit as st

from pages.ui.components.components import replay_view
from pages.ui.components.embedding.sprites import publish_sprite
from pages.ui.runs import differences, downloads
from pages.ui.runs.actions import open_in_train
from pages.ui.runs.titles import title_of
from pages.ui.session import session
from pages.ui.session.chrome import TRAIN_PAGE
from pages.ui.session.embedding_message import second_input
from pages.ui.session.engine import engine, film_stem
from pages.ui.session.loss_curves import axis_points, exact_arrays, has_arrived, is_waiting
from pages.ui.shims import assets
from pages.ui.shims.escape_markdown import escape_markdown
from pages.ui.shims.polling import rerun_when
from pages.ui.shims.widgets import once
from pages.ui.text import runs as text
from siamese_core.engine.storage.replays import LayoutProgress
from siamese_core.experiment.experiment import Experiment
from siamese_core.export.replay_message import end_of_axis, is_similarity, replay_message
from siamese_core.losses import LOSSES
from siamese_core.losses.record import Curve
from siamese_core.runs.disk_format import FolderRejected
from siamese_core.runs.history import RunHistory
from siamese_core.runs.info import RunInfo
from siamese_core.runs.layouts import Layouts

POLL_EVERY = 0.5


@dataclass(frozen=True)
class Playable:
    info: RunInfo
    run_history: RunHistory
    layouts: Layouts


def part(chosen: list[RunInfo], too_many: bool) -> None:
    if too_many:
        st.info(text.TOO_MANY, icon=":material/info:")
    playable = [found for info in chosen if (found := _playable(info)) is not None]
    if len(playable) < len(chosen) and st.session_state.get("runs_laying_out"):
        st.fragment(_progress, run_every=POLL_EVERY)(chosen)
        return
    if not playable:
        return
    # One axis for all of them, so that they can be compared by eye.
    ends = {is_similarity(found.run_history): 0.0 for found in playable}
    for found in playable:
        kind = is_similarity(found.run_history)
        ends[kind] = max(ends[kind], end_of_axis(found.run_history))
    urls = [_published(found, ends[is_similarity(found.run_history)]) for found in playable]
    replay_view(urls, [title_of(found.info) for found in playable], "replay")
    if is_waiting():
        # The curve of the loss comes when the training process has started.
        rerun_when(has_arrived, POLL_EVERY)
    if len(playable) > 1:
        differences.part([found.info for found in playable])
    else:
        downloads.part(playable[0].info, playable[0].run_history, playable[0].layouts)


def _playable(info: RunInfo) -> Playable | None:
    """The film, where it is there; else a message says how far it is, or why there is none."""
    name = escape_markdown(title_of(info))
    if engine().store.is_busy(info.id):
        paused = session.is_paused(info.id)
        st.info((text.PAUSED if paused else text.STILL_RUNNING).format(name=name), icon=":material/info:")
        if session.is_owner(info) and st.button(text.WATCH, key=f"runs_watch_{info.id}", icon=":material/play_circle:"):
            open_in_train(info.id)
            st.switch_page(TRAIN_PAGE)
        return None
    try:
        run_history, found = session.history_of_run(info.id), session.film_of_run(info.id)
    except FolderRejected as rejected:
        st.warning(escape_markdown(str(rejected)), icon=":material/info:")
        return None
    if isinstance(found, Layouts) and run_history is not None:
        return Playable(info, run_history, found)
    if isinstance(found, LayoutProgress):
        st.session_state["runs_laying_out"] = True
    elif isinstance(found, str):
        st.warning(text.CANNOT.format(name=name, why=escape_markdown(found)), icon=":material/info:")
    else:
        st.info(text.NO_FILM.format(name=name), icon=":material/info:")
    return None


def _progress(chosen: list[RunInfo]) -> None:
    """Draws the page again when no film is on its way any more."""
    waiting = False
    for info in chosen:
        try:
            found = session.film_of_run(info.id)
        except FolderRejected:
            continue
        if isinstance(found, LayoutProgress):
            waiting = True
            name = escape_markdown(title_of(info))
            line = text.LAYING_OUT.format(name=name, done=found.done, of=found.of)
            st.progress(found.done / max(1, found.of), text=line if found.of else text.WAITING.format(name=name))
    if not waiting:
        st.session_state["runs_laying_out"] = False
        st.rerun()


def _published(playable: Playable, d_max: float) -> str:
    """The address of a run's film, as a file that the browser fetches once."""
    run_history, stem = playable.run_history, film_stem(playable.info.id)
    curve = _curve(run_history, d_max)

    def publish() -> str:
        eval_images = run_history.eval_images
        sprite = publish_sprite(stem, eval_images.thumbnails)
        key = hashlib.sha256(eval_images.labels.tobytes() + eval_images.thumbnails.tobytes()).hexdigest()
        experiment, _ = Experiment.from_query(run_history.query)
        words = text.FILM | {"note": second_input(experiment) if eval_images.branches == 2 else ""}
        message = replay_message(
            run_history, playable.layouts, sprite=sprite, key=key, curve=curve, text=words, d_max=d_max
        )
        return assets.publish(stem, ".bin", message)

    shown = (len(run_history.film), run_history.step, curve is not None)
    return once(f"runs_{stem}_{d_max}", shown, publish, assets.is_there)


def _curve(run_history: RunHistory, d_max: float) -> Curve | None:
    """The loss along the axis of the film's distances; None where it has no such curve, or the worker is not ready."""
    experiment, ignored = Experiment.from_query(run_history.query)
    loss = LOSSES[experiment.loss]
    if any(problem.name in ("loss", "measure") for problem in ignored) or not loss.on_pairs:
        return None
    arrays = exact_arrays(loss.key, experiment.params, axis_points(loss, d_max))
    return Curve(**{name: np.asarray(values, np.float32) for name, values in arrays.items()}) if arrays else None
