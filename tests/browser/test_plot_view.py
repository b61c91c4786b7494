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

from siamese_core.export.figures.base import history, loss_curve, triplet_surface
from siamese_core.formats.wire import pack
from siamese_core.losses.record import Curve
from tests.browser.conftest import show_afresh
from tests.support.waiting import until

pytestmark = pytest.mark.browser

COMPONENTS = Path(__file__).parents[2] / "pages" / "ui" / "components"
HTML = """<!doctype html><title>plot</title><link rel="icon" href="data:,">
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body { --st-text-color: #31333f; --st-background-color: #ffffff; --st-font: sans-serif }
  body.dark { --st-text-color: #fafafa; --st-background-color: #0e1117 }</style>
<div id="host" style="width: 600px"></div><div id="second" style="width: 600px"></div>
<script type="module">
import { render } from "/plot/view.js";
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
    files |= {
        f"/{path.relative_to(COMPONENTS).as_posix()}": ("text/javascript", path.read_text("utf-8"))
        for path in COMPONENTS.rglob("*.js")
    }

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


@pytest.fixture(scope="module")
def plot_tab(browser: Browser) -> Iterator[Page]:
    """One tab for all: another one would compile plotly anew."""
    page = browser.new_context().new_page()
    yield page
    page.context.close()


TIMELESS = pytest.mark.parametrize("page", ["timeless"], indirect=True)
"""For what a hand does while time stands still for the view, until a test lets it run."""


@pytest.fixture
def page(address: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page that must end with a clean console."""
    page: Page = request.getfixturevalue(getattr(request, "param", "plot_tab"))
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    show_afresh(page, address, {"width": 800, "height": 600})
    page.wait_for_function("!!window.push")
    yield page
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


def plot_point(page, x: float, y: float) -> tuple[float, float]:
    """The pixel of a place in axis units of the first panel."""
    left, top = page.evaluate(
        "([x, y]) => { const { xaxis: h, yaxis: v } = plot()._fullLayout;"
        " return [h._offset + h.d2p(x), v._offset + v.d2p(y)] }",
        [x, y],
    )
    box = page.locator("#host").bounding_box()
    return box["x"] + left, box["y"] + top


def double_click(page, x: float, y: float, until_true: str) -> None:
    """Again and again: on a busy machine two clicks may come too late after each other to be one double click."""

    def clicked() -> bool:
        page.mouse.dblclick(x, y)
        page.wait_for_timeout(500)
        return page.evaluate(until_true)

    until(clicked, "a double click")


def grab(page) -> tuple[float, float]:
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
    double_click(page, box["x"] + 50, box["y"] + 60, "plot()._fullLayout.xaxis.range[1] === 5")


def test_a_zoom_ends_with_the_revision_of_the_figure(page):
    push(page)
    page.evaluate("Plotly.relayout(plot(), {'xaxis.range': [0.5, 1]})")
    push(page)
    assert x_range(page) == [0.5, 1]
    push(page, curve_figure().update_layout(uirevision="another loss"))
    assert x_range(page) == [0, 2]


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


def test_without_plotly_a_message_stands_there_and_the_next_update_tries_again(plot_tab, address):
    page = plot_tab
    show_afresh(page, address)
    page.wait_for_function("!!window.push")
    push(page, plotly="/missing.js", wait=False)
    page.get_by_text("failed").wait_for()
    push(page)
    assert page.get_by_text("failed").count() == 0
