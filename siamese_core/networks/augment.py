"""Augmentations: random changes of the training images that leave their class as it is.

Each image of a batch is changed in another way, by numbers from the run's generator alone. torchvision's transforms v2
draw from torch's global generator, so the numbers are drawn here. Its functionals change a whole batch in one way:
they do what takes no number (mirroring, grey). Where each image has a number of its own they would be called once an
image, so there one operation of torch takes the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import tau
from typing import TYPE_CHECKING

from siamese_core.networks import vision

if TYPE_CHECKING:
    from torch import Generator, Tensor

LEAST_AREA = 0.7
MOST_DEGREES = 15.0
STRENGTH = 0.3
"""Brightness, contrast and saturation are multiplied by 1 - STRENGTH to 1 + STRENGTH."""
MOST_HUE = 0.05  # of the colour circle


@dataclass(frozen=True)
class Augmentation:
    """``fn(images, generator)`` takes float32 (B, C, H, W) in 0 to 255 and gives the changed images.

    Where it ``moves`` pixels, it gives the matrices (B, 3, 3) of ``read_at`` instead: several moves then interpolate
    once.
    """

    title: str
    help: str
    fn: Callable[[Tensor, Generator], Tensor]
    moves: bool = False


def augmented(images: Tensor, chosen: tuple[str, ...], generator: Generator) -> Tensor:
    """Return the images after the chosen augmentations, in the catalogue's order, whatever order they are named in.

    Args:
        images: uint8 (B, C, H, W), grey or RGB, on any device; they stay as they are.
        chosen: keys of ``AUGMENTATIONS``; without any, the very same tensor comes back and nothing is drawn.
        generator: a CPU ``torch.Generator``.

    Returns:
        uint8 (B, C, H, W).

    Raises:
        ValueError: an unknown key.
    """
    if unknown := [key for key in chosen if key not in AUGMENTATIONS]:
        raise ValueError(f"augmentation is {unknown[0]!r}; it may be {', '.join(AUGMENTATIONS)}")
    if not chosen:
        return images
    steps = [augmentation for key, augmentation in AUGMENTATIONS.items() if key in chosen]
    result, move = images.float(), None
    for step in steps:
        change = step.fn(result, generator)
        if not step.moves:
            result = change
        else:
            move = change if move is None else move @ change
    if move is not None:
        result = read_at(result, move)
    return result.round().clamp(0, 255).byte()


def read_at(images: Tensor, move: Tensor) -> Tensor:
    """Read pixel (x, y) of each result, bilinearly, at ``move`` · (x, y, 1); from -1 to 1 across the image.

    What lies outside the image repeats its edge. ``move`` is (B, 3, 3) with a last row of (0, 0, 1).
    """
    import torch
    from torch.nn import functional

    height, width = images.shape[2:]
    x = (2 * torch.arange(width, device=images.device) + 1) / width - 1
    y = ((2 * torch.arange(height, device=images.device) + 1) / height - 1)[:, None]
    # torch's affine_grid makes the same grid by a product of small matrices, in twice the time.
    xx, xy, x0, yx, yy, y0 = move[:, :2].flatten(1)[:, :, None, None].unbind(1)
    grid = torch.stack([xx * x + (xy * y + x0), yx * x + (yy * y + y0)], dim=3)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def crops(area: Tensor, place: Tensor) -> Tensor:
    """Return the moves (B, 3, 3) that scale a part of each image, of the image's proportions, up to the whole frame.

    Args:
        area: (B,), the part's share of the image, over 0 to 1.
        place: (B, 2), where the part lies, x and y: 0 at the left or top, 1 at the right or bottom.
    """
    side = area.sqrt()
    x0, y0 = ((2 * place - 1) * (1 - side)[:, None]).unbind(1)
    return _moves(side, 0 * side, x0, 0 * side, side, y0)


def turns(degrees: Tensor, height: int, width: int) -> Tensor:
    """Return the moves (B, 3, 3) that turn images of height x width clockwise about their middle by ``degrees``
    (B,)."""
    radians = degrees.deg2rad()
    cosine, sine = radians.cos(), radians.sin()
    return _moves(cosine, sine * (height / width), 0 * sine, -sine * (width / height), cosine, 0 * sine)


def _moves(*entries: Tensor) -> Tensor:
    """The six entries (B,) of the first two rows, made a matrix (B, 3, 3)."""
    import torch

    zero = torch.zeros_like(entries[0])
    return torch.stack([*entries, zero, zero, zero + 1], dim=1).view(-1, 3, 3)


def mirrored(images: Tensor, which: Tensor) -> Tensor:
    """Return the images, those where ``which`` (B,) is true exchanged left for right."""
    flipped: Tensor = vision.transforms().functional.horizontal_flip(images)
    return flipped.where(_each(which), images)


def recoloured(images: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor) -> Tensor:
    """Multiply brightness, contrast and saturation, as by torchvision's ``adjust_...``; then hues are turned.

    A grey image has neither saturation nor hue. The hue is a turn of the colours about the grey axis, a product with
    one matrix an image, where torchvision goes to HSV and back: a third of the circle is the same in both.

    Args:
        images: float (B, C, H, W), 0 to 255.
        brightness, contrast, saturation: factors (B,); 1 changes nothing.
        hue: (B,), a share of the colour circle.
    """
    images = (images * _each(brightness)).clamp(0, 255)
    images = _away_from(_grey(images).mean((1, 2, 3), keepdim=True), images, contrast)
    if images.shape[1] != 3:
        return images
    images = _away_from(_grey(images), images, saturation)
    return (_hue_turns(hue) @ images.flatten(2)).view_as(images).clamp(0, 255)


def _hue_turns(hue: Tensor) -> Tensor:
    """(B, 3, 3), Rodrigues' formula about the axis (1, 1, 1): red becomes green, green blue after a third."""
    import torch

    thirds = torch.arange(3, device=hue.device) / 3
    first = (1 + 2 * ((hue[:, None] - thirds) * tau).cos()) / 3  # what red gives to red, green and blue
    return torch.stack([first, first.roll(1, 1), first.roll(2, 1)], dim=2)


