"""The app without a browser: run, read and pressed."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest


def ran(app: AppTest) -> AppTest:
    app.run()
    assert not app.exception
    return app


def words(app: AppTest) -> str:
    """All that it says, as a reader sees it: without the signs that keep Markdown away."""
    shown = (app.markdown, app.caption, app.info, app.warning, app.error)
    return "\n".join(element.value for elements in shown for element in elements).replace("\\", "")


def click(app: AppTest, label: str) -> AppTest:
    (found,) = [button for button in app.button if button.label == label]
    found.click()
    return ran(app)
