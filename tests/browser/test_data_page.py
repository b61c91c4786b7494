"""The Data page in a real browser: from a zip of images to held-out classes that separate."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from pages.ui.text import data as text
from siamese_core.datasets import DATASETS
from tests.browser.conftest import Server
from tests.browser.test_main_job import PATIENT, Tab
from tests.support.waiting import until

pytestmark = pytest.mark.browser

CLASSES = {"Trousers": 1, "Sandals": 5, "Bags": 8, "Boots": 9, "Pullovers": 2, "Dresses": 3}
EACH = 40


def zip_of_images() -> bytes:
    """Class folders with photographs of clothes, as somebody would pack them."""
    images = DATASETS["fashion_mnist"].load()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, label in CLASSES.items():
            for number, place in enumerate(np.flatnonzero(images.train_labels == label)[:EACH]):
                png = io.BytesIO()
                Image.fromarray(images.train_images[place, 0]).convert("RGB").resize((90, 90)).save(png, "PNG")
                archive.writestr(f"my clothes/{name}/{number}.png", png.getvalue())
    return packed.getvalue()


def upload(page: Page, content: bytes) -> None:
    page.locator("input[type=file]").set_input_files(
        {"name": "clothes.zip", "mimeType": "application/zip", "buffer": content}
    )


def opened(page: Page, server: Server, section: str) -> None:
    page.goto(f"{server.url}/Data?section={section}")
    expect(page.get_by_text(text.INTRO)).to_be_visible(timeout=PATIENT)


@pytest.mark.slow
def test_uploaded_images_are_trained_on_and_classes_held_out_separate(page: Page, server: Server) -> None:
    opened(page, server, "own")
    upload(page, zip_of_images())
    ready = text.READY.format(count=EACH * len(CLASSES), classes=len(CLASSES))
    expect(page.get_by_text(ready)).to_be_visible(timeout=PATIENT)
    box = page.get_by_role("combobox", name=text.HELD_OUT)
    for name in ("Bags", "Boots"):
        box.click()
        box.fill(name)
        page.get_by_role("option", name=name).click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name=text.USE).click()
    tab = Tab(page)
    expect(tab.button("train")).to_be_enabled(timeout=PATIENT)
    until(lambda: "held_out=0,1" in page.evaluate("location.search").replace("%2C", ","), "the address")
    tab.button("train").click()
    tab.until_says("Finished")
    card = page.get_by_test_id("stMetric").filter(has_text="MAP@R")
    expect(card).to_contain_text("held out", timeout=PATIENT)
    held_out = float(card.get_by_test_id("stMetricDelta").inner_text().rpartition(":")[2])
    # Two strange classes of twelve images each: by chance it would be under a half.
    assert held_out > 0.7


def test_a_file_that_is_no_zip_is_one_message_and_the_next_one_works(page: Page, server: Server) -> None:
    opened(page, server, "own")
    upload(page, b"GIF89a, but called clothes.zip")
    expect(page.get_by_text("This file is no zip archive")).to_be_visible(timeout=PATIENT)
    page.get_by_role("button", name="Remove").first.click()
    upload(page, zip_of_images())
    expect(page.get_by_text(text.READY.format(count=EACH * len(CLASSES), classes=len(CLASSES)))).to_be_visible(
        timeout=PATIENT
    )


def test_pairs_are_shown_with_their_distance_once_a_network_is_trained(page: Page, server: Server) -> None:
    tab = Tab(page)
    tab.open(f"{server.url}/Train?dataset=shapes&encoder=mlp&steps=40&projection=pca")
    tab.button("train").click()
    tab.until_says("Finished")
    page.get_by_test_id("stPageLink").get_by_text("Data").click()
    page.locator(f"button:has-text('{text.SECTIONS['pairs']}')").click()
    expect(page.get_by_text("What step 41 of your run")).to_be_visible(timeout=PATIENT)
    expect(page.get_by_text("d = ").first).to_be_visible(timeout=PATIENT)
    assert not tab.complaints


def test_both_inputs_of_a_pseudo_siamese_network_are_drawn(page: Page, server: Server) -> None:
    tab = Tab(page)
    tab.open(f"{server.url}/Train?dataset=digits&view=edges&shared=false&steps=30&projection=pca")
    tab.button("train").click()
    tab.until_says("Finished")
    until(lambda: tab.points() == 720, "360 digits, seen in two ways")
    expect(tab.embedding).to_contain_text("Hollow: second inputs (edges)", timeout=PATIENT)
    assert not tab.complaints


def test_nothing_scrolls_sideways_on_a_phone(page: Page, server: Server) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark")
    for section, words in (("browse", text.DATASET), ("own", text.ZIP), ("get", "MNIST"), ("inputs", "Augmentation")):
        opened(page, server, section)
        expect(page.get_by_text(words).first).to_be_visible(timeout=PATIENT)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, section
