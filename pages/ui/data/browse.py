"""The images of a dataset, class by class, and where they come from."""

from __future__ import annotations

import numpy as np
import streamlit as st

from pages.ui.data.uploaded import CACHED_SECONDS, train_with
from pages.ui.session import datasets
from pages.ui.session.experiment_form import current_experiment, dataset_titles
from pages.ui.shims import widgets
from pages.ui.shims.images import grid_png, show_png
from pages.ui.text import data as text
from siamese_core.datasets import Dataset, DatasetMissing, Images, dataset_of

COLUMNS, ROWS = 16, 6


def section() -> None:
    titles = dataset_titles()
    if st.session_state.get("data_dataset") not in titles:
        st.session_state["data_dataset"] = current_experiment().dataset
    key: str = widgets.selectbox(text.DATASET, titles, key="data_dataset")
    datasets.may_use(key)
    record = dataset_of(key)
    try:
        images = record.load()
    except DatasetMissing as missing:
        st.info(str(missing), icon=":material/info:")
    else:
        _images(record, images)
    st.markdown(text.SOURCE.format(source=record.source, licence=record.licence))


def _images(record: Dataset, images: Images) -> None:
    channels, height, width = record.shape
    st.caption(
        text.FACTS.format(
            train=len(images.train_labels), test=len(images.test_labels), classes=len(record.classes),
            width=width, height=height, colours=text.COLOURS[channels],
        )
    )  # fmt: skip
    chosen = widgets.selectbox(
        text.CLASS, range(len(record.classes)), default=None, placeholder=text.EVERY_CLASS,
        format_func=record.classes.__getitem__, key=f"class_of_{record.key}",
    )  # fmt: skip
    show_png(_grid(record, images, chosen), width="content")
    if st.button(text.TRAIN_WITH, type="primary", icon=":material/play_circle:"):
        train_with(record.key)


@st.cache_data(show_spinner=False, max_entries=8, ttl=CACHED_SECONDS, hash_funcs={Dataset: hash})
def _grid(record: Dataset, _images: Images, chosen: int | None) -> bytes:
    """The first training images of a class; of every class, a row or more each."""
    labels = _images.train_labels
    if chosen is not None:
        indices = np.flatnonzero(labels == chosen)[: COLUMNS * ROWS]
    else:
        rows = [np.flatnonzero(labels == c)[:COLUMNS] for c in range(min(len(record.classes), 2 * ROWS))]
        indices = np.concatenate([np.resize(row, COLUMNS) if len(row) else row for row in rows])
    return grid_png(_images.train_images[indices], COLUMNS)
