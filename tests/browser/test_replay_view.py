"""The replay view in a real browser, on a page of its own with a clock that only the test moves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page

from pages.ui.text.replay import REPLAY
from siamese_core.export.figures.base import DIFFERENT_COLOUR, METRIC_COLOURS, SAME_COLOUR
from siamese_core.formats.wire import pack
from tests.browser.conftest import show_afresh
from tests.browser.test_embedding_view import CLASSES, COLOURS, COMPONENTS, MARKERS, WINDOW, sprite

ROOT = "document.querySelector('#host').shadowRoot.querySelector('.replay')"
STEPS = [0, 30, 60, 90, 120, 150, 180, 210, 240, 270, 300]
SCALE = 0.001
BINS = 40
SECONDS = 4.0
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>view</title>
<link rel="icon" href="data:,"><meta name="viewport" content="width=device-width"><style>
:root { --st-text-color: #1c2430; --st-background-color: #fff; --st-secondary-background-color: #f3f5f7;
  --st-primary-color: #0f766e; --st-border-color: #d9dee5; --st-font: "Source Sans", sans-serif; }
:root.dark { --st-text-color: #e6ebf2; --st-background-color: #11161d;
  --st-secondary-background-color: #1a212b; --st-primary-color: #0d9488; --st-border-color: #303a47; }
body { margin: 16px auto; max-width: 1200px; padding: 0 16px; background: var(--st-background-color); }</style>
<div id="host"></div><script type="module">
import { render } from "/replay/view.js";
const parentElement = document.getElementById("host").attachShadow({ mode: "open" });
window.show = (data) => render({ parentElement, data, setStateValue() {}, setTriggerValue() {} });
</script>"""


