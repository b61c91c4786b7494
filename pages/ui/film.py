"""The film of the front door: a recorded run, bundled, that plays before anything else is loaded."""

from __future__ import annotations

from functools import lru_cache

from pages.ui import static
from pages.ui.text.replay import REPLAY
from pages.ui.views import replay_view
from siamese_core.engine.pipes import ROOT
from siamese_core.wire import pack, unpack

FOLDER = ROOT / "data" / "recorded"
"""Made by: python -m siamese_core film; the whole commands stand in data/README.md."""


def film(title: str) -> None:
    replay_view(
        {
            "runs": [_published()], "titles": [title], "text": REPLAY, "autoplay": True, "loop": True, "seconds": 10.0,
            "compact": True,
        },
        key="film",
    )  # fmt: skip


def query() -> str:
    """The experiment that was recorded."""
    return (FOLDER / "experiment.txt").read_text("utf-8").strip()


@lru_cache(maxsize=1)
def _published() -> str:
    meta, arrays = unpack((FOLDER / "film.bin").read_bytes())
    meta["sprite"]["url"] = static.publish("recorded", ".png", (FOLDER / "film.png").read_bytes())
    return static.publish("recorded", ".bin", pack(meta, **arrays))
