"""Uploaded images: from a zip to a set that can be trained on."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import streamlit as st

from pages.ui.session import datasets
from pages.ui.session.experiment_form import current_experiment, open_train_page
from pages.ui.shims import widgets
from pages.ui.shims.escape_markdown import escape_markdown
from pages.ui.shims.images import show_png
from pages.ui.text import data as text
from siamese_core.datasets import uploaded
from siamese_core.datasets.atlas import atlas_png
from siamese_core.datasets.uploaded import RAW_SIDE, SMALLEST_SIDE, UploadedImages
from siamese_core.engine.uploads.uploads import UploadProgress
from siamese_core.errors import reason
from siamese_core.experiment.settings import DEFAULTS, SHAPES
from siamese_core.formats import archives
from siamese_core.formats.images import REASONS

POLL_EVERY = 0.5

IMAGE_ROOT = "SIAMESE_IMAGE_ROOT"

CACHED_SECONDS = 600
"""A preview is not cached for longer than it is shown."""

PREVIEWED_CLASSES, PREVIEWED_EACH = 12, 8


def section() -> None:
    st.markdown(text.UPLOAD_INTRO)
    st.caption(text.NO_FACES)
    _source()
    upload = datasets.poll_upload()
    if upload is not None:
        st.fragment(_progress, run_every=POLL_EVERY if upload.status == "reading" else None)(upload.status)
        if upload.status == "ready":
            _prepare(upload)
    _sets()


def _source() -> None:
    given = st.file_uploader(text.ZIP, type=["zip"], key="upload_zip")
    if given is not None and st.session_state.get("upload_read") != given.file_id:
        st.session_state["upload_read"] = given.file_id
        st.session_state["upload_name"] = archives.clean(given.name.removesuffix(".zip"))[:24]
        st.session_state.pop("upload_held_out", None)
        datasets.read_zip(given)
    if root := os.environ.get(IMAGE_ROOT):
        _server_folder(Path(root))


def _server_folder(root: Path) -> None:
    names = archives.folders(root)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox(text.FOLDER, names, index=None, placeholder=text.NO_FOLDER, help=text.FOLDER_HELP)
        if st.button(text.READ_FOLDER, disabled=name is None) and name is not None:
            st.session_state.pop("upload_held_out", None)
            st.session_state["upload_name"] = archives.clean(name)[:24]
            datasets.read_folder(root, name)


def _progress(shown: str) -> None:
    """What is being read, or what came of it; asks for the whole page once when that changes."""
    upload = datasets.poll_upload()
    if upload is None or upload.status != shown:
        st.rerun()
    if upload.status == "reading":
        line = text.READING.format(done=upload.done, total=upload.total) if upload.total else text.STARTING
        st.progress(min(1.0, upload.done / max(1, upload.total)), text=line)
        if st.button(text.CANCEL, key="upload_cancel"):
            datasets.cancel_upload()
            st.rerun()
    elif upload.status == "failed":
        st.error(upload.message, icon=":material/error:")
        _left_out(upload)


def _left_out(upload: UploadProgress) -> None:
    reasons = archives.left_out(upload.skipped)
    reasons += [f"{count} × {REASONS[reason]}" for reason, count in upload.refused.items()]
    if reasons:
        st.caption(text.LEFT_OUT.format(reasons="".join(f"\n- {reason}" for reason in reasons)))
    if upload.alone:
        st.caption(text.ALONE.format(count=upload.alone))
    if upload.first_frames:
        st.caption(text.FIRST_FRAMES.format(count=upload.first_frames))


def _prepare(upload: UploadProgress) -> None:
    images = upload.images
    assert images is not None
    st.success(text.READY.format(count=len(images.labels), classes=len(images.classes)), icon=":material/check_circle:")
    _left_out(upload)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        side = widgets.slider(
            text.SIDE, SMALLEST_SIDE, RAW_SIDE, default=64, step=4, key="upload_side", help=text.SIDE_HELP, width=260
        )
        colour = widgets.segmented_control(text.COLOUR, text.COLOURS_OF, default="colour", key="upload_colour")
        test = widgets.slider(text.TEST, 10, 50, default=30, step=5, key="upload_test", help=text.TEST_HELP, width=260)
    held_out = widgets.multiselect(
        text.HELD_OUT, range(len(images.classes)), format_func=images.classes.__getitem__, key="upload_held_out",
        help=text.HELD_OUT_HELP,
    )  # fmt: skip
    too_many = len(images.classes) - len(held_out) < 2
    if too_many:
        st.warning(text.TOO_MANY_HELD_OUT, icon=":material/info:")
    if st.button(text.USE, type="primary", disabled=too_many, icon=":material/play_circle:"):
        _use(images, side, colour == "colour", test, tuple(sorted(held_out)))
    left, right = st.columns([3, 2], gap="medium")
    counts = np.bincount(images.labels, minlength=len(images.classes))
    if counts.min() < 3:
        st.caption(text.FEW.format(count=int((counts < 3).sum())))
    with left:
        st.markdown(f"**{text.PREVIEW}**")
        show_png(_preview(upload.id, side, colour == "colour", images), width="content")
    with right:
        st.dataframe(
            {text.COUNTS["class"]: images.classes, text.COUNTS["images"]: counts}, hide_index=True, width="stretch"
        )


@st.cache_data(show_spinner=False, max_entries=8, ttl=CACHED_SECONDS)
def _preview(upload_id: str, side: int, colour: bool, _images: UploadedImages) -> bytes:
    """The first images of the first classes, a class a row."""
    rows = [np.flatnonzero(_images.labels == c)[:PREVIEWED_EACH] for c in range(len(_images.classes))]
    tiles = np.zeros((min(len(rows), PREVIEWED_CLASSES), PREVIEWED_EACH, 3 if colour else 1, side, side), np.uint8)
    for row, indices in zip(tiles, rows, strict=False):
        for tile, index in zip(row, indices, strict=False):
            tile[:] = uploaded.resized(_images.pixels[index], side, colour)
    return atlas_png(tiles.reshape(-1, *tiles.shape[2:]), PREVIEWED_EACH)


def _use(images: UploadedImages, side: int, colour: bool, test: int, held_out: tuple[int, ...]) -> None:
    title = text.UPLOAD_TITLE.format(
        name=st.session_state.get("upload_name") or text.UPLOAD_NAME,
        count=len(images.labels), classes=len(images.classes), side=side,
        colour=text.COLOURS_OF["colour" if colour else "grey"],
    )  # fmt: skip
    with st.spinner(text.PREPARING):
        try:
            key = datasets.make_dataset(side, colour, test, title)
        except OSError as error:
            st.error(text.NO_ROOM.format(reason=escape_markdown(reason(error))), icon=":material/error:")
            return
    train_with(key, held_out)


def train_with(key: str, held_out: tuple[int, ...] = ()) -> None:
    """Open the Train page on this dataset, all else as it was."""
    shape_settings = {} if key == "shapes" else {name: DEFAULTS[name] for name in SHAPES}
    open_train_page(replace(current_experiment(), dataset=key, held_out=held_out, **shape_settings))


def _sets() -> None:
    here, deleted = datasets.uploaded_sets(), datasets.uploaded_sets(deleted=True)
    if here:
        st.markdown(f"**{text.READY_SETS}**")
    for key, title in here.items():
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(escape_markdown(title), width="content")
            if st.button(text.TRAIN, key=f"train_{key}", icon=":material/play_circle:"):
                train_with(key)
            st.button(
                text.DELETE, key=f"delete_{key}", icon=":material/delete:", on_click=datasets.delete_dataset,
                args=(key,),
            )  # fmt: skip
    for key, title in deleted.items():
        restore = partial(datasets.restore_dataset, key)
        widgets.offer_undo(text.DELETED.format(title=title), f"undo_{key}", restore, text.TOO_LATE)
