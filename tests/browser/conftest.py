"""One Chromium for all browser tests, and the app as a user starts it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from siamese_core.engine.rpc.pipes import ROOT
from tests.support.waiting import PATIENCE, until

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        message = f"no browser at {CHROMIUM}: apt install chromium, or name one with CHROMIUM=/path"
        if os.environ.get("SIAMESE_BROWSER_TESTS") == "required":
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGS)
        expect.set_options(timeout=1000 * PATIENCE)
        chromium.on("context", lambda context: context.set_default_timeout(1000 * PATIENCE))
        yield chromium
        chromium.close()


class Server:
    """The app on a port of its own, with a folder for its runs; `environment` is what its operator sets beside."""

    def __init__(self, **environment: str) -> None:
        with socket.socket() as free:
            free.bind(("localhost", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://localhost:{self.port}"
        self.home = tempfile.TemporaryDirectory(prefix="siamese-home-")
        options = ["--server.headless", "true", "--server.port", str(self.port)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "app.py", *options], cwd=ROOT, stdout=subprocess.DEVNULL,
            env={**os.environ, "SIAMESE_HOME": self.home.name, **environment},
        )  # fmt: skip
        until(self._is_healthy, "the server")

    def _is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=5) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.home.cleanup()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.kill()


DESKTOP: Any = {"width": 1280, "height": 1100}


@pytest.fixture(scope="session")
def _tab(browser: Browser) -> Iterator[Page]:
    """One tab for all: another one would compile Streamlit and plotly anew, four seconds of a core."""
    page = browser.new_context().new_page()
    yield page
    page.context.close()


@pytest.fixture
def page(_tab: Page, server: Server) -> Page:
    """A desktop tab of somebody who has never been here."""
    _tab.goto(f"{server.url}/_stcore/health")
    _tab.evaluate("localStorage.clear(); sessionStorage.clear()")
    _tab.context.clear_cookies()
    _tab.goto("about:blank")
    _tab.set_viewport_size(DESKTOP)
    _tab.emulate_media(color_scheme="light")
    return _tab


FAKE_HOUR = 3_600_000


def stop_clock(page: Page) -> None:
    """From here on time passes for the pages of this context by `page.clock.run_for` alone."""
    page.clock.install(time=0)
    page.clock.pause_at(FAKE_HOUR)


@pytest.fixture(scope="module")
def timeless(browser: Browser) -> Iterator[Page]:
    """One tab for all tests of a view, whose clock stands still."""
    page = browser.new_context().new_page()
    stop_clock(page)
    yield page
    page.context.close()


def show_afresh(page: Page, url: str, viewport: Any = DESKTOP, reduced_motion: Any = "null") -> None:
    """Load the page of a view as somebody does who has never been there."""
    page.set_viewport_size(viewport)
    page.emulate_media(reduced_motion=reduced_motion)
    page.mouse.move(0, 0)
    page.goto(url)
    page.evaluate("sessionStorage.clear()")
