"""The embedding view in a real browser, on a page of its own with a clock that only the test moves."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page

from siamese_core.formats.wire import pack
from tests.browser.conftest import show_afresh

COMPONENTS = Path(__file__).parents[2] / "pages" / "ui" / "components"
VIEW = "document.querySelector('#host').shadowRoot.querySelector('.root').__view"
WINDOW = {"width": 1280, "height": 800}
CLASSES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Boot"]
COLOURS = [
    *("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"),
    *("#56B4E9", "#A58D00", "#7B5EA7", "#8C564B", "#4D8B31"),
]
MARKERS = [
    *("circle", "square", "triangle-up", "diamond", "triangle-down"),
    *("cross", "x", "star", "pentagon", "hexagon"),
]
TEXT = {
    "empty": "Press Train: the embedding appears here.",
    "images": "Images",
    "images_help": "Draw every point as its image",
    "trails": "Trails",
    "trails_help": "Show where the points were in the last frames",
    "zoom_in": "Zoom in",
    "zoom_out": "Zoom out",
    "reset": "Show everything",
    "tools": "View",
    "legend": "Classes: press one to hide or show it",
    "held_out": "held out",
    "point": "image {index}",
    "neighbours": "Nearest in the embedding space",
    "summary": "{points} points, {dim}-D, {projection}, frame {frame}",
    "help": "Drag, + and −: move and zoom · 0: all · n, p: next, previous point · Esc: unpin",
    "announce": "Image {index}, {name}. Nearest: {names}.",
}
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>view</title>
<link rel="icon" href="data:,"><meta name="viewport" content="width=device-width"><style>
:root { --st-text-color: #31333f; --st-background-color: #fff; --st-secondary-background-color: #f0f2f6;
  --st-primary-color: #0072b2; --st-border-color: #d9dae0; --st-font: "Source Sans", sans-serif; }
:root.dark { --st-text-color: #fafafa; --st-background-color: #0e1117;
  --st-secondary-background-color: #262730; --st-primary-color: #56b4e9; --st-border-color: #3b3d47; }
body { margin: 16px auto; max-width: 760px; padding: 0 16px; background: var(--st-background-color); }</style>
<div id="host"></div><script type="module">
import { render } from "/embedding/view.js";
const parentElement = document.getElementById("host").attachShadow({ mode: "open" });
window.show = (text) => {
  const raw = text === null ? null : Uint8Array.from("###" + atob(text), (c) => c.charCodeAt(0));
  const data = raw && raw.subarray(3); // an odd byteOffset
  render({ parentElement, data, setStateValue() {}, setTriggerValue() {} });
};
</script>"""


