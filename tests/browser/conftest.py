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

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

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
