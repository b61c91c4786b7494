"""Losses over each other: curves, slopes, lines that can be dragged, a pair that rolls downhill, one pair under all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from pages.ui.components.components import plot_view
from pages.ui.losses import address, gradient_steps, latest_run
from pages.ui.losses.field_widgets import drag, handles, select, slider, take_dragged
from pages.ui.losses.one_pair import one_pair
from pages.ui.session.experiment_form import link_to_train_page
from pages.ui.session.loss_curves import Arrays, axis_points, draggable_param, loss_arrays, version
from pages.ui.shims import widgets
from pages.ui.text import losses as text
from siamese_core.engine import RunView
from siamese_core.experiment.experiment import Experiment
from siamese_core.export.figures import base, losses
from siamese_core.losses import LOSSES
from siamese_core.losses.record import Curve

HEIGHT = {"short": 560, "tall": 740}
ENDS = {"similarity": 1.0, "batch": 2.0}


def section() -> None:
    take_dragged()
    left, right = st.columns([1, 2], gap="medium")
    with left:
        group = _group()
        titles = {loss: LOSSES[loss].title for loss in address.GROUPS[group]}
        shown = widgets.multiselect(text.SHOWN, titles, key=address.key("shown"), on_change=gradient_steps.remove)
        params = {loss: _sliders(loss) for loss in shown}
    with right:
        if not shown:
            st.info(text.NOTHING_SHOWN, icon=":material/show_chart:")
            return
        if group == "batch":
            st.caption(text.BATCH_NOTE)
        run = latest_run.chosen()
        if group == "triplet":
            _triplet(params, run)
        else:
            _curves(group, params, run)
            gradient_steps.controls(params)
    _about(params)
    one_pair()


def _group() -> str:
    def changed() -> None:
        st.session_state[address.key("shown")] = list(address.GROUPS[st.session_state[address.key("group")]][:1])
        gradient_steps.remove()

    return select("group", on_change=changed)


def _sliders(loss: str) -> dict[str, float]:
    return {
        param.name: slider(f"{loss}.{param.name}", text.PARAM.format(param=param.title, loss=LOSSES[loss].title))
        for param in LOSSES[loss].params
    }


def _axis_end(group: str, params: Mapping[str, Mapping[str, float]]) -> float:
    """Of the axis of distances: every margin and crossing in sight."""
    if group in ENDS:
        return ENDS[group]
    lines = [values[param.name] for loss, values in params.items() if (param := draggable_param(loss))]
    return base.nice_end(0.0, max(1.2 * max(lines, default=1.0), 2.0))


def _curves(group: str, params: Mapping[str, dict[str, float]], run: RunView | None) -> None:
    end = _axis_end(group, params)
    found = {loss: loss_arrays(loss, values, axis_points(LOSSES[loss], end)) for loss, values in params.items()}
    arrays: dict[str, Arrays] = {loss: curve for loss, curve in found.items() if curve is not None}
    if len(arrays) < len(params):
        st.caption(text.WARMING)
        return
    versions = tuple(version(curve) for curve in arrays.values())
    pair = gradient_steps.position(params)
    pairs = latest_run.pairs(run, next(iter(params)))
    words = text.OVERLAY | {"axis": text.AXES[group], "slope": text.SLOPES[group]}

    def figure() -> Any:
        curves = {LOSSES[loss].title: Curve(**curve) for loss, curve in arrays.items()}
        drawn = losses.overlay(curves, end=end, text=words, pairs=pairs, point=pair)
        return drawn.update_layout(uirevision=f"{group} {end}")

    plot_view(
        figure,
        "losses_view",
        settings=(group, str(params), end, versions, str(pair), None if pairs is None else latest_run.shown(run)),
        height=HEIGHT["short" if pairs is None else "tall"],
        label=words["label"],
        handles=handles(params),
        on_dragged=drag,
        on_dropped=drag,
        on_clicked=lambda x, y: gradient_steps.start_at(x, params),
    )


def _triplet(params: Mapping[str, dict[str, float]], run: RunView | None) -> None:
    (margin,) = (values["margin"] for values in params.values())
    end = base.nice_end(0.0, max(1.2 * margin, 4.0))
    arrays = loss_arrays("triplet", {"margin": margin}, axis_points(LOSSES["triplet"], end))
    if arrays is None:
        st.caption(text.WARMING)
        return
    triplets = latest_run.triplets(run)
    if run is not None and triplets is None:
        st.caption(text.RUN_NO_TRIPLETS)
    plot_view(
        lambda: base.triplet_surface(arrays["at"], arrays["surface"], triplets, margin=margin, text=text.TRIPLET),
        "losses_surface",
        settings=(margin, end, version(arrays), None if triplets is None else latest_run.shown(run)),
        height=HEIGHT["short"],
        label=text.TRIPLET["label"],
        handles=handles(params),
        on_dragged=drag,
        on_dropped=drag,
    )


def _about(params: Mapping[str, dict[str, float]]) -> None:
    st.markdown(f"**{text.ABOUT_TITLE}**")
    one_is_similar = st.session_state[address.key("similar")] == "1"
    for key, values in params.items():
        loss = LOSSES[key]
        with st.container(border=True):
            st.markdown(f"**{loss.title}**")
            st.latex(loss.with_labels(one_is_similar))
            st.markdown(text.GRADIENT.format(words=loss.gradient))
            st.caption(f"{text.CITED.format(citation=loss.citation)} {text.CONVENTION[loss.convention]}")
            label = text.TRAIN_WITH.format(loss=loss.title)
            link_to_train_page(Experiment(loss=key, params=values), label, icon=":material/play_circle:")
