"""Every figure of the README's table, in one run: python -m tests.benchmarks [part …]."""

from __future__ import annotations

import importlib
import platform
import sys
from datetime import date

import torch

PARTS = (
    "quality",
    "losses",
    "projection",
    "watched",
    "cuda",
    "browser",
    "memory",
    "upload",
    "models",
    "replay",
    "saving",
)


def main(asked: list[str]) -> None:
    for part in asked or PARTS:
        if part not in PARTS:
            sys.exit(f"{part}: no such part; there are {', '.join(PARTS)}")
    cores = f"{torch.multiprocessing.cpu_count()} cores"
    print(
        f"{date.today()}, {platform.machine()}, {cores}, Python {platform.python_version()}, torch {torch.__version__}"
    )
    print("\n| what | measured | wanted |\n|---|---|---|")
    for part in asked or PARTS:
        for row in importlib.import_module(f"tests.benchmarks.{part}").measure():
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
