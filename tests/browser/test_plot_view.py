"""The live plot in a real browser, inside a shadow root, as Streamlit mounts it."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from siamese_core.figures import Curve, history, loss_curve, triplet_surface
from siamese_core.wire import pack

pytestmark = pytest.mark.browser

VIEWS = Path(__file__).parents[2] / "pages" / "ui"
HTML = """<!doctype html><title>plot</title><link rel="icon" href="data:,">
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body { --st-text-color: #31333f; --st-background-color: #ffffff; --st-font: sans-serif }
  body.dark { --st-text-color: #fafafa; --st-background-color: #0e1117 }</style>
<div id="host" style="width: 600px"></div><div id="second" style="width: 600px"></div>
<script type="module">
import { render } from "/plot_view.js";
window.sent = [];
for (const id of ["host", "second"]) document.getElementById(id).attachShadow({ mode: "open" });
window.push = (base64, id) => {
  const parentElement = document.getElementById(id).shadowRoot;
  render({
    parentElement,
    data: Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)),
    setStateValue() {},
    setTriggerValue: (name, value) => window.sent.push([name, value]),
  });
  return parentElement.querySelector(".view").dataset.frames;
};
window.plot = () => document.getElementById("host").shadowRoot.querySelector(".plot");
</script>"""
UI = {word: word for word in ("loading", "failed", "drag_hint", "reset_axes", "save_image", "label")}
WORDS = """same different same_slope different_slope distance loss loss_and_slope share no_pairs
    d_positive d_negative zero_line triplets no_triplets step scores pixels held_out no_history"""
TEXT = {word: word for word in WORDS.split()}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    from plotly.offline import get_plotlyjs

    files = {
        "/": ("text/html", HTML),
        "/plotly.js": ("text/javascript", get_plotlyjs()),
    }
    files |= {f"/{path.name}": ("text/javascript", path.read_text("utf-8")) for path in VIEWS.glob("plot_*.js")}

    class Files(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, body = files.get(self.path, ("text/plain", ""))
            self.send_response(200 if self.path in files else 404)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A page that must end with a clean console."""
    page = browser.new_page(viewport={"width": 800, "height": 600})
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    page.wait_for_function("!!window.push")
    yield page
    page.close()
    assert complaints == []


def curve_figure(margin: float = 1.0, d_max: float = 2.0, seed: int = 0):
    d = np.linspace(0, d_max, 101)
    short = np.maximum(margin - d, 0)
    pairs = np.random.default_rng(seed).uniform(0, d_max, (2, 200))
    return loss_curve(Curve(d, d**2 / 2, short**2 / 2, d, -short), *pairs, text=TEXT, d_max=d_max)


def surface_figure():
    grid = np.linspace(0, 4, 21)
    surface = np.maximum(grid[None, :] - grid[:, None] + 1, 0)
    return triplet_surface(grid, surface, np.ones((2, 9)), margin=1, text=TEXT)


def push(
    page, figure=None, *, value=1.0, handle=True, others=(), clickable=False, host="host", plotly="/plotly.js",
    wait=True, **more,
) -> None:  # fmt: skip
    handles = [*([line(value, **more)] if handle else []), *others]
    meta = {"figure": (figure or curve_figure()).to_dict(), "plotly_url": plotly, "height": 380, "text": UI}
    message = base64.b64encode(pack(meta | {"handles": handles, "clickable": clickable})).decode()
    frames = page.evaluate("([message, id]) => push(message, id)", [message, host])
    if wait:
        page.locator(f"#{host} .view[data-drawn='{frames}']").wait_for()


def line(value: float, **more) -> dict:
    return {"value": value, "low": 0.0, "high": 4.0, "step": 0.05, "label": "margin", "key": "margin", **more}


def handle(page) -> float:
    return float(page.locator("#host .view").get_attribute("data-handle"))


def line_at(page) -> float:
    """Where the line is drawn, read back from its pixels through the plot's axis."""
    left = page.locator("#host .rail").evaluate("rail => parseFloat(rail.style.left)")
    return page.evaluate("left => plot()._fullLayout.xaxis.p2d(left - plot()._fullLayout.xaxis._offset)", left)


