"""A run to download: its files, its model, its layouts, a script that repeats it, a report."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from pages.ui.runs.titles import address, title_of
from pages.ui.session import session
from pages.ui.session.datasets import may_use
from pages.ui.shims import widgets
from pages.ui.shims.escape_markdown import escape_markdown
from pages.ui.text import runs as text
from siamese_core.experiment.experiment import Experiment
from siamese_core.export import report, tables
from siamese_core.export.script import script
from siamese_core.runs.archive import NO_WEIGHTS, zipped_run
from siamese_core.runs.history import RunHistory
from siamese_core.runs.info import RunInfo
from siamese_core.runs.layouts import Layouts
from siamese_core.runs.model import model_of
from siamese_core.runs.model_file import packed as packed_model


def part(info: RunInfo, run_history: RunHistory, layouts: Layouts) -> None:
    st.markdown(f"**{text.DOWNLOAD}**")
    stem = f"run-{info.id[:6]}"
    experiment, ignored = Experiment.from_query(info.query)
    has_images = not ignored and may_use(experiment.dataset)
    with st.container(horizontal=True):
        for label, (ending, make) in _files(info, run_history, layouts, experiment if has_images else None).items():
            widgets.download(label, make, stem + ending, key=f"download_{stem}{ending}")
        if not has_images:
            why = escape_markdown(str(ignored[0])) if ignored else text.NO_IMAGES
            st.caption(text.NO_SCRIPT.format(why=why))


def _files(
    info: RunInfo, run_history: RunHistory, layouts: Layouts, experiment: Experiment | None
) -> dict[str, tuple[str, Callable[[], bytes]]]:
    """The end of each file's name, and what makes it: all that is of the session is read here.

    `experiment`: None where it cannot be repeated here, for want of its images.
    """
    title, link = title_of(info), address("Train", info.query)
    read_files, read_checkpoint = session.files_reader(info.id), session.checkpoint_reader(info.id)

    def figure() -> bytes:
        drawn = tables.embedding_figure(run_history, layouts.xy[-1], text=report.TEXT["embedding"])
        return tables.figure_html(drawn)

    def report_page() -> bytes:
        return report.report_html(
            run_history, layouts.xy, title=title, link=link, machine=info.machine, created=info.created
        )

    def model() -> bytes:
        checkpoint = read_checkpoint()
        assert checkpoint is not None, "it was listed"
        return packed_model(model_of(checkpoint.experiment, checkpoint.state))

    files = {
        text.DOWNLOAD_RUN: (".zip", lambda: zipped_run(read_files() or {})),
        text.DOWNLOAD_MODEL: (".safetensors", model),
        text.DOWNLOAD_REPORT: (".html", report_page),
        text.DOWNLOAD_FIGURE: ("-embedding.html", figure),
        text.DOWNLOAD_CSV: (".csv", lambda: tables.embeddings_csv(run_history)),
        text.DOWNLOAD_NPZ: (".npz", lambda: tables.embeddings_npz(run_history)),
        text.DOWNLOAD_FRAMES: ("-pictures.npz", lambda: tables.frames_npz(run_history)),
        text.DOWNLOAD_PROJECTOR: ("-tensorboard.zip", lambda: tables.tensorboard_zip(run_history)),
    }
    if experiment is None or info.message == NO_WEIGHTS:
        del files[text.DOWNLOAD_MODEL]
    if experiment is not None:
        files[text.DOWNLOAD_SCRIPT] = ("-pytorch.zip", lambda: script.script_zip(experiment))
    return files
