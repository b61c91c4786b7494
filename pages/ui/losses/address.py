"""What the Losses page shows, as its address says it: a lesson is a link. One table of fields reads and writes it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import streamlit as st

from pages.ui.session.loss_curves import draggable_param
from pages.ui.shims import address_sync, widgets
from pages.ui.text import losses as text
from siamese_core.experiment.experiment import Experiment, Ignored
from siamese_core.experiment.fields import ChoiceField, Field, FloatField, IntField, one_of
from siamese_core.experiment.myths import MYTHS
from siamese_core.experiment.settings import FIELDS as EXPERIMENT
from siamese_core.losses import LOSSES
from siamese_core.losses.distances import MEASURES
from siamese_core.networks.build import OUTPUTS

PAGE = "losses"

GROUPS = {
    group: tuple(key for key, loss in LOSSES.items() if loss.input_kind.replace("logits", "similarity") == group)
    for group in text.GROUPS
}
"""Losses that share an axis can be laid over each other."""

LINED = {key: param for key in GROUPS["distance"] if (param := draggable_param(key))}
"""Losses with a line that can be dragged, and its parameter."""
DISTANCES = {key: measure for key, measure in MEASURES.items() if not measure.is_similarity}
DIMENSIONS: Any = EXPERIMENT["embedding_dim"]

LARGEST_PAIR = 2.0

FIELDS: dict[str, Field] = {
    f.name: f
    for f in (
        ChoiceField("section", text.SECTION, "curves", "", text.SECTIONS),
        ChoiceField("similar", text.SIMILAR, "1", text.SIMILAR_HELP, text.SIMILAR_NAMES),
        ChoiceField("group", text.GROUP, "distance", "", text.GROUPS),
        FloatField("pair", text.PAIR_DISTANCE, 0.5, 0.0, LARGEST_PAIR, 0.05, ""),
        one_of("reach", text.CODE_LOSS, "contrastive", {key: LOSSES[key] for key in LINED}, ""),
        one_of("output", text.REACH_OUTPUT, "l2", OUTPUTS, ""),
        one_of("measure", text.REACH_MEASURE, "euclidean", DISTANCES, ""),
        IntField("dim", text.REACH_DIM, 2, DIMENSIONS.low, DIMENSIONS.high, 1, ""),
        IntField("classes", text.REACH_CLASSES, len(Experiment().seen), 2, 1000, 1, ""),
        ChoiceField("myth", text.MYTH, "flip", "", {key: myth.claim for key, myth in MYTHS.items()}),
        IntField("seed", text.MYTH_SEED, 0, 0, 1000, 1, ""),
        one_of("code", text.CODE_LOSS, "contrastive", LOSSES, ""),
    )
} | {f"{loss.key}.{param.name}": param for loss in LOSSES.values() for param in loss.params}


def key(name: str) -> str:
    return f"losses_{name}"


def params_of(loss: str) -> dict[str, float]:
    """Return the parameters of a loss as the page has them."""
    return {param.name: st.session_state[key(f"{loss}.{param.name}")] for param in LOSSES[loss].params}


def read() -> None:
    """Fill the widgets from the address where that is not what the page has written: at first, and when the browser
    goes back."""
    address = urlencode(sorted(st.query_params.items()), errors="replace")
    if key("ignored") in st.session_state and (not address or address_sync.has_written(PAGE, address)):
        for name, field in FIELDS.items():
            widgets.restore(key(name), field.default)
        widgets.restore(key("shown"), [])
        return
    values, unused = _taken(dict(st.query_params))
    st.session_state.update({key(name): value for name, value in values.items()})
    st.session_state.update({key("ignored"): unused, key("as_read"): True})
    address_sync.record(PAGE, address)


def ignored() -> list[Ignored]:
    """Return what of the address could not be used, until the next change."""
    return st.session_state[key("ignored")]


def write() -> None:
    """Write the widgets into the address: the part of the page, the losses, and what differs from its default."""
    values = {name: st.session_state[key(name)] for name in (*FIELDS, "shown")}
    for name, value in values.items():
        widgets.save(key(name), value)
    query = {
        name: field.text(values[name])
        for name, field in FIELDS.items()
        if values[name] != field.default or name == "section"
    } | {"shown": ",".join(values["shown"])}
    address = urlencode(sorted(query.items()))
    if address != address_sync.newest(PAGE) or not st.query_params:
        address_sync.record(PAGE, address)
        st.query_params.from_dict(query)
        if not st.session_state.pop(key("as_read"), False):
            st.session_state[key("ignored")] = []


def _taken(query: dict[str, str]) -> tuple[dict[str, Any], list[Ignored]]:
    """A value for every field, and the fields of the address that cannot be used."""
    values: dict[str, Any] = {name: field.default for name, field in FIELDS.items()}
    unused = []
    for name, given in query.items():
        field = FIELDS.get(name)
        value = field.read(given) if field else None
        problem = field.problem(value) if field else text.NO_FIELD
        if name != "shown" and problem:
            unused.append(Ignored(name, given, problem))
        elif field:
            values[name] = value
    members = GROUPS[values["group"]]
    asked = list(dict.fromkeys(part for part in query.get("shown", "").split(",") if part))
    values["shown"] = [loss for loss in asked if loss in members] if "shown" in query else list(members[:1])
    if len(values["shown"]) < len(asked):
        unused.append(Ignored("shown", query["shown"], text.MAY_BE.format(choices=", ".join(members))))
    return values, unused
