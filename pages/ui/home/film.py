"""The film of the front door: a recorded run, bundled, that plays before anything else is loaded."""

from __future__ import annotations

from functools import lru_cache

from pages.ui.components.components import replay_view
from pages.ui.shims import assets
from siamese_core.datasets.bundled import data_folder
from siamese_core.formats.wire import pack, unpack

FOLDER = data_folder() / "recorded"
"""Made by: python -m siamese_core film; the whole commands stand in data/README.md."""


def film(title: str) -> None:
    replay_view([_published()], [title], "film", autoplay=True, loop=True, seconds=10.0, compact=True)


def query() -> str:
    """Return the experiment that was recorded."""
    return (FOLDER / "experiment.txt").read_text("utf-8").strip()


@lru_cache(maxsize=1)
def _published() -> str:
    meta, arrays = unpack((FOLDER / "film.bin").read_bytes())
    meta["sprite"]["url"] = assets.publish("recorded", ".png", (FOLDER / "film.png").read_bytes())
    return assets.publish("recorded", ".bin", pack(meta, **arrays))
