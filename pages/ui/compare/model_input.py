"""From a file to the input of a model: decoded in a child process, cut square, sized and coloured like its images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from pages.ui.session.engine import uploads
from pages.ui.text import compare as text
from siamese_core.datasets import uploaded
from siamese_core.engine.uploads.decoder_client import Square
from siamese_core.formats.archives import ENDINGS
from siamese_core.formats.images import MAX_BYTES, ImageRejected
from siamese_core.runs.model import Model

Pixels = NDArray[np.uint8]

TYPES = [ending.removeprefix(".") for ending in ENDINGS]
"""What a browser is to offer."""

MAX_MB = MAX_BYTES // 10**6


def model_input(data: bytes, model: Model) -> Pixels:
    """Return uint8 (C, H, W). Raises ImageRejected."""
    return uploaded.fitted(uploads().square(data).pixels, model.shape)


def model_inputs(files: Sequence[bytes], model: Model) -> Iterator[Pixels | ImageRejected]:
    """Yield what `model_input` returns or raises for each file, in order."""
    for outcome in uploads().squares(files):
        yield uploaded.fitted(outcome.pixels, model.shape) if isinstance(outcome, Square) else outcome


def hint_at_brightness(images: Sequence[Pixels], model: Model) -> None:
    """Draw a hint where half of the images, or more, are dark on light and the model's are light on dark, or so."""
    if 2 * sum(looks_inverted(image, model) for image in images) >= max(1, len(images)):
        are, were = (text.LIGHT, text.DARK) if model.mean < 0.5 else (text.DARK, text.LIGHT)
        st.caption(text.LOOKS_INVERTED.format(are=are, were=were))


def looks_inverted(image: Pixels, model: Model) -> bool:
    """Return whether its border is bright where the model's images are dark, or the other way round."""
    if model.shape[0] != 1 or 0.35 < model.mean < 0.65:
        return False
    border = np.concatenate([image[0, 0], image[0, -1], image[0, :, 0], image[0, :, -1]])
    return bool((np.median(border) > 127) == (model.mean < 0.5))
