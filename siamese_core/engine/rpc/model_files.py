"""Files that travel to a process once and are then named by a key, as long as it still has them.

Both ends see the same messages in the same order, so both know which files these are.
"""

from __future__ import annotations

import numpy as np

from siamese_core.engine.recent import remember

MOST_FILES = 4


def attached(sent: dict[str, None], key: str, data: bytes) -> dict[str, np.ndarray]:
    """Return what a message that names `key` carries: the file, or nothing where the process has it."""
    is_there = key in sent
    remember(sent, key, None, MOST_FILES)
    return {} if is_there else {"file": np.frombuffer(data, np.uint8)}


def received(files: dict[str, np.ndarray], key: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays of a message that names `key`, with its file."""
    file = arrays["file"] if "file" in arrays else files[key]
    remember(files, key, file, MOST_FILES)
    return arrays | {"file": file}
