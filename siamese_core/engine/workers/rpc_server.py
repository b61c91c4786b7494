"""What a child process is asked beside its work: one question after the other, in a thread of its own."""

from __future__ import annotations

import queue
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from siamese_core.engine.rpc.client import Refused
from siamese_core.engine.rpc.pipes import Parent
from siamese_core.formats.safetensors import ModelRejected

Arrays = dict[str, np.ndarray]
Answer = Callable[[dict[str, Any], Arrays], Arrays]


class RpcServer:
    """`by_name` maps what a message asks for ("do") to the function that answers it."""

    def __init__(self, parent: Parent, by_name: Mapping[str, Answer]) -> None:
        self._parent, self._by_name = parent, by_name
        self._asked: queue.SimpleQueue[tuple[dict[str, Any], Arrays]] = queue.SimpleQueue()
        threading.Thread(target=self._answer_forever, name="answers", daemon=True).start()

    def accepts(self, meta: dict[str, Any], arrays: Arrays) -> bool:
        """Whether a message is a question; it is then answered in its turn, whatever the process is working on."""
        if meta["do"] not in self._by_name:
            return False
        self._asked.put((meta, arrays))
        return True

    def _answer_forever(self) -> None:
        torch.set_num_threads(1)
        while True:
            meta, arrays = self._asked.get()
            try:
                answer = self._by_name[meta["do"]](meta, arrays)
            except (Refused, ModelRejected) as refused:
                self._parent.say({"is": "refused", "id": meta["id"], "message": str(refused)})
            except Exception:
                # One question that cannot be answered must not silence the thread for everybody.
                traceback.print_exc(file=sys.stderr)
                self._parent.say({"is": "no_answer", "id": meta["id"]})
            else:
                self._parent.say({"is": "answer", "id": meta["id"]}, **answer)
