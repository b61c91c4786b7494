"""What can be reached: the largest distances of each output and measure, and a margin held against them."""

from __future__ import annotations

import math

import streamlit as st

from pages.ui.components.components import plot_view
from pages.ui.losses import address
from pages.ui.losses.field_widgets import drag, handles, number, select, slider, take_dragged
from pages.ui.session.loss_curves import axis_points, loss_arrays, version
from pages.ui.text import losses as text
from siamese_core.experiment.reach import Reach, reach, requested_distance
from siamese_core.export.figures import base, losses
from siamese_core.export.figures.losses import Mark
from siamese_core.losses import LOSSES
from siamese_core.losses.distances import MEASURES
from siamese_core.losses.record import Curve
from siamese_core.networks.build import OUTPUTS

HEIGHT = 480


def section() -> None:
    take_dragged()
    st.markdown(text.REACH_INTRO)
    left, right = st.columns([1, 2], gap="medium")
    with left:
        key = select("reach")
        name = address.LINED[key].name
        value = slider(f"{key}.{name}")
        output, measure = select("output"), select("measure")
        dim, classes = number("dim"), number("classes")
    found = reach(output, measure, dim, classes)
    with right:
        _chart(key, name, value, found, classes)
        _verdict(name, value, found, classes)
    rows = [(o, m, reach(o, m, dim, classes)) for o in OUTPUTS for m in address.DISTANCES]
    columns = [column.format(classes=classes) for column in text.REACH_COLUMNS]
    cells = [(OUTPUTS[o].title, MEASURES[m].title, _number(r.two_points), _all(r)) for o, m, r in rows]
    st.table({column: [row[n] for row in cells] for n, column in enumerate(columns)})


def _chart(key: str, name: str, value: float, found: Reach, classes: int) -> None:
    end = base.nice_end(0.0, max(1.2 * value, 1.2 * found.two_points if found.is_bounded else 0.0, 2.0))
    arrays = loss_arrays(key, {name: value}, axis_points(LOSSES[key], end))
    if arrays is None:
        st.caption(text.WARMING)
        return
    marks = [
        Mark(found.two_points, text.REACH_MARKS["two"].format(at=_number(found.two_points))),
        Mark(found.all_classes, text.REACH_MARKS["all"].format(classes=classes, at=_all(found))),
    ]
    words = text.OVERLAY | {"axis": text.AXES["distance"], "slope": text.SLOPES["distance"]}
    plot_view(
        lambda: losses.overlay({LOSSES[key].title: Curve(**arrays)}, end=end, text=words, marks=marks),
        "reach_view",
        settings=(key, value, end, version(arrays), found, classes),
        height=HEIGHT,
        label=words["label"],
        handles=handles({key: {name: value}}),
        on_dragged=drag,
        on_dropped=drag,
    )


def _verdict(name: str, value: float, found: Reach, classes: int) -> None:
    asked = requested_distance({name: value})
    limit = found.two_points if asked > found.two_points else found.all_classes
    words = {"asked": asked, "limit": limit, "name": name, "classes": classes}
    if asked > limit:
        st.warning(text.REACH_BEYOND.format(**words), icon=":material/straighten:")
    elif found.is_bounded and found.exact:
        st.success(text.REACH_WITHIN.format(**words), icon=":material/check:")
    elif found.is_bounded:
        st.info(text.REACH_UNKNOWN.format(**words), icon=":material/help:")


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else text.NO_END


def _all(found: Reach) -> str:
    shown = _number(found.all_classes)
    return shown if found.exact or not found.is_bounded else text.AT_MOST.format(value=found.all_classes)
