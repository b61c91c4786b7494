"""The Data page: one part at a time."""

from __future__ import annotations

from pages.ui.data import browse, downloads, inputs, pairs, uploaded
from pages.ui.session import sections
from pages.ui.session.engine import engine
from pages.ui.shims.polling import rerun_when
from pages.ui.text import data as text

SECTIONS = {
    "browse": browse.section,
    "pairs": pairs.section,
    "inputs": inputs.section,
    "own": uploaded.section,
    "get": downloads.section,
}


def page() -> None:
    section = sections.choose("data", "section", text.SECTION, text.SECTIONS, text.NO_SECTION)
    # Asked before: a worker that comes while the page is drawn is a reason to draw it again.
    is_ready = bool(engine().devices)
    SECTIONS[section]()
    if not is_ready:
        # The replies of the training process come when that has started.
        rerun_when(lambda: bool(engine().devices))
