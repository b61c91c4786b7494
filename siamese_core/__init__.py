"""The core of Siamese Playground: losses, training, projection. It never imports streamlit.

The names below load on first use: importing this costs no numpy, no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from siamese_core.api import (
        DATASETS,
        ENCODERS,
        LOSSES,
        Experiment,
        ImageRejected,
        LiveUmap,
        compare,
        decode_image,
        evaluate,
        load_model,
        train,
    )
else:
    # Not for mypy, which would take every misspelt name for one of these.
    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module("siamese_core.api"), name)


__all__ = [
    "DATASETS", "ENCODERS", "LOSSES", "Experiment", "ImageRejected", "LiveUmap", "compare", "decode_image", "evaluate",
    "load_model", "train",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
