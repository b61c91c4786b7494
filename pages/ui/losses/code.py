"""Copy as code: the function itself, and the library's call."""

from __future__ import annotations

import streamlit as st

from pages.ui.losses import address
from pages.ui.losses.field_widgets import select
from pages.ui.shims import widgets
from pages.ui.text import losses as text
from siamese_core.experiment.experiment import Experiment
from siamese_core.export.script.snippets import library, stand_alone
from siamese_core.losses import LOSSES
from siamese_core.losses.distances import MEASURES


def section() -> None:
    with st.container(horizontal=True):
        key = select("code")
        loss = LOSSES[key]
        measure = widgets.selectbox(
            text.CODE_MEASURE, loss.measures, format_func=lambda m: MEASURES[m].title, key=address.key(f"code_{key}")
        )
    params = address.params_of(key)
    one_is_similar = st.session_state[address.key("similar")] == "1"
    st.latex(loss.with_labels(one_is_similar))
    st.markdown(f"**{text.CODE_OWN}**")
    st.caption(text.CODE_OWN_HELP)
    st.code(stand_alone(key, params, measure, one_is_similar), language="python")
    st.markdown(f"**{text.CODE_LIBRARY}**")
    default = Experiment()
    call = library(key, params, len(default.seen), default.embedding_dim)
    if call is None:
        st.caption(text.CODE_NO_LIBRARY)
    else:
        st.code(call, language="python")
