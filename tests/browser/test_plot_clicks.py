"""Where a plot was clicked, and what is no click, in a real browser."""

from __future__ import annotations

import pytest

from tests.browser import test_plot_view as plot
from tests.browser.test_plot_lines import drag
from tests.browser.test_plot_view import centre, double_click, line, plot_point, push, sent

pytestmark = pytest.mark.browser

# The fixtures of the plot view.
address = plot.address
page, plot_tab = plot.page, plot.plot_tab


def clicks(page) -> list[list[float]]:
    return [value for name, value in page.evaluate("sent") if name == "clicked"]


def test_a_click_says_where_it_was(page):
    push(page, clickable=True)
    page.mouse.click(*plot_point(page, 1.25, 0.3))
    ((x, y),) = clicks(page)
    assert x == pytest.approx(1.25, abs=0.01)
    assert y == pytest.approx(0.3, abs=0.02)


def test_a_tap_is_a_click(browser, address):
    phone = browser.new_context(viewport={"width": 390, "height": 500}, has_touch=True, is_mobile=True)
    page = phone.new_page()
    page.goto(address)
    page.wait_for_function("!!window.push")
    push(page, clickable=True)
    page.touchscreen.tap(*plot_point(page, 0.5, 0.3))
    ((x, _),) = clicks(page)
    assert x == pytest.approx(0.5, abs=0.01)
    phone.close()


def test_a_zoom_is_no_click(page):
    push(page, clickable=True)
    x, y = plot_point(page, 1.25, 0.3)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y)
    page.mouse.up()
    page.wait_for_function("plot()._fullLayout.xaxis.range[1] !== 2")
    assert clicks(page) == []


def test_a_double_click_undoes_the_zoom_of_a_plot_that_takes_clicks(page):
    push(page, clickable=True)
    page.evaluate("Plotly.relayout(plot(), {'xaxis.range': [0.5, 1]})")
    double_click(page, *plot_point(page, 0.75, 0.3), "plot()._fullLayout.xaxis.range[1] === 2")


def test_a_line_that_is_dragged_or_only_touched_is_no_click(page):
    push(page, clickable=True, others=[line(1.5, key="q")])
    drag(page, "q", -40)
    assert len(sent(page, "q")) > 0
    page.mouse.click(*centre(page.locator("#host .handle[data-key='q'] .grip")))
    page.mouse.click(*plot_point(page, 1.0, 0.9))  # on the first line
    assert clicks(page) == []


def test_only_the_first_panel_takes_clicks(page):
    push(page, clickable=True)
    x, _ = plot_point(page, 1.25, 0.3)
    foot, end = page.evaluate("(({ yaxis2: v }) => [v._offset, v._offset + v._length])(plot()._fullLayout)")
    top = page.locator("#host").bounding_box()["y"]
    for y in (foot - 12, (foot + end) / 2, end + 20):
        page.mouse.click(x, top + y)
    assert clicks(page) == []


def test_a_plot_that_is_not_clickable_sends_no_clicks(page):
    push(page)
    page.mouse.click(*plot_point(page, 1.25, 0.3))
    assert clicks(page) == []
