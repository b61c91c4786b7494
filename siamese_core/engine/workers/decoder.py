"""The decoding process: the only one that opens images from outside, one at a time."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from pathlib import Path
from typing import Any

from siamese_core.engine.rpc.client import Reply
from siamese_core.engine.rpc.pipes import Parent
from siamese_core.engine.workers.rpc_server import Arrays, Task
from siamese_core.formats.images import ImageRejected, decode, import_decoders, square

SPARE_MEMORY = 320_000_000
"""Bytes of address space beside what the process has at its start: twice what the largest image was seen to take."""

LONGEST = 60
"""Seconds after which a decoder ends by itself. The server is sooner, but its end is not noticed in mid-image."""


def main() -> None:
    parent = Parent()
    import_decoders()

    def reply(meta: dict[str, Any], arrays: Arrays) -> None:
        # Here, in the thread that reads: the next file stays in the pipe for so long, and takes no memory.
        Task(parent, meta, arrays, decoded).step()

    _limit_memory()
    parent.send({"is": "ready"})
    parent.listen(reply)
    threading.Event().wait()


def decoded(meta: dict[str, Any], arrays: Arrays) -> Reply:
    """Return the `pixels` of a file's largest square, `size` a side, or why it is rejected; else the process ends."""
    _alarm(LONGEST)
    try:
        image = decode(arrays.pop("file").tobytes())
        return Reply({"pixels": square(image, meta["size"])}, {"first_frame_only": bool(image.info)})
    except ImageRejected as rejected:
        return Reply({}, {"reason": rejected.reason})
    except Exception:
        traceback.print_exc()
        os._exit(1)
    finally:
        _alarm(0)


def _alarm(seconds: int) -> None:
    if hasattr(signal, "alarm"):
        signal.alarm(seconds)


def _limit_memory() -> None:
    """Only where the kernel tells the address space in use."""
    status = Path("/proc/self/statm")
    if status.exists():
        import resource

        limit = int(status.read_text().split()[0]) * resource.getpagesize() + SPARE_MEMORY
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


if __name__ == "__main__":
    main()
