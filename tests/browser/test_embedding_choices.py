"""What a user chose to see in the embedding view, and how long it lasts."""

from __future__ import annotations

import numpy as np

from tests.browser import test_embedding_view as view
from tests.browser.test_embedding_view import Scene, colours_at

address, scene = view.address, view.scene


def test_other_probe_images_start_afresh(scene: Scene) -> None:
    scene.show()
    scene.page.locator(".legend button").first.click()
    scene.click(scene.lonely())
    scene.page.locator("canvas").press("+")
    scene.page.get_by_role("button", name="Images").click()
    scene.show(key="b", xy=scene.xy() / 100)
    assert scene.data("pinned") == ""
    assert scene.data("mounts") == "1"
    assert scene.page.locator(".legend button[aria-pressed=false]").count() == 0
    assert np.ptp(scene.positions()[:, 1]) > 300  # new axes
    assert scene.page.get_by_role("button", name="Images").get_attribute("aria-pressed") == "true"


def test_images_and_trails_stay_on_over_updates(scene: Scene) -> None:
    scene.show()
    i = scene.lonely()
    for name in ("Images", "Trails"):
        scene.page.get_by_role("button", name=name).click()
    for _ in range(3):
        scene.drift(0.05)
        scene.show()
    for name in ("Images", "Trails"):
        assert scene.page.get_by_role("button", name=name).get_attribute("aria-pressed") == "true"
    assert {(30, 30, 30), (240, 240, 240)} & colours_at(scene, i)
