"""What a person sees: frames per second, delivery, the first page, the first moving frame."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from statistics import median

from playwright.sync_api import Page, sync_playwright

from siamese_core.engine.rpc.pipes import ROOT
from tests.browser.conftest import ARGS, CHROMIUM, Server
from tests.browser.test_main_job import Tab
from tests.support.waiting import until

Row = tuple[str, str, str]

IMPORTS = "import time; t = time.perf_counter(); import siamese_core; print(time.perf_counter() - t)"
WATCH_SECONDS = 20.0
MANY_POINTS = "dataset=fashion_mnist_full&steps=100000"

# How long after the server packed it a frame is drawn, and the frames per second of each tween.
OBSERVE = """() => {
  const root = document.querySelector(".st-key-embedding").querySelector("[data-mounts]") ?? (() => {
    const walk = (node) => node.querySelector?.("[data-mounts]") ??
      [...(node.querySelectorAll?.("*") ?? [])].map((e) => e.shadowRoot && walk(e.shadowRoot)).find(Boolean);
    return walk(document.querySelector(".st-key-embedding"));
  })();
  window.seen = { fps: [], delay: [] };
  new MutationObserver((changes) => {
    for (const { attributeName: name } of changes) {
      if (name === "data-fps") window.seen.fps.push(+root.dataset.fps);
      if (name === "data-delay") window.seen.delay.push(+root.dataset.delay);
    }
  }).observe(root, { attributes: true });
}"""


def measure() -> Iterator[Row]:
    light = subprocess.run([sys.executable, "-c", IMPORTS], cwd=ROOT, capture_output=True, text=True, check=True)
    yield "`import siamese_core`", f"{float(light.stdout):.3f} s", "< 0.3 s"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGS)
        server = Server()
        try:
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            started = time.monotonic()
            page.goto(server.url)
            page.get_by_text("Train one and watch it learn").wait_for()
            yield "first page of a fresh server, readable after", f"{time.monotonic() - started:.1f} s", "< 3 s"
            yield from _watching(page, server)
        finally:
            server.kill()
            browser.close()


def _watching(page: Page, server: Server) -> Iterator[Row]:
    tab = Tab(page)
    tab.open(f"{server.url}/Train")
    tab.until_says("No run yet")
    _wait_until_umap_is_warm(tab)
    waits = [_until_it_moves(tab) for _ in range(5)]
    yield "from Train to the first moving frame, warm, defaults, median of 5", f"{median(waits):.1f} s", "< 2 s"
    tab.page.goto(f"{server.url}/Train?{MANY_POINTS}")
    tab.until_says("No run yet")
    _until_it_moves(tab, reset=False)
    page.evaluate(OBSERVE)
    page.wait_for_timeout(WATCH_SECONDS * 1000)
    seen = page.evaluate("window.seen")
    yield "embedding view between frames, 2,000 points, median", f"{median(seen['fps']):.0f} fps", "≥ 50 fps"
    yield "from the server's message to its drawing, median", f"{median(seen['delay']):.0f} ms", "< 100 ms"
    mounts = tab.embedding.get_attribute("data-mounts")
    yield "remounts, JavaScript errors", f"{int(mounts or 0) - 1}, {len(tab.complaints)}", "0, 0"


def _until_it_moves(tab: Tab, reset: bool = True) -> float:
    """Seconds from the click to the second layout of the run."""
    before = tab.frames()
    started = time.monotonic()
    tab.button("train").click()
    until(lambda: tab.points() > 0 and tab.frames() >= before + 2, "a moving frame")
    seconds = time.monotonic() - started
    if reset:
        tab.button("reset").click()
        tab.until_says("No run yet")
    return seconds


def _wait_until_umap_is_warm(tab: Tab) -> None:
    """One run to its end: its last layout is UMAP's."""
    tab.button("train").click()
    until(lambda: tab.points() > 0, "points")
    until(lambda: "PCA until" not in tab.embedding.inner_text(), "UMAP")
    tab.button("reset").click()
    tab.until_says("No run yet")
