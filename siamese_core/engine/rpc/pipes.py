"""Messages over a pipe, and the child process at its other end."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from siamese_core.experiment.machine import ONE_THREAD
from siamese_core.formats.wire import pack, unpack

ROOT = Path(__file__).resolve().parents[3]

NICENESS = 10
"""The page stays quick while a worker trains."""

OnMessage = Callable[[dict[str, Any], dict[str, np.ndarray]], None]


def read_message(stream: IO[bytes]) -> bytes | None:
    """Return the next message, or None where the other end is gone."""
    head = stream.read(8)
    if len(head) < 8:
        return None
    (size,) = struct.unpack("<Q", head)
    message = stream.read(size)
    return message if len(message) == size else None


def write_message(stream: IO[bytes], message: bytes) -> None:
    """Write a message behind its length, a little-endian uint64."""
    stream.write(struct.pack("<Q", len(message)) + message)
    stream.flush()


class Child:
    """A child process of ours and the thread that reads what it sends.

    `on_message(meta, arrays)` and `on_exit()` are called by that thread. The child ends when its pipe closes, and the
    pipe closes when this process ends, however it ends: no orphan is left.
    """

    def __init__(
        self,
        module: str,
        on_message: OnMessage,
        on_exit: Callable[[], None],
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
            env={**environment, **ONE_THREAD},
        )  # fmt: skip
        self.pid = self._process.pid
        self._unsent: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._on_message, self._on_exit = on_message, on_exit
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._read, self._write)]
        for thread in self._threads:
            thread.start()

    def send(self, meta: dict[str, Any], **arrays: np.ndarray) -> None:
        """Send a message and return at once: a child that still imports torch does not read yet, and nobody waits.

        A child that is gone receives nothing; `on_exit` deals with it.
        """
        self._unsent.put(pack(meta, **arrays))

    def close(self) -> None:
        """End the child without calling `on_exit`."""
        self._on_exit = lambda: None
        self._process.kill()
        for thread in self._threads:
            thread.join()

    def _read(self) -> None:
        assert self._process.stdout is not None
        while (message := read_message(self._process.stdout)) is not None:
            self._on_message(*unpack(message))
        self._process.wait()
        self._process.stdout.close()
        self._unsent.put(None)
        self._on_exit()

    def _write(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self._process.stdin:
            while (message := self._unsent.get()) is not None:
                write_message(self._process.stdin, message)


class Parent:
    """The child's side: what it receives from the server and sends to it."""

    def __init__(self) -> None:
        # Ctrl-C in the server's terminal reaches its children too; they end when their pipe does.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # What a library prints must not fall between the messages.
        self._out = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        self._writing = threading.Lock()
        if hasattr(os, "nice"):
            os.nice(NICENESS)

    def send(self, meta: dict[str, Any], **arrays: np.ndarray) -> None:
        """Send a message to the server; where that is gone, the process ends."""
        try:
            with self._writing:
                write_message(self._out, pack(meta, **arrays))
        except BrokenPipeError:
            os._exit(0)

    def listen(self, on_message: OnMessage) -> None:
        """Hand every message to `on_message`, in a thread, and end the process when the server is gone."""

        def read() -> None:
            while (message := read_message(sys.stdin.buffer)) is not None:
                on_message(*unpack(message))
            os._exit(0)

        threading.Thread(target=read, name="listen", daemon=True).start()
