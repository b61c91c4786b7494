"""Settings of the machine: they decide how fast a run is, not what it learns."""

from __future__ import annotations

from dataclasses import dataclass

from siamese_core.errors import Rejected

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
"""Each child keeps to one core: two cores shared by many threads are slower than one thread each, and other bits."""


class MachineError(Rejected):
    """Names the setting, its value and what it may be."""


@dataclass(frozen=True)
class Machine:
    """`precision` is fp32 or bf16. One thread by default: more are other bits, and slower on a busy machine."""

    device: str = "cpu"
    threads: int = 1
    precision: str = "fp32"


PRECISIONS = {"fp32": "32-bit (exact)", "bf16": "bfloat16 where it helps"}


def devices() -> dict[str, str]:
    """Return key → title of what this machine can train on, the fastest first."""
    import torch

    found = {}
    if torch.cuda.is_available():
        found["cuda"] = f"CUDA: {torch.cuda.get_device_name()}"
    if torch.backends.mps.is_available():
        found["mps"] = "MPS: Apple GPU"
    return found | {"cpu": "CPU"}


def checked(machine: Machine) -> Machine:
    """Return the settings; raise `MachineError` where this machine has no such device or setting."""
    found = devices()
    if machine.device not in found:
        raise MachineError("device={device}: this machine has {found}", device=machine.device, found=", ".join(found))
    if machine.precision not in PRECISIONS:
        raise MachineError("precision={given}: may be {known}", given=machine.precision, known=", ".join(PRECISIONS))
    if not 1 <= machine.threads <= 64:
        raise MachineError("threads={threads}: may be a whole number from 1 to 64", threads=machine.threads)
    return machine
