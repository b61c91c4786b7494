"""What a saved run is called: its experiment may be one that this server cannot repeat."""

from __future__ import annotations

import streamlit as st

from pages.ui.session.model_picker import plain_title
from pages.ui.session.session import engine, token
from pages.ui.text import runs as text
from siamese_core.datasets import is_own
from siamese_core.experiment.experiment import PARAM_NAMES
from siamese_core.losses import LOSSES
from siamese_core.runs.record import Record


def title_of(record: Record) -> str:
    """Its name, or what it is about. Not escaped."""
    return record.name or text.TITLE_OF.format(
        loss=loss_title(record),
        params="".join(f", {param}" for param in [params_of(record)] if param),
        dataset=dataset_title(record),
        steps=f"{record.total:,}",
    )


def address(page: str, query: str) -> str:
    """A link to a page of this server, as somebody else opens it."""
    root = st.context.url.rpartition("/")[0] if st.context.url else ""
    return f"{root}/{page}?{query}"


def loss_title(record: Record) -> str:
    loss = record.settings.get("loss", "")
    return LOSSES[loss].title if loss in LOSSES else loss


def dataset_title(record: Record) -> str:
    dataset = record.settings.get("dataset", "")
    title = plain_title(dataset)
    # The name of somebody's pictures says nothing to anybody else, or when they are gone.
    return text.OWN_PICTURES if title == dataset and is_own(dataset) else title


def params_of(record: Record) -> str:
    """The parameters of the loss, such as margin 1.0."""
    given = ((name, value) for name, value in record.settings.items() if name in PARAM_NAMES)
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in given)


def is_paused(record: Record) -> bool:
    """Whether a run that is under way waits for somebody to go on with it, or to look at it."""
    return engine().status(token(), record.id) in ("pausing", "paused", "parked")


def status_of(record: Record) -> str:
    return text.STATUSES["paused" if record.status == "running" and is_paused(record) else record.status]
