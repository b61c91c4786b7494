"""The tests on other machines, as far as one machine can be others: `python -m tests.portability [NAME …] [--seed N]`.

The whole suite as on other processors, each time in an order of its own; then those marked `environment` in another
time zone and language, in a folder with blanks and umlauts, as a user without rights, on other Pythons, and beside a
process that never rests. It tests what is committed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
OLD = {"MKL_CBWR": "COMPATIBLE", "ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default"}
ABROAD = {"TZ": "Asia/Kolkata", "LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8"}


class Unavailable(Exception):
    """This machine cannot be that other one."""


@dataclass(frozen=True)
class Setting:
    """One other machine; `whole` runs the README's tests, otherwise those marked `environment`."""

    name: str
    whole: bool = False
    environment: dict[str, str] = field(default_factory=dict)
    folder: str = "checkout"
    python: str = ""
    user: str | None = None
    hogs: int = 0


SETTINGS = (
    Setting("processor", whole=True),
    Setting("avx2", whole=True, environment=AVX2),
    Setting("old-processor", whole=True, environment=OLD),
    Setting("abroad", environment=ABROAD),
    Setting("path", folder="ein Häuschen mit Leerzeichen"),
    Setting("user", user="nobody", python="python3"),
    Setting("python3.12", python="python3.12"),
    Setting("python3.13", python="python3.13"),
    Setting("busy", hogs=1),
)


SUPPORTED = "import sys; assert sys.version_info >= (3, 11)"


def on_this_machine(name: str, user: str | None) -> str:
    """Return the first Python of that name that runs, as `user`: on the path, the system's, or of pyenv, whose shim may
    only say where it is."""
    places = [shutil.which(name), f"/usr/bin/{name}", *map(str, Path.home().glob(f".pyenv/versions/*/bin/{name}"))]
    for place in filter(None, places):
        with contextlib.suppress(OSError, LookupError):
            if subprocess.run([place, "-c", SUPPORTED], capture_output=True, user=user, cwd="/").returncode == 0:
                return place
    raise Unavailable(f"no {name} on this machine" + (f" that {user} can run" if user else ""))


def interpreter(setting: Setting, folder: Path) -> str:
    """Return the Python to run with, the requirements installed; raises Unavailable where there is none."""
    if not setting.python:
        return sys.executable
    subprocess.run([on_this_machine(setting.python, setting.user), "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    requirements = ROOT / "requirements-dev.txt"
    subprocess.run([python, "-m", "pip", "install", "-q", "-r", requirements], check=True)
    return str(python)


def give_to(user: str, folder: Path, python: str) -> None:
    """Make `folder` the user's; raises Unavailable where one cannot become that user, or that user has no Python."""
    try:
        import pwd  # not on Windows

        for path in (folder, *folder.rglob("*")):
            # A link itself: what a link of a virtual environment leads to is the system's.
            os.lchown(path, pwd.getpwnam(user).pw_uid, -1)
        subprocess.run([python, "-c", "import torch"], user=user, cwd=folder, check=True, capture_output=True)
    except (ImportError, LookupError, OSError, subprocess.CalledProcessError) as why:
        raise Unavailable(f"{python} cannot be run as {user}: {why}") from why


@contextlib.contextmanager
def busy(hogs: int) -> Iterator[None]:
    """Processes beside that never rest."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(hogs)]
    try:
        yield
    finally:
        for hog in running:
            hog.kill()
            hog.wait()


def passes(setting: Setting, seed: int, folder: Path) -> bool:
    """Whether the tests pass in that setting, below `folder`; raises Unavailable."""
    checkout = folder / setting.folder
    python = interpreter(setting, folder)
    subprocess.run(["git", "clone", "-q", ROOT, checkout], check=True)
    if setting.user is not None:
        give_to(setting.user, folder, python)
    order = ["-p", "randomly", f"--randomly-seed={seed}"]
    marked = [] if setting.whole else ["-m", "environment and not slow"]
    command = [python, "-m", "pytest", "-q", *order, *marked]
    home = {"HOME": str(folder)} if setting.user else {}
    variables = os.environ | setting.environment | home
    print("+", *(f"{k}={v}" for k, v in setting.environment.items()), *command, flush=True)
    with busy(setting.hogs):
        return subprocess.run(command, cwd=checkout, env=variables, user=setting.user).returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.portability", description=__doc__)
    names = [setting.name for setting in SETTINGS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}; all by default")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="of the order of the tests")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(names):
        parser.error(f"no such setting: {', '.join(sorted(unknown))}")
    results = {}
    for number, setting in enumerate(SETTINGS):
        if asked.names and setting.name not in asked.names:
            continue
        seed = (asked.seed + number) % 2**32
        print(f"== {setting.name}, seed {seed}", flush=True)
        with tempfile.TemporaryDirectory(prefix="portability-", ignore_cleanup_errors=True) as folder:
            try:
                results[setting.name] = "passed" if passes(setting, seed, Path(folder)) else "FAILED"
            except Unavailable as why:
                results[setting.name] = f"not here: {why}"
    print(f"\nseed {asked.seed}", *(f"{name:14} {result}" for name, result in results.items()), sep="\n")
    return "FAILED" in results.values()


if __name__ == "__main__":
    sys.exit(main())
