"""The main job in a real browser: train, watch the classes move apart, drag the margin, come back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product

import psutil
import pytest
from playwright.sync_api import Browser, Locator, Page, WebSocketRoute, expect

from pages.ui.text import train as text
from tests.browser.conftest import Server
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.browser

PATIENT = 1000 * PATIENCE
FAST = "dataset=fashion_mnist&loss=contrastive&steps=300&seed=0"
LONG = "dataset=fashion_mnist&loss=contrastive&steps=100000&projection=pca"


@dataclass
class Tab:
    """A page of the app, and what its console complained of."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def open(self, url: str) -> None:
        # Streamlit's own start asks for its health below the page's path first, and gets a 404.
        missing = re.compile(r"404 \(Not Found\)")
        self.page.on(
            "console",
            lambda m: self.complaints.append(m.text) if m.type == "error" and not missing.search(m.text) else None,
        )
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(url)
        expect(self.button("train")).to_be_enabled(timeout=PATIENT)

    def button(self, name: str) -> Locator:
        return self.page.locator(f".st-key-button_{name}").get_by_role("button")

    def until_says(self, words: str | re.Pattern[str]) -> None:
        expect(self.page.get_by_test_id("stProgress")).to_contain_text(words, timeout=PATIENT)

    def step(self) -> int:
        found = re.search(r"Step ([\d,]+) of", self.page.get_by_test_id("stProgress").inner_text())
        return int(found[1].replace(",", "")) if found else 0

    def number(self, label: str) -> float:
        card = self.page.get_by_test_id("stMetric").filter(has_text=label)
        shown = card.get_by_test_id("stMetricValue").inner_text()
        return float("nan") if shown == "–" else float(shown)

    @property
    def embedding(self) -> Locator:
        return self.page.locator(".st-key-embedding [data-mounts]")

    @property
    def loss(self) -> Locator:
        return self.page.locator(".st-key-loss_view [data-mounts]")

    def frames(self) -> int:
        return int(self.embedding.get_attribute("data-frames") or 0)

    def points(self) -> int:
        return int(self.embedding.get_attribute("data-points") or 0)


@pytest.fixture
def tab(page: Page, server: Server) -> Iterator[Tab]:
    """A tab whose run is gone and whose console is clean in the end."""
    tab = Tab(page)
    yield tab
    if tab.button("reset").is_enabled():
        tab.button("reset").click()
        tab.until_says("No run yet")
    assert tab.complaints == []


def test_the_classes_move_apart_while_one_watches_and_a_point_shows_its_neighbours(tab: Tab, server: Server) -> None:
    tab.open(f"{server.url}/Train?{FAST}")
    tab.until_says("No run yet")
    expect(tab.loss).to_be_visible(timeout=PATIENT)
    views = (tab.embedding, tab.loss, tab.page.locator(".st-key-history_view [data-mounts]"))
    for view in views:
        view.evaluate("root => { root.mark = true }")
    tab.button("step").click()
    tab.until_says("Paused")
    until(lambda: tab.number("MAP@R") > 0, "the score of the first step")
    assert tab.number("MAP@R") < 0.5
    tab.button("resume").click()
    tab.until_says("Finished")
    until(lambda: tab.number("MAP@R") >= 0.58, "the classes to stand apart")
    assert tab.points() == 1000
    assert tab.frames() > 2, "the layout moved"
    for view in views:
        assert view.evaluate("root => root.mark"), "a live view is mounted once"
    assert_hovering_shows_the_neighbours(tab)


