"""An experiment as widgets: each field of the table becomes one, and the address bar follows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

import streamlit as st

from pages.ui.session import datasets
from pages.ui.session.chrome import TRAIN_PAGE
from pages.ui.shims import address_sync, widgets
from pages.ui.text import train as text
from siamese_core.datasets import DATASETS, dataset_of
from siamese_core.datasets.shapes import shapes
from siamese_core.embeddings.projection import PROJECTIONS
from siamese_core.experiment.experiment import PARAM_NAMES, Experiment, Ignored
from siamese_core.experiment.fields import ChoiceField, ClassesField, Field, FloatField, KeysField
from siamese_core.experiment.settings import FIELDS, SHAPES
from siamese_core.losses import LOSSES

MORE = {
    "data": ("held_out", "train_per_class", "augment", "sampling", "miner", "batch_size", "labels"),
    "network": ("encoder", "embedding_dim", "output", "measure", "view", "shared", "second_encoder"),
    "training": ("learning_rate", "steps", "seed"),
}
PAGE = "train"

DEVICE = "machine_device"


ROUND = "fields_round"


def key(name: str) -> str:
    """Return the key of the widget of a field."""
    number = st.session_state.get(ROUND, 0)
    return f"field_{name}_{number}" if number else f"field_{name}"


def read_address() -> tuple[str | None, list[Ignored]]:
    """Fill the widgets from the address bar where it was changed from outside; return the device in it, beside the
    experiment but no part of it, or None.

    What cannot be used is named until the next change.
    """
    given = [(name, value) for name in st.query_params for value in st.query_params.get_all(name)]
    address = urlencode(given, errors="replace")
    if address and not address_sync.has_written(PAGE, address):
        # Before anything is read of them: a link must not show what is in somebody else's images.
        foreign = [value for name, value in given if name == "dataset" and not datasets.may_use(value)]
        left_out = {("dataset", value) for value in foreign}
        names_left_out = ("device", "held_out") if foreign else ("device",)
        query = [field for field in given if field not in left_out and field[0] not in names_left_out]
        experiment, ignored = Experiment.from_query(urlencode(query, errors="replace"))
        st.session_state["ignored"] = [Ignored("dataset", value, text.NOT_YOURS) for value in foreign] + ignored
        fill(experiment)
        address_sync.record(PAGE, address)
    elif key("dataset") not in st.session_state:
        fill(current_experiment())
    return st.query_params.get("device"), st.session_state.get("ignored", [])


def dataset_titles() -> dict[str, str]:
    """Return key → title of all that this browser can train on: the catalogue, and what it has uploaded."""
    return {key: _catalogue_title(key) for key in DATASETS} | datasets.uploaded_sets()


def current_experiment() -> Experiment:
    """Return the settings of the Train page, for another page; renews the lease of an uploaded dataset."""
    stored: Experiment = st.session_state.get("experiment") or Experiment()
    if datasets.may_use(stored.dataset):
        return stored
    # The same on the images of the default, where theirs are gone or somebody else's.
    return replace(stored, dataset=FIELDS["dataset"].default, held_out=())


def _catalogue_title(key: str) -> str:
    title = DATASETS[key].title
    return title if DATASETS[key].find() else text.NOT_HERE.format(title=title)


def fill(experiment: Experiment) -> None:
    """Set every widget; to be called before they are drawn."""
    st.session_state["loss_of_measure"] = experiment.loss
    for name in FIELDS:
        value = getattr(experiment, name)
        st.session_state[key(name)] = list(value) if isinstance(value, tuple) else value
    for name, value in experiment.params.items():
        st.session_state[key(name)] = value


def fill_anew(experiment: Experiment) -> None:
    """Set new widgets, while the page shows the old ones.

    A browser that does not know of the new values yet still sends the old ones, and these would be taken for a change
    by hand.
    """
    st.session_state[ROUND] = st.session_state.get(ROUND, 0) + 1
    fill(experiment)


def open_train_page(experiment: Experiment) -> None:
    """Show the Train page with these settings."""
    st.session_state["experiment"] = experiment
    st.switch_page(TRAIN_PAGE)


def link_to_train_page(experiment: Experiment, label: str, **layout: Any) -> None:
    """Draw a link to the Train page with these settings."""
    st.page_link(TRAIN_PAGE, label=label, query_params=_query(experiment), **layout)


def _query(experiment: Experiment) -> dict[str, str]:
    return dict(parse_qsl(experiment.to_query(), keep_blank_values=True))


def write_address(experiment: Experiment, device: str | None) -> None:
    """Show an experiment in the address bar, and store it for the other pages, as `current_experiment`."""
    query = _query(experiment) | ({} if device is None else {"device": device})
    st.session_state["experiment"] = experiment
    address = urlencode(query)
    # Streamlit empties the address bar when the page is switched.
    if address != address_sync.newest(PAGE) or not st.query_params:
        address_sync.record(PAGE, address)
        st.query_params.from_dict(query)


def controls() -> Experiment:
    """Draw the widgets and return the experiment that they say."""
    values = {"dataset": _dataset()}
    classes = dataset_of(values["dataset"]).classes
    if values["dataset"] == "shapes":
        with st.expander(text.GROUPS["shapes"], expanded=True):
            values |= {name: _widget(FIELDS[name]) for name in SHAPES}
        classes = shapes(*(values[name] for name in SHAPES)).classes
    values["loss"] = _widget(FIELDS["loss"])
    if st.session_state.get("loss_of_measure") != values["loss"]:
        # Another loss begins with the distance and the numbers of its paper.
        if "loss_of_measure" in st.session_state:
            for name in ("measure", *PARAM_NAMES):
                st.session_state.pop(key(name), None)
        st.session_state["loss_of_measure"] = values["loss"]
    loss = LOSSES[values["loss"]]
    params = {
        param.name: widgets.slider(
            param.title, param.low, param.high, default=param.default, step=param.step, key=key(param.name),
            help=param.help,
        )
        for param in loss.params
    }  # fmt: skip
    labels = ("right",) if loss.on_classes else None
    limits = {"measure": loss.measures, "labels": labels, "held_out": dict(enumerate(classes))}
    for group, members in MORE.items():
        with st.expander(text.GROUPS[group]):
            for name in members:
                limits |= _limits_by(values)
                values[name] = _widget(FIELDS[name], limits.get(name))
                if name in text.WHY_ONLY and limits.get(name):
                    st.caption(text.WHY_ONLY[name])
    shown = [key for key, p in PROJECTIONS.items() if p.only_dim in (None, values["embedding_dim"])]
    values["projection"] = _widget(FIELDS["projection"], shown)
    return Experiment(params=params, **values)


def _limits_by(values: Mapping[str, Any]) -> dict[str, Any]:
    """What the fields chosen so far leave of those after them."""
    mined = values.get("sampling") == "all_pairs" and not LOSSES[values["loss"]].on_classes
    return {
        "miner": None if mined else ("all",),
        "second_encoder": ("same",) if values.get("shared") else None,
        "view": ("none",) if values.get("miner", "all") != "all" else None,
        "shared": (True,) if values.get("miner", "all") != "all" else None,
    }


def _widget(field: Field, allowed: Any = None) -> Any:
    common = {"label": field.title, "key": key(field.name), "help": field.help}
    if isinstance(field, ChoiceField):
        options = list(allowed or field.choices)
        if st.session_state.get(common["key"]) not in options:
            st.session_state[common["key"]] = options[0]
        chosen = widgets.selectbox(options=options, format_func=field.choices.__getitem__, **common)
        if chosen != field.default and chosen in field.helps:
            st.caption(field.helps[chosen])
        return chosen
    if isinstance(field, ClassesField):
        # Two classes must be left to train on.
        most = len(allowed) - 2
        before = st.session_state.get(common["key"], ())
        st.session_state[common["key"]] = [c for c in before if c in allowed][:most]
        some = widgets.multiselect(options=allowed, max_selections=most or None, disabled=most == 0, **common)
        return tuple(sorted(some))
    if isinstance(field, KeysField):
        some = widgets.multiselect(options=field.choices, **common)
        return tuple(choice for choice in field.choices if choice in some)
    number = "%.5g" if isinstance(field, FloatField) else "%d"
    return widgets.number_input(low=field.low, high=field.high, step=field.step, format=number, **common)


def _dataset() -> str:
    field, titles = FIELDS["dataset"], dataset_titles()
    before = st.session_state.get(key("dataset"))
    if before not in titles:
        if before is not None:
            st.session_state["ignored"] = [Ignored("dataset", before, text.DELETED)]
        st.session_state[key("dataset")] = field.default
    chosen: str = widgets.selectbox(field.title, titles, key=key("dataset"), help=field.help)
    datasets.may_use(chosen)
    return chosen
