"""What the Losses page shows, as its address says it: a lesson is a link."""

from __future__ import annotations

import time
from collections.abc import Mapping

import streamlit as st

from pages.ui.controls import ECHO_SECONDS
from pages.ui.text import losses as text
from siamese_core.experiment import Ignored, loss_field
from siamese_core.losses import LOSSES

GROUPS: dict[str, tuple[str, ...]] = {
    "distance": tuple(key for key, loss in LOSSES.items() if loss.takes == "distance"),
    "similarity": tuple(key for key, loss in LOSSES.items() if loss.takes in ("similarity", "logits")),
    "triplet": tuple(key for key, loss in LOSSES.items() if loss.takes == "triplet"),
    "batch": tuple(key for key, loss in LOSSES.items() if loss.takes == "batch"),
}
"""Losses that share an axis can be laid over each other."""

FIRST = {"distance": ["contrastive", "exponential"], "similarity": ["log", "absolute"]}

CHOICES: Mapping[str, tuple[str, ...]] = {
    "section": tuple(text.SECTIONS),
    "group": tuple(GROUPS),
    "similar": ("1", "0"),
}
"""Field → what it may be, its default first."""


def key(name: str) -> str:
    return f"losses_{name}"


def param_key(loss: str, name: str) -> str:
    return key(f"{loss}.{name}")


def read() -> list[Ignored]:
    """Fills the widgets from the address where that is not what the page has written: at first, and when the browser
    goes back. Gives what in it cannot be used."""
    address = dict(st.query_params)
    if key("kept") in st.session_state and _is_own(address):
        # A widget that was not drawn forgets its value.
        for name, value in st.session_state[key("kept")].items():
            st.session_state.setdefault(name, value)
        return st.session_state[key("ignored")]
    ignored: list[Ignored] = []
    values: dict[str, object] = {key(name): choices[0] for name, choices in CHOICES.items()}
    values |= {param_key(loss.key, p.name): p.default for loss in LOSSES.values() for p in loss.params}
    for name, given in st.query_params.items():
        problem = _take(name, given, values)
        if problem:
            ignored.append(Ignored(name, given, problem))
    group = str(values[key("group")])
    values.setdefault(key("shown"), FIRST.get(group, list(GROUPS[group][:1])))
    outside = [loss for loss in values[key("shown")] if loss not in GROUPS[group]]  # type: ignore[attr-defined]
    if outside:
        ignored.append(Ignored("shown", ",".join(outside), text.MAY_BE.format(choices=", ".join(GROUPS[group]))))
        values[key("shown")] = [loss for loss in values[key("shown")] if loss in GROUPS[group]]  # type: ignore[attr-defined]
    st.session_state.update(values)
    st.session_state.update({key("ignored"): ignored, key("kept"): values})
    _stands_now(address)
    return ignored


def _is_own(address: dict[str, str]) -> bool:
    """Whether the page has written it, now or so shortly ago that the browser may still send it."""
    last, echoes = st.session_state[key("written")]
    return address in ({}, last) or echoes.get(_named(address), 0.0) > time.monotonic()


def _stands_now(address: dict[str, str]) -> None:
    last, echoes = st.session_state.get(key("written"), (address, {}))
    now = time.monotonic()
    fresh = {old: until for old, until in echoes.items() if until > now}
    st.session_state[key("written")] = (address, fresh | {_named(last): now + ECHO_SECONDS})


def _named(address: dict[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset(address.items())


def write() -> None:
    """The address follows the widgets: what differs from its default."""
    kept = {name: st.session_state[name] for name in st.session_state[key("kept")] if name in st.session_state}
    st.session_state[key("kept")] = st.session_state[key("kept")] | kept
    query = {name: str(kept.get(key(name), choices[0])) for name, choices in CHOICES.items()}
    query["shown"] = ",".join(st.session_state[key("shown")])
    for loss in LOSSES.values():
        for param in loss.params:
            value = kept.get(param_key(loss.key, param.name), param.default)
            if value != param.default:
                query[f"{loss.key}.{param.name}"] = repr(float(value))
    if st.session_state[key("written")][0] != query:
        _stands_now(query)
    if dict(st.query_params) != query:
        st.query_params.from_dict(query)


def _take(name: str, given: str, values: dict[str, object]) -> str | None:
    """Puts a field of the address into `values`; a sentence where that cannot be."""
    if name in CHOICES:
        if given not in CHOICES[name]:
            return text.MAY_BE.format(choices=", ".join(CHOICES[name]))
        values[key(name)] = given
        return None
    if name == "shown":
        asked = list(dict.fromkeys(part for part in given.split(",") if part))
        if any(part not in LOSSES for part in asked):
            return text.MAY_BE.format(choices=", ".join(LOSSES))
        values[key("shown")] = asked
        return None
    loss, _, param = name.partition(".")
    field = loss_field(LOSSES[loss], param) if loss in LOSSES else None
    if field is None:
        return text.NO_FIELD
    value = field.read(given)
    problem = field.problem(value)
    if problem is None:
        values[param_key(loss, param)] = float(value)  # type: ignore[arg-type]
    return problem
