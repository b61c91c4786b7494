"""Settings of the machine: they decide how fast a run is, not what it learns."""

from __future__ import annotations

from dataclasses import dataclass

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
"""Each child keeps to one core: two cores shared by many threads are slower than one thread each, and other bits."""


class MachineError(ValueError):
    """One sentence that names the setting, its value and what it may be."""


@dataclass(frozen=True)
class Machine:
    """`precision` is fp32 or bf16. One thread by default: more are other bits, and slower on a busy machine."""

    device: str = "cpu"
    threads: int = 1
    precision: str = "fp32"


PRECISIONS = {"fp32": "32-bit (exact)", "bf16": "bfloat16 where it helps"}


def devices() -> dict[str, str]:
    """Key → title of what this machine can train on, the fastest first."""
    import torch

    found = {}
    if torch.cuda.is_available():
        found["cuda"] = f"CUDA: {torch.cuda.get_device_name()}"
    if torch.backends.mps.is_available():
        found["mps"] = "MPS: Apple GPU"
    return found | {"cpu": "CPU"}


def checked(machine: Machine) -> Machine:
    """Raises `MachineError` where this machine has no such device or setting."""
    found = devices()
    if machine.device not in found:
        raise MachineError(f"device={machine.device}: this machine has {', '.join(found)}")
    if machine.precision not in PRECISIONS:
        raise MachineError(f"precision={machine.precision}: may be {', '.join(PRECISIONS)}")
    if not 1 <= machine.threads <= 64:
        raise MachineError(f"threads={machine.threads}: may be a whole number from 1 to 64")
    return machine
