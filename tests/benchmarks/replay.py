"""The replay of a recorded run: how soon it is there, and how smoothly it plays."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import ThreadingHTTPServer
from statistics import median

import numpy as np
from playwright.sync_api import Page, sync_playwright

from pages.ui.text.replay import REPLAY
from tests.browser.conftest import ARGS, CHROMIUM
from tests.browser.test_embedding_view import COMPONENTS
from tests.browser.test_replay_view import Pages, run_history

Row = tuple[str, str, str]

FRAMES, POINTS = 200, 2000
WATCH_SECONDS = 8.0

# From the call of render() to the first drawing with points in it.
FIRST_FRAME = """(data) => new Promise((resolve) => {
  const started = performance.now();
  show(data);
  const root = document.querySelector("#host").shadowRoot.querySelector(".replay");
  const poll = () => {
    const drawn = root.dataset.loaded === "true" && root.__replay.stages.every(({ view }) => view.screen);
    if (drawn) resolve((performance.now() - started) / 1000);
    else requestAnimationFrame(poll);
  };
  poll();
})"""

SEEN = """(root) => {
  window.seen = [];
  new MutationObserver(() => window.seen.push(Number(root.dataset.fps)))
    .observe(root, { attributes: true, attributeFilter: ["data-fps"] });
}"""


def measure() -> Iterator[Row]:
    handler = type("Handler", (Pages,), {"runs": {"/long.bin": long_run()}, "asked": []})
    server = ThreadingHTTPServer(("localhost", 0), partial(handler, directory=str(COMPONENTS)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGS)
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            yield from _watching(page, f"http://localhost:{server.server_port}/")
            browser.close()
    finally:
        server.shutdown()
        server.server_close()


def long_run() -> bytes:
    """Neighbours change at random, so that every frame has something to say."""
    neighbours = np.random.default_rng(0).integers(0, POINTS, (FRAMES, POINTS, 5)).astype(np.uint16)
    return run_history(np.linspace(0, 300, FRAMES).round().astype(int).tolist(), POINTS, neighbours=neighbours)


def _watching(page: Page, address: str) -> Iterator[Row]:
    what = f"{FRAMES} frames × {POINTS:,} points"
    message = {
        "runs": ["long.bin"], "titles": ["A long run"], "text": REPLAY, "autoplay": False, "loop": True,
        "seconds": WATCH_SECONDS, "compact": False,
    }  # fmt: skip
    page.goto(address)
    page.wait_for_function("window.show !== undefined")
    seconds = page.evaluate(FIRST_FRAME, message)
    yield f"a replay of {what}, from render to its first picture", f"{seconds:.2f} s", "< 2 s"
    page.locator(".replay").evaluate(SEEN)
    for extra in ("alone", "with trails", "with restless points as well"):
        if extra != "alone":
            page.get_by_role("button", name="Trails" if extra == "with trails" else "Restless points").click()
        yield f"the replay while it plays, {what}, {extra}", f"{_fps(page):.0f} fps", "≥ 50 fps"


def _fps(page: Page) -> float:
    """The median over one playback."""
    page.locator(".replay").evaluate("({ __replay }) => { window.seen.length = 0; __replay.seek(0); __replay.play(); }")
    time.sleep(WATCH_SECONDS)
    return median(page.evaluate("window.seen"))
