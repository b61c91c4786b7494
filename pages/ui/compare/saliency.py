"""Why the network sees two images at this distance, and what else looks like them to it."""

from __future__ import annotations

import numpy as np
import streamlit as st

from pages.ui.compare.model_input import Pixels
from pages.ui.shims import widgets
from pages.ui.shims.escape_markdown import escape_markdown
from pages.ui.shims.futures import Arrays
from pages.ui.shims.images import show_grid
from pages.ui.text import compare as text
from siamese_core.runs.model import Model

WIDTH = 128

HEAT = np.array([[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]], np.float32)
"""Five colours of matplotlib's "inferno" (CC0): as bright as the number is high, whatever one's colour vision."""


def maps(explained: Arrays, value: float) -> None:
    """Draw both images under one map, on one scale."""
    chosen = widgets.persistent(widgets.segmented_control, text.MAP, text.MAPS, key="map_kind", default="occlusion")
    found = explained[chosen]
    most = float(found.max())
    with st.container(horizontal=True):
        for image, heat in zip(explained["shown"], found, strict=True):
            show_grid(overlaid(image, heat / most if most > 0 else heat)[None], 1, width=WIDTH)
    st.caption(text.MAP_HELP[chosen])
    st.caption(text.STRENGTH[chosen].format(most=f"{most:.2g}", value=f"{value:.3g}"))


def overlaid(image: Pixels, heat: np.ndarray) -> Pixels:
    """Return uint8 (3, H, W): the image in grey, faint, under a map (H, W) from 0 to 1."""
    grey = image.mean(axis=0, dtype=np.float32) / 255
    levels = np.linspace(0, 1, len(HEAT))
    colours = np.stack([np.interp(heat, levels, channel) for channel in HEAT.T], axis=-1)
    strength = (0.25 + 0.65 * heat.clip(0, 1))[..., None]
    mixed = colours * strength + 255 * grey[..., None] * (1 - strength)
    return np.moveaxis(mixed.round().clip(0, 255).astype(np.uint8), -1, 0)


def neighbours(model: Model, compared: Arrays) -> None:
    """Draw the training images that are nearest to each image for the network."""
    images = model.experiment.data.load()
    for side, name in enumerate(text.SIDES):
        st.markdown(f"{name}")
        with st.container(horizontal=True):
            near = zip(compared["near"][side, 0], compared["near_distances"][side, 0], strict=True)
            for index, distance in near:
                with st.container(width=80):
                    label = model.classes[images.train_labels[index]]
                    caption = f"{escape_markdown(label)}  \n{distance:.3g}"
                    show_grid(images.train_images[index][None], 1, caption=caption, width="stretch")
