"""The replay's charts, its restless points, and how it looks in little room and in the dark."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest

from pages.ui.text.replay import REPLAY
from tests.browser import test_replay_view as view
from tests.browser.test_replay_view import BINS, STEPS, Film, run_history

pages, film = view.pages, view.film


def path(film: Film, selector: str, nth: int = 0) -> np.ndarray:
    """The corners of a path, (n, 2) CSS px; lines along one axis keep the other number."""
    d = film.page.locator(selector).nth(nth).get_attribute("d")
    at, corners = [0.0, 0.0], []
    for command, numbers in re.findall(r"([MLHV])([^MLHV]*)", d):
        values = [float(number) for number in numbers.split()]
        at = {"H": [values[0], at[1]], "V": [at[0], values[0]]}.get(command, values)
        corners.append(at)
    return np.array(corners)


def heights(film: Film, kind: str, nth: int = 0) -> np.ndarray:
    """The height of each bar of a histogram, (BINS,) CSS px."""
    corners = path(film, f".bars.{kind}", nth)
    return corners[0, 1] - corners[1:-1:2, 1]


@pytest.mark.parametrize("kind", ["same", "different"])
def test_histograms_are_those_of_the_frame(film: Film, kind: str) -> None:
    film.serve(a=run_history())
    film.show("a")
    peaks = []
    for _ in STEPS:
        bars = heights(film, kind)
        assert len(bars) == BINS
        peaks.append(int(bars.argmax()))
        film.press("ArrowRight")
    # Same pairs go from bin 14 to bin 4 in ten even steps, different ones to bin 26.
    assert peaks == [round(14 + f * (-1 if kind == "same" else 1.2)) for f in range(len(STEPS))]


def test_the_curve_falls_to_zero_at_its_margin(film: Film) -> None:
    film.serve(a=run_history())
    film.show("a")
    rising, falling = path(film, ".branch.same"), path(film, ".branch.different")
    assert all(later[1] <= earlier[1] for earlier, later in pairwise(rising))  # px count downwards
    assert np.allclose(falling[falling[:, 0] > falling[:, 0].max() / 2, 1], rising[0, 1], atol=0.2)
    assert falling[0, 1] < rising[0, 1] - 20


def test_a_loss_without_a_curve_has_histograms_alone(film: Film) -> None:
    film.serve(a=run_history(curve=np.zeros((3, 0), np.float32)))
    film.show("a")
    assert film.page.get_by_text(REPLAY["only_pairs"]).is_visible()
    assert film.page.locator(".branch").count() == 0
    assert heights(film, "same").max() > 60


def test_runs_share_the_scales_of_their_charts(film: Film) -> None:
    tall = np.zeros((11, 2, BINS), np.float32)
    tall[:, :, 0] = 1
    film.serve(a=run_history(), b=run_history(shares=tall, loss=np.full(300, 50, np.float32)))
    film.show("a", "b")
    low, high = heights(film, "same", 0).max(), heights(film, "same", 1).max()
    assert low == pytest.approx(high * view.shares(11)[0, 0].max(), abs=0.2)
    losses = [path(film, "[data-name=loss]", run)[:, 1] for run in (0, 1)]
    assert np.ptp(losses[1]) == 0
    assert losses[0].min() > losses[1].max() + 20  # small losses are low where another run's are large


def test_the_history_has_a_cursor_and_the_values_there(film: Film) -> None:
    film.serve(a=run_history())
    film.show("a")
    values = film.page.locator(".legend-entry .value")
    assert values.all_inner_texts() == [REPLAY["no_value"]] * 3
    film.press("ArrowRight")
    film.press("ArrowRight")
    loss = 0.1 + np.exp(-60 / 80)
    assert values.all_inner_texts() == [f"{loss:.3g}", "0.15", REPLAY["no_value"]]
    film.press("End")
    assert values.all_inner_texts()[1:] == ["0.75", "0.375"]
    box = film.page.locator(".seek").bounding_box()
    assert cursor(film) == pytest.approx(box["width"] - 10)


def cursor(film: Film) -> float:
    return float(film.page.locator(".cursor").get_attribute("x1"))


def test_scores_that_are_missing_leave_no_line(film: Film) -> None:
    film.serve(a=run_history())
    film.show("a")
    whole, part = path(film, "[data-name=map_at_r]"), path(film, "[data-name='map_at_r.held_out']")
    assert len(whole) == 10
    assert len(part) == 7  # steps 120 to 300


def test_a_click_in_the_history_goes_there(film: Film) -> None:
    film.serve(a=run_history())
    film.show("a")
    box = film.page.locator(".seek").bounding_box()
    wide = box["width"] - 44 - 10
    at = [box["x"] + 44 + wide * step / 300 for step in (122, 240)]
    film.page.mouse.move(at[0], box["y"] + 80)
    film.page.mouse.down()
    assert film.data("step") == "120"
    film.page.mouse.move(at[1], box["y"] + 80)
    assert film.data("step") == "240"
    film.page.mouse.up()
    film.page.mouse.move(at[0], box["y"] + 80)
    assert film.data("step") == "240"
    assert film.page.get_by_role("slider").input_value() == "240"


def test_charts_follow_while_playing(film: Film) -> None:
    film.serve(a=run_history())
    film.show("a")
    before, start = heights(film, "same"), cursor(film)
    film.button("Play").click()
    film.run_for(1000)
    assert not np.array_equal(heights(film, "same"), before)
    assert cursor(film) > start + 20


# ---- restless points ---------------------------------------------------------------------------------------


def test_restless_points_are_those_whose_neighbours_changed_most(film: Film) -> None:
    film.serve(a=run_history())
    film.show("a")
    film.button("Restless points").click()
    assert film.page.get_by_text(REPLAY["restless_none"]).is_visible()
    film.press("End")
    assert film.view(0, "marked") == [0, 1, 2]
    tiles = film.page.locator(".tile")
    assert tiles.evaluate_all("tiles => tiles.map((tile) => tile.ariaLabel)") == [
        "image 0, T-shirt/top: 50 changes",  # five in each of ten frames
        "image 1, Trouser: 40 changes",
        "image 2, Pullover: 30 changes",
    ]
    ringed = film.page.locator("canvas").screenshot()
    tiles.nth(1).press("Enter")
    assert (film.view(0, "pinned"), film.page.locator(".tip b").inner_text()) == (1, "Trouser")
    tiles.nth(1).press("Enter")
    assert film.view(0, "pinned") == -1
    film.button("Restless points").click()
    film.settle()
    assert film.view(0, "marked") == []
    assert tiles.first.is_hidden()
    assert film.page.locator("canvas").screenshot() != ringed


def test_twelve_points_are_marked_at_most(film: Film) -> None:
    neighbours = np.zeros((11, 120, 5), np.uint16)
    neighbours[1::2, 20:50] = 5  # thirty points that change alike: all five neighbours are one other
    film.serve(a=run_history(neighbours=neighbours))
    film.show("a")
    film.button("Restless points").click()
    film.press("ArrowRight")
    assert film.view(0, "marked") == list(range(20, 32))


def test_a_neighbour_that_is_nobody_does_not_change(film: Film) -> None:
    neighbours = np.full((11, 120, 5), 65535, np.uint16)
    neighbours[0, 3, :2] = [7, 8]
    neighbours[1, 3] = [8, 9, 10, 11, 12]
    neighbours[2:, 3, :2] = [8, 9]
    film.serve(a=run_history(neighbours=neighbours))
    film.show("a")
    film.button("Restless points").click()
    film.press("ArrowRight")
    assert film.page.locator(".tile").get_attribute("aria-label") == "image 3, Dress: 1 changes"
    film.view(0, "set('pinned', 3)")
    film.press("ArrowRight")
    assert [j for j, _ in film.view(0, "nearest(3)")] == [8, 9]


# ---- light and dark, large and small -----------------------------------------------------------------------


def test_the_dark_is_dark(film: Film) -> None:
    film.serve(a=run_history())
    film.show("a")
    colour = "getComputedStyle(root.querySelector('.drawing .title')).fill"
    assert film.root(colour) == "rgb(28, 36, 48)"
    film.page.evaluate("document.documentElement.classList.add('dark')")
    film.page.wait_for_function(f"() => {view.ROOT}.__replay.stages[0].view.ticket !== null")
    film.settle()
    assert film.root(colour) == "rgb(230, 235, 242)"
    assert film.view(0, "painter.ground") == "rgb(17, 22, 29)"


@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize("film", [{"viewport": {"width": 390, "height": 844}}], indirect=True)
def test_a_phone_shows_everything_below_each_other(film: Film, runs: int) -> None:
    film.serve(a=run_history(), b=run_history(seed=1), c=run_history(seed=2, key="other"))
    film.show(*"abc"[:runs])
    film.button("Restless points").click()
    film.press("End")
    assert film.page.evaluate("document.documentElement.scrollWidth") <= 390
    canvas, chart = (film.page.locator(selector).first.bounding_box() for selector in ("canvas", ".chart"))
    assert chart["y"] > canvas["y"] + canvas["height"]
    player = film.page.get_by_role("slider").bounding_box()
    assert 0 < player["y"] < 844  # it stays in sight
    assert player["height"] >= 24
    assert player["width"] > 300


@pytest.mark.parametrize("film", [{"viewport": {"width": 1280, "height": 800}}], indirect=True)
def test_runs_stand_side_by_side(film: Film) -> None:
    film.serve(a=run_history(), b=run_history(seed=1))
    film.show("a", "b", titles=["Short", "A title that is much too long for one line " * 3])
    first, second = (film.page.locator("canvas").nth(run).bounding_box() for run in (0, 1))
    assert first["y"] == second["y"]
    assert first["x"] + first["width"] < second["x"]
    assert first["width"] == second["width"]
