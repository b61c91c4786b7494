"""An experiment as widgets: each field of the table becomes one, and the address bar follows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

import streamlit as st

from pages.ui import echo
from pages.ui.text import train as text
from siamese_core.datasets import DATASETS
from siamese_core.experiment import FIELDS, PARAM_NAMES, Experiment, Ignored, param_field
from siamese_core.fields import ChoiceField, ClassesField, Field, FloatField
from siamese_core.losses import LOSSES
from siamese_core.projection import PROJECTIONS

BASIC = ("dataset", "loss")
MORE = {
    "data": ("held_out", "train_per_class", "sampling", "batch_size", "labels"),
    "network": ("encoder", "embedding_dim", "output", "measure"),
    "training": ("learning_rate", "steps", "seed"),
}
PAGE = "train"

DEVICE = "machine_device"
MACHINE = ("device",)
"""In the address bar beside the experiment, but no part of it."""


def key(name: str) -> str:
    return f"field_{name}"


def read_address() -> tuple[dict[str, str], list[Ignored]]:
    """Fills the widgets from the address bar where it was changed from outside; gives the machine's settings in it.

    What cannot be used is named until the next change.
    """
    given = [(name, value) for name in st.query_params for value in st.query_params.get_all(name)]
    query = urlencode(given, errors="replace")
    machine = {name: st.query_params[name] for name in MACHINE if name in st.query_params}
    if query and not echo.is_own(PAGE, query):
        own = [(name, value) for name, value in given if name not in MACHINE]
        experiment, st.session_state["ignored"] = Experiment.from_query(urlencode(own, errors="replace"))
        fill(experiment)
        echo.stands_now(PAGE, query)
    elif key("dataset") not in st.session_state:
        fill(st.session_state.get("experiment") or Experiment())
    return machine, st.session_state.get("ignored", [])


def fill(experiment: Experiment) -> None:
    """Sets every widget; to be called before they are drawn."""
    st.session_state["loss_of_measure"] = experiment.loss
    for name in FIELDS:
        st.session_state[key(name)] = getattr(experiment, name)
    for name, value in experiment.params.items():
        st.session_state[key(name)] = value


def write_address(experiment: Experiment, machine: Mapping[str, str]) -> None:
    query = dict(parse_qsl(experiment.to_query(), keep_blank_values=True)) | dict(machine)
    st.session_state["experiment"] = experiment
    address = urlencode(query)
    # Streamlit empties the address bar when the page is switched.
    if address != echo.current(PAGE) or not st.query_params:
        echo.stands_now(PAGE, address)
        st.query_params.from_dict(query)


def controls() -> Experiment:
    """Draws the widgets and gives the experiment that they say."""
    values = {name: _widget(FIELDS[name]) for name in BASIC}
    if st.session_state.get("loss_of_measure") != values["loss"]:
        # Another loss begins with the distance and the numbers of its own paper.
        if "loss_of_measure" in st.session_state:
            for name in ("measure", *PARAM_NAMES):
                st.session_state.pop(key(name), None)
        st.session_state["loss_of_measure"] = values["loss"]
    loss = LOSSES[values["loss"]]
    params = {param.name: _slider(param_field(param)) for param in loss.params}
    labels = ("right",) if loss.takes in ("logits", "batch") else None
    limits = {"measure": loss.measures, "labels": labels, "held_out": range(len(DATASETS[values["dataset"]].classes))}
    names = {"held_out": dict(enumerate(DATASETS[values["dataset"]].classes))}
    for group, members in MORE.items():
        with st.expander(text.GROUPS[group]):
            for name in members:
                values[name] = _widget(FIELDS[name], limits.get(name), names.get(name))
    shown = [p.key for p in PROJECTIONS.values() if p.only_dim in (None, values["embedding_dim"])]
    values["projection"] = _widget(FIELDS["projection"], shown)
    return Experiment(params=params, shared=FIELDS["shared"].default, **values)


def _widget(field: Field, allowed: Any = None, names: Mapping[Any, str] | None = None) -> Any:
    common = {"label": field.title, "key": key(field.name), "help": field.help}
    if isinstance(field, ChoiceField):
        options = list(allowed or field.choices)
        if st.session_state.get(common["key"]) not in options:
            st.session_state[common["key"]] = options[0]
        return st.selectbox(options=options, format_func=lambda choice: _titled(field, choice), **common)
    if isinstance(field, ClassesField):
        return _classes(field, allowed, names or {})
    number = "%.5g" if isinstance(field, FloatField) else "%d"
    return st.number_input(min_value=field.low, max_value=field.high, step=field.step, format=number, **common)


def _titled(field: ChoiceField, choice: str) -> str:
    missing = field.name == "dataset" and not DATASETS[choice].find()
    return text.NOT_HERE.format(title=field.choices[choice]) if missing else field.choices[choice]


def _classes(field: ClassesField, allowed: range, names: Mapping[int, str]) -> tuple[int, ...]:
    widget = key(field.name)
    st.session_state[widget] = [c for c in st.session_state.get(widget, ()) if c in allowed]
    chosen = st.multiselect(
        field.title,
        allowed,
        format_func=names.__getitem__,
        key=widget,
        help=field.help,
        # Two classes must be left to train on.
        max_selections=len(allowed) - 2,
    )
    return tuple(sorted(chosen))


def _slider(field: FloatField) -> float:
    if key(field.name) not in st.session_state:
        st.session_state[key(field.name)] = field.default
    return st.slider(field.title, field.low, field.high, step=field.step, key=key(field.name), help=field.help)
