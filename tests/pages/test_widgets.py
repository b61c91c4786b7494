"""A widget's default is what it says: see pages/ui/keyed.py."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

SAID = {"box": "b", "radio": "b", "some": ["c", "a"], "slider": 3, "number": 0.5, "toggle": True, "text": "hello"}


def page() -> None:
    import streamlit as st

    from pages.ui.shims import widgets
    from tests.pages.test_widgets import SAID

    if st.session_state.get("once") is None:
        st.session_state.update(SAID, once=True)
    widgets.selectbox("box", ["a", "b"], key="box")
    widgets.radio("radio", ["a", "b"], key="radio")
    widgets.multiselect("some", ["a", "b", "c"], key="some")
    widgets.slider("slider", 0, 9, key="slider")
    widgets.number_input("number", 0.0, 1.0, key="number")
    widgets.toggle("toggle", key="toggle")
    widgets.text_input("text", key="text")
    widgets.selectbox("free", ["a", "b"], default=None, key="free")
    widgets.slider("begins", 0, 9, default=4, key="begins")
    widgets.number_input("lowest", 2, 9, key="lowest")
    widgets.selectbox("first", ["a", "b"], key="first")


@pytest.fixture
def app() -> AppTest:
    app = AppTest.from_function(page).run()
    assert not app.exception
    return app


def widgets(app: AppTest) -> dict[str, Any]:
    kinds = (app.selectbox, app.radio, app.multiselect, app.slider, app.number_input, app.toggle, app.text_input)
    return {widget.key: widget for kind in kinds for widget in kind}


@pytest.mark.parametrize("draws", [1, 2, 3])
def test_every_draw_says_the_value_as_the_default(app: AppTest, draws: int) -> None:
    for _ in range(draws - 1):
        app.run()
    found = widgets(app)
    assert {name: found[name].value for name in SAID} == SAID
    assert [found[name].proto.default for name in ("box", "radio", "number", "toggle", "text")] == [
        1, 1, 0.5, True, "hello",
    ]  # fmt: skip
    assert list(found["some"].proto.default) == [2, 0]
    assert list(found["slider"].proto.default) == [3]


def test_the_default_follows_the_hand(app: AppTest) -> None:
    app.slider(key="slider").set_value(7).run()
    assert list(app.slider(key="slider").proto.default) == [7]
    assert app.slider(key="slider").value == 7


def test_nobody_has_set_it_yet(app: AppTest) -> None:
    found = widgets(app)
    assert [found[name].value for name in ("free", "begins", "lowest", "first")] == [None, 4, 2, "a"]


def test_a_choice_that_may_be_none_can_be_taken_back(app: AppTest) -> None:
    app.selectbox(key="free").select("b").run()
    assert app.selectbox(key="free").value == "b"
    assert not app.selectbox(key="free").proto.HasField("default"), "else Streamlit has no cross to take it back"
