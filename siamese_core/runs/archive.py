"""Exports a run as a zip of its files, and imports one. What is imported may come from anybody."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import BinaryIO

from siamese_core.experiment.machine import Machine
from siamese_core.formats import archives
from siamese_core.formats.archives import MAX_PACKED, MAX_UNPACKED, MB, ArchiveRejected
from siamese_core.formats.files import zipped
from siamese_core.formats.safetensors import packed, unpacked
from siamese_core.runs.disk_format import COUNTERS, TENSOR, FolderRejected, run_history_of
from siamese_core.runs.history import EVAL_IMAGES, FRAMES, RUN, SUFFIX
from siamese_core.runs.info import RunInfo

MAX_FILES = 1_000
MAX_FILE = 32 * MB
MAX_BYTES = 64 * MB
"""Of all files of a run that is imported: numbers take four times as much memory while they are read."""

MAX_FRAMES, MAX_POINTS, MAX_DIM = 400, 5_000, 1_024
"""What a projection can still lay out while others wait for it."""

NAME = "This run"

REJECTED = "This zip cannot be read as a run: {why}. Take the run along again, or choose the files of its folder."

WHY: dict[str, str] = {
    "not_zip": "it is no zip archive",
    "damaged": "it is damaged or cut short",
    "packed": f"it is larger than {MAX_PACKED // MB} MB",
    "unpacked": f"it unpacks to more than {MAX_UNPACKED // MB} MB",
    "ratio": "it unpacks to far too much, like a zip bomb",
    "overlap": "its files share the same bytes, like a zip bomb",
    "entries": "it lists far too many files",
    "images": "it lists far too many files",
    "encrypted": "it is locked with a password",
}

TOO_LARGE = f"{NAME}: it has more than {MAX_FRAMES} pictures of {MAX_POINTS:,} points; bring a smaller one."

HEAVY = f"{NAME}: its files are more than {MAX_BYTES // MB} MB, or more than {MAX_FILES:,}; bring a smaller one."

NO_WEIGHTS = "Its network was too large to come along: it can be replayed, and trained again."

LEFT_OUT = f"{NAME}: a file is damaged, or larger than {MAX_FILE // MB} MB; take the run along again and choose that."


def zipped_run(files: Mapping[str, bytes]) -> bytes:
    """Return a zip that `of_zip` reads, without the state of a large network, which could not be imported again."""
    small = {RUN: _light(files[RUN])} if len(files.get(RUN, b"")) > MAX_FILE else {}
    return zipped(dict(sorted({**files, **small}.items())))


def of_zip(file: BinaryIO) -> dict[str, bytes]:
    """Return name → content of the files of a run, wherever in the zip they lie. Raises FolderRejected."""
    skipped: Counter[str] = Counter()
    try:
        members = archives.members(file, skipped, _unwanted, MAX_FILES)
        found = [(entry.path, data) for entry, data in archives.contents(file, members, skipped, MAX_FILE)]
    except ArchiveRejected as rejected:
        raise FolderRejected(REJECTED.format(why=WHY[rejected.reason])) from None
    if skipped["damaged"] or skipped["big"]:
        raise FolderRejected(LEFT_OUT)
    return of_files(found)


def of_files(given: Iterable[tuple[str, bytes]]) -> dict[str, bytes]:
    """Return the same of files that were chosen one by one; those that are none of a run's are left out.

    Raises FolderRejected where they are too many, or too large.
    """
    files: dict[str, bytes] = {}
    size = 0
    for count, (path, content) in enumerate(given, 1):
        size += len(content)
        if size > MAX_BYTES or count > MAX_FILES:
            raise FolderRejected(HEAVY)
        last = archives.split_path(path.replace("\\", "/"))[-1:]
        name = last[0] if last else ""
        if name in (RUN, EVAL_IMAGES):
            files[name] = content
        elif name.endswith(SUFFIX) and name.removesuffix(SUFFIX).isdecimal() and len(name) < 30:
            files[f"{FRAMES}{name}"] = content
    return files


def info_of(files: Mapping[str, bytes]) -> RunInfo:
    """Return what a list shows of an imported run. Raises FolderRejected where its files are not those of a run."""
    run_history = run_history_of(files, NAME)
    frames, points, dim = run_history.film.embeddings.shape
    if frames > MAX_FRAMES or points > MAX_POINTS or dim > MAX_DIM:
        raise FolderRejected(TOO_LARGE)
    meta, arrays = unpacked(files[RUN])
    has_weights = any(name.startswith(f"{TENSOR}network.") for name in arrays)
    now = time.time()
    return RunInfo(
        run_history.query, Machine(**meta["machine"]), now, now,
        # Never to be resumed: its state may come from anybody.
        "finished" if run_history.step >= run_history.total else "halted",
        step=run_history.step, total=run_history.total, seconds=run_history.seconds,
        scores=run_history.scores[-1][1] if run_history.scores else {}, message="" if has_weights else NO_WEIGHTS,
    )  # fmt: skip


def _unwanted(parts: Sequence[str], mode: int) -> str | None:
    return archives.unwanted(parts, mode, (SUFFIX,))


def _light(content: bytes) -> bytes:
    """A run's file without what it takes to resume."""
    meta, arrays = unpacked(content)
    return packed(meta, {name: a for name, a in arrays.items() if not name.startswith(TENSOR) or name == COUNTERS})