@pytest.mark.parametrize("while_training", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_dragging_the_margin_moves_the_slider_and_the_other_way_round(
    tab: Tab, server: Server, while_training: bool
) -> None:
    tab.open(f"{server.url}/Train?{LONG}")
    if while_training:
        tab.button("train").click()
        until(lambda: tab.step() > 40, "some steps")
    grip = tab.loss.get_by_role("slider")
    tab.loss.evaluate("root => { root.mark = true }")
    expect(grip).to_be_visible(timeout=PATIENT)
    box = grip.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tab.page.mouse.move(x, y)
    tab.page.mouse.down()
    for moved in range(1, 11):
        tab.page.mouse.move(x + 6 * moved, y)
        # As a hand does: slowly enough for the page to respond while the button is down.
        tab.page.wait_for_timeout(100)
    dragged = float(tab.loss.get_attribute("data-handle") or 0)
    assert dragged > 1.3, "the line follows the mouse to the end"
    tab.page.mouse.up()
    dragged = float(tab.loss.get_attribute("data-handle") or 0)
    slider = tab.page.get_by_test_id("stSlider").get_by_role("slider")
    expect(slider).to_have_attribute("aria-valuetext", f"{dragged:.2f}", timeout=PATIENT)
    until(lambda: f"margin={dragged}" in tab.page.evaluate("location.search"), "the address")
    tab.page.wait_for_timeout(1000)  # the hand goes from the line to the slider
    slider.focus()
    slider.press("ArrowLeft")
    expect(tab.loss).to_have_attribute("data-handle", f"{dragged - 0.05:g}", timeout=PATIENT)
    assert tab.loss.evaluate("root => root.mark"), "the chart was never mounted anew"


def assert_hovering_shows_the_neighbours(tab: Tab) -> None:
    """Of a run at its end, whose points rest."""
    canvas = tab.embedding.locator("canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    rows = (box["y"] + box["height"] * part for part in (0.5, 0.3, 0.7, 0.4, 0.6))
    for y, x in product(rows, range(10, int(box["width"]), 12)):
        tab.page.mouse.move(box["x"] + x, y)
        if tab.embedding.get_attribute("data-hovered") not in (None, "", "-1"):
            break
    hovered = tab.embedding.get_attribute("data-hovered")
    assert hovered not in (None, "", "-1"), "no point under the pointer"
    expect(tab.embedding).to_contain_text(text.EMBEDDING["neighbours"])


def test_pause_step_reload_and_another_page_find_the_run(tab: Tab, server: Server) -> None:
    tab.open(f"{server.url}/Train?{LONG}")
    tab.button("train").click()
    until(lambda: tab.step() > 5, "some steps")
    tab.button("pause").click()
    tab.until_says("Paused")
    expect(tab.button("step")).to_be_enabled(timeout=PATIENT)
    paused = tab.step()
    tab.button("step").click()
    until(lambda: tab.step() == paused + 1, "one step")
    tab.page.reload()
    until(lambda: tab.step() == paused + 1, "the run after a reload")
    tab.page.get_by_role("link", name="Home").click()
    expect(tab.page.get_by_text("Train one and watch it learn")).to_be_visible(timeout=PATIENT)
    tab.page.get_by_role("link", name="Train").click()
    until(lambda: tab.step() == paused + 1, "the run after a page switch")
    assert "steps=100000" in tab.page.url, "the address holds the experiment after a page switch, too"
    tab.page.keyboard.press("p")
    until(lambda: tab.step() > paused + 1, "the run to go on by its keyboard shortcut")


def test_a_dropped_connection_finds_the_run_again(page: Page, server: Server) -> None:
    # Of its own, for its connections are caught for as long as it lives.
    tab = Tab(page.context.new_page())
    lines: list[WebSocketRoute] = []

    def connect(line: WebSocketRoute) -> None:
        line.connect_to_server()
        lines.append(line)

    tab.page.route_web_socket(re.compile("_stcore/stream"), connect)
    tab.open(f"{server.url}/Train?{LONG}")
    tab.button("train").click()
    until(lambda: tab.step() > 5, "some steps")
    tab.embedding.evaluate("root => { root.mark = true }")
    assert len(lines) == 1
    lines[0].close()
    before = tab.step()
    until(lambda: tab.step() > before + 20 and len(lines) == 2, "the run over a new connection")
    assert not tab.button("stop").is_disabled()
    # Streamlit says that it cannot ask while the line is cut, and that is what was done to it.
    assert [complaint for complaint in tab.complaints if "when disconnected from server" not in complaint] == []
    tab.page.close()


def test_another_browser_has_its_own_runs(tab: Tab, browser: Browser, server: Server) -> None:
    tab.open(f"{server.url}/Train?{LONG}")
    tab.button("train").click()
    until(lambda: tab.step() > 0, "a step")
    stranger_context = browser.new_context()
    stranger = Tab(stranger_context.new_page())
    # The same link: it carries the settings, not the run.
    stranger.open(tab.page.url)
    stranger.until_says("No run yet")
    assert stranger.button("stop").is_disabled()
    assert stranger.button("pause").is_disabled()
    before = tab.step()
    stranger_context.close()
    until(lambda: tab.step() > before, "the first one's run to go on")
    assert stranger.complaints == []


def test_a_phone_has_everything_in_reach(browser: Browser, server: Server) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    tab = Tab(context.new_page())
    tab.open(f"{server.url}/Train?{FAST}")
    wide = tab.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 390, "nothing makes the page scroll sideways"
    tab.embedding.scroll_into_view_if_needed()
    box = tab.embedding.bounding_box()
    assert box is not None
    assert box["width"] > 300
    assert tab.complaints == []
    context.close()


@pytest.mark.slow
def test_kill_9_of_the_server_leaves_no_process(browser: Browser) -> None:
    server = Server()
    page = browser.new_page()
    page.goto(f"{server.url}/Train")
    children = until(
        lambda: (found := psutil.Process(server.process.pid).children()) and len(found) == 2 and found, "the workers"
    )
    server.kill()
    page.close()
    until(lambda: not any(child.is_running() for child in children), "the workers to end")
