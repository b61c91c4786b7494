"""Published datasets: what they are, how large, under which licence, and their download."""

from __future__ import annotations

import streamlit as st

from pages.ui.session import datasets
from pages.ui.session.engine import downloads
from pages.ui.text import data as text
from siamese_core.datasets import DATASETS, DOWNLOADS
from siamese_core.datasets.download import megabytes
from siamese_core.datasets.full import cache_root
from siamese_core.engine.uploads.downloads import DownloadProgress

POLL_EVERY = 0.5


def section() -> None:
    st.markdown(text.GET_INTRO.format(folder=cache_root()))
    is_busy = downloads().is_busy()
    st.fragment(_sets, run_every=POLL_EVERY if is_busy else None)(is_busy)


def _sets(was_busy: bool) -> None:
    for key in DOWNLOADS:
        with st.container(border=True):
            _set(key)
    if downloads().is_busy() != was_busy:
        st.rerun()


def _set(key: str) -> None:
    record, download, progress = DATASETS[key], DOWNLOADS[key], downloads().poll(key)
    here = record.find()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(text.GET_SET.format(title=record.title, size=megabytes(download.size_bytes)), width="stretch")
        if here:
            st.badge(text.HERE, icon=":material/check:", color="green")
        elif progress is not None and progress.status == "downloading":
            if datasets.may_cancel(progress):
                st.button(text.CANCEL, key=f"cancel_{key}", on_click=datasets.cancel_download, args=(key,))
        elif st.button(text.DOWNLOAD, key=f"get_{key}", icon=":material/download:", help=record.source):
            datasets.start_download(key)
            st.rerun()
    st.caption(
        text.GET_FACTS.format(
            classes=len(record.classes), width=record.shape[2], height=record.shape[1],
            colours=text.COLOURS[record.shape[0]], licence=record.licence,
        )
    )  # fmt: skip
    if not here:
        st.caption(text.GET_FILES.format(files=", ".join(file.name for file in download.files), key=key))
        if progress is not None:
            _state(progress)


def _state(progress: DownloadProgress) -> None:
    if progress.status == "downloading":
        line = text.DOWNLOADED.format(done=megabytes(progress.done), total=megabytes(progress.total))
        st.progress(min(1.0, progress.done / max(1, progress.total)), text=line)
    elif progress.status == "cancelled":
        st.info(text.CANCELLED, icon=":material/info:")
    elif progress.message:
        st.warning(progress.message, icon=":material/warning:")
