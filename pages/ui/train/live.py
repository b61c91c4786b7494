"""What moves on the Train page. A fragment: it reads the run's newest state and never waits for the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from pages.ui.components.components import embedding_view, plot_view
from pages.ui.components.embedding.sprites import eval_sprites
from pages.ui.session import datasets, embedding_message, session
from pages.ui.session.engine import engine
from pages.ui.session.loss_curves import collect_late, is_waiting
from pages.ui.shims.escape_markdown import escape_markdown
from pages.ui.shims.widgets import once
from pages.ui.text import train as text
from pages.ui.train.loss_panel import loss_panel
from siamese_core.embeddings.projection import PROJECTIONS
from siamese_core.engine import RunView
from siamese_core.experiment.experiment import Experiment
from siamese_core.export.figures import base
from siamese_core.losses import LOSSES

if TYPE_CHECKING:
    import plotly.graph_objects as go

HISTORY_HEIGHT = 360


def live(run_id: str | None, experiment: Experiment, changed: bool, was_busy: bool) -> None:
    """Draw everything that follows the run; ask for the whole page once when the run's buttons must change."""
    collect_late()
    run = session.poll_run(run_id) if run_id else None
    if run is not None:
        datasets.may_use(run.experiment.dataset)
    if not datasets.may_use(experiment.dataset):
        # Deleted in another tab: the whole page falls back to images that are there.
        st.rerun()
    _status(run, changed)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _embedding(run)
    with right:
        loss_panel(run, experiment)
    st.markdown(f"**{text.HISTORY_TITLE}**")
    st.caption(_measured_on(run.experiment if run else experiment))
    _numbers(run)
    _history(run, experiment)
    status = run.status if run else None
    other_status = st.session_state.get("status_shown", status) != status
    st.session_state["status_shown"] = status
    if other_status or was_busy != is_busy(run) or "dropped" in st.session_state:
        st.rerun()


def is_busy(run: RunView | None) -> bool:
    """Return whether something will change by itself: a run, a worker or a UMAP that warms up, a layout on its way."""
    if not engine().devices or is_waiting():
        return True
    if run is None:
        return False
    drawn = run.frame is None or (
        run.layout is not None and run.layout.step == run.frame_step and run.layout.kind == run.projection
    )
    return run.live or not engine().projector.is_warm or not drawn


def _status(run: RunView | None, changed: bool) -> None:
    if run is None:
        st.progress(0.0, text=text.STATUS[None] if engine().devices else text.WARMING)
    else:
        st.progress(min(run.step / run.experiment.steps, 1.0), text=" · ".join(_progress(run, changed)))
    # A container of its own keeps its place, so that the views below it stay mounted when a warning comes and goes.
    with st.container():
        if run is not None and (message := run.message or run.alarm):
            shown = text.OF_THE_LAST_RUN.format(message=message) if changed else message
            st.warning(shown, icon=":material/warning:")
        if run is not None and (not_saved := engine().saver.problem(run.id)):
            st.warning(escape_markdown(not_saved), icon=":material/save:")


def _measured_on(experiment: Experiment) -> str:
    names = [experiment.data.classes[c] for c in experiment.held_out]
    words = {0: text.MEASURED_ON, 1: text.MEASURED_ON_ONE}.get(len(names), text.MEASURED_ON_BOTH)
    return words.format(names=escape_markdown(", ".join(names)))


def _progress(run: RunView, changed: bool) -> list[str]:
    """The parts of the status line."""
    parts = []
    if run.step:
        rate = run.images / run.seconds if run.seconds else 0.0
        step, steps = f"{run.step:,}", f"{run.experiment.steps:,}"
        parts.append(text.PROGRESS.format(step=step, steps=steps, seconds=_seconds(run.seconds), rate=f"{rate:,.0f}"))
    if run.status == "running" and run.steps_per_second:
        left = (run.experiment.steps - run.step) / run.steps_per_second
        parts.append(text.LEFT.format(seconds=_seconds(left)))
    if not engine().devices:
        parts.append(text.WARMING)
    elif changed:
        parts.append(text.CHANGED_LIVE if run.live else text.CHANGED)
    elif run.status == "running" and not run.step:
        parts.append(text.FIRST_STEP)
    else:
        parts.append(text.STATUS[run.status])
    return parts


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 60 else f"{value // 60:.0f} min {value % 60:.0f} s"


