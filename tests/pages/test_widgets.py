"""A widget's default is what it says, and what outlives a page: see pages/ui/shims/widgets.py."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from pages.ui.shims import widgets as shim

VALUES = {"box": "b", "radio": "b", "some": ["c", "a"], "slider": 3, "number": 0.5, "toggle": True, "text": "hello"}


def page() -> None:
    import streamlit as st

    from pages.ui.shims import widgets
    from tests.pages.test_widgets import VALUES

    if st.session_state.get("once") is None:
        st.session_state.update(VALUES, once=True)
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
    assert {name: found[name].value for name in VALUES} == VALUES
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


def two_pages() -> None:
    import streamlit as st

    from pages.ui.shims import widgets

    if st.session_state.get("other_page"):
        return
    st.session_state["value"] = widgets.persistent(widgets.slider, "size", 0, 9, key="size", default=3)
    st.session_state["content"] = widgets.persistent_upload(
        "file", lambda **more: st.file_uploader("file", **more), lambda file: file.getvalue()
    )


def there_and_back(app: AppTest) -> AppTest:
    for other_page in (True, False):
        app.session_state["other_page"] = other_page
        app.run()
        assert not app.exception
    return app


def test_a_widget_outlives_the_page_that_draws_it() -> None:
    app = AppTest.from_function(two_pages).run()
    assert app.session_state["value"] == 3
    app.slider(key="size").set_value(7).run()
    assert there_and_back(app).session_state["value"] == 7
    assert app.slider(key="size").value == 7


def test_a_file_outlives_the_page_until_another_is_chosen_or_it_is_removed() -> None:
    app = AppTest.from_function(two_pages).run()
    assert app.session_state["content"] is None
    app.file_uploader(key="file").set_value(("a.txt", b"a", "text/plain")).run()
    assert there_and_back(app).session_state["content"] == b"a"
    app.file_uploader(key="file").set_value(("b.txt", b"b", "text/plain")).run()
    assert there_and_back(app).session_state["content"] == b"b"
    app.file_uploader(key="file").set_value(("c.txt", b"c", "text/plain")).run()
    app.file_uploader(key="file").set_value(None).run()
    assert app.session_state["content"] is None


class TestOnce:
    @pytest.fixture(autouse=True)
    def session(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        session: dict[str, Any] = {}
        monkeypatch.setattr(shim, "st", SimpleNamespace(session_state=session))
        return session

    def test_what_was_made_for_a_key_is_made_once_and_the_next_key_replaces_it(self) -> None:
        made: list[str] = []

        def make(key: str) -> str:
            return shim.once("entry", key, lambda: made.append(key) or key.upper())  # type: ignore[func-returns-value]

        assert [make(key) for key in ("a", "a", "b", "a")] == ["A", "A", "B", "A"]
        assert made == ["a", "b", "a"]

    def test_what_is_not_valid_any_more_is_made_again(self) -> None:
        numbers = iter(range(3))
        assert shim.once("entry", "a", lambda: next(numbers)) == 0
        assert shim.once("entry", "a", lambda: next(numbers), lambda value: value > 0) == 1
        assert shim.once("entry", "a", lambda: next(numbers), lambda value: value > 0) == 1

    def test_nothing_is_there_when_making_it_ends_in_the_middle(self, session: dict[str, Any]) -> None:
        shim.once("entry", "a", lambda: 1)
        with pytest.raises(ZeroDivisionError):
            shim.once("entry", "b", lambda: 1 // 0)
        assert "entry" not in session
