"""How the replay plays: its clock, its keys, and what moves."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tests.browser import test_replay_view as view
from tests.browser.test_replay_view import ROOT, SECONDS, Film, run_history

pages, film = view.pages, view.film


def test_playing_ends_at_the_last_frame(film: Film) -> None:
    film.serve(a=run_history())
    film.show("a")
    film.button("Play").click()
    film.run_for(600 * SECONDS)
    assert (film.data("playing"), film.data("step")) == ("true", "150")  # the latest that was recorded before 180
    film.run_for(400 * SECONDS + 100)
    assert (film.data("playing"), film.data("frame"), film.data("step")) == ("false", "10", "300")
    film.button("Play").click()  # from the beginning again
    film.run_for(500)
    assert film.number("step") <= 60


def test_points_move_evenly_between_two_frames_while_playing(film: Film) -> None:
    film.serve(a=run_history())
    film.show("a")
    first = film.positions()
    film.button("Play").click()
    film.run_for(32)
    path = []
    for _ in range(8):
        film.run_for(32)
        path.append(film.positions())
    moves = [later - earlier for earlier, later in pairwise(path)]
    assert film.data("frame") == "0"  # no frame of the recording has come yet
    assert np.abs(moves[0]).max() > 0.2
    assert np.allclose(moves, moves[0], atol=0.02)
    assert np.abs(path[0] - first).max() > 0.2
    film.button("Pause").click()
    film.settle()
    assert np.allclose(film.positions(), first, atol=0.02)  # at rest only what was recorded


def test_every_frame_fits_and_the_camera_never_moves(film: Film) -> None:
    film.serve(a=run_history())
    film.show("a")
    places = []
    for key in ("Home", "ArrowRight", "End"):
        film.press(key)
        places.append(film.view(0, "camera.place"))
    assert places[0] == places[1] == places[2]
    box = film.page.locator("canvas").bounding_box()
    assert film.positions().min() > 0
    assert (film.positions() < [box["width"], box["height"]]).all()
    film.page.get_by_role("button", name="Zoom in").click()
    film.press("Home")
    film.page.get_by_role("button", name="Show everything").click()
    film.settle()
    assert film.view(0, "camera.place") == pytest.approx(places[0], rel=1e-3, abs=1e-2)


def test_keys_move_the_film(film: Film) -> None:
    film.serve(a=run_history())
    film.show("a")
    film.page.get_by_role("slider").focus()
    seen = []
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "End", "ArrowRight", "Home", "ArrowLeft"):
        film.page.keyboard.press(key)
        seen.append(film.number("step"))
    assert seen == [30, 60, 30, 300, 300, 0, 0]
    assert film.page.get_by_role("slider").get_attribute("aria-valuetext") == "step 0 of 300"
    speed = film.page.get_by_label("Speed")
    for key, value in (("ArrowUp", "2"), ("ArrowUp", "4"), ("ArrowUp", "4"), ("ArrowDown", "2")):
        film.page.keyboard.press(key)
        assert speed.input_value() == value
    film.page.keyboard.press(" ")
    film.run_for(1000)
    assert 120 <= film.number("step") <= 150  # at double speed
    film.page.keyboard.press(" ")
    assert film.data("playing") == "false"


def test_arrows_on_the_layout_step_through_frames_and_with_shift_move_it(film: Film) -> None:
    film.serve(a=run_history())
    film.show("a")
    film.page.locator("canvas").focus()
    before = film.view(0, "camera.place.x")
    film.press("ArrowRight")
    assert (film.data("step"), film.view(0, "camera.place.x")) == ("30", before)
    film.press("Shift+ArrowRight")
    assert film.data("step") == "30"
    assert film.view(0, "camera.place.x") != before


def test_space_on_a_button_presses_it(film: Film) -> None:
    film.serve(a=run_history())
    film.show("a")
    film.button("To the last frame").press(" ")
    assert (film.data("step"), film.data("playing")) == ("300", "false")


def test_the_scrubber_goes_to_the_nearest_recorded_step(film: Film) -> None:
    film.serve(a=run_history())
    film.show("a")
    slider = film.page.get_by_role("slider")
    slider.fill("130")
    assert (film.data("step"), slider.input_value()) == ("120", "120")
    slider.fill("136")
    assert film.data("step") == "150"
    assert slider.bounding_box()["height"] >= 24


def test_a_loop_begins_again(film: Film) -> None:
    film.serve(a=run_history())
    film.show("a", loop=True, autoplay=True)
    film.run_for(1000 * SECONDS)
    assert film.data("step") == "300"  # the last frame stays a moment
    film.run_for(1500)
    assert film.data("playing") == "true"
    assert 0 <= film.number("step") <= 90
    film.button("Loop").click()
    film.run_for(1000 * SECONDS + 200)
    assert (film.data("step"), film.data("playing")) == ("300", "false")


def test_a_film_out_of_sight_waits(film: Film) -> None:
    film.serve(a=run_history())
    film.show("a", autoplay=True)
    film.page.evaluate("document.body.style.paddingTop = '5000px'")
    film.page.wait_for_function(f"() => !{ROOT}.__replay.inSight")
    film.run_for(100)
    step = film.data("step")
    film.run_for(1000 * SECONDS)
    assert (film.data("step"), film.data("playing")) == (step, "true")
    film.page.evaluate("document.body.style.paddingTop = ''")
    film.page.wait_for_function(f"() => {ROOT}.__replay.inSight")
    film.run_for(1000 * SECONDS)
    assert film.data("step") == "300"


@pytest.mark.parametrize("film", [{"reduced_motion": "reduce"}], indirect=True)
def test_reduced_motion_neither_starts_nor_glides(film: Film) -> None:
    film.serve(a=run_history())
    film.show("a", autoplay=True)
    assert film.data("playing") == "false"
    first = film.positions()
    film.button("Play").click()
    film.run_for(320)
    assert np.array_equal(film.positions(), first)
    film.run_for(128)
    assert film.data("frame") == "1"
    jumped = film.positions()
    assert not np.array_equal(jumped, first)
    film.run_for(96)
    assert np.array_equal(film.positions(), jumped)


def test_trails_show_the_frames_before(film: Film) -> None:
    film.serve(a=run_history())
    film.show("a")
    film.button("Trails").click()
    film.page.get_by_role("slider").fill("150")
    film.settle()
    assert film.view(0, "history.length") == 6  # with the frame itself
    film.press("Home")
    assert film.view(0, "history.length") == 1


def test_a_film_in_space_turns(film: Film) -> None:
    film.serve(a=run_history(dim=3))
    film.show("a")
    film.press("End")
    before = film.positions()
    box = film.page.locator("canvas").bounding_box()
    film.page.mouse.move(box["x"] + 60, box["y"] + 60)
    film.page.mouse.down()
    film.page.mouse.move(box["x"] + 160, box["y"] + 60, steps=4)
    film.page.mouse.up()
    film.settle()
    assert np.abs(film.positions() - before).max() > 20


def test_one_frame_is_a_layout_that_cannot_play(film: Film) -> None:
    film.serve(a=run_history([300]))
    film.show("a", autoplay=True)
    assert (film.data("step"), film.data("playing")) == ("300", "false")
    assert film.button("Play").is_disabled()
    assert film.button("Film").is_disabled()
    film.press("ArrowRight")
    assert film.data("step") == "300"