class Pages(SimpleHTTPRequestHandler):
    runs: dict[str, bytes]
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path == "/":
            self.respond(PAGE.encode(), "text/html; charset=utf-8")
        elif self.path in self.runs:
            self.respond(self.runs[self.path], "application/octet-stream")
        else:
            super().do_GET()

    def respond(self, content: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def pages() -> Iterator[tuple[str, type[Pages]]]:
    """The address of a server, and what it serves: its runs can change, and it remembers what it was asked for."""
    handler = type("Handler", (Pages,), {"runs": {}, "asked": []})
    server = ThreadingHTTPServer(("localhost", 0), partial(handler, directory=str(COMPONENTS)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}/", handler
    server.shutdown()
    server.server_close()


def run_history(
    steps: list[int] = STEPS, n: int = 120, dim: int = 2, seed: int = 0, key: str = "subset", **changes: Any
) -> bytes:
    """Ten classes that leave a common middle at an even pace; the neighbours of points 0, 1 and 2 change most.

    `changes` are other arrays, or other entries of the meta.
    """
    rng = np.random.default_rng(seed)
    frames, labels = len(steps), np.arange(n, dtype=np.int32) % 10
    homes = rng.uniform(-15, 15, (10, dim))
    spread = rng.normal(0, 1, (n, dim))
    part = np.linspace(0, 1, frames)[:, None, None]
    xy = (spread * (3 - 2 * part) + homes[labels] * part) / SCALE
    neighbours = np.repeat(((np.arange(n)[:, None] + 10 * np.arange(1, 6)) % n)[None], frames, 0).astype(np.uint16)
    for f in range(1, frames):
        for i, changed in ((0, 5), (1, 4), (2, 3)):  # this many of five are others than in the frame before
            if f % 2:
                neighbours[f, i, :changed] = 100 + np.arange(changed)
    at = np.linspace(0, 2, 50)
    all_steps = np.arange(1, steps[-1] + 1)
    scored = np.array(steps[1:])
    meta = {
        "key": key, "steps": steps, "total": 300, "dim": dim, "scale": SCALE, "projection": "UMAP",
        "classes": CLASSES, "colours": COLOURS, "markers": MARKERS, "held_out": [8, 9], "second": None,
        "sprite": sprite(labels), "note": "", "d_max": 2.0, "axis": "Euclidean distance of the two embeddings",
        "same_colour": SAME_COLOUR, "different_colour": DIFFERENT_COLOUR,
        "history": [
            ["loss", "Loss of the batch", METRIC_COLOURS["loss"], False, "loss"],
            ["map_at_r", "MAP@R", METRIC_COLOURS["map_at_r"], False, "score"],
            ["map_at_r.held_out", "MAP@R, held out", METRIC_COLOURS["map_at_r"], True, "score"],
        ],
    }  # fmt: skip
    arrays = {
        "xy": xy.round().astype(np.int16), "labels": labels, "neighbours": neighbours,
        "shares": shares(frames), "curve": np.stack([at, at**2, np.maximum(0, 1 - at) ** 2]),
        "loss_steps": all_steps, "loss": 0.1 + np.exp(-all_steps / 80), "score_steps": scored,
        "scores": np.stack([scored / 400, np.where(scored < 100, np.nan, scored / 800)]),
    }  # fmt: skip
    floats = ("curve", "loss_steps", "loss", "score_steps", "scores")
    arrays = {name: array.astype(np.float32) if name in floats else array for name, array in arrays.items()}
    arrays |= {name: changes.pop(name) for name in arrays.keys() & changes.keys()}
    return pack(meta | changes, **arrays)


def shares(frames: int) -> np.ndarray:
    """Humps around bin 14 that part: to bin 4 the same, to bin 26 the different pairs, (F, 2, BINS)."""
    way = np.linspace(0, 1, frames)[:, None]
    middle = 14 + way * [-10, 12]
    hump = np.exp(-(((np.arange(BINS) - middle[:, :, None]) / 4) ** 2))
    return (hump / hump.sum(2, keepdims=True)).astype(np.float32)


class Film:
    """A page that replays runs of the server."""

    def __init__(self, page: Any, pages: tuple[str, type[Pages]]) -> None:
        self.page, (self.address, self.served) = page, pages
        self.errors: list[str] = []
        page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def serve(self, **runs: bytes) -> None:
        self.served.runs.update({f"/{name}.bin": content for name, content in runs.items()})

    def show(self, *names: str, loaded: str = "true", **data: Any) -> None:
        message = {
            "runs": [f"{name}.bin" for name in names], "titles": [f"Run {name}" for name in names], "text": REPLAY,
            "autoplay": False, "loop": False, "seconds": SECONDS, "compact": False,
        }  # fmt: skip
        self.page.evaluate("data => show(data)", message | data)
        if loaded:
            self.page.wait_for_function(f"() => {ROOT}.dataset.loaded === '{loaded}'")
            self.settle()

    def settle(self) -> None:
        self.page.wait_for_function(f"() => {ROOT}.__replay.stages.every(({{ view }}) => view.width > 0)")
        self.page.clock.run_for(700)

    def root(self, expression: str) -> Any:
        return self.page.locator(".replay").evaluate(f"root => {expression}")

    def data(self, name: str) -> str:
        return str(self.root(f"root.dataset.{name}"))

    def positions(self, run: int = 0) -> np.ndarray:
        return np.array(self.root(f"root.__replay.stages[{run}].view.positions()"), float).reshape(-1, 2)

    def view(self, run: int, expression: str) -> Any:
        return self.root(f"root.__replay.stages[{run}].view.{expression}")

    def button(self, name: str) -> Any:
        return self.page.get_by_role("button", name=name, exact=True)

    def number(self, name: str) -> int:
        return int(self.data(name))

    def run_for(self, milliseconds: float) -> None:
        self.page.clock.run_for(round(milliseconds))

    def press(self, key: str) -> None:
        self.page.locator("canvas").first.press(key)
        self.settle()

    def neighbours(self) -> list[int]:
        return [j for j, _ in self.view(0, "nearest(0)")]

    def at(self, run: int, i: int) -> tuple[float, float]:
        box = self.page.locator("canvas").nth(run).bounding_box()
        x, y = self.positions(run)[i]
        return box["x"] + x, box["y"] + y

    def hover(self, run: int, i: int) -> None:
        self.page.mouse.move(*self.at(run, i))
        self.settle()


@pytest.fixture
def film(timeless: Page, pages: Any, request: pytest.FixtureRequest) -> Iterator[Film]:
    film = Film(timeless, pages)
    show_afresh(timeless, film.address, **({"viewport": WINDOW} | getattr(request, "param", {})))
    timeless.wait_for_function("window.show !== undefined")
    yield film
    assert film.errors == []


def test_a_film_loads_and_stands_at_its_first_frame(film: Film) -> None:
    film.serve(a=run_history())
    film.show("a")
    assert (film.data("runs"), film.data("frame"), film.data("step"), film.data("playing")) == ("1", "0", "0", "false")
    assert film.page.get_by_text("step 0 of 300").is_visible()
    assert film.page.get_by_role("heading", name="Run a").is_visible()
    assert film.page.locator("canvas").get_attribute("aria-label") == "120 points, 2-D, UMAP"


def test_runs_share_one_clock_and_their_axes(film: Film) -> None:
    film.serve(a=run_history([0, 100, 200]), b=run_history([0, 150, 300], seed=1, key="other", scale=2 * SCALE))
    film.show("a", "b")
    steps, frames = [], []
    for key in ("Home", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight"):
        film.press(key)
        steps.append(film.number("step"))
        frames.append([film.root(f"root.__replay.stages[{run}].frame") for run in (0, 1)])
    assert steps == [0, 100, 150, 200, 300]
    assert frames == [[0, 0], [1, 0], [1, 1], [2, 1], [2, 2]]  # each at its latest frame
    assert film.view(0, "camera.bounds") == film.view(1, "camera.bounds")
    assert film.view(0, "camera.place.k") == film.view(1, "camera.place.k")


def test_what_is_hovered_and_pinned_is_so_in_every_run_of_the_same_images(film: Film) -> None:
    film.serve(a=run_history(), b=run_history(seed=1), c=run_history(seed=2, key="other"))
    film.show("a", "b", "c")
    film.press("End")
    film.hover(0, 7)
    assert [film.view(run, "hovered") for run in range(3)] == [7, 7, -1]
    film.page.mouse.click(*film.at(1, 4))
    film.settle()
    assert [film.view(run, "pinned") for run in range(3)] == [4, 4, -1]
    tip = film.page.locator(".tip").nth(0)
    assert tip.locator("b").inner_text() == CLASSES[4]
    assert tip.locator(".near small").all_inner_texts() == [""] * 5  # no distances are recorded


def test_runs_of_the_same_images_have_one_legend(film: Film) -> None:
    film.serve(a=run_history(), b=run_history(seed=1))
    film.show("a", "b")
    film.page.locator(".legend button", has_text="Trouser").click()
    film.settle()
    assert film.page.locator(".legend").count() == 1
    assert [film.view(run, "shown(1)") for run in (0, 1)] == [False, False]


def test_the_tooltip_has_the_neighbours_of_the_frame_that_is_shown(film: Film) -> None:
    film.serve(a=run_history())
    film.show("a")
    film.view(0, "set('pinned', 0)")
    assert film.neighbours() == [10, 20, 30, 40, 50]
    film.press("ArrowRight")
    assert film.neighbours() == [100, 101, 102, 103, 104]
    assert film.page.locator(".near span").all_inner_texts() == CLASSES[:5]


def test_the_dom_is_built_once(film: Film) -> None:
    film.serve(a=run_history(), b=run_history(seed=1))
    for _ in range(3):
        film.show("a")
        film.press("ArrowRight")
    assert (film.data("mounts"), film.data("step")) == ("1", "90")  # a call with the same addresses changes nothing
    assert film.served.asked.count("/a.bin") == 1
    film.show("a", titles=["Its new name"])
    assert (film.page.get_by_role("heading").inner_text(), film.data("step")) == ("Its new name", "90")
    film.show("a", "b", "a")
    assert (film.data("mounts"), film.data("runs"), film.data("step")) == ("1", "3", "0")
    assert film.served.asked.count("/a.bin") == 2  # once for each time it is shown, however often
    film.page.evaluate("document.querySelector('#host').shadowRoot.replaceChildren()")
    film.show("a")
    assert film.data("mounts") == "2"


def test_a_missing_recording_is_reported_and_can_be_requested_again(film: Film) -> None:
    film.show("a", loaded="failed")
    assert film.page.get_by_text(REPLAY["missing"]).is_visible()
    assert film.page.get_by_role("slider").is_hidden()
    film.errors.clear()  # the browser's own word for a 404
    film.serve(a=run_history())
    film.button("Try again").click()
    film.page.wait_for_function(f"() => {ROOT}.dataset.loaded === 'true'")
    assert film.page.get_by_text(REPLAY["missing"]).is_hidden()


@pytest.mark.parametrize("content", [b"", b"no message", run_history()[:-80]])
def test_a_damaged_recording_is_reported(film: Film, content: bytes) -> None:
    film.serve(a=content)
    film.show("a", loaded="failed")
    assert film.page.get_by_text(REPLAY["damaged"]).is_visible()


def test_words_from_outside_are_text_and_not_markup(film: Film) -> None:
    name = "<img src=x onerror=\"console.error('markup')\">"
    film.serve(a=run_history(classes=[name, *CLASSES[1:]], axis=name))
    film.show("a", titles=[name])
    assert film.page.get_by_role("heading").inner_text() == name
    assert film.page.locator(".axis").first.text_content() == name


def test_a_small_view_has_the_layout_and_the_player_only(film: Film) -> None:
    film.serve(a=run_history())
    film.show("a", compact=True)
    film.button("Play").click()
    film.run_for(1000 * SECONDS + 100)
    assert film.data("step") == "300"
    assert film.button("Film").is_hidden()
    assert film.page.locator(".chart").count() == 0
