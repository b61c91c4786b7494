"""A run to download: its files, its model, its layouts, a script that repeats it, a report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from pages.ui.runs.titles import address, title_of
from pages.ui.session import session
from pages.ui.session.datasets import may_use
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


@dataclass(frozen=True)
class File:
    name: str
    kind: str
    make: Callable[[], bytes]


def part(info: RunInfo, run_history: RunHistory, layouts: Layouts) -> None:
    st.markdown(f"**{text.TAKE}**")
    title, link = title_of(info), address("Train", info.query)
    # Made on a click, by a thread that knows nothing of this session: what is of the session is read here.
    with st.container(horizontal=True):
        for label, file in _files(info, run_history, layouts, title, link).items():
            st.download_button(
                label, file.make, file.name, file.kind, icon=":material/download:", on_click="ignore",
                key=f"take_{file.name}",
            )  # fmt: skip
        _script(info)


def _files(info: RunInfo, run_history: RunHistory, layouts: Layouts, title: str, link: str) -> dict[str, File]:
    stem = f"run-{info.id[:6]}"
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

    files = {text.TAKE_RUN: File(f"{stem}.zip", "application/zip", lambda: zipped_run(read_files() or {}))}
    experiment, ignored = Experiment.from_query(info.query)
    if not ignored and may_use(experiment.dataset) and info.message != NO_WEIGHTS:
        files[text.TAKE_MODEL] = File(f"{stem}.safetensors", "application/octet-stream", model)
    return files | {
        text.TAKE_REPORT: File(f"{stem}.html", "text/html", report_page),
        text.TAKE_FIGURE: File(f"{stem}-embedding.html", "text/html", figure),
        text.TAKE_CSV: File(f"{stem}.csv", "text/csv", lambda: tables.embeddings_csv(run_history)),
        text.TAKE_NPZ: File(f"{stem}.npz", "application/octet-stream", lambda: tables.embeddings_npz(run_history)),
        text.TAKE_FRAMES: File(
            f"{stem}-pictures.npz", "application/octet-stream", lambda: tables.frames_npz(run_history)
        ),
        text.TAKE_PROJECTOR: File(
            f"{stem}-tensorboard.zip", "application/zip", lambda: tables.tensorboard_zip(run_history)
        ),
    }


def _script(info: RunInfo) -> None:
    """The experiment as a PyTorch script, where its images are here."""
    experiment, ignored = Experiment.from_query(info.query)
    if ignored or not may_use(experiment.dataset):
        st.caption(text.NO_SCRIPT.format(why=escape_markdown(str(ignored[0])) if ignored else text.NO_IMAGES))
        return
    st.download_button(
        text.TAKE_SCRIPT, lambda: script.script_zip(experiment), f"run-{info.id[:6]}-pytorch.zip", "application/zip",
        icon=":material/code:", on_click="ignore", key="take_script",
    )  # fmt: skip
