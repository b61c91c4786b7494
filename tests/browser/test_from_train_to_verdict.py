"""From Train to a threshold with an error rate to a verdict on two uploaded photographs, in a real browser."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from pages.ui.text import compare as compare_text
from pages.ui.text import evaluate as text
from pages.ui.text import models as models_text
from siamese_core.datasets import DATASETS
from tests.browser.conftest import Server
from tests.browser.test_main_job import PATIENT, Tab
from tests.support.waiting import until

pytestmark = pytest.mark.browser

BAGS, BOOTS = 8, 9

SECOND_IS_MISSING = compare_text.NEED_OTHER.format(side="second")


def photograph(label: int, number: int) -> bytes:
    """A test image as somebody would have taken it: larger, not square, a JPEG."""
    images = DATASETS["fashion_mnist"].load()
    image = images.test_images[np.flatnonzero(images.test_labels == label)[number], 0]
    jpeg = io.BytesIO()
    Image.fromarray(image).convert("RGB").resize((300, 400)).save(jpeg, "JPEG", quality=95)
    return jpeg.getvalue()


def choose(page: Page, option: str) -> None:
    page.locator(f"button:has-text('{option}')").first.click()


def give(page: Page, side: int, name: str, content: bytes, when: str) -> None:
    """Streamlit forgets where a file is to go if the page begins to be drawn anew that moment: waits for the words."""
    expect(page.get_by_text(when, exact=True)).to_be_visible(timeout=PATIENT)
    page.locator("input[type=file]").nth(side).set_input_files(
        {"name": name, "mimeType": "image/jpeg", "buffer": content}
    )
    expect(page.get_by_text(name)).to_be_visible(timeout=PATIENT)


def threshold_on_the_page(page: Page) -> str:
    line = page.get_by_text(re.compile(r"Same, if the distance is at most")).inner_text(timeout=PATIENT)
    return line.split()[-1]


def test_from_train_to_a_threshold_to_a_verdict_on_two_photographs(page: Page, server: Server) -> None:
    tab = Tab(page)
    tab.open(f"{server.url}/Train?dataset=fashion_mnist&encoder=mlp&steps=100&projection=pca")
    tab.button("train").click()
    tab.until_says("Finished")
    page.get_by_test_id("stPageLink").get_by_text(text.TITLE, exact=True).click()
    hand_off = page.get_by_role("button", name=text.HAND_OFF)
    expect(hand_off).to_be_visible(timeout=PATIENT)
    by_eer = threshold_on_the_page(page)
    choose(page, text.RULES["far"])
    until(lambda: threshold_on_the_page(page) != by_eer, "another threshold")
    strict = threshold_on_the_page(page)
    assert float(strict) < float(by_eer)
    hand_off.click()
    choose(page, compare_text.SOURCES["upload"])
    give(page, 0, "boot.jpg", photograph(BOOTS, 0), when=compare_text.NEED_TWO)
    give(page, 1, "the same boot.jpg", photograph(BOOTS, 0), when=SECOND_IS_MISSING)
    expect(page.get_by_role("heading", name=compare_text.SAME, exact=True)).to_be_visible(timeout=PATIENT)
    expect(page.get_by_text("Distance 0 is at or below")).to_contain_text(strict)
    expect(page.get_by_text("at most 1 % false accepts")).to_be_visible()
    page.get_by_test_id("stFileUploader").nth(1).get_by_role("button", name="Remove").click()
    give(page, 1, "bag.jpg", photograph(BAGS, 0), when=SECOND_IS_MISSING)
    expect(page.get_by_role("heading", name=compare_text.DIFFERENT, exact=True)).to_be_visible(timeout=PATIENT)
    expect(page.get_by_text(compare_text.NEIGHBOURS, exact=True)).to_be_visible(timeout=PATIENT)
    assert tab.complaints == []


def test_a_dragged_threshold_stays_and_is_saved_with_the_model(page: Page, server: Server, tmp_path: Path) -> None:
    page.goto(f"{server.url}/Evaluate?model=mnist")
    expect(page.get_by_role("button", name=text.HAND_OFF)).to_be_visible(timeout=PATIENT)
    before = threshold_on_the_page(page)
    handle = page.locator(".st-key-threshold_view [role=slider]").first
    expect(handle).to_be_visible(timeout=PATIENT)
    handle.focus()
    page.keyboard.press("ArrowLeft")
    until(lambda: threshold_on_the_page(page) != before, "the threshold to follow")
    expect(page.get_by_text(text.RULE_HELP["hand"])).to_be_visible(timeout=PATIENT)
    moved = threshold_on_the_page(page)
    with page.expect_download() as download:
        page.get_by_role("button", name=models_text.SAVE).click()
    saved = tmp_path / "model.safetensors"
    download.value.save_as(saved)
    page.goto(f"{server.url}/Compare")
    page.get_by_role("combobox", name=models_text.MODEL).click()
    page.get_by_role("option", name=models_text.FILE).click()
    page.locator("input[type=file]").first.set_input_files(saved)
    expect(page.get_by_text("set by hand")).to_be_visible(timeout=PATIENT)
    expect(page.get_by_text(re.compile(r"the threshold"))).not_to_have_count(0)
    assert float(moved) == pytest.approx(float(page.get_by_text("threshold").locator("strong").last.inner_text()))


def test_a_hardest_pair_is_pointed_at_among_the_others(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/Evaluate?part=hardest")
    points = page.locator(".st-key-evaluated_embedding [data-mounts]")
    expect(points).to_be_visible(timeout=PATIENT)
    assert points.get_attribute("data-pinned") == ""
    page.get_by_role("button", name=text.SHOW, exact=True).nth(1).click()
    until(lambda: points.get_attribute("data-pinned") != "", "a point that is pinned")


def test_nothing_scrolls_sideways_on_a_phone(page: Page, server: Server) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark")
    for address in ("Compare", *(f"Evaluate?part={part}" for part in text.PARTS)):
        page.goto(f"{server.url}/{address}")
        words = compare_text.PLACE if address == "Compare" else text.SAVE
        expect(page.get_by_text(words, exact=True)).to_be_visible(timeout=PATIENT)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, address
