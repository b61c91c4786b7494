"""A run outlives its server: killed, resumed, replayed, laid beside another, and repeated from its link."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from pages.ui.text import runs as text
from pages.ui.text import train as train_text
from tests.browser.conftest import Server
from tests.browser.test_main_job import PATIENT, Tab
from tests.support.waiting import until

pytestmark = pytest.mark.browser

QUERY = "dataset=digits&encoder=mlp&steps=1200&projection=pca&seed={seed}"


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 1400})
    yield context
    context.close()


def folders(home: Path) -> list[Path]:
    """Of the runs that have been saved, the oldest first."""
    found = [path.parent for path in home.glob("runs/*/run.json")]
    return sorted(found, key=lambda folder: float(record(folder)["created"]))


def record(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "run.json").read_text())
    return found


def sha(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def replay(page: Page) -> Locator:
    return page.locator(".st-key-replay [data-mounts]").first


def trained(tab: Tab, address: str, home: Path, runs: int) -> Path:
    """The folder of a run that is begun on Train, the last of so many."""
    tab.open(address)
    tab.button("train").click()
    until(lambda: len(folders(home)) == runs, "its folder")
    ended(tab, folders(home)[-1])
    return folders(home)[-1]


def ended(tab: Tab, folder: Path) -> None:
    """Nobody looks meanwhile: Chromium without a GPU would take the cores that train."""
    tab.page.goto("about:blank")
    until(lambda: record(folder)["status"] == "finished", "its end")
    until(lambda: (folder / "model.safetensors").exists(), "its model")


@pytest.mark.slow
def test_a_run_survives_kill_9_is_replayed_compared_and_repeated_from_its_link(
    context: BrowserContext, browser: Browser, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    first = Server(SIAMESE_HOME=str(home))
    tab = Tab(context.new_page())
    tab.open(f"{first.url}/Train?{QUERY.format(seed=0)}")
    tab.button("train").click()
    until(lambda: [f for f in folders(home) if int(str(record(f)["step"])) > 0], "the first save")
    first.kill()
    tab.page.close()
    (folder,) = folders(home)
    saved = int(str(record(folder)["step"]))
    assert saved < 1200, "it was killed on the way"

    second = Server(SIAMESE_HOME=str(home))
    try:
        # The same browser: its cookie makes it the owner of the run.
        tab = Tab(context.new_page())
        tab.open(f"{second.url}/Train")
        expect(tab.page.get_by_text(re.compile(f"Interrupted at step {saved:,} of 1,200"))).to_be_visible(
            timeout=PATIENT
        )
        tab.page.get_by_role("button", name=train_text.RESUME, exact=True).click()
        until(lambda: tab.step() > saved, "it to go on")
        ended(tab, folder)
        tab.page.goto(f"{second.url}/Train")
        tab.until_says("Finished")

        # Replayed: the scrubber moves the layout without the server.
        page = tab.page
        page.get_by_role("link", name=text.TITLE).click()
        page.wait_for_url(re.compile("/Runs$"), timeout=PATIENT)
        page.goto(f"{second.url}/Runs?run={folder.name}")
        expect(replay(page)).to_have_attribute("data-loaded", "true", timeout=PATIENT)
        replay(page).get_by_role("slider").press("End")
        until(lambda: replay(page).get_attribute("data-step") == "1200", "the last frame")

        # Another run of the same settings but the seed, side by side.
        trained(tab, f"{second.url}/Train?{QUERY.format(seed=1)}", home, 2)
        page.goto(f"{second.url}/Runs?run={','.join(f.name for f in folders(home))}")
        expect(replay(page)).to_have_attribute("data-runs", "2", timeout=PATIENT)
        expect(page.get_by_text(text.DIFFERENCES)).to_be_visible(timeout=PATIENT)
        expect(page.get_by_text(text.SEEDS_DIFFER)).to_be_visible(timeout=PATIENT)

        # Nobody else: not in the list, not by its id.
        strangers = browser.new_context()
        stranger = strangers.new_page()
        stranger.goto(f"{second.url}/Runs?run={folder.name}")
        expect(stranger.get_by_text(text.NONE_YET)).to_be_visible(timeout=PATIENT)
        expect(stranger.get_by_text(text.NO_RUN.format(asked=folder.name))).to_be_visible(timeout=PATIENT)
        strangers.close()

        # From its link on another server: the same weights as the run that was killed on the way.
        page.goto(f"{second.url}/Runs?run={folder.name}")
        page.get_by_role("button", name=text.LINK).click()
        link = page.get_by_text(re.compile(r"/Train\?")).first.inner_text()
        elsewhere = Server(SIAMESE_HOME=str(tmp_path / "elsewhere"))
        try:
            other = Tab(context.new_page())
            address = f"{elsewhere.url}/Train?{link.partition('?')[2]}"
            assert sha(trained(other, address, tmp_path / "elsewhere", 1)) == sha(folder)
        finally:
            elsewhere.kill()
        assert [complaint for complaint in tab.complaints if "disconnected" not in complaint] == []
    finally:
        second.kill()


@pytest.mark.slow
def test_a_full_disk_is_reported_and_stops_no_training(context: BrowserContext, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("a file where a folder should be")
    server = Server(SIAMESE_HOME=str(home))
    try:
        tab = Tab(context.new_page())
        tab.open(f"{server.url}/Train?{QUERY.format(seed=0).replace('1200', '100000')}")
        tab.button("train").click()
        expect(tab.page.get_by_text(re.compile("Not saved: .*The training goes on"))).to_be_visible(timeout=PATIENT)
        before = tab.step()
        until(lambda: tab.step() > before, "the training to go on")
        assert tab.complaints == []
    finally:
        server.kill()


def test_the_film_of_the_front_door_plays_by_itself_and_opens_on_train(page: Page, server: Server) -> None:
    page.goto(server.url)
    film = page.locator(".st-key-film [data-mounts]").first
    expect(film).to_have_attribute("data-loaded", "true", timeout=PATIENT)
    first = film.get_attribute("data-step")
    until(lambda: film.get_attribute("data-step") != first, "the film to play")
    page.get_by_role("button", name="Open this run on Train").click()
    expect(Tab(page).button("train")).to_be_enabled(timeout=PATIENT)
    page.wait_for_url(re.compile(r"/Train\?dataset=fashion_mnist&.*steps=300"), timeout=PATIENT)
