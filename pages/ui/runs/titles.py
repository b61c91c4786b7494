"""What a saved run is called: its experiment may be one that this server cannot repeat."""

from __future__ import annotations

import streamlit as st

from pages.ui.session.model_picker import title_of_dataset
from pages.ui.session.session import is_paused
from pages.ui.text import runs as text
from siamese_core.datasets import is_uploaded
from siamese_core.experiment.experiment import PARAM_NAMES
from siamese_core.losses import LOSSES
from siamese_core.runs.info import RunInfo


def title_of(info: RunInfo) -> str:
    """Return its name, or what it is about; not escaped."""
    params = params_of(info)
    return info.name or text.TITLE_OF.format(
        loss=loss_title(info), params=params and f", {params}", dataset=dataset_title(info), steps=f"{info.total:,}"
    )


def address(page: str, query: str) -> str:
    """Return a link to a page of this server, as somebody else opens it."""
    root = st.context.url.rpartition("/")[0] if st.context.url else ""
    return f"{root}/{page}?{query}"


def loss_title(info: RunInfo) -> str:
    loss = info.settings.get("loss", "")
    return LOSSES[loss].title if loss in LOSSES else loss


def dataset_title(info: RunInfo) -> str:
    dataset = info.settings.get("dataset", "")
    title = title_of_dataset(dataset)
    # The name of an uploaded set says nothing to anybody else, or when it is gone.
    return text.UPLOADED_IMAGES if title == dataset and is_uploaded(dataset) else title


def params_of(info: RunInfo) -> str:
    """Return the parameters of the loss, such as margin 1.0."""
    given = ((name, value) for name, value in info.settings.items() if name in PARAM_NAMES)
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in given)


def status_of(info: RunInfo) -> str:
    return text.STATUSES["paused" if info.status == "running" and is_paused(info.id) else info.status]
