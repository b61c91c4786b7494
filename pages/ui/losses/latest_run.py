"""The pairs of the latest run of this browser, laid under any loss."""

from __future__ import annotations

import numpy as np
import streamlit as st

from pages.ui.components.embedding.sprites import eval_sprites
from pages.ui.losses import address
from pages.ui.session import session
from pages.ui.session.engine import engine
from pages.ui.session.loss_curves import WAIT
from pages.ui.shims import widgets
from pages.ui.shims.futures import request_once
from pages.ui.text import losses as text
from siamese_core.engine import RunView
from siamese_core.engine.rpc.client import PendingReply
from siamese_core.losses import LOSSES
from siamese_core.losses.distances import MEASURES

WANTED = address.key("show_latest_run")


def pairs(run: RunView | None, loss: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Return same (P,) and different (P,) by a measure that the axis of `loss` shows; None without a run."""
    if run is None or run.frame is None:
        return None
    measure = _measure(run, loss)
    if measure == run.experiment.measure:
        found = (run.frame.same_distances, run.frame.different_distances)
    else:
        asked = (run.id, run.frame_step, measure)
        arrays = request_once(address.key("run_pairs"), asked, lambda: _pairs_by(measure, run), WAIT)
        if arrays is None:
            return None
        found = (arrays["same"], arrays["different"])
    trained_by, dataset, by = LOSSES[run.experiment.loss].title, run.experiment.data.title, MEASURES[measure].title
    st.caption(text.LATEST_RUN.format(loss=trained_by, dataset=dataset, step=run.frame_step, measure=by))
    return found


def _pairs_by(measure: str, run: RunView) -> PendingReply:
    labels = eval_sprites(run.experiment).labels
    seen = np.isin(labels, run.experiment.seen)
    assert run.frame is not None, "its pairs are asked for"
    return engine().trainer.pairs(measure, run.frame.embeddings[seen], labels[seen], run.experiment.branches)


def triplets(run: RunView | None) -> np.ndarray | None:
    """Return (2, T) distances of a run that was trained on triplets."""
    found = run.frame.triplet_distances if run is not None and run.frame is not None else None
    return found if found is not None and found.size else None


def shown(run: RunView | None) -> tuple[str, int] | None:
    """Return which run at which step is laid under the curves."""
    return (run.id, run.frame_step) if run is not None else None


def chosen() -> RunView | None:
    """Return the latest run of this browser, where its toggle is on."""
    wanted = widgets.persistent(widgets.toggle, text.SHOW_LATEST_RUN, key=WANTED, default=False)
    run = session.latest_run() if wanted else None
    if wanted and run is None:
        st.caption(text.RUN_MISSING)
    elif run is not None and run.frame is None:
        st.caption(text.RUN_NO_LAYOUT)
    return run


def is_moving() -> bool:
    """Return whether the run that is laid under the curves goes on."""
    run = session.latest_run() if widgets.saved(WANTED) else None
    return run is not None and run.live


def _measure(run: RunView, loss: str) -> str:
    """The run's, where the loss is defined on it. A trained head stays with its run: the exponential similarity, which
    has no weights, stands in for it."""
    trained = run.experiment.measure
    allowed = LOSSES[loss].measures if LOSSES[loss].input_kind != "logits" else ("exponential_similarity",)
    if trained in allowed:
        return trained
    return next(measure for measure in allowed if measure != "similarity_head")
