"""Processes that are killed with SIGKILL: at any moment, and before any single step of a save.

As a program it is a server that is to be killed: `python -m tests.support.kills STORE OWNER QUERY [RUN]` starts a
run, or resumes one, and prints its id and then a step that is safe; the run goes on meanwhile.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest import mock

from siamese_core.engine.rpc.pipes import ROOT
from siamese_core.runs.history import RUN
from tests.support.waiting import until

KILLS = int(os.environ.get("SIAMESE_KILLS", "0"))
"""In full: SIAMESE_KILLS=200. Without it, a few."""

FORKED = get_context("forkserver")
"""Children of one process that has imported torch: two hundred of them need not do it each."""
FORKED.set_forkserver_preload(
    [
        "siamese_core.training.loop",
        "siamese_core.evaluation.evaluate",
        "sklearn.datasets",
        "torch._dynamo",
        "torch.distributed.fsdp",
    ]
)


class Running:
    """The command line in a process of its own, which saves after every step of training.

    It is killed before a step of writing, the n-th, where `killed_at` says so.
    """

    def __init__(self, arguments: list[str], killed_at: int | None = None) -> None:
        self._process = FORKED.Process(target=_main, args=(arguments, killed_at))
        self._process.start()

    @property
    def ended(self) -> bool:
        return self._process.exitcode is not None

    def kill(self) -> None:
        self._process.kill()
        self.wait()

    def wait(self) -> int:
        """The exit status; −9 where it was killed."""
        self._process.join()
        assert self._process.exitcode is not None
        return self._process.exitcode


def _main(arguments: list[str], killed_at: int | None) -> None:
    from siamese_core.__main__ import main

    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)

    def kill(steps: list[int]) -> None:
        if len(steps) == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)

    with saving_always(), watched_writing(kill):
        sys.exit(main([*arguments, "--save-every", "0"]))


@contextmanager
def saving_always() -> Iterator[None]:
    """However much of the time goes into saving."""
    with mock.patch("siamese_core.runs.writer.SAVE_SHARE", math.inf):
        yield


@contextmanager
def watched_writing(before_step: Callable[[list[int]], None] = lambda steps: None) -> Iterator[list[int]]:
    """One entry for each step of writing files: how many runs had been saved before it. `before_step(so far)`."""
    steps: list[int] = []
    saves = 0

    def step() -> None:
        before_step(steps)
        steps.append(saves)

    def watched(function: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*arguments: Any, **options: Any) -> Any:
            step()
            return function(*arguments, **options)

        return stepped

    class Halves:
        """A file that is written in two halves."""

        def __init__(self, file: Any) -> None:
            self._file = file

        def __enter__(self) -> Halves:
            return self

        def __exit__(self, *error: object) -> None:
            self._file.close()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

        def write(self, content: bytes) -> None:
            self._file.write(content[: len(content) // 2])
            self._file.flush()
            step()
            self._file.write(content[len(content) // 2 :])

    opened, replaced = Path.open, Path.replace

    def open_(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if mode != "wb":
            return opened(path, mode, *arguments, **options)
        step()
        return Halves(opened(path, mode, *arguments, **options))

    def replace_(path: Path, target: Path) -> Path:
        nonlocal saves
        step()
        path = replaced(path, target)
        saves += target.name == RUN
        return path

    with (
        mock.patch.object(Path, "open", open_),
        mock.patch.object(Path, "replace", replace_),
        mock.patch.object(Path, "mkdir", watched(Path.mkdir)),
        mock.patch.object(os, "fsync", watched(os.fsync)),
    ):
        yield steps


class Server:
    """A process that holds an engine with one run."""

    def __init__(self, store: Path, owner: str, query: str, run: str = "") -> None:
        arguments = [sys.executable, "-m", "tests.support.kills", str(store), owner, query, *([run] if run else [])]
        self._process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        self.run = self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            self.kill()
        assert line, "the server ended"
        return line

    def safe_step(self) -> int:
        """A step that has been saved; waits for it."""
        return int(self._line())

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def _serve(root: str, owner: str, query: str, run: str = "") -> None:
    from siamese_core.engine import Engine
    from siamese_core.engine.storage.store import RunStore, hashed
    from siamese_core.experiment.experiment import Experiment

    engine = Engine(store=RunStore(Path(root)))
    experiment, _ = Experiment.from_query(query)
    if run:
        engine.resume_saved(owner, run)
    else:
        run = engine.start(owner, experiment)
    print(run, flush=True)
    view = engine.poll(owner, run)
    assert view is not None
    begun = view.step

    def stepped(status: str) -> int | None:
        seen = engine.poll(owner, run)
        assert seen is not None
        return seen.step if seen.status in (status, "finished") and seen.step > begun else None

    until(lambda: stepped("running"), "a step")
    # A run that rests has a state of its last step.
    engine.command(owner, run, "pause")
    step = until(lambda: stepped("paused"), "a rest")

    def saved() -> bool:
        record = engine.store.find(hashed(owner), run)
        return record is not None and record.step >= step

    until(saved, "a save")
    print(step, flush=True)
    engine.command(owner, run, "resume")
    signal.pause()


if __name__ == "__main__":
    with saving_always():
        _serve(*sys.argv[1:])
