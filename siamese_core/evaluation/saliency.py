"""Why two images are as far apart as they are: which parts of them the distance comes from.

Both maps are of the distance (1 − p for a similarity) and on what the network is shown. Two images that a network sees
as equal have no distance, and flat maps; but a similarity head may find two images more alike that it sees as unequal.
"""

from __future__ import annotations

import torch
from torch import Tensor

from siamese_core.evaluation.inference import TrainedModel, between, embed
from siamese_core.training.siamese import branch_networks, encode

PATCH = 5
"""A covering patch is this part of the image's side; patches overlap by half."""


def occlusion(trained: TrainedModel, first: Tensor, second: Tensor) -> Tensor:
    """(2, H, W): how much nearer the two come, on average, where a patch covers this pixel of the first image, or of
    the second; 0 where they come no nearer.

    Images uint8 (C, H, W), as shown. A patch is covered with its mean colour: what is drawn in it goes, and an
    empty one stays as it is, where grey would be a mark. After Zeiler & Fergus 2014, "Visualizing and
    Understanding Convolutional Networks", section 4.2.
    """
    as_distance = trained.model.measure.as_distance
    h = (embed(trained, first[None]), embed(trained, second[None], second=True))
    uncovered = as_distance(between(trained, *h))
    maps = []
    for is_second, image in enumerate((first, second)):
        covered, masks = _covered(image)
        moved = embed(trained, covered, second=bool(is_second))
        pair = (h[0], moved) if is_second else (moved, h[1])
        nearer = (uncovered - as_distance(between(trained, *pair))).clamp(min=0)
        # Where a patch has one colour, there is nothing but how a larger batch rounds.
        nearer[(covered == image).flatten(1).all(1)] = 0
        maps.append((nearer[:, None, None] * masks).sum(0) / masks.sum(0))
    return torch.stack(maps)


def gradient(trained: TrainedModel, first: Tensor, second: Tensor) -> Tensor:
    """(2, H, W): how steeply the distance changes with each pixel of the first image and of the second, per 1/255;
    the strongest channel's.

    Images uint8 (C, H, W), as shown. Simonyan, Vedaldi & Zisserman 2014, "Deep Inside Convolutional Networks",
    section 3.
    """
    inputs = [image.float()[None].requires_grad_() for image in (first, second)]
    networks = branch_networks(trained.siamese)
    h = [encode(trained.siamese, network, image) for network, image in zip(networks, inputs, strict=True)]
    slopes = torch.autograd.grad(trained.model.measure.as_distance(between(trained, *h)).sum(), inputs)
    return torch.cat(slopes).abs().amax(1)


def _covered(image: Tensor) -> tuple[Tensor, Tensor]:
    """(M, C, H, W) the image with one patch covered in each, and (M, H, W) float masks of the patches."""
    height, width = image.shape[1:]
    side = max(2, round(max(height, width) / PATCH))
    tops, lefts = (_starts(size, side) for size in (height, width))
    masks = torch.zeros(len(tops) * len(lefts), height, width, dtype=torch.bool)
    for number, (top, left) in enumerate(torch.cartesian_prod(tops, lefts).tolist()):
        masks[number, top : top + side, left : left + side] = True
    inside = masks[:, None].float()
    colours = ((image * inside).sum((2, 3), keepdim=True) / inside.sum((2, 3), keepdim=True)).round().byte()
    return torch.where(masks[:, None], colours, image), masks.float()


def _starts(size: int, side: int) -> Tensor:
    """Where patches begin: every half a side, the last one at the end."""
    last = max(0, size - side)
    return torch.tensor(sorted({*range(0, last, max(1, side // 2)), last}))
