"""The folder of what is to last: runs and sweeps."""

from __future__ import annotations

import os
from pathlib import Path

HOME = "SIAMESE_HOME"


def home() -> Path:
    """Return $SIAMESE_HOME, else the folder for user data of this platform."""
    from platformdirs import user_data_path

    # os.path.expanduser leaves a "~" that it cannot resolve.
    named = os.environ.get(HOME)
    return Path(os.path.expanduser(named)) if named else user_data_path("siamese-playground", appauthor=False)
