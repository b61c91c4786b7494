"""How the embedding view moves: points on springs, a camera, axes, a scene that turns."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tests.browser import test_embedding_view as view
from tests.browser.test_embedding_view import VIEW, Scene

address, scene = view.address, view.scene


def test_points_glide_to_their_new_places(scene: Scene) -> None:
    scene.show()
    start = scene.positions()
    scene.root("root.__view.camera.zoom(1)")  # keeps the axes, so that only the points move
    xy = scene.xy()
    xy[:, 0] += 1
    scene.show(settle=False, xy=xy)
    path = []
    for _ in range(20):
        scene.page.clock.run_for(16)
        path.append(float((scene.positions() - start)[:, 0].mean()))
    scene.settle()
    end = float((scene.positions() - start)[:, 0].mean())
    assert end > 20
    assert all(0 <= a < b for a, b in pairwise(path))
    assert max(np.diff(path)) < 0.2 * end  # no jump
    assert 0.9 * end < path[-1] < end
    assert scene.data("fps") in ("60", "61", "62", "63")  # a frame every 16 ms of the test's clock


def test_a_frame_in_mid_flight_starts_from_what_is_displayed(scene: Scene) -> None:
    scene.show()
    scene.show(settle=False, xy=scene.xy() + 1)
    scene.page.clock.run_for(96)
    before = scene.positions()
    scene.show(settle=False, xy=scene.xy() - 1)
    scene.page.clock.run_for(16)
    assert np.abs(scene.positions() - before).max() < 20


def test_the_loop_stops_when_nothing_moves(scene: Scene) -> None:
    scene.show()
    assert scene.root("root.__view.ticket") is None


@pytest.mark.parametrize("scene", [{"reduced_motion": "reduce"}], indirect=True)
def test_reduced_motion_jumps(scene: Scene) -> None:
    scene.show()
    scene.drift()
    scene.show(settle=False)
    scene.page.clock.run_for(17)
    jumped = scene.positions()
    scene.settle()
    assert np.array_equal(scene.positions(), jumped)


def test_a_zoom_by_the_user_survives_updates_until_reset(scene: Scene) -> None:
    scene.show()
    i = scene.lonely()
    before = scene.positions()
    scene.page.mouse.move(*scene.at(i))
    scene.page.mouse.wheel(0, -300)
    scene.page.wait_for_function(f"() => {VIEW}.camera.user")
    scene.settle()
    zoomed = scene.positions()
    assert np.allclose(zoomed[i], before[i], atol=1)  # the place under the pointer stays
    assert np.ptp(zoomed[:, 0]) > 1.4 * np.ptp(before[:, 0])
    scene.show()
    assert np.allclose(scene.positions(), zoomed, atol=0.01)
    scene.show(xy=scene.xy() * 3)
    scene.show()
    assert np.allclose(scene.positions(), zoomed, atol=0.01)
    scene.page.get_by_role("button", name="Show everything").click()
    scene.settle()
    assert np.allclose(scene.positions(), before, atol=0.01)


def test_axes_only_grow(scene: Scene) -> None:
    scene.show()
    first = scene.positions()
    scene.show(xy=scene.xy() / 2)
    assert np.isclose(np.ptp(scene.positions()[:, 0]), np.ptp(first[:, 0]) / 2, rtol=1e-3)
    scene.show(xy=scene.xy() * 4)
    grown = scene.positions()
    box = scene.page.locator("canvas").bounding_box()
    assert grown.min() > 0
    assert grown[:, 0].max() < box["width"]
    assert grown[:, 1].max() < box["height"]
    scene.show()
    assert np.isclose(np.ptp(scene.positions()[:, 0]), np.ptp(grown[:, 0]) / 4, rtol=1e-3)


def test_dragging_pans(scene: Scene) -> None:
    scene.show()
    before = scene.positions()
    scene.page.mouse.move(400, 300)
    scene.page.mouse.down()
    scene.page.mouse.move(440, 330, steps=5)
    scene.page.mouse.up()
    scene.settle()
    assert np.allclose(scene.positions() - before, [40, 30], atol=0.1)
    assert scene.data("pinned") == ""


def test_three_dimensions_rotate_by_drag(scene: Scene) -> None:
    solid = Scene(scene.page, dim=3)
    solid.show()
    before = solid.positions()
    solid.page.mouse.move(400, 300)
    solid.page.mouse.down()
    solid.page.mouse.move(480, 300, steps=5)
    solid.page.mouse.up()
    solid.settle()
    turned = solid.positions()
    assert np.abs(turned - before).max() > 20
    solid.show()
    assert np.allclose(solid.positions(), turned, atol=0.01)
    solid.hover(solid.lonely())
    assert solid.data("hovered") == str(solid.lonely())
    solid.page.locator("canvas").dblclick(position={"x": 4, "y": 4})
    solid.settle()
    assert np.allclose(solid.positions(), before, atol=0.01)
