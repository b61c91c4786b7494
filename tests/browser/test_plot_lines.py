"""The lines of a plot that can be dragged, in a real browser."""

from __future__ import annotations

import pytest

from tests.browser import test_plot_view as plot
from tests.browser.test_plot_view import (
    TIMELESS,
    centre,
    curve_figure,
    grab,
    handle,
    line,
    line_at,
    plot_point,
    push,
    sent,
    surface_figure,
    x_range,
)

pytestmark = pytest.mark.browser

# The fixtures of the plot view.
address = plot.address
page, plot_tab = plot.page, plot.plot_tab


def test_an_incoming_value_moves_the_line(page):
    push(page, value=1.0)
    assert line_at(page) == pytest.approx(1.0, abs=1e-3)
    push(page, value=1.45)
    assert handle(page) == 1.45
    assert line_at(page) == pytest.approx(1.45, abs=1e-3)
    assert sent(page) == []


def test_the_line_follows_a_resize(page):
    push(page, value=0.5)
    page.locator("#host").evaluate("host => host.style.width = '380px'")
    page.wait_for_function("plot()._fullLayout.width === 380")
    page.wait_for_function("parseFloat(plot().parentElement.querySelector('.rail').style.left) < 150")
    assert line_at(page) == pytest.approx(0.5, abs=1e-3)


@TIMELESS
def test_a_line_beyond_the_axis_leaves_its_grip_at_the_edge(page):
    push(page, value=3.0)
    assert page.locator("#host .rail").is_hidden()
    right = page.evaluate("plot()._fullLayout.xaxis._offset + plot()._fullLayout.xaxis._length")
    x, _ = centre(page.locator("#host .grip"))
    assert x - page.locator("#host").bounding_box()["x"] == pytest.approx(right, abs=1)
    grab(page)
    page.mouse.move(x - 100, 200)
    assert 1.0 < handle(page) < 2.0


@TIMELESS
def test_a_drag_moves_at_once_and_is_sent_ten_times_a_second_and_at_its_end(page):
    push(page)
    x, y = grab(page)
    drawn = []
    for second_tenth in range(3):
        for move in range(8):
            page.mouse.move(x + 14 * (8 * second_tenth + move + 1), y)
            drawn.append(handle(page))
        assert len(sent(page)) == second_tenth + 1  # the clock stands still: only the first of a tenth is out
        page.clock.run_for(100)
    assert len(drawn) == len(set(drawn)) == 24
    assert len(sent(page)) == 4
    assert sent(page)[-1] == drawn[-1]
    page.mouse.up()
    assert sent(page) == [*sent(page)[:4], drawn[-1]]
    page.clock.run_for(5000)
    assert len(sent(page)) == 5
    assert all(value == pytest.approx(round(value / 0.05) * 0.05) for value in sent(page))


@TIMELESS
def test_the_line_itself_can_be_dragged_and_stops_at_its_limits(page):
    push(page, high=1.2)
    x, _ = centre(page.locator("#host .rail"))
    page.mouse.move(x, 100)
    page.mouse.down()
    page.mouse.move(x + 200, 100)
    assert handle(page) == 1.2
    page.mouse.move(x - 900, 100)
    page.mouse.up()
    assert handle(page) == 0.0
    assert sent(page)[-1] == 0.0


@TIMELESS
def test_a_click_that_does_not_move_sends_nothing(page):
    push(page)
    grab(page)
    page.mouse.up()
    assert sent(page) == []


@TIMELESS
def test_old_values_of_the_server_do_not_pull_the_line_back(page):
    push(page)
    x, y = grab(page)
    page.mouse.move(x + 60, y)
    dragged = handle(page)
    push(page, value=1.0)
    assert handle(page) == dragged
    page.mouse.up()
    push(page, value=1.1)
    assert handle(page) == dragged
    push(page, value=dragged)  # the server has caught up: from here on it is believed again
    push(page, value=0.3)
    assert handle(page) == 0.3


