"""What a network gets in place of an image: transforms of the second input, augmentations of the training images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import streamlit as st

from pages.ui.session.engine import engine
from pages.ui.session.experiment_form import current_experiment, open_train_page
from pages.ui.session.trial import trial
from pages.ui.shims import widgets
from pages.ui.shims.futures import request_once
from pages.ui.shims.images import show_grid
from pages.ui.text import data as text
from siamese_core.datasets import Dataset, DatasetMissing
from siamese_core.engine.rpc.client import PendingReply
from siamese_core.networks.augment import AUGMENTATIONS
from siamese_core.networks.input_transforms import INPUT_TRANSFORMS

SHOWN = 12

WAIT = 10.0
"""Seconds: the first augmentation imports torchvision in the worker."""


def section() -> None:
    experiment = current_experiment()
    try:
        images = _examples(experiment.data)
    except DatasetMissing as missing:
        st.info(str(missing), icon=":material/info:")
        return
    st.markdown(text.INPUT_TRANSFORMS_INTRO)
    st.markdown(text.PLAIN)
    show_grid(images, SHOWN, width="content")
    _grids(INPUT_TRANSFORMS, experiment.data, lambda key: engine().trainer.transformed(key, images))
    with st.container(horizontal=True):
        for key, transform in INPUT_TRANSFORMS.items():
            if st.button(text.USE_INPUT_TRANSFORM.format(input_transform=transform.title.lower()), key=f"use_{key}"):
                open_train_page(replace(experiment, view=key, miner="all"))
    st.markdown(text.SHARED_INTRO)
    trial("sketch", lambda: int(widgets.number_input(text.SEED, 0, 2**31 - 1, key="sketch_seed", width=140)))
    st.markdown(text.AUGMENT_INTRO)
    _grids(AUGMENTATIONS, experiment.data, lambda key: engine().trainer.augmented((key,), images))


def _examples(data: Dataset) -> np.ndarray:
    """The first training image of each class, and more of them until a row is full."""
    labels = data.load().train_labels
    firsts = [np.flatnonzero(labels == c)[:SHOWN] for c in range(len(data.classes))]
    turns = [indices[turn] for turn in range(SHOWN) for indices in firsts if turn < len(indices)]
    return data.load().train_images[turns[:SHOWN]]


def _grids(entries: Mapping[str, Any], data: Dataset, send: Callable[[str], PendingReply]) -> None:
    """What each entry of a catalogue, requested by its key, makes of the images."""
    if not engine().devices:
        st.info(text.NOT_YET, icon=":material/hourglass:")
        st.button(text.LOOK_AGAIN, key=f"again_{next(iter(entries))}")
        return
    for key, entry in entries.items():
        st.markdown(f"**{entry.title}.** {entry.help}")
        found = request_once(f"changed_{key}", data, partial(send, key), WAIT)
        if found is None:
            st.caption(text.NOT_YET)
        else:
            show_grid(found["images"], SHOWN, width="content")