def sent(page, key: str = "margin") -> list[float]:
    """What the lines named `key` have sent."""
    messages = page.evaluate("sent")
    assert {name for name, _ in messages} <= {"dragged", "dropped", "clicked"}
    return [value for name, (sender, value) in messages if name != "clicked" and sender == key]


def x_range(page) -> list[float]:
    return page.evaluate("[...plot()._fullLayout.xaxis.range]")


def centre(locator) -> tuple[float, float]:
    box = locator.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def grab(page) -> tuple[float, float]:
    """From here on time stands still for the view until a test lets it run."""
    page.clock.install(time=0)
    page.clock.pause_at(1000)
    x, y = centre(page.locator("#host .grip"))
    page.mouse.move(x, y)
    page.mouse.down()
    return x, y


def test_twenty_updates_draw_one_plot(page):
    for seed in range(20):
        push(page, curve_figure(seed=seed))
    view = page.locator("#host .view")
    assert (view.get_attribute("data-mounts"), view.get_attribute("data-frames")) == ("1", "20")
    assert page.locator("#host .plot .main-svg").first.is_visible()


def test_updates_that_come_faster_than_they_can_be_drawn_end_in_the_newest(page):
    for d_max in (2.0, 5.0, 10.0):
        push(page, curve_figure(d_max=d_max), wait=d_max == 10.0)
    assert x_range(page) == [0, 10]


def test_two_views_load_plotly_once(page):
    requests = []
    page.on("request", lambda request: requests.append(request.url.rsplit("/", 1)[1]))
    push(page, wait=False)
    push(page, host="second")
    push(page)
    assert requests == ["plotly.js"]


def test_every_figure_of_the_core_is_drawn(page):
    at = np.arange(9)
    series = {"loss": (at, at, "loss"), "map_at_r": (at, at / 9, "MAP@R")}
    run = history(9, series, pixels_baseline=0.4, text=TEXT)
    unstarted = history(9, {}, pixels_baseline=None, text=TEXT)
    for figure in (run, unstarted, surface_figure(), curve_figure()):
        push(page, figure, handle=False)
        panels = [name for name in figure.to_dict()["layout"] if name.startswith("yaxis")]
        assert page.evaluate("plot()._fullLayout._subplots.yaxis.length") == len(panels)
    assert page.locator("#host .handle").is_hidden()


def test_plotly_styles_reach_into_the_shadow_root(page):
    push(page)
    layers = page.locator("#host .plot .main-svg")
    positions = layers.evaluate_all("nodes => nodes.map((node) => getComputedStyle(node).position)")
    assert positions == ["absolute"] * 3
    x, y = centre(page.locator("#host .plot"))
    page.mouse.move(x - 90, y - 60)
    page.locator("#host .hoverlayer .legend").wait_for()
    words = page.locator("#host .hoverlayer .legend text").all_text_contents()
    assert [word.split(" ")[0] for word in words] == ["distance", "same", "different"]


def test_a_zoom_survives_new_data_and_a_grown_axis_until_a_double_click(page):
    push(page)
    box = page.locator("#host .plot .nsewdrag").first.bounding_box()
    page.mouse.move(box["x"] + 50, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 60, steps=4)
    page.mouse.up()
    page.wait_for_function("plot()._fullLayout.xaxis.range[1] < 1.9")
    zoomed = x_range(page)
    push(page, curve_figure(seed=1))
    assert x_range(page) == zoomed
    push(page, curve_figure(d_max=5.0))
    assert x_range(page) == zoomed
    page.mouse.dblclick(box["x"] + 50, box["y"] + 60)
    page.wait_for_function("plot()._fullLayout.xaxis.range[1] === 5")


def test_a_zoom_ends_with_the_revision_of_the_figure(page):
    push(page)
    page.evaluate("Plotly.relayout(plot(), {'xaxis.range': [0.5, 1]})")
    push(page)
    assert x_range(page) == [0.5, 1]
    push(page, curve_figure().update_layout(uirevision="another loss"))
    assert x_range(page) == [0, 2]


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


def test_a_line_beyond_the_axis_leaves_its_grip_at_the_edge(page):
    push(page, value=3.0)
    assert page.locator("#host .rail").is_hidden()
    right = page.evaluate("plot()._fullLayout.xaxis._offset + plot()._fullLayout.xaxis._length")
    x, _ = centre(page.locator("#host .grip"))
    assert x - page.locator("#host").bounding_box()["x"] == pytest.approx(right, abs=1)
    grab(page)
    page.mouse.move(x - 100, 200)
    assert 1.0 < handle(page) < 2.0


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