@TIMELESS
def test_a_value_that_the_server_insists_on_wins_after_a_second(page):
    push(page)
    x, y = grab(page)
    page.mouse.move(x + 60, y)
    page.mouse.up()
    push(page, value=0.7)
    page.clock.run_for(900)
    assert handle(page) > 1
    page.clock.run_for(200)
    assert handle(page) == 0.7
    assert line_at(page) == pytest.approx(0.7, abs=1e-3)


@TIMELESS
def test_the_axis_does_not_grow_under_the_pointer(page):
    push(page)
    x, y = grab(page)
    page.mouse.move(x + 60, y)
    dragged = handle(page)
    push(page, curve_figure(d_max=5.0), value=dragged)
    assert x_range(page) == [0, 2]
    page.mouse.move(x + 61, y)
    assert handle(page) == pytest.approx(dragged, abs=0.051)
    page.mouse.up()
    page.wait_for_function("plot()._fullLayout.xaxis.range[1] === 5")


@TIMELESS
def test_another_parameter_ends_the_drag_of_the_old_one(page):
    push(page)
    x, y = grab(page)
    page.mouse.move(x + 60, y)
    push(page, value=1.5, key="q", label="Q")
    page.mouse.move(x + 90, y)
    assert handle(page) == 1.5
    assert page.locator("#host .grip").get_attribute("aria-label") == "Q"


def test_keys_move_the_line(page):
    push(page)
    grip = page.locator("#host").get_by_role("slider", name="margin")
    assert (grip.get_attribute("aria-valuemin"), grip.get_attribute("aria-valuemax")) == ("0", "4")
    expected = [("ArrowRight", 1.05), ("ArrowUp", 1.1), ("ArrowLeft", 1.05), ("ArrowDown", 1.0)]
    expected += [("PageUp", 1.5), ("PageDown", 1.0), ("End", 4.0), ("Home", 0.0)]
    for key, value in expected:
        grip.press(key)
        assert handle(page) == pytest.approx(value)
        assert float(grip.get_attribute("aria-valuenow")) == pytest.approx(value)
    page.wait_for_function("sent.length && sent.at(-1)[1][1] === 0")
    assert sent(page)[0] == pytest.approx(1.05)


@TIMELESS
def test_the_diagonal_margin_of_the_triplet_is_dragged_off_the_diagonal(page):
    push(page, surface_figure(), kind="diagonal")
    x, y = grab(page)
    per_unit = page.evaluate("plot()._fullLayout.yaxis._length / 4")
    page.mouse.move(x, y - per_unit / 2)
    assert handle(page) == pytest.approx(1.5, abs=0.051)
    page.mouse.up()
    assert sent(page)[-1] == handle(page)


def test_a_finger_drags_the_grip_and_scrolls_the_page_from_the_plot(browser, address):
    phone = browser.new_context(viewport={"width": 390, "height": 500}, has_touch=True, is_mobile=True)
    page = phone.new_page()
    page.goto(address)
    page.wait_for_function("!!window.push")
    page.evaluate("document.body.style.height = '2000px'; host.style.width = '100%'")
    push(page)
    touch = phone.new_cdp_session(page)

    def swipe(start, by):
        for kind, share in [("touchStart", 0), ("touchMove", 0.3), ("touchMove", 0.7), ("touchMove", 1)]:
            point = {"x": start[0] + share * by[0], "y": start[1] + share * by[1]}
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    swipe(centre(page.locator("#host .grip")), (60, 0))
    assert handle(page) > 1.2
    assert sent(page)[-1] == handle(page)
    assert page.evaluate("scrollY") == 0
    x, y = centre(page.locator("#host .plot"))
    swipe((x - 80, y), (0, -100))
    page.wait_for_function("scrollY > 0")
    assert x_range(page) == [0, 2]
    phone.close()


