"""A claim put to the test: its sides train beside each other in the background, and a message says what came of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import streamlit as st

from pages.ui.components.components import plot_view
from pages.ui.session import session
from pages.ui.session.engine import engine
from pages.ui.session.experiment_form import link_to_train_page
from pages.ui.text import losses as text
from siamese_core.engine import RunView
from siamese_core.experiment.myths import MYTHS, STEPS, Myth, result
from siamese_core.export.figures import losses

HEIGHT = 380
LIVE_EVERY = 0.5


def trial(key: str, ask_seed: Callable[[], int]) -> None:
    """Draw one claim, its button and what its runs have measured so far; `ask_seed` draws the widget of their seed."""
    myth, is_ready = MYTHS[key], bool(engine().devices)
    st.markdown(f"**{myth.claim}**")
    st.caption(text.MYTH_SIDES.format(count=len(myth.sides), steps=STEPS))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        seed = ask_seed()
        st.button(
            text.MYTH_TRY, key=f"try_{key}", type="primary", icon=":material/science:", on_click=_start,
            args=(myth, seed), disabled=not is_ready,
        )  # fmt: skip
        st.button(text.MYTH_STOP, key=f"stop_{key}", on_click=_stop, args=(key,), disabled=not _going(key))
    going = _going(key)
    st.fragment(_live, run_every=LIVE_EVERY if going or not is_ready else None)(key, going, is_ready)


def _start(myth: Myth, seed: int) -> None:
    """In the background: they go on while another part of the page is read."""
    _stop(myth.key)
    runs = {
        title: session.start_run(experiment, background=True) for title, experiment in myth.experiments(seed).items()
    }
    st.session_state.setdefault("trials", {})[myth.key] = (seed, runs)


def _stop(key: str) -> None:
    _, runs = st.session_state.get("trials", {}).pop(key, (0, {}))
    for run in runs.values():
        session.discard_run(run)


def _views(key: str) -> tuple[int, dict[str, RunView]]:
    """The seed, and the runs that are still there."""
    seed, runs = st.session_state.get("trials", {}).get(key, (0, {}))
    polled = {title: session.poll_run(run) for title, run in runs.items()}
    return seed, {title: view for title, view in polled.items() if view is not None}


def _going(key: str) -> bool:
    return any(view.live or view.status == "parked" for view in _views(key)[1].values())


def _live(key: str, was_going: bool, was_ready: bool) -> None:
    if not engine().devices:
        st.caption(text.WARMING)
        return
    myth = MYTHS[key]
    seed, views = _views(key)
    if key in st.session_state.get("trials", {}) and len(views) < len(myth.sides):
        st.info(text.MYTH_GONE, icon=":material/schedule:")
        return
    _chart(myth, views)
    if views:
        _verdict(myth, views, seed)
        _links(myth, seed)
    if was_going != _going(key) or not was_ready:
        st.rerun()


def _chart(myth: Myth, views: dict[str, RunView]) -> None:
    def series(view: RunView) -> tuple[Any, Any]:
        return [step for step, _ in view.scores], np.array([s["map_at_r"]["seen"] for _, s in view.scores], float)

    plot_view(
        lambda: losses.trials(
            {title: series(views[title]) if title in views else ((), ()) for title in myth.sides},
            steps=STEPS,
            text=text.TRIALS,
        ),
        f"trials_{myth.key}",
        settings=tuple(view.id for view in views.values()),
        data=tuple(len(view.scores) for view in views.values()),
        live=any(view.live for view in views.values()),
        height=HEIGHT,
        label=text.TRIALS["label"],
    )


def _verdict(myth: Myth, views: dict[str, RunView], seed: int) -> None:
    for title, view in views.items():
        if view.status in ("halted", "failed"):
            st.warning(text.MYTH_FAILED.format(side=title, message=view.message), icon=":material/warning:")
    done = {title: view for title, view in views.items() if not view.live and view.frame and view.scores}
    finished = [view for view in views.values() if view.status in ("finished", "halted", "failed")]
    if len(finished) == len(views) > len(done):
        st.info(text.MYTH_NO_VERDICT, icon=":material/help:")
        return
    if len(finished) < len(views):
        steps = sum(view.step for view in views.values()) / (STEPS * len(views))
        st.progress(min(steps, 1.0), text=text.MYTH_GOING.format(done=len(finished), all=len(views)))
        return
    results = {title: result(view.frame, view.scores[-1][1]) for title, view in done.items() if view.frame}
    holds, measured = myth.judge(results)
    st.info(
        (text.MYTH_HOLDS if holds else text.MYTH_FAILS).format(measured=measured, seed=seed),
        icon=":material/check_circle:" if holds else ":material/cancel:",
    )


def _links(myth: Myth, seed: int) -> None:
    with st.container(horizontal=True):
        for title, experiment in myth.experiments(seed).items():
            label = text.MYTH_LINK.format(side=title)
            link_to_train_page(experiment, label, icon=":material/open_in_new:", width="content")
