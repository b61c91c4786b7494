"""The Losses page in a real browser: lines that are dragged, a pair that rolls; and every loss trains on Train."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from pages.ui.text import losses as text
from siamese_core.losses import LOSSES
from tests.browser.conftest import Server
from tests.browser.test_main_job import PATIENT, Tab, context, tab  # noqa: F401 (fixtures)
from tests.waiting import until

pytestmark = pytest.mark.browser

QUICK = "dataset=digits&encoder=mlp&projection=pca&steps=40"


class LossesPage:
    def __init__(self, page: Page, url: str) -> None:
        self.page, self.complaints = page, []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(url)
        expect(self.chart).to_be_visible(timeout=PATIENT)
        expect(self.chart).to_have_attribute("data-drawn", re.compile(r"\d+"), timeout=PATIENT)

    @property
    def chart(self) -> Locator:
        return self.page.locator(".st-key-losses_view [data-mounts]")


def test_a_click_puts_a_pair_on_the_curve_and_steps_roll_it_down(context: BrowserContext, server: Server) -> None:  # noqa: F811
    losses = LossesPage(context.new_page(), f"{server.url}/Losses?shown=contrastive")
    box = losses.chart.bounding_box()
    assert box is not None
    left, top = losses.chart.locator(".plot").evaluate(
        "plot => { const { xaxis: x, yaxis: y } = plot._fullLayout;"
        " return [x._offset + x.d2p(0.5), y._offset + y._length / 2] }"
    )
    losses.page.mouse.click(box["x"] + left, box["y"] + top)
    said = losses.page.get_by_text(re.compile(r"After 0 steps: d = 0\.\d+"))
    expect(said).to_be_visible(timeout=PATIENT)
    losses.page.get_by_role("button", name=text.POINT_BUTTONS["ten"]).click()
    expect(losses.page.get_by_text(re.compile(r"After 10 steps: d = 0\.[89]"))).to_be_visible(timeout=PATIENT)
    assert losses.complaints == []


def test_a_claim_is_tried_and_answered(context: BrowserContext, server: Server) -> None:  # noqa: F811
    page = context.new_page()
    page.goto(f"{server.url}/Losses?section=myths")
    button = page.get_by_role("button", name=text.MYTH_TRY)
    expect(button).to_be_enabled(timeout=PATIENT)
    button.click()
    expect(page.get_by_text("the claim does not hold")).to_be_visible(timeout=PATIENT)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_trains_from_the_train_page(tab: Tab, server: Server, loss: str) -> None:  # noqa: F811
    tab.open(f"{server.url}/Train?{QUICK}&loss={loss}")
    tab.button("train").click()
    tab.until_says("Finished")
    until(lambda: tab.points() > 0, "the embedding")
    until(lambda: tab.number("MAP@R") > 0.2, "a score")
    expect(tab.loss).to_be_visible(timeout=PATIENT)
