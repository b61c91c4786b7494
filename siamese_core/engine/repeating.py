"""What is done again and again, as long as the server runs."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable


def repeat(work: Callable[[], None], every: float, name: str, closed: threading.Event) -> None:
    """Call `work` every so many seconds, in a thread of that name, until `closed` is set."""

    def run() -> None:
        while not closed.wait(every):
            try:
                work()
            except Exception:
                # What fails once, on one run or set, must not end the care for all others.
                traceback.print_exc()

    threading.Thread(target=run, name=name, daemon=True).start()
