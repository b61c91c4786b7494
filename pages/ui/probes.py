"""The probe images of a dataset as the embedding view needs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from pages.ui import static
from siamese_core.datasets import DATASETS, select_probe
from siamese_core.datasets.atlas import atlas_png

COLUMNS = 40


@dataclass(frozen=True)
class Probes:
    classes: list[str]
    labels: np.ndarray
    sprite: dict[str, Any]


@st.cache_resource(show_spinner=False, max_entries=16)
def probes(dataset: str) -> Probes:
    """Labels (N,) int32, class names and one picture with all the thumbnails, published as a file."""
    record = DATASETS[dataset]
    images = record.load()
    chosen = select_probe(images)
    url = static.publish(f"probes-{dataset}", ".png", atlas_png(images.test_images[chosen], COLUMNS))
    _, height, width = record.shape
    return Probes(
        classes=list(record.classes),
        labels=images.test_labels[chosen].astype(np.int32),
        sprite={"url": url, "columns": COLUMNS, "width": width, "height": height},
    )
