"""Files that the browser fetches once: plotly.js, our views, thumbnails. Generated, named by their content."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
STATIC = ROOT / "static"
COMPONENTS = ROOT / "pages" / "ui" / "components"


def publish(stem: str, suffix: str, content: bytes) -> str:
    """Write `content` and return its address, relative to the app, under a name that changes with it."""
    return _write(f"{stem}-{_digest(content)}{suffix}", content)


def is_there(url: str) -> bool:
    return (STATIC / url.removeprefix("app/static/")).is_file()


def withdraw(stem: str, older_than: float = 0.0) -> None:
    """Delete what was published under `stem`, at least so many seconds ago."""
    for path in STATIC.glob(f"{stem}-*"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime >= older_than:
                path.unlink()


@lru_cache(maxsize=1)
def plotly_js() -> str:
    from plotly.offline import get_plotlyjs

    return publish("plotly", ".js", get_plotlyjs().encode())


@lru_cache(maxsize=1)
def components() -> str:
    """Return the folder of our components; one folder, because they import each other."""
    sources = {path.relative_to(COMPONENTS).as_posix(): path.read_bytes() for path in sorted(COMPONENTS.rglob("*.js"))}
    folder = f"components-{_digest(b''.join(sources.values()))}"
    for name, content in sources.items():
        _write(f"{folder}/{name}", content)
    return f"app/static/{folder}"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def _write(name: str, content: bytes) -> str:
    path = STATIC / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
        unfinished.write_bytes(content)
        unfinished.replace(path)
    return f"app/static/{name}"
