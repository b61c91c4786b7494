"""What can be done with the runs that are chosen."""

from __future__ import annotations

from functools import partial
from textwrap import shorten

import streamlit as st

from pages.ui.runs.titles import address, title_of
from pages.ui.session import experiment_form, session
from pages.ui.session.chrome import TRAIN_PAGE
from pages.ui.session.engine import engine, film_stem
from pages.ui.shims import assets, widgets
from pages.ui.shims.escape_markdown import escape_markdown
from pages.ui.text import runs as text
from siamese_core.experiment.experiment import Experiment
from siamese_core.runs.disk_format import FolderRejected
from siamese_core.runs.info import MAX_NAME, RESUMABLE, RunInfo

DELETED, PROBLEM = "runs_deleted", "runs_problem"


def bar(chosen: list[RunInfo]) -> None:
    owned = [info for info in chosen if session.is_owner(info)]
    with st.container(horizontal=True, vertical_alignment="center"):
        if len(chosen) == 1:
            _one(chosen[0], bool(owned))
        if owned:
            st.button(text.DELETE, key="runs_delete", icon=":material/delete:", on_click=_delete, args=(owned,))
        with st.popover(text.LINK, icon=":material/link:", help=text.LINK_HELP):
            _links(chosen)
    if problem := st.session_state.pop(PROBLEM, ""):
        st.warning(escape_markdown(problem), icon=":material/info:")


def _one(info: RunInfo, is_owner: bool) -> None:
    if is_owner and info.status in RESUMABLE and not engine().store.is_busy(info.id):
        help_ = text.RESUME_HELP.format(step=info.step)
        if st.button(text.RESUME, key="runs_resume", type="primary", icon=":material/play_arrow:", help=help_):
            resume(info.id)
            if PROBLEM not in st.session_state:
                st.switch_page(TRAIN_PAGE)
    if st.button(text.OPEN, key="runs_open", icon=":material/tune:", help=text.OPEN_HELP):
        open_settings(info.query)
    if not is_owner:
        return
    label, icon = (text.UNPIN, ":material/keep_off:") if info.pinned else (text.PIN, ":material/keep:")
    st.button(
        label, key="runs_pin", icon=icon, help=text.PIN_HELP, on_click=session.change_run,
        args=(info.id,), kwargs={"pinned": not info.pinned},
    )  # fmt: skip
    with st.popover(text.RENAME, icon=":material/edit:"), st.form("runs_rename", border=False):
        name = widgets.text_input(text.NAME, default=info.name, max_chars=MAX_NAME, key=f"runs_name_{info.id}")
        if st.form_submit_button(text.SAVE_NAME):
            session.change_run(info.id, name=_clean(name))
            st.rerun()
    if info.published:
        st.button(
            text.UNPUBLISH, key="runs_unpublish", icon=":material/public_off:", on_click=_unpublish, args=(info.id,)
        )
        return
    with st.popover(text.PUBLISH, icon=":material/public:"), st.form("runs_publish", border=False):
        st.caption(text.PUBLISH_HELP)
        suggested = info.name or shorten(title_of(info), MAX_NAME, placeholder="…")
        name = widgets.text_input(
            text.PUBLISH_NAME, default=suggested, max_chars=MAX_NAME, key=f"runs_publish_name_{info.id}"
        )
        if st.form_submit_button(text.DO_PUBLISH, type="primary"):
            if _clean(name):
                session.change_run(info.id, published=True, name=_clean(name))
                st.rerun()
            st.warning(text.NAME_IT, icon=":material/info:")


def resume(run: str) -> None:
    """Resume a run from where it was saved last, its settings in the widgets: to be called before these are drawn."""
    try:
        session.resume_saved(run)
    except FolderRejected as rejected:
        st.session_state[PROBLEM] = str(rejected)
        return
    open_in_train(run)


def open_in_train(run: str) -> None:
    """Make this the tab's run, with its settings in the widgets of the Train page."""
    view = session.poll_run(run)
    if view is not None:
        st.session_state["run"], st.session_state["experiment"] = run, view.experiment
        experiment_form.fill_anew(view.experiment)


def open_settings(query: str) -> None:
    """Open the Train page with the settings of a run; what this server cannot do is named there."""
    experiment, st.session_state["ignored"] = Experiment.from_query(query)
    experiment_form.open_train_page(experiment)


def undo() -> None:
    """Offer to take the last deletion back, as long as that can be."""
    deleted = [info for info in st.session_state.get(DELETED, []) if session.is_run_deleted(info.id)]
    if deleted:
        message = text.DELETED.format(names=", ".join(map(title_of, deleted)))
        restore = partial(_restore, [info.id for info in deleted])
        widgets.offer_undo(message, "runs_undo", restore, text.TOO_LATE)


def _clean(name: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in name).split())


def _unpublish(run: str) -> None:
    """Also what browsers have been sent is no longer there."""
    session.change_run(run, published=False)
    assets.withdraw(film_stem(run))


def _delete(infos: list[RunInfo]) -> None:
    gone = [info for info in infos if session.delete_run(info.id)]
    if len(gone) < len(infos):
        st.session_state[PROBLEM] = text.WRITTEN
    if gone:
        st.session_state[DELETED] = gone
        st.session_state["runs_shown"] = [r for r in st.session_state["runs_shown"] if r not in {g.id for g in gone}]


def _restore(runs: list[str]) -> bool:
    """Every one that can be, however many cannot."""
    restored = [session.restore_run(run) for run in runs]
    return all(restored)


def _links(chosen: list[RunInfo]) -> None:
    if not all(info.published for info in chosen):
        st.caption(text.NOT_PUBLISHED)
    st.code(address("Runs", f"run={','.join(info.id for info in chosen)}"), language=None, wrap_lines=True)
    st.caption(text.LINK_SETTINGS)
    for info in chosen:
        st.code(address("Train", info.query), language=None, wrap_lines=True)