class Pages(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path != "/":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(PAGE.encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("localhost", 0), partial(Pages, directory=str(COMPONENTS)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}/"
    server.shutdown()
    server.server_close()


def sprite(labels: np.ndarray, columns: int = 40) -> dict[str, Any]:
    """An atlas of 14 × 14 tiles: a bright square whose place tells the class."""
    rows = -(-len(labels) // columns)
    atlas = np.full((rows * 14, columns * 14), 30, np.uint8)
    for i, label in enumerate(labels):
        top, left = 14 * (i // columns), 14 * (i % columns)
        atlas[top + 1 + label : top + 5 + label, left + 4 : left + 10] = 240
    png = io.BytesIO()
    Image.fromarray(atlas).save(png, "PNG")
    url = "data:image/png;base64," + base64.b64encode(png.getvalue()).decode()
    return {"url": url, "columns": columns, "width": 14, "height": 14}


class Scene:
    """Points in ten drifting clusters, with their neighbours, and the page that shows them."""

    def __init__(self, page: Any, n: int = 200, dim: int = 2) -> None:
        self.page, self.n, self.dim, self.frame = page, n, dim, 0
        self.rng = np.random.default_rng(0)
        self.labels = np.arange(n, dtype=np.int32) % 10
        self.centres = self.rng.uniform(-4, 4, (10, dim))
        self.offsets = self.rng.normal(0, 0.6, (n, dim))
        self.neighbours = (np.arange(n)[:, None] + np.array([10, 20, 30, 1, 2])).astype(np.int32) % n
        self.distances = np.tile(np.array([0.125, 0.25, 0.5, 1.5, 2.25], np.float32), (n, 1))
        self.meta: dict[str, Any] = {
            "key": "a", "dim": dim, "projection": "umap", "note": "", "classes": CLASSES, "colours": COLOURS,
            "markers": MARKERS, "held_out": [8, 9], "sprite": sprite(self.labels), "text": TEXT,
        }  # fmt: skip
        self.errors: list[str] = []
        page.on("console", lambda m: self.errors.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def xy(self) -> np.ndarray:
        return (self.centres[self.labels] + self.offsets).astype(np.float32)

    def show(self, settle: bool = True, xy: np.ndarray | None = None, **meta: Any) -> None:
        self.frame += 1
        self.meta |= {"frame": self.frame, **meta}
        arrays = {"labels": self.labels, "neighbours": self.neighbours, "distances": self.distances}
        message = pack(self.meta, xy=self.xy() if xy is None else xy, **arrays)
        self.page.evaluate("text => show(text)", base64.b64encode(message).decode())
        if settle:
            self.settle()

    def drift(self, by: float = 0.4) -> None:
        self.centres = self.centres + self.rng.normal(0, by, self.centres.shape)

    def settle(self) -> None:
        self.page.wait_for_function(f"() => {VIEW}.width > 0")  # the browser gives the size, in its own time
        self.page.clock.run_for(1500)

    def root(self, expression: str) -> Any:
        return self.page.locator(".root").evaluate(f"root => {expression}")

    def data(self, name: str) -> str:
        return str(self.root(f"root.dataset.{name}"))

    def positions(self) -> np.ndarray:
        return np.array(self.root("root.__view.positions()"), float).reshape(-1, 2)

    def at(self, i: int) -> tuple[float, float]:
        box = self.page.locator("canvas").bounding_box()
        x, y = self.positions()[i]
        return box["x"] + x, box["y"] + y

    def lonely(self) -> int:
        """The point farthest from all others on the screen, so that the pointer can mean no other."""
        xy = self.positions()
        apart = np.linalg.norm(xy[:, None] - xy[None], axis=2) + 1e9 * np.eye(len(xy))
        return int(apart.min(1).argmax())

    def hover(self, i: int) -> None:
        self.page.mouse.move(*self.at(i))
        self.settle()

    def click(self, i: int) -> None:
        self.page.mouse.click(*self.at(i))
        self.settle()


@pytest.fixture
def scene(timeless: Page, address: str, request: pytest.FixtureRequest) -> Iterator[Scene]:
    view = Scene(timeless)
    show_afresh(timeless, address, **({"viewport": WINDOW} | getattr(request, "param", {})))
    timeless.wait_for_function("window.show !== undefined")
    yield view
    assert view.errors == []


def colours_at(scene: Scene, i: int) -> set[tuple[int, ...]]:
    """The colours on the screen within three CSS px of a point."""
    x, y = scene.positions()[i]
    box = scene.page.locator("canvas").bounding_box()
    clip = {"x": round(box["x"] + x) - 3, "y": round(box["y"] + y) - 3, "width": 7, "height": 7}
    picture = Image.open(io.BytesIO(scene.page.screenshot(clip=clip))).convert("RGB")
    return {colour for _, colour in picture.getcolors()}


def rgb(css: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(css[1:]))


def test_twenty_updates_build_the_dom_once(scene: Scene) -> None:
    for _ in range(20):
        scene.drift()
        scene.show()
    assert (scene.data("mounts"), scene.data("frames"), scene.data("points")) == ("1", "20", "200")
    assert scene.page.locator("canvas").get_attribute("aria-label") == "200 points, 2-D, umap, frame 20"


def test_trails_draw_the_way_that_points_came(scene: Scene) -> None:
    scene.show()
    ink = "root.__view.painter.pixels.data.reduce((sum, colour) => sum + (colour !== 0), 0)"
    bare = scene.root(ink)
    scene.page.get_by_role("button", name="Trails").click()
    grown = []
    for _ in range(4):
        scene.drift(0.5)
        scene.show()
        grown.append(scene.root(ink))
    assert bare < 0.9 * grown[0]
    assert grown == sorted(grown)
    scene.page.get_by_role("button", name="Trails").click()
    scene.settle()
    assert scene.root(ink) < grown[0]


def test_a_change_of_theme_is_drawn(scene: Scene) -> None:
    scene.show()
    scene.page.evaluate("document.documentElement.classList.add('dark')")
    scene.page.wait_for_function(f"() => {VIEW}.ticket !== null")
    scene.settle()
    assert scene.root("root.__view.painter.ground") == "rgb(14, 17, 23)"


def test_nothing_to_show_gives_a_hint(scene: Scene) -> None:
    scene.page.evaluate("show(null)")
    scene.settle()
    assert scene.data("points") == "0"
    scene.show()
    assert scene.page.get_by_text(TEXT["empty"]).is_hidden()
    scene.click(scene.lonely())
    scene.page.evaluate("show(null)")
    scene.settle()
    assert scene.page.get_by_text(TEXT["empty"]).is_visible()
    assert (scene.data("points"), scene.data("pinned"), scene.data("mounts")) == ("0", "", "1")
    scene.show()
    assert scene.data("points") == "200"


@pytest.mark.parametrize("kind", ["one point", "identical", "nan", "one nan"])
def test_degenerate_frames_are_drawn_or_left_blank(scene: Scene, kind: str) -> None:
    if kind == "one point":
        scene.n, scene.labels = 1, scene.labels[:1]
        scene.neighbours, scene.distances = np.full((1, 5), -1, np.int32), np.full((1, 5), np.nan, np.float32)
        scene.offsets = scene.offsets[:1]
    xy = scene.xy()
    if kind == "identical":
        xy[:] = 3
    if kind in ("nan", "one nan"):
        xy[: None if kind == "nan" else 1] = np.nan
    scene.show(xy=xy)
    scene.show(xy=xy)
    if kind != "nan":
        assert np.isfinite(scene.positions()[-1]).all()
        scene.hover(-1)
        assert scene.data("hovered") != ""
    if kind.endswith("nan"):
        scene.show()
        assert np.isfinite(scene.positions()).all()


def test_words_from_outside_are_text_and_not_markup(scene: Scene) -> None:
    name = "<img src=x onerror=\"console.error('markup')\">"
    scene.show(classes=[name, *CLASSES[1:]], note=name, text=TEXT | {"empty": name})
    scene.root("root.__view.set('pinned', 0)")
    assert scene.page.locator(".tip b").inner_text() == name
    assert scene.page.locator(".legend button").first.inner_text() == name
