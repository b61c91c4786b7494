"""The Evaluate page: a model, what its evaluation found, one part at a time."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from pages.ui.evaluate import baselines, few_shot, hardest, retrieval, save, threshold
from pages.ui.evaluate.evaluation import Evaluation
from pages.ui.session import model_picker, sections, session
from pages.ui.shims import widgets
from pages.ui.shims.escape_markdown import escape_markdown
from pages.ui.text import evaluate as text
from siamese_core.engine.evaluations import ModelFile
from siamese_core.evaluation.report import Report, from_wire

POLL_EVERY = 0.4

PARTS: dict[str, Callable[[Evaluation], None]] = {
    "threshold": threshold.part,
    "retrieval": retrieval.part,
    "few_shot": few_shot.part,
    "hardest": hardest.part,
    "baselines": baselines.part,
}


def page() -> None:
    file = model_picker.choose()
    if file is None:
        return
    if not file.model.has_images:
        st.info(text.NO_IMAGES, icon=":material/info:")
        return
    report = _report(file)
    if report is None:
        return
    evaluation = Evaluation(file, report)
    part = sections.choose("evaluate", "part", text.PART, text.PARTS, text.NO_PART, label_visibility="collapsed")
    PARTS[part](evaluation)
    save.part(evaluation)


def _report(file: ModelFile) -> Report | None:
    """Return what was found; None, and how far it is, as long as it is not."""
    if st.session_state.get("evaluate_stopped") == file.key:
        st.info(text.STOPPED, icon=":material/info:")
        _begin_button(st.session_state.pop, "evaluate_stopped", None)
        return None
    work = session.poll_evaluation("evaluate", file)
    assert work is not None, "looking begins it"
    if work.status == "failed":
        st.error(escape_markdown(work.message), icon=":material/error:")
        _begin_button(session.cancel_evaluation, "evaluate", file)
        return None
    if work.status != "done":
        st.fragment(_progress, run_every=POLL_EVERY)(file)
        return None
    return widgets.once("evaluated", file.key, lambda: from_wire(work.about, work.arrays))


def _begin_button(on_click: Callable[..., object], *args: object) -> None:
    st.button(text.EVALUATE, type="primary", icon=":material/fact_check:", on_click=on_click, args=args)


def _stop(file: ModelFile) -> None:
    session.cancel_evaluation("evaluate", file)
    st.session_state["evaluate_stopped"] = file.key


def _progress(file: ModelFile) -> None:
    """Draws the page again when the evaluation is done."""
    if st.session_state.get("evaluate_stopped") == file.key:
        st.rerun()
    model_picker.draw_progress("evaluate", file, text.STAGES)
    if st.button(text.CANCEL, key="evaluate_cancel", on_click=_stop, args=(file,)):
        st.rerun()