def test_the_line_itself_can_be_dragged_and_stops_at_its_limits(page):
    push(page, high=1.2)
    page.clock.install(time=0)
    page.clock.pause_at(1000)
    x, _ = centre(page.locator("#host .rail"))
    page.mouse.move(x, 100)
    page.mouse.down()
    page.mouse.move(x + 200, 100)
    assert handle(page) == 1.2
    page.mouse.move(x - 900, 100)
    page.mouse.up()
    assert handle(page) == 0.0
    assert sent(page)[-1] == 0.0


def test_a_click_that_does_not_move_sends_nothing(page):
    push(page)
    grab(page)
    page.mouse.up()
    assert sent(page) == []


def test_old_values_of_the_server_do_not_pull_the_line_back(page):
    push(page)
    x, y = grab(page)
    page.mouse.move(x + 60, y)
    mine = handle(page)
    push(page, value=1.0)
    assert handle(page) == mine
    page.mouse.up()
    push(page, value=1.1)
    assert handle(page) == mine
    push(page, value=mine)  # the server has caught up: from here on it is believed again
    push(page, value=0.3)
    assert handle(page) == 0.3


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


def test_the_axis_does_not_grow_under_the_pointer(page):
    push(page)
    x, y = grab(page)
    page.mouse.move(x + 60, y)
    mine = handle(page)
    push(page, curve_figure(d_max=5.0), value=mine)
    assert x_range(page) == [0, 2]
    page.mouse.move(x + 61, y)
    assert handle(page) == pytest.approx(mine, abs=0.051)
    page.mouse.up()
    page.wait_for_function("plot()._fullLayout.xaxis.range[1] === 5")


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


def test_the_diagonal_margin_of_the_triplet_is_dragged_off_the_diagonal(page):
    push(page, surface_figure(), kind="diagonal")
    x, y = grab(page)
    per_unit = page.evaluate("plot()._fullLayout.yaxis._length / 4")
    page.mouse.move(x, y - per_unit / 2)
    assert handle(page) == pytest.approx(1.5, abs=0.051)
    page.mouse.up()
    assert sent(page)[-1] == handle(page)


def test_the_theme_is_followed_without_a_new_frame(page):
    push(page)
    tick = page.locator("#host .xtick text").first
    assert "49, 51, 63" in tick.evaluate("node => node.style.fill")
    page.evaluate("document.body.className = 'dark'")
    page.wait_for_function("plot()._fullLayout.font.color === 'rgb(250, 250, 250)'")
    assert "250, 250, 250" in tick.evaluate("node => node.style.fill")
    assert page.locator("#host .view").get_attribute("data-frames") == "1"


def test_a_view_that_left_the_page_is_built_anew(page):
    push(page)
    page.evaluate("host.shadowRoot.querySelector('.view').remove()")
    page.wait_for_function("new Promise(done => requestAnimationFrame(() => setTimeout(() => done(true))))")
    push(page)
    assert page.locator("#host .view").count() == 1
    assert page.locator("#host .plot .main-svg").first.is_visible()


def test_without_plotly_a_sentence_stands_there_and_the_next_update_tries_again(browser, address):
    page = browser.new_page()
    page.goto(address)
    page.wait_for_function("!!window.push")
    push(page, plotly="/missing.js", wait=False)
    page.get_by_text("failed").wait_for()
    push(page)
    assert page.get_by_text("failed").count() == 0
    page.close()


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


def plot_point(page, x: float, y: float) -> tuple[float, float]:
    """The pixel of a place in axis units of the first panel."""
    left, top = page.evaluate(
        "([x, y]) => { const { xaxis: h, yaxis: v } = plot()._fullLayout;"
        " return [h._offset + h.d2p(x), v._offset + v.d2p(y)] }",
        [x, y],
    )
    box = page.locator("#host").bounding_box()
    return box["x"] + left, box["y"] + top


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
    page.mouse.dblclick(*plot_point(page, 0.75, 0.3))
    page.wait_for_function("plot()._fullLayout.xaxis.range[1] === 2")


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
