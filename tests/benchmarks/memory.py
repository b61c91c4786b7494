"""Memory of server, training worker and projection process together, and whether fifty runs leave anything."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
from playwright.sync_api import sync_playwright

from tests.browser.conftest import ARGS, CHROMIUM, Server
from tests.browser.test_main_job import Tab
from tests.support.waiting import until

Row = tuple[str, str, str]

RUNS = 50
SETTLED_AFTER = 10


def measure() -> Iterator[Row]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGS)
        server = Server()
        try:
            tab = Tab(browser.new_page(viewport={"width": 1280, "height": 900}))
            tab.open(f"{server.url}/Train?steps=20")
            tab.until_says("No run yet")
            after = {}
            for number in range(1, RUNS + 1):
                tab.button("train").click()
                tab.until_says("Finished")
                until(lambda: tab.points() > 0, "points")
                after[number] = megabytes(server.process.pid)
                tab.button("reset").click()
                tab.until_says("No run yet")
        finally:
            server.kill()
            browser.close()
    yield "PSS of server, worker and projection process with one run", f"{max(after.values()):.0f} MB", "< 1,500 MB"
    yield f"growth from run {SETTLED_AFTER} to run {RUNS}", f"{after[RUNS] - after[SETTLED_AFTER]:+.0f} MB", "flat"


def megabytes(server: int) -> float:
    process = psutil.Process(server)
    return sum(p.memory_full_info().pss for p in (process, *process.children(recursive=True))) / 2**20
