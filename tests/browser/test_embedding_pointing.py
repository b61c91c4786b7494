"""What the embedding view says of the point and the class that a user means."""

from __future__ import annotations

import numpy as np
import pytest

from tests.browser import test_embedding_view as view
from tests.browser.test_embedding_view import CLASSES, COLOURS, Scene, colours_at, rgb

address, scene = view.address, view.scene


def test_the_legend_hides_and_shows_a_class(scene: Scene) -> None:
    scene.show()
    i = scene.lonely()
    name, colour = CLASSES[scene.labels[i]], rgb(COLOURS[scene.labels[i]])
    button = scene.page.locator(".legend button", has_text=name).first
    assert colour in colours_at(scene, i)
    button.press("Enter")
    scene.settle()
    assert button.get_attribute("aria-pressed") == "false"
    assert colour not in colours_at(scene, i)
    scene.hover(i)
    assert scene.data("hovered") == ""
    scene.show()
    assert colour not in colours_at(scene, i)
    button.click()
    scene.settle()
    assert button.get_attribute("aria-pressed") == "true"
    assert colour in colours_at(scene, i)


def test_held_out_classes_say_so(scene: Scene) -> None:
    scene.show()
    held = scene.page.locator(".legend button", has_text="held out")
    assert held.locator("span").all_inner_texts() == ["Bag", "Boot"]


def test_hovering_shows_the_image_its_class_and_the_given_neighbours(scene: Scene) -> None:
    scene.show()
    i = scene.lonely()
    scene.hover(i)
    tip = scene.page.locator(".tip")
    assert scene.data("hovered") == str(i)
    assert tip.locator("b").inner_text() == CLASSES[scene.labels[i]]
    named = [CLASSES[scene.labels[j]] for j in scene.neighbours[i]]
    assert tip.locator(".near span").all_inner_texts() == named
    assert tip.locator(".near small").all_inner_texts() == ["0.125", "0.25", "0.5", "1.5", "2.25"]
    images = tip.locator(".thumb").evaluate_all("all => all.map((one) => one.style.backgroundPosition)")
    tiles = [(i, 84), *((j, 38) for j in scene.neighbours[i])]
    assert images == [f"{-(k % 40) * s}px {-(k // 40) * s}px".replace("-0px", "0px") for k, s in tiles]
    scene.page.mouse.move(2, 2)
    scene.settle()
    assert tip.is_hidden()
    assert scene.data("hovered") == ""


@pytest.mark.parametrize("scene", [{}, {"viewport": {"width": 390, "height": 844}}], indirect=True)
def test_the_tooltip_is_never_cut_off(scene: Scene) -> None:
    scene.show()
    stage = scene.page.locator(".stage").bounding_box()
    for i in range(0, scene.n, 7):
        scene.root(f"root.__view.set('pinned', {i})")
        scene.settle()
        tip = scene.page.locator(".tip").bounding_box()
        assert tip["x"] >= stage["x"]
        assert tip["x"] + tip["width"] <= stage["x"] + stage["width"]
        assert tip["y"] >= stage["y"]
        assert tip["y"] + tip["height"] <= stage["y"] + stage["height"]


def test_a_pin_survives_updates_and_escape_takes_it_away(scene: Scene) -> None:
    scene.show()
    i = scene.lonely()
    scene.click(i)
    scene.page.mouse.move(2, 2)
    scene.drift()
    scene.show()
    tip = scene.page.locator(".tip")
    assert scene.data("pinned") == str(i)
    assert tip.locator("b").inner_text() == CLASSES[scene.labels[i]]
    scene.page.keyboard.press("Escape")
    assert scene.data("pinned") == ""
    assert tip.is_hidden()
    scene.click(i)
    assert scene.data("pinned") == str(i)
    scene.page.locator("canvas").click(position={"x": 4, "y": 4})
    assert scene.data("pinned") == ""


def test_the_keyboard_walks_zooms_and_resets(scene: Scene) -> None:
    scene.show()
    before = scene.positions()
    canvas = scene.page.locator("canvas")
    for key in ("n", "n", "n", "p"):
        canvas.press(key)
    assert scene.data("pinned") == "1"
    assert scene.page.locator(".announcer").inner_text() == (
        "Image 1, Trouser. Nearest: Trouser, Trouser, Trouser, Pullover, Dress."
    )
    canvas.press("+")
    scene.settle()
    assert np.isclose(np.ptp(scene.positions()[:, 0]), 1.5 * np.ptp(before[:, 0]), rtol=1e-3)
    canvas.press("ArrowRight")
    canvas.press("0")
    scene.settle()
    assert np.allclose(scene.positions(), before, atol=0.01)
