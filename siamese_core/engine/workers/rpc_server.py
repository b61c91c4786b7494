"""The child's side of requests: each is worked on step by step, and gets its reply."""

from __future__ import annotations

import queue
import threading
import traceback
from collections.abc import Callable, Generator, Mapping
from typing import Any

import numpy as np

from siamese_core.engine.rpc.client import Reply, RequestRejected
from siamese_core.engine.rpc.pipes import Parent
from siamese_core.formats.safetensors import ModelRejected

Arrays = dict[str, np.ndarray]
Steps = Generator[dict[str, Any], None, Arrays]
"""Yields the meta of each progress message, and returns the arrays of the reply."""

Handler = Callable[[dict[str, Any], Arrays], Arrays | Steps]
"""Makes the reply from the meta and the arrays of a request. Raises RequestRejected where it cannot, and says why."""


class Task:
    """A request that is worked on."""

    def __init__(self, parent: Parent, meta: dict[str, Any], arrays: Arrays, handler: Handler) -> None:
        self.id: int = meta["id"]
        self._parent = parent
        self._steps = _steps(handler, meta, arrays)

    def step(self) -> bool:
        """Work until there is progress to send, or a reply; return whether there is more to do."""
        try:
            progress = next(self._steps)
        except StopIteration as end:
            meta = end.value.meta if isinstance(end.value, Reply) else {}
            self._parent.send({"is": "reply", "id": self.id, **meta}, **end.value)
        except (RequestRejected, ModelRejected) as rejected:
            self._parent.send({"is": "rejected", "id": self.id, "message": str(rejected)})
        except Exception:
            # One request that fails must not silence the process for everybody.
            traceback.print_exc()
            self._parent.send({"is": "no_reply", "id": self.id})
        else:
            self._parent.send({"is": "progress", "id": self.id, **progress})
            return True
        return False


class RpcServer:
    """Replies to the requests that `handlers` name by their "do", one after the other, in the order of their coming."""

    def __init__(self, parent: Parent, handlers: Mapping[str, Handler]) -> None:
        self._parent, self._handlers = parent, handlers
        self._tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self._open: set[int] = set()

    def accepts(self, meta: dict[str, Any], arrays: Arrays) -> bool:
        """Return whether a message is a request, which then gets its reply in its turn, or takes one back."""
        if meta["do"] == "cancel":
            self._open.discard(meta["id"])
            return True
        if meta["do"] not in self._handlers:
            return False
        self._open.add(meta["id"])
        self._tasks.put(Task(self._parent, meta, arrays, self._handlers[meta["do"]]))
        return True

    def is_open(self, number: int) -> bool:
        """Return whether somebody still waits for the reply."""
        return number in self._open

    def serve_beside(self) -> None:
        """Reply in a thread of its own, which takes one CPU."""
        threading.Thread(target=self._serve_forever, name="requests", daemon=True).start()

    def _serve_forever(self) -> None:
        import torch

        torch.set_num_threads(1)
        while True:
            self.serve_next()

    def serve_next(self) -> None:
        """Wait for a request and reply to it, unless it is taken back."""
        task = self._tasks.get()
        while task.id in self._open and task.step():
            pass
        self._open.discard(task.id)


def _steps(handler: Handler, meta: dict[str, Any], arrays: Arrays) -> Steps:
    result = handler(meta, arrays)
    return (yield from result) if isinstance(result, Generator) else result