def drag(page, key: str, by: float) -> None:
    x, y = centre(page.locator(f"#host .handle[data-key='{key}'] .grip"))
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + by, y)
    page.mouse.up()


def shown(page, key: str) -> float:
    return float(page.locator(f"#host .handle[data-key='{key}'] .grip").get_attribute("aria-valuenow"))


def test_two_lines_are_dragged_apart_from_each_other(page):
    push(page, value=0.5, others=[line(1.5, key="q", label="Q", colour="rgb(1, 2, 3)")])
    grips = [page.locator(f"#host .handle[data-key='{key}'] .grip").bounding_box() for key in ("margin", "q")]
    assert abs(grips[0]["y"] - grips[1]["y"]) > 20, "neither hides the other"
    drag(page, "q", -60)
    assert shown(page, "margin") == 0.5
    assert shown(page, "q") < 1.4
    drag(page, "margin", 60)
    assert shown(page, "margin") > 0.6
    assert sent(page, "q")[-1] == shown(page, "q")
    assert sent(page)[-1] == shown(page, "margin")


def test_a_line_that_leaves_takes_only_itself_away(page):
    push(page, value=0.5, others=[line(1.5, key="q")])
    page.locator("#host .handle[data-key='margin']").evaluate("node => { node.mark = true }")
    push(page, value=0.5)
    assert page.locator("#host .handle").count() == 1
    assert page.locator("#host .handle[data-key='margin']").evaluate("node => node.mark")


def test_a_drag_goes_on_while_another_line_leaves(page):
    push(page, value=0.5, others=[line(1.5, key="q")])
    x, y = centre(page.locator("#host .handle[data-key='q'] .grip"))
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 40, y)
    before = shown(page, "q")
    push(page, handle=False, others=[line(1.5, key="q")])
    assert handle(page) == before, "it is the first one now"
    page.mouse.move(x - 90, y)
    page.mouse.up()
    assert sent(page, "q")[-1] == shown(page, "q") < before < 1.5


@pytest.mark.parametrize("keys", [["a", "b"], ["b", "a"]])
def test_the_last_line_of_the_list_lies_on_top(page, keys):
    push(page, handle=False, others=[line(1.0, key=key) for key in "ab"])
    push(page, handle=False, others=[line(1.0, key=key) for key in keys])
    x, y = plot_point(page, 1.0, 0.9)  # above the grips
    on_top = "([x, y]) => host.shadowRoot.elementFromPoint(x, y).closest('.handle').dataset.key"
    assert page.evaluate(on_top, [x, y]) == keys[-1]


def test_a_line_has_its_colour_or_that_of_the_text(page):
    def colours() -> list[str]:
        painted = "nodes => nodes.map((node) => getComputedStyle(node).backgroundColor)"
        return page.locator("#host .knob").evaluate_all(painted)

    push(page, colour="rgb(1, 2, 3)", others=[line(1.5, key="q")])
    assert colours() == ["rgb(1, 2, 3)", "rgb(49, 51, 63)"]
    push(page)
    assert colours() == ["rgb(49, 51, 63)"]


def test_lines_do_not_cross_the_titles_between_the_panels(page):
    push(page, value=0.5)
    rail = page.locator("#host .rail").bounding_box()
    pieces = [piece.bounding_box() for piece in page.locator("#host .rail i").all()]
    assert len(pieces) == 2
    assert sum(piece["height"] for piece in pieces) < rail["height"] - 20
    assert pieces[0]["y"] + pieces[0]["height"] < pieces[1]["y"]
    title = page.locator("#host .annotation-text", has_text="share").bounding_box()
    knob = page.locator("#host .knob").bounding_box()
    assert pieces[0]["y"] + pieces[0]["height"] <= knob["y"]
    assert knob["y"] + knob["height"] < title["y"]
    assert title["y"] + title["height"] <= pieces[1]["y"] + 1
