"""Where a pair comes from: the dataset, two files, or the camera."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import streamlit as st

from pages.ui.compare.pictures import MAX_MB, TYPES, Pixels, picture
from pages.ui.shims import widgets
from pages.ui.shims.escape_markdown import plain
from pages.ui.text import compare as text
from siamese_core.datasets import DatasetMissing, Images
from siamese_core.formats.images import ImageRejected
from siamese_core.runs.model import Model


@dataclass(frozen=True, eq=False)
class Pair:
    """uint8 (C, H, W) each; `same` where somebody knows it."""

    first: Pixels
    second: Pixels
    same: bool | None = None


def from_dataset(model: Model) -> Pair | None:
    """Two test images, by class and number, or drawn."""
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
    places = []
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
            places.append(of_class[int(chosen) - 1])
    first, second = places
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
    """Files stay chosen when the page is switched, which empties the widgets."""
    columns = st.columns(2)
    for side, column in enumerate(columns):
        column.file_uploader(
            text.UPLOAD.format(side=text.SIDES[side]), type=TYPES, max_upload_size=MAX_MB,
            key=f"pair_file_{side}", help=text.UPLOAD_HELP, on_change=_take, args=("file", "bytes", side),
        )  # fmt: skip
    return _decoded(model, "pair_bytes")


def from_camera(model: Model) -> Pair | None:
    st.caption(text.CAMERA_HINT)
    for side, column in enumerate(st.columns(2)):
        column.camera_input(
            text.PHOTO.format(side=text.SIDES[side]), key=f"pair_camera_{side}",
            on_change=_take, args=("camera", "photo", side),
        )  # fmt: skip
    return _decoded(model, "pair_photo")


def _take(widget: str, run_state: str, side: int) -> None:
    """What was given; what was taken away again is let go of."""
    given = st.session_state[f"pair_{widget}_{side}"]
    if given is None:
        st.session_state.pop(f"pair_{run_state}_{side}", None)
    else:
        st.session_state[f"pair_{run_state}_{side}"] = given.getvalue()


def _decoded(model: Model, run_state: str) -> Pair | None:
    found: list[Pixels] = []
    given = [st.session_state.get(f"{run_state}_{side}") for side in range(2)]
    for side, data in enumerate(given):
        if data is None:
            continue
        try:
            found.append(_picture(data, model))
        except ImageRejected as rejected:
            st.error(
                text.REJECTED.format(side=text.SIDES[side], message=plain(rejected.message)), icon=":material/error:"
            )
            return None
    if len(found) == 2:
        return Pair(*found)
    need = text.NEED_OTHER.format(side=text.SIDES[given.index(None)].lower()) if found else text.NEED_TWO
    st.info(need, icon=":material/add_photo_alternate:")
    return None


def _picture(data: bytes, model: Model) -> Pixels:
    """Decoded once for each file and size."""
    kept: dict[tuple[str, tuple[int, ...]], Pixels] = st.session_state.setdefault("pictures", {})
    place = (hashlib.sha256(data).hexdigest(), model.shape)
    if place not in kept:
        kept[place] = picture(data, model)
        while len(kept) > 4:
            del kept[next(iter(kept))]
    return kept[place]
