"""Pictures and films that the replay makes in the browser."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pages.ui.text.replay import REPLAY
from tests.browser import test_replay_view as view
from tests.browser.conftest import stop_clock
from tests.browser.test_embedding_view import WINDOW
from tests.browser.test_replay_view import Film, run_history

pages, film = view.pages, view.film

WEBM = b"\x1a\x45\xdf\xa3"
PLAYED = """content => new Promise((resolve, reject) => {
  const video = document.createElement("video");
  const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
  video.onloadeddata = () => resolve([video.videoWidth, video.videoHeight]);
  video.onerror = () => reject(video.error);
  video.src = URL.createObjectURL(new Blob([bytes], { type: "video/webm" }));
})"""


@pytest.fixture
def live(browser: Any, pages: Any) -> Iterator[Film]:
    """A page whose clock is the browser's own: films are recorded in real time."""
    context = browser.new_context(viewport=WINDOW)
    film = Film(context.new_page(), pages)
    film.page.goto(film.address)
    film.page.wait_for_function("window.show !== undefined")
    film.settle = lambda: film.page.wait_for_function("() => true")  # type: ignore[method-assign]
    yield film
    assert film.errors == []
    context.close()


@pytest.fixture
def fine(browser: Any, pages: Any) -> Iterator[Film]:
    """A screen with two pixels to the CSS pixel, each way."""
    context = browser.new_context(viewport=WINDOW, device_scale_factor=2)
    film = Film(context.new_page(), pages)
    stop_clock(film.page)
    film.page.goto(film.address)
    film.page.wait_for_function("window.show !== undefined")
    yield film
    assert film.errors == []
    context.close()


@pytest.mark.parametrize(
    ("screen", "runs"), [("film", 1), ("film", 3), ("fine", 2)], ids=["one run", "three runs", "two pixels"]
)
def test_a_picture_holds_all_runs_side_by_side(screen: str, runs: int, request: pytest.FixtureRequest) -> None:
    film: Film = request.getfixturevalue(screen)
    film.serve(a=run_history(), b=run_history(seed=1), c=run_history(seed=2))
    film.show(*"abc"[:runs])
    film.press("ArrowRight")
    with film.page.expect_download() as download:
        film.button("Picture").click()
    assert download.value.suggested_filename == "replay-step-30.png"
    picture = Image.open(Path(download.value.path())).convert("RGB")
    dpr = film.page.evaluate("devicePixelRatio")
    sizes = [film.root(f"[...root.querySelectorAll('canvas')].map((canvas) => canvas.{side})") for side in SIDES]
    wide = sum(sizes[0]) + 16 * dpr * (runs + 1)
    tall = sizes[1][0] + (34 + 32) * dpr
    assert picture.size == (wide + wide % 2, tall + tall % 2)
    assert picture.getpixel((1, 1)) == (255, 255, 255)
    drawn = np.asarray(picture)
    for run in range(runs):  # the same pixels as on the screen
        left, top = (16 * dpr) * (run + 1) + sum(sizes[0][:run]), 34 * dpr
        inside = drawn[top + 20 : top + sizes[1][run] - 20, left + 20 : left + sizes[0][run] - 20]
        shown = on_screen(film, run)[20:-20, 20:-20]
        assert (np.abs(inside.astype(int) - shown) > 40).mean() < 0.001


SIDES = ("width", "height")


def on_screen(film: Film, run: int) -> np.ndarray:
    """What a canvas holds, over the white of the page, (height, width, 3)."""
    url = film.view(run, "canvas.toDataURL()")
    image = Image.open(io.BytesIO(base64.b64decode(url.split(",")[1])))
    return np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")).astype(int)


def test_a_picture_of_the_dark_is_dark(film: Film) -> None:
    film.serve(a=run_history())
    film.page.evaluate("document.documentElement.classList.add('dark')")
    film.show("a")
    with film.page.expect_download() as download:
        film.button("Picture").click()
    assert Image.open(Path(download.value.path())).convert("RGB").getpixel((1, 1)) == (17, 22, 29)


def test_a_film_is_recorded_from_the_first_frame_to_the_last(live: Film) -> None:
    live.serve(a=run_history(), b=run_history(seed=1))
    live.show("a", "b", seconds=0.5, loop=True)
    live.page.get_by_role("slider").fill("120")
    with live.page.expect_download() as download:
        parts = "[parts.go, parts.scrub, parts.film].every((part) => part.disabled)"
        assert live.root(f"(({{ parts }}) => (parts.film.click(), {parts}))(root.__replay)")
    assert download.value.suggested_filename == "replay-step-300.webm"
    content = Path(download.value.path()).read_bytes()
    assert content.startswith(WEBM)
    size = live.page.evaluate(PLAYED, base64.b64encode(content).decode())
    wide = sum(live.root("[...root.querySelectorAll('canvas')].map((canvas) => canvas.width)")) + 3 * 16
    assert size[0] == wide + wide % 2
    assert (live.data("step"), live.data("playing")) == ("120", "false")  # as before
    assert live.root("root.__replay.clock.loop")
    assert live.button("Play").is_enabled()
    assert live.page.get_by_text("Recording:").count() == 0


def test_a_film_can_be_cancelled(live: Film) -> None:
    live.serve(a=run_history())
    live.show("a", seconds=600)
    downloads: list[Any] = []
    live.page.on("download", lambda download: downloads.append(download))
    live.page.get_by_role("slider").fill("60")
    live.button("Film").click()
    live.button("Cancel").click()
    assert live.button("Cancel").is_hidden()
    assert (live.data("step"), live.data("playing")) == ("60", "false")
    assert live.page.get_by_text("Recording:").count() == 0
    with live.page.expect_download():  # what comes first is this one
        live.button("Picture").click()
    assert [download.suggested_filename for download in downloads] == ["replay-step-60.png"]


@pytest.mark.parametrize(
    "without", ["delete window.MediaRecorder", "MediaRecorder.isTypeSupported = () => false"], ids=["recorder", "webm"]
)
def test_a_browser_that_cannot_film_says_so(film: Film, without: str) -> None:
    film.serve(a=run_history())
    film.show("a")
    film.page.evaluate(without)
    film.button("Film").click()
    assert film.page.get_by_text(REPLAY["no_film"]).is_visible()
    assert film.data("playing") == "false"
