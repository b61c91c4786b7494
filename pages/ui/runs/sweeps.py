"""Sweeps: a grid of runs in the background, as a heat map whose fields open their runs."""

from __future__ import annotations

from functools import partial
from typing import Any

import streamlit as st

from pages.ui.runs import table
from pages.ui.runs.sweep_map import drawn
from pages.ui.session import experiment_form, sweeps
from pages.ui.session.engine import engine
from pages.ui.session.engine import sweeps as shared_sweeps
from pages.ui.session.model_picker import loss_and_dataset
from pages.ui.shims import widgets
from pages.ui.shims.escape_markdown import escape_markdown
from pages.ui.text import runs as text
from siamese_core.errors import Rejected
from siamese_core.experiment.experiment import Experiment
from siamese_core.experiment.fields import ChoiceField, FloatField, IntField
from siamese_core.experiment.grid import MOST_SEEDS, Grid, GridError, SweepView, axis_field, axis_names, numbers_of
from siamese_core.experiment.machine import Machine

POLL_EVERY = 1.0
DELETED = "sweeps_deleted"


def section() -> None:
    st.caption(text.SWEEP_INTRO)
    _new(experiment_form.current_experiment())
    _undo()
    if unreadable := shared_sweeps().skipped:
        st.caption(text.SKIPPED_SWEEPS.format(names=escape_markdown(", ".join(unreadable[:5]))))
    found = sweeps.views()
    if not found:
        st.info(text.NO_SWEEP, icon=":material/grid_on:")
        return
    names = {view.id: view.name for view in found}
    chosen = next(iter(names))
    if len(names) > 1:
        chosen = widgets.selectbox(text.SECTIONS["sweeps"], names, key="sweep_chosen")
    view = sweeps.poll(chosen)
    if view is not None:
        st.fragment(_poll, run_every=POLL_EVERY if view.live else None)(chosen, view.live)


def _new(base: Experiment) -> None:
    """What is to be varied, and the button that begins it."""
    st.markdown(escape_markdown(text.SWEEP_BASE.format(**loss_and_dataset(base), steps=f"{base.steps:,}")))
    names = axis_names(base)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        first = widgets.persistent(
            widgets.selectbox, text.VARY, names, key="sweep_first", default=next(iter(names)), width=240
        )
        others = {"": text.NOTHING_ELSE} | {name: title for name, title in names.items() if name != first}
        if st.session_state.get("sweep_second", "") not in others:
            st.session_state["sweep_second"] = ""
        second = widgets.persistent(
            widgets.selectbox, text.VARY_ALSO, others, key="sweep_second", default="", width=240
        )
        seeds = widgets.number_input(text.SEEDS, 1, MOST_SEEDS, key="sweep_seeds", help=text.SEEDS_HELP, width=120)
    written = [(name, _written(base, name, names[name])) for name in (first, second) if name]
    try:
        axes = tuple((name, _values(base, name, value)) for name, value in written)
        grid = Grid(base, axes, tuple(range(base.seed, base.seed + seeds))) if all(v for _, v in axes) else None
    except GridError as problem:
        st.warning(escape_markdown(str(problem)), icon=":material/info:")
        grid = None
    cells = list(grid.cells()) if grid is not None else []
    possible = [cell for cell in cells if cell.experiment is not None]
    if len(possible) < len(cells):
        st.caption(text.LEFT_OUT.format(count=len(cells) - len(possible)))
    label = text.BEGIN.format(count=len(possible)) if possible else text.BEGIN_NONE
    # Not in a callback, which would begin what was drawn, and not what was written since.
    if st.button(label, key="sweep_begin", type="primary", icon=":material/grid_on:", disabled=not possible):
        assert grid is not None, "only what can be is begun"
        _begin(grid, names)
    if problem := st.session_state.pop("sweep_problem", ""):
        st.warning(escape_markdown(problem), icon=":material/info:")


def _written(base: Experiment, name: str, title: str) -> str | list[str]:
    """What was chosen of a catalogue, or written; it outlives another setting that is varied for a while."""
    field, label = axis_field(base, name), text.VALUES.format(name=title)
    if isinstance(field, ChoiceField):
        return widgets.persistent(widgets.multiselect, label, field.choices, key=f"sweep_of_{name}", default=[])
    return widgets.persistent(
        widgets.text_input, label, key=f"sweep_of_{name}", default="", help=text.VALUES_HELP,
        placeholder=text.VALUES_HELP,
    )  # fmt: skip


def _values(base: Experiment, name: str, written: str | list[str]) -> tuple[Any, ...]:
    """Raises GridError."""
    if isinstance(written, list):
        return tuple(written)
    field = axis_field(base, name)
    assert isinstance(field, IntField | FloatField), "all that is no catalogue is numbers"
    return numbers_of(field, written) if written.strip() else ()


def _begin(grid: Grid, names: dict[str, str]) -> None:
    axes = " × ".join(names[axis] for axis, _ in grid.axes)
    name = text.SWEEP_NAME.format(axes=axes, **loss_and_dataset(grid.base))
    try:
        st.session_state["sweep_chosen"] = sweeps.start(grid, Machine(_device()), name)
    except Rejected as refused:
        st.session_state["sweep_problem"] = str(refused)


def _device() -> str:
    """That of the Train page, where this machine has it."""
    chosen: str = widgets.saved(experiment_form.DEVICE, Machine.device)
    return chosen if chosen in engine().devices else Machine.device


def _poll(sweep: str, was_live: bool) -> None:
    """One sweep as it is now; draws the whole page once when it is done."""
    view = sweeps.poll(sweep)
    if view is None or view.live != was_live:
        st.rerun()
    line = text.SWEEP_PROGRESS.format(done=view.done, total=len(view.cells))
    if view.cancelled:
        line = text.SWEEP_CANCELLED.format(line=line, count=view.cancelled)
    st.progress(view.done / len(view.cells), text=line)
    runs = drawn(view)
    if runs and st.button(text.CELL_OPEN.format(count=len(runs)), key="sweep_open", icon=":material/movie:"):
        table.show(runs[: table.MOST_SIDE_BY_SIDE])
        st.rerun()
    with st.container(horizontal=True):
        if view.live:
            st.button(
                text.SWEEP_CANCEL,
                key="sweep_cancel",
                icon=":material/stop_circle:",
                on_click=sweeps.cancel,
                args=(view.id,),
            )
        st.button(text.DELETE, key="sweep_delete", icon=":material/delete:", on_click=_delete, args=(view,))


def _delete(view: SweepView) -> None:
    sweeps.delete(view.id)
    st.session_state[DELETED] = (view.id, view.name)
    st.session_state.pop("sweep_chosen", None)


def _undo() -> None:
    """Takes the last deletion back, as long as that can be."""
    gone, name = st.session_state.get(DELETED, ("", ""))
    if gone and sweeps.is_deleted(gone):
        widgets.offer_undo(text.DELETED.format(names=name), "sweep_undo", partial(sweeps.restore, gone), text.TOO_LATE)
