"""The Losses page in a real browser: lines, a pair that rolls, a claim; and every loss trains on Train."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from pages.ui.shims import address_sync
from pages.ui.text import losses as text
from siamese_core.losses import LOSSES
from tests.browser.conftest import Server
from tests.browser.test_main_job import PATIENT, Tab, tab  # noqa: F401 (a fixture)
from tests.support.waiting import until

pytestmark = pytest.mark.browser

QUICK = "dataset=digits&encoder=mlp&projection=pca&steps=40"


class LossesPage:
    """The Losses page, whole: its last chart drawn, its address its own."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.complaints = page, []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(url)
        for view in ("losses_view", "one_pair_view"):
            drawn = page.locator(f".st-key-{view} [data-drawn]")
            expect(drawn).to_be_attached(timeout=PATIENT)
        until(lambda: "section=" in self.address, "the page's own address")

    @property
    def address(self) -> str:
        """Asked of the browser: `page.url` is what the last event said, and no event comes while a test only waits."""
        found: str = self.page.evaluate("location.search")
        return found

    @property
    def chart(self) -> Locator:
        return self.page.locator(".st-key-losses_view [data-mounts]")

    def grip(self, key: str) -> Locator:
        return self.chart.locator(f".handle[data-key='{key}'] .grip")

    def value(self, key: str) -> float:
        return float(self.grip(key).get_attribute("aria-valuenow") or "nan")

    def drag(self, key: str, by: float) -> None:
        box = self.grip(key).bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        for moved in range(1, 6):
            self.page.mouse.move(x + by * moved / 5, y)
            # As a hand does: slowly enough for the page to respond while the button is down.
            self.page.wait_for_timeout(100)
        self.page.mouse.up()


def test_two_lines_move_their_own_parameters_and_the_chart_stays_mounted(page: Page, server: Server) -> None:
    losses = LossesPage(page, f"{server.url}/Losses?shown=contrastive,exponential")
    losses.chart.evaluate("root => { root.mark = true }")
    for key, other in (("contrastive.margin", "exponential.q"), ("exponential.q", "contrastive.margin")):
        before, unchanged = losses.value(key), losses.value(other)
        losses.drag(key, 40)
        until(lambda key=key, before=before: losses.value(key) > before, "the line to move")
        until(lambda key=key: f"{key}={losses.value(key)}" in losses.address, "the address")
        assert losses.value(other) == unchanged
    assert losses.chart.evaluate("root => root.mark"), "never mounted anew"
    assert losses.complaints == []


def test_back_goes_back(page: Page, server: Server) -> None:
    losses = LossesPage(page, f"{server.url}/Losses?shown=contrastive")
    section = losses.page.get_by_role("radio", name=text.SECTIONS["conventions"])
    section.click()
    until(lambda: "section=conventions" in losses.address, "the other part's address")
    expect(losses.page.get_by_text(text.SOURCES_TITLE)).to_be_visible(timeout=PATIENT)
    # An address that comes back at once may be one that was still on its way.
    losses.page.wait_for_timeout(1000 * (address_sync.SECONDS + 1))
    losses.page.go_back()
    expect(losses.page.get_by_text(text.POINT_TITLE)).to_be_visible(timeout=PATIENT)
    assert "section=curves" in losses.address


def test_a_click_puts_a_pair_on_the_curve_and_steps_roll_it_down(page: Page, server: Server) -> None:
    losses = LossesPage(page, f"{server.url}/Losses?shown=contrastive")
    box = losses.chart.bounding_box()
    assert box is not None
    left, top = losses.chart.locator(".plot").evaluate(
        "plot => { const { xaxis: x, yaxis: y } = plot._fullLayout;"
        " return [x._offset + x.d2p(0.5), y._offset + y._length / 2] }"
    )
    losses.page.mouse.click(box["x"] + left, box["y"] + top)
    shown = losses.page.get_by_text(re.compile(r"After 0 steps: d = 0\.\d+"))
    expect(shown).to_be_visible(timeout=PATIENT)
    losses.page.get_by_role("button", name=text.POINT_BUTTONS["ten"]).click()
    expect(losses.page.get_by_text(re.compile(r"After 10 steps: d = 0\.[89]"))).to_be_visible(timeout=PATIENT)
    assert losses.complaints == []


@pytest.mark.slow
def test_a_claim_is_tried_and_decided(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/Losses?section=myths")
    button = page.get_by_role("button", name=text.MYTH_TRY)
    expect(button).to_be_enabled(timeout=PATIENT)
    button.click()
    expect(page.get_by_text("the claim does not hold")).to_be_visible(timeout=PATIENT)


QUICKEST = ("triplet", "softmax")
"""A surface and a slice through a batch; a curve is watched in test_main_job.py."""


@pytest.mark.parametrize(
    "loss", [key if key in QUICKEST else pytest.param(key, marks=pytest.mark.slow) for key in LOSSES]
)
def test_every_loss_trains_from_the_train_page(tab: Tab, server: Server, loss: str) -> None:  # noqa: F811
    tab.open(f"{server.url}/Train?{QUICK}&loss={loss}")
    tab.button("train").click()
    tab.until_says("Finished")
    until(lambda: tab.points() > 0, "the embedding")
    until(lambda: tab.number("MAP@R") > 0.2, "a score")
    expect(tab.loss).to_be_visible(timeout=PATIENT)
