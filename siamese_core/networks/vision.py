"""The one door to torchvision, which is imported when a function here is called and not before.

Where a torchvision built for CUDA meets a torch built for the CPU, the plain import stops at "operator
torchvision::nms does not exist": the library that defines it cannot be loaded. No transform and no classifier needs
the operator; its name is enough.
"""

from __future__ import annotations

from importlib import import_module
from threading import Lock
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_LOCK = Lock()
_LIBRARIES: list[torch.library.Library] = []
"""A definition lives as long as its Library."""


def transforms() -> ModuleType:
    """Return the module ``torchvision.transforms.v2``. Raises ImportError where torchvision is not installed."""
    return _imported("torchvision.transforms.v2")


def models() -> ModuleType:
    """Return the module ``torchvision.models``. Raises ImportError where torchvision is not installed."""
    return _imported("torchvision.models")


def _imported(name: str) -> ModuleType:
    with _LOCK:  # two threads must not define the operators twice
        try:
            return import_module(name)
        except RuntimeError as error:
            if "torchvision::nms" not in str(error):
                raise
            _define_operators()
            return import_module(name)


def _define_operators() -> None:
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
    _LIBRARIES.append(library)