def _numbers(run: RunView | None) -> None:
    scores = run.scores[-1][1] if run and run.scores else {}
    active = float(run.active[-1]) if run is not None and len(run.active) and np.isfinite(run.active[-1]) else None
    with st.container(horizontal=True):
        for name, (label, help_) in _number_names(run).items():
            by_group = scores.get(name, {"seen": active if name == "active" else None, "held_out": None})
            shown = "–" if by_group["seen"] is None else f"{by_group['seen']:.3f}"
            held_out = by_group["held_out"]
            below = None if held_out is None else text.HELD_OUT.format(value=f"{held_out:.3f}")
            st.metric(label, shown, delta=below, delta_color="off", delta_arrow="off", help=help_, border=True)


def _number_names(run: RunView | None) -> dict[str, tuple[str, str]]:
    active = text.ACTIVE.get(LOSSES[run.experiment.loss].input_kind) if run is not None else None
    return text.NUMBERS | ({"active": active} if active else {})


def _embedding(run: RunView | None) -> None:
    if run is None or run.layout is None:
        st.markdown(f"**{text.EMBEDDING_TITLE.format(count='the')}**")
        words = text.EMBEDDING | ({"empty": text.FIRST_LAYOUT} if run is not None and run.live else {})
        version = f"none {run is not None and run.live}"
        embedding_view(key="embedding", data=embedding_message.empty(version, words))
        return
    shown = eval_sprites(run.experiment)
    count = len(shown.labels) // run.experiment.branches
    st.markdown(f"**{text.EMBEDDING_TITLE.format(count=count)}**")
    version = f"{run.id} {run.layout.number}"
    message = once(
        "embedding_message", version, lambda: embedding_message.message(run.experiment, run.layout, shown, version)
    )
    embedding_view(key="embedding", data=message)
    if PROJECTIONS[run.projection].needs_warm_up:
        st.button(
            text.ANEW, help=text.ANEW_HELP, icon=":material/refresh:", type="tertiary", key="lay_out_anew",
            on_click=session.lay_out_anew, args=(run.id,),
        )  # fmt: skip


def _history(run: RunView | None, experiment: Experiment) -> None:
    shown = run.experiment.steps if run else experiment.steps

    def figure() -> go.Figure:
        pixels = run.pixel_baseline["seen"] if run is not None and run.pixel_baseline else None
        return base.history(shown, _series(run), pixels_baseline=pixels, text=text.HISTORY)

    plot_view(
        figure,
        "history_view",
        settings=(run.id if run else None, shown),
        data=(len(run.loss), len(run.scores), run.pixel_baseline is None) if run else None,
        live=run is not None and run.live,
        height=HISTORY_HEIGHT,
        label=text.HISTORY["label"],
    )


def _series(run: RunView | None) -> dict[str, base.Series]:
    if run is None:
        return {}
    steps = np.arange(1, len(run.loss) + 1)
    series: dict[str, base.Series] = {"loss": (steps, run.loss, text.HISTORY["loss"])}
    at = [step for step, _ in run.scores]
    for metric in ("map_at_r", "precision_at_1"):
        for group, suffix in (("seen", ""), ("held_out", ".held_out")):
            values = [scores[metric][group] for _, scores in run.scores]
            if any(value is not None for value in values):
                series[metric + suffix] = (at, np.array(values, float), text.NUMBERS[metric][0])
    test_loss = [scores["loss"]["seen"] for _, scores in run.scores]
    series["test_loss"] = (at, np.array(test_loss, float), text.TEST_LOSS)
    return series | {"active": (steps, run.active, _number_names(run)["active"][0])}
