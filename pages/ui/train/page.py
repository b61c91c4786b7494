"""The Train page: settings on the left, the run and its live views on the right."""

from __future__ import annotations

import time
from dataclasses import replace

import streamlit as st

from pages.ui.runs.actions import PROBLEM, resume
from pages.ui.runs.titles import title_of
from pages.ui.session import experiment_form, session
from pages.ui.session.engine import engine
from pages.ui.session.loss_curves import collect_late
from pages.ui.shims import widgets
from pages.ui.shims.escape_markdown import escape_markdown
from pages.ui.text import train as text
from pages.ui.train.live import is_busy, live
from siamese_core.datasets import is_uploaded
from siamese_core.engine import RunView
from siamese_core.experiment import reach
from siamese_core.experiment.experiment import Experiment, Ignored
from siamese_core.experiment.machine import Machine

LIVE_EVERY = 0.25
REST_EVERY = 20.0
"""Seconds between polls of a run that rests: often enough for its lease."""

SENT_AFTER = 0.05
"""Seconds in which Streamlit has sent what a page drew: it sends every 0.01."""


def page() -> None:
    # Asked before anything is drawn: a worker that comes while the page is drawn is one more reason to draw it again.
    is_ready = bool(engine().devices)
    # So that a curve that came before is no reason to: `live` collects it too, but after the page has.
    collect_late()
    run = session.run_of_tab()
    if run is not None:
        # A reload, or a page switch: the settings of the run come back with it.
        st.session_state.setdefault("experiment", run.experiment)
    _take_dropped()
    asked, ignored = experiment_form.read_address()
    with st.sidebar:
        experiment = experiment_form.controls()
        machine = _machine(asked)
        save = not is_uploaded(experiment.dataset) or widgets.toggle(
            text.SAVE_RUN, key="save_uploaded", help=text.SAVE_RUN_HELP
        )
    devices = engine().devices
    not_the_first = devices and machine.device != next(iter(devices))
    # The first device goes without saying; what cannot be used stays, and is named.
    unusable = asked if asked not in devices else None
    experiment_form.write_address(experiment, machine.device if not_the_first else unusable)
    if devices and unusable is not None:
        ignored = [*ignored, Ignored("device", unusable, text.MAY_BE.format(choices=", ".join(devices)))]
    _buttons(run, experiment, machine, save)
    # One place, always there: the views below stay mounted, and a drag goes on, while notices come and go.
    with st.container():
        if ignored:
            named = "".join(f"\n- {escape_markdown(str(field))}" for field in ignored)
            st.warning(text.IGNORED.format(fields=named), icon=":material/info:")
        if not experiment.data.find():
            st.info(text.GET_FIRST, icon=":material/download:")
        if out_of_reach := reach.warning(experiment):
            st.warning(out_of_reach, icon=":material/straighten:")
        if run is None and st.session_state.pop("run", None):
            st.info(text.FORGOTTEN, icon=":material/schedule:")
        if run is None:
            _offer()
        if problem := engine().problem:
            st.error(problem, icon=":material/error:")
    changed = run is not None and _changed(run, experiment, machine)
    if run is not None:
        _set_projection(run, experiment)
    busy = is_busy(run) or not is_ready
    st.fragment(live, run_every=LIVE_EVERY if busy else REST_EVERY)(run.id if run else None, experiment, changed, busy)
    # A poll of the run that began before all of this is sent would have Streamlit drop what it has not sent of the live
    # views, and say all the same that the page is whole: the browser would take them away, and mount them anew.
    time.sleep(SENT_AFTER)


def _offer() -> None:
    """The newest run of this browser, where something interrupted it: a server that was killed, or a long rest."""
    newest = next((info for info in session.saved_runs() if not info.sweep), None)
    if newest is not None and newest.status == "interrupted":
        message = text.INTERRUPTED.format(step=newest.step, total=newest.total, name=escape_markdown(title_of(newest)))
        with st.container(horizontal=True, vertical_alignment="center"):
            st.info(message, icon=":material/schedule:")
            st.button(text.RESUME, key="resume_run", icon=":material/play_arrow:", on_click=resume, args=(newest.id,))
    if problem := st.session_state.pop(PROBLEM, ""):
        st.warning(escape_markdown(problem), icon=":material/info:")


def _take_dropped() -> None:
    """A line that was dropped moves its slider, before that is drawn."""
    if dropped := st.session_state.pop("dropped", None):
        name, value = dropped
        st.session_state[experiment_form.key(name)] = value


def _machine(asked: str | None) -> Machine:
    """The device of a new run; known only when the worker has found what there is."""
    found = engine().devices
    if not found:
        st.selectbox(text.DEVICE, [text.DEVICE_UNKNOWN], disabled=True, help=text.DEVICE_HELP)
        return Machine()
    first = asked if asked in found else next(iter(found))
    device = widgets.persistent(
        widgets.selectbox, text.DEVICE, found, key=experiment_form.DEVICE, default=first, help=text.DEVICE_HELP
    )
    return Machine(device)


def _set_projection(run: RunView, experiment: Experiment) -> None:
    """Lays out the run as this tab's control says when that is moved: another tab may do it in another way."""
    shown = (run.id, experiment.projection)
    if st.session_state.get("projection_shown", shown) != shown:
        session.set_projection(run.id, experiment.projection)
    st.session_state["projection_shown"] = shown


def _changed(run: RunView, experiment: Experiment, machine: Machine) -> bool:
    """Whether a new run would differ; another projection is only another way to look."""
    same_device = run.machine == machine or not engine().devices
    return replace(run.experiment, projection=experiment.projection) != experiment or not same_device


def _buttons(run: RunView | None, experiment: Experiment, machine: Machine, save: bool) -> None:
    status = run.status if run else None
    going = status in ("running", "pausing")
    resting = status == "paused"
    second = "resume" if resting else "pause"
    run_id = run.id if run else ""
    with st.container(horizontal=True):
        _button("train", "t", _train, run, experiment, machine, None, save, kind="primary")
        _button(second, "p", session.command_run, run_id, second, disabled=not (going or resting))
        if run is None or run.status in ("finished", "halted", "failed", "stopped"):
            _button("step", "s", _train, run, experiment, machine, 1, save)
        else:
            _button("step", "s", session.command_run, run_id, "step", disabled=not resting)
        _button("stop", "x", session.command_run, run_id, "stop", disabled=not (going or resting))
        _button("reset", "shift+x", _reset, run, disabled=run is None)


def _button(
    name: str, shortcut: str, action: object, *args: object, kind: str = "secondary", disabled: bool = False
) -> None:
    label, help_ = text.BUTTONS[name]
    st.button(
        label, key=f"button_{name}", help=help_, shortcut=shortcut, type=kind, disabled=disabled,
        on_click=action, args=args,
    )  # fmt: skip


def _train(run: RunView | None, experiment: Experiment, machine: Machine, steps: int | None, save: bool) -> None:
    begun = st.session_state.get("run")
    if begun and begun != (run.id if run is not None else None) and session.poll_run(begun):
        # Pressed twice, before the page has shown what the first press began.
        return
    if run is not None and run.id == begun:
        # A run that another tab has started is left to it.
        _reset(run)
    st.session_state["run"] = session.start_run(experiment, machine, steps=steps, save=save)


def _reset(run: RunView | None) -> None:
    if run is not None:
        session.discard_run(run.id)
        st.session_state.pop("run", None)
