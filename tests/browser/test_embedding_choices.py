"""What a user chose to see in the embedding view, and how long it lasts."""

from __future__ import annotations

import numpy as np
from playwright.sync_api import Browser

from tests.browser import test_embedding_view as view
from tests.browser.conftest import stop_clock
from tests.browser.test_embedding_view import CLASSES, WINDOW, Scene, colours_at

address, scene = view.address, view.scene


def test_other_eval_images_start_afresh(scene: Scene) -> None:
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


def choose(scene: Scene) -> None:
    """Hide the second class, draw images; trails, which the message turns on, off again."""
    scene.page.locator(".legend button").nth(1).click()
    for name in ("Images", "Trails"):
        scene.page.get_by_role("button", name=name).click()


def chosen(scene: Scene) -> tuple[list[str], list[str]]:
    """The hidden classes, and the toggles that are on."""
    off = scene.page.locator(".legend button[aria-pressed=false] > span").all_inner_texts()
    return off, scene.page.locator(".bar button[aria-pressed=true]").all_inner_texts()


def reload(scene: Scene) -> None:
    scene.page.reload()
    scene.page.wait_for_function("window.show !== undefined")


def test_choices_survive_a_reload(scene: Scene) -> None:
    scene.show(trails=True)
    assert chosen(scene) == ([], ["Trails"])
    choose(scene)
    reload(scene)
    scene.show(key="none", classes=[])  # as a page does that has not found its run yet
    scene.show(key="a", classes=CLASSES)
    assert chosen(scene) == (["Trouser"], ["Images"])
    hidden = [i for i in range(scene.n) if not scene.root(f"root.__view.shown({i})")]
    assert hidden == list(range(1, scene.n, 10))


def test_hidden_classes_belong_to_their_data_set(scene: Scene) -> None:
    scene.show(key="a")
    choose(scene)
    scene.show(key="b")
    assert chosen(scene) == ([], ["Images", "Trails"])
    scene.page.locator(".legend button").nth(2).click()
    for key, name in {"a": "Trouser", "b": "Pullover"}.items():
        reload(scene)
        scene.show(key=key)
        assert chosen(scene) == ([name], ["Images", "Trails"])


def test_a_browser_that_refuses_storage_forgets_and_complains_of_nothing(browser: Browser, address: str) -> None:
    # Of its own: what is taken from a tab it never gets back.
    scene = Scene(browser.new_context(viewport=WINDOW).new_page())
    stop_clock(scene.page)
    refuse = (
        "Object.defineProperty(window, 'sessionStorage', { get() { throw new DOMException('', 'SecurityError'); } })"
    )
    scene.page.add_init_script(refuse)
    scene.page.goto(address)
    scene.page.wait_for_function("window.show !== undefined")
    scene.show()
    choose(scene)
    scene.show()
    assert chosen(scene) == (["Trouser"], ["Images", "Trails"])
    reload(scene)
    scene.show()
    assert chosen(scene) == ([], [])
    assert scene.errors == []
    scene.page.context.close()
