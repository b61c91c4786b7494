"""Input transforms: what the second branch of a pseudo-siamese network sees in place of the image.

Each is a pure function, uint8 (B, C, H, W) to uint8 of the same shape on the same device: the same image is always
changed in the same way, whatever else is in the batch. torch is imported inside, so that a page can list them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_REDUCTION = 4
_SIGMA = 0.2 * 255
_PATTERNS = 31  # a prime: the sums of plain images, multiples of their area, meet all of them


@dataclass(frozen=True)
class InputTransform:
    """``fn`` maps uint8 (B, C, H, W) to uint8 (B, C, H, W)."""

    title: str
    help: str
    fn: Callable[[Tensor], Tensor]


def _edges(images: Tensor) -> Tensor:
    """The length of the Sobel gradient of the mean channel, the largest of each image as white, in every channel.

    The border is continued, so that the frame of a bright image is no edge; an image of one colour has none.
    """
    import torch
    from torch.nn import functional

    sobel = torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]], device=images.device)
    grey = functional.pad(images.float().mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    across, down = functional.conv2d(grey, torch.stack([sobel, sobel.T])[:, None]).unbind(1)
    length = (across.square() + down.square()).sqrt()
    # What the mean of three channels rounds away must not become a white edge.
    white = length.amax((1, 2), keepdim=True).clamp_min(0.5)
    return _pixels(length / white * 255)[:, None].expand_as(images).contiguous()


def _inverted(images: Tensor) -> Tensor:
    return 255 - images


def _low_resolution(images: Tensor) -> Tensor:
    """Means of 4 x 4 pixels, then the nearest of them for each pixel: tiles of one colour."""
    from torch.nn import functional

    height, width = images.shape[2:]
    small = (max(height // _REDUCTION, 1), max(width // _REDUCTION, 1))
    means = functional.interpolate(images.float(), small, mode="area")
    return _pixels(functional.interpolate(means, (height, width), mode="nearest"))


def _rotated(images: Tensor) -> Tensor:
    """A quarter turn clockwise; an image that is not square is stretched back into its frame."""
    from torch.nn import functional

    turned = images.rot90(-1, (2, 3))
    if turned.shape == images.shape:
        return turned.contiguous()
    return _pixels(functional.interpolate(turned.float(), images.shape[2:], mode="bilinear", antialias=True))


def _noisy(images: Tensor) -> Tensor:
    """One of 31 fixed patterns is added; which one, the sum of the image's pixels decides.

    One pattern for all would be a constant, which a network simply subtracts.
    """
    patterns = _noise(tuple(images.shape[1:])).to(images.device)
    which = images.flatten(1).long().sum(1) % _PATTERNS
    return (images.short() + patterns[which]).clamp(0, 255).byte()


@lru_cache(maxsize=4)
def _noise(shape: tuple[int, int, int]) -> Tensor:
    """Gaussian patterns, int16 (31, C, H, W), from a generator of fixed seed."""
    import torch

    generator = torch.Generator().manual_seed(0)
    return (torch.randn(_PATTERNS, *shape, generator=generator) * _SIGMA).round().short()


def _pixels(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255).byte()


INPUT_TRANSFORMS: dict[str, InputTransform] = {
    "edges": InputTransform("Edges", "Only where brightness changes (Sobel), white where it changes most.", _edges),
    "inverted": InputTransform(
        "Inverted",
        "Black becomes white, and every colour its opposite, as in a photographic negative.",
        _inverted,
    ),
    "low_resolution": InputTransform(
        "Low resolution", "Tiles of 4 × 4 pixels, each in its mean colour.", _low_resolution
    ),
    "rotated": InputTransform("Rotated", "A quarter turn clockwise.", _rotated),
    "noisy": InputTransform(
        "Noisy",
        "With grain that is a fifth as strong as white; the same image always gets the same grain.",
        _noisy,
    ),
}
