"""What is done again and again, as long as the server runs."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable


def repeated(work: Callable[[], None], every: float, name: str) -> threading.Event:
    """Call `work` every so many seconds, in a thread of that name, until the event that is returned is set."""
    closed = threading.Event()

    def run() -> None:
        while not closed.wait(every):
            try:
                work()
            except Exception:
                # What fails once, on one run or set, must not end the care for all others.
                traceback.print_exc()

    threading.Thread(target=run, name=name, daemon=True).start()
    return closed