def _away_from(middle: Tensor, images: Tensor, factor: Tensor) -> Tensor:
    """The images' difference from ``middle``, multiplied by ``factor`` (B,)."""
    return (middle + (images - middle) * _each(factor)).clamp(0, 255)


def _grey(images: Tensor) -> Tensor:
    grey: Tensor = vision.transforms().functional.rgb_to_grayscale(images)
    return grey


def _each(number: Tensor) -> Tensor:
    return number[:, None, None, None]


def _crop(images: Tensor, generator: Generator) -> Tensor:
    import torch

    area = _between(LEAST_AREA, 1.0, images, generator)
    place = [_between(0.0, 1.0, images, generator) for _ in "xy"]
    return crops(area, torch.stack(place, dim=1))


def _flip(images: Tensor, generator: Generator) -> Tensor:
    return mirrored(images, _between(0.0, 1.0, images, generator) < 0.5)


def _rotate(images: Tensor, generator: Generator) -> Tensor:
    return turns(_between(-MOST_DEGREES, MOST_DEGREES, images, generator), *images.shape[2:])


def _colour(images: Tensor, generator: Generator) -> Tensor:
    brightness, contrast, saturation = (_between(1 - STRENGTH, 1 + STRENGTH, images, generator) for _ in range(3))
    return recoloured(images, brightness, contrast, saturation, _between(-MOST_HUE, MOST_HUE, images, generator))


def _between(low: float, high: float, images: Tensor, generator: Generator) -> Tensor:
    """A number (B,) for each image, drawn on the CPU, so that every device gets the same ones."""
    import torch

    return (low + (high - low) * torch.rand(len(images), generator=generator)).to(images.device)


AUGMENTATIONS: dict[str, Augmentation] = {
    "crop": Augmentation("Crop", "A part of 70 to 100 % of the image, scaled up to the whole.", _crop, moves=True),
    "flip": Augmentation(
        "Flip", "Every second image or so is mirrored, left for right; not for digits and letters.", _flip
    ),
    "rotate": Augmentation("Rotate", "Up to 15 degrees to either side.", _rotate, moves=True),
    "colour": Augmentation(
        "Colour",
        "Brightness and contrast change by up to 30 %; in colour images also saturation, and the hue a little.",
        _colour,
    ),
}
