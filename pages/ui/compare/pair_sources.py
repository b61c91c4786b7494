"""Where a pair comes from: the dataset, two files, or the camera."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from pages.ui.compare.model_input import MAX_MB, TYPES, Pixels, model_input
from pages.ui.shims import widgets
from pages.ui.shims.escape_markdown import escape_markdown
from pages.ui.text import compare as text
from siamese_core.datasets import DatasetMissing, Images
from siamese_core.formats.images import ImageRejected
from siamese_core.runs.model import Model


@dataclass(frozen=True, eq=False)
class Pair:
    """uint8 (C, H, W) each; `same` where it is known."""

    first: Pixels
    second: Pixels
    same: bool | None = None


def from_dataset(model: Model) -> Pair | None:
    """Return two test images, by class and number, or drawn."""
    try:
        images = model.experiment.data.load() if model.has_images else None
    except DatasetMissing:
        images = None
    if images is None:
        st.info(text.NO_DATASET, icon=":material/info:")
        return None
    dataset = model.experiment.dataset
    # Widgets that were not drawn for a while, as when another model is got ready, have forgotten their pair.
    if st.session_state.get("pair_dataset") != dataset or "pair_class_0" not in st.session_state:
        st.session_state["pair_dataset"] = dataset
        _draw(images, False)
    with st.container(horizontal=True):
        st.button(text.SAME_PAIR, icon=":material/shuffle:", on_click=_draw, args=(images, True))
        st.button(text.DIFFERENT_PAIR, icon=":material/shuffle:", on_click=_draw, args=(images, False))
    labels = images.test_labels
    indices = []
    for side, column in enumerate(st.columns(2)):
        with column, st.container(horizontal=True, vertical_alignment="bottom"):
            name = text.SIDES[side]
            present = np.unique(labels).tolist()
            label = widgets.selectbox(
                text.CLASS.format(side=name), present, format_func=lambda c: model.classes[c], key=f"pair_class_{side}"
            )
            of_class = np.flatnonzero(labels == label)
            number = f"pair_number_{side}"
            st.session_state[number] = min(st.session_state.get(number, 1), len(of_class))
            chosen = widgets.number_input(text.NUMBER.format(side=name), 1, len(of_class), key=number, width=140)
            indices.append(of_class[int(chosen) - 1])
    first, second = indices
    return Pair(images.test_images[first], images.test_images[second], bool(labels[first] == labels[second]))


def _draw(images: Images, same: bool) -> None:
    """Two different test images of one class, or of two."""
    labels, rng = images.test_labels, np.random.default_rng()
    classes, counts = np.unique(labels, return_counts=True)
    usable = classes[counts > 1] if same and (counts > 1).any() else classes
    two = np.repeat(rng.choice(usable), 2) if same else rng.choice(classes, 2, replace=len(classes) < 2)
    numbers = [int(rng.integers((labels == c).sum())) for c in two]
    if same and numbers[0] == numbers[1]:
        numbers[1] = (numbers[0] + 1) % int((labels == two[0]).sum())
    for side in range(2):
        st.session_state[f"pair_class_{side}"] = int(two[side])
        st.session_state[f"pair_number_{side}"] = numbers[side] + 1


def from_files(model: Model) -> Pair | None:
    """Return the pair of two files."""
    draw = partial(st.file_uploader, type=TYPES, max_upload_size=MAX_MB, help=text.UPLOAD_HELP)
    return _uploaded(model, "file", text.UPLOAD, draw)


def from_camera(model: Model) -> Pair | None:
    st.caption(text.CAMERA_HINT)
    return _uploaded(model, "camera", text.PHOTO, st.camera_input)


def _uploaded(model: Model, kind: str, label: str, draw: Callable[..., object]) -> Pair | None:
    """Two images, which stay chosen when the page is switched, which empties the widgets."""
    given: list[bytes | None] = []
    for side, column in enumerate(st.columns(2)):
        with column:
            draw_side = partial(draw, label.format(side=text.SIDES[side]))
            given.append(widgets.persistent_upload(f"pair_{kind}_{side}", draw_side, UploadedFile.getvalue))
    found: list[Pixels] = []
    for side, data in enumerate(given):
        if data is None:
            continue
        try:
            found.append(_image(data, model, side))
        except ImageRejected as rejected:
            st.error(
                text.REJECTED.format(side=text.SIDES[side], message=escape_markdown(str(rejected))),
                icon=":material/error:",
            )
            return None
    if len(found) == 2:
        return Pair(*found)
    need = text.NEED_OTHER.format(side=text.SIDES[given.index(None)].lower()) if found else text.NEED_TWO
    st.info(need, icon=":material/add_photo_alternate:")
    return None


def _image(data: bytes, model: Model, side: int) -> Pixels:
    """Decoded once for each file and size."""
    key = (hashlib.sha256(data).hexdigest(), model.shape)
    return widgets.once(f"pair_image_{side}", key, lambda: model_input(data, model))
