"""Sweeps of this browser."""

from __future__ import annotations

from pages.ui.session.engine import sweeps
from pages.ui.session.session import of_browser, owner_hash
from siamese_core.engine.sweeps.sweeps import Sweeps

start = of_browser(sweeps, owner_hash, Sweeps.start)
"""Return the id of a new sweep. Raises Rejected."""

views = of_browser(sweeps, owner_hash, Sweeps.all)
"""Return all of them as they are now, the newest first."""

poll = of_browser(sweeps, owner_hash, Sweeps.poll)
"""Return a sweep as it is now; None for an unknown one."""

cancel = of_browser(sweeps, owner_hash, Sweeps.cancel)
"""Stop what runs, and start nothing more of it."""

delete = of_browser(sweeps, owner_hash, Sweeps.delete)
"""Delete a sweep, which can be taken back for a while."""

is_deleted = of_browser(sweeps, owner_hash, Sweeps.is_deleted)
"""Return whether a sweep was deleted, and can still be restored."""

restore = of_browser(sweeps, owner_hash, Sweeps.restore)
"""Take a deletion back; False where it is too late."""
