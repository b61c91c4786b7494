"""Encoders: networks that map an image to a point.

torch is imported inside the functions, so that a page can list the encoders without paying for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from siamese_core.networks import vision

if TYPE_CHECKING:
    from torch import Tensor, nn

Shape: TypeAlias = tuple[int, int, int]
"""An image's (C, H, W)."""

# The hidden layers taper down to the embedding: on Fashion-MNIST that reaches a given MAP@R in fewer
# steps than one hidden layer does.
_CONV_HEAD = (128, 64, 32)
_MLP_WIDTHS = (256, 128, 64, 32)
_STEM_CHANNELS = 16
_DEEPER_CHANNELS = 64
_LARGEST_GRID = 8
_RESIDUAL_CHANNELS = 32
_KOCH_SIZE = 105
_LENET_SIZE = 28


@dataclass(frozen=True)
class Encoder:
    """A network architecture that the user can choose.

    ``build(shape, embedding_dim)`` gives a module that maps float32 (B, C, H, W), grey or RGB, to (B, D). The weights
    it carries are not to be relied on: ``networks.build`` draws them from the run's generator, so no layer may draw
    numbers by itself (no Dropout), and the last ``Linear`` is the one that gives the embedding.
    """

    title: str
    help: str
    build: Callable[[Shape, int], nn.Module]


def _conv(shape: Shape, embedding_dim: int) -> nn.Module:
    """A strided patch convolution, stride-2 convolutions while the grid is over 8 x 8, then the head.

    28 x 28 pixels need the first convolution alone; 160 x 160 need three more.
    """
    from torch import nn

    channels, height, width = shape
    patch = 2 if min(height, width) < 16 else 4
    layers: list[nn.Module] = [*_normed(_patch_conv(channels, _STEM_CHANNELS, patch))]
    grid = (height // patch, width // patch)
    filters = _STEM_CHANNELS
    while max(grid) > _LARGEST_GRID:
        # BatchNorm subtracts the mean, so a bias before it would do nothing.
        layers += _normed(nn.Conv2d(filters, _DEEPER_CHANNELS, 3, stride=2, padding=1, bias=False))
        filters = _DEEPER_CHANNELS
        grid = ((grid[0] + 1) // 2, (grid[1] + 1) // 2)
    return nn.Sequential(
        *layers, _weightless(_pixel_by_pixel), *_head(filters * grid[0] * grid[1], _CONV_HEAD, embedding_dim)
    )


def _mlp(shape: Shape, embedding_dim: int) -> nn.Module:
    from torch import nn

    channels, height, width = shape
    return nn.Sequential(nn.Flatten(), *_head(channels * height * width, _MLP_WIDTHS, embedding_dim))


def _patch_conv(inputs: int, outputs: int, patch: int) -> nn.Conv2d:
    """A convolution whose stride is its kernel, as one matrix product over patches.

    torch's backward pass of it took half of a training step on a CPU (2.4 of 4.7 ms).
    """
    from torch import nn

    class PatchConv(nn.Conv2d):
        def forward(self, images: Tensor) -> Tensor:
            b, c, height, width = images.shape
            h, w = height // patch, width // patch
            tiles = images[:, :, : h * patch, : w * patch].reshape(b, c, h, patch, w, patch)
            patches = tiles.permute(0, 2, 4, 1, 3, 5).reshape(b * h * w, c * patch * patch)
            features = patches @ self.weight.flatten(1).T
            return features.view(b, h, w, outputs).permute(0, 3, 1, 2)

    return PatchConv(inputs, outputs, patch, stride=patch, bias=False)


def _weightless(fn: Callable[[Tensor], Tensor]) -> nn.Module:
    """A layer without weights that does what ``fn`` does."""
    from torch import nn

    class Weightless(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return fn(inputs)

    return Weightless()


def _pixel_by_pixel(features: Tensor) -> Tensor:
    """Flattened; what a patch convolution puts out lies in memory in this order, and is not copied."""
    return features.permute(0, 2, 3, 1).flatten(1)


def _normed(convolution: nn.Conv2d) -> Iterator[nn.Module]:
    from torch import nn

    yield convolution
    yield nn.BatchNorm2d(convolution.out_channels)
    yield nn.ReLU()


def _head(inputs: int, widths: tuple[int, ...], embedding_dim: int) -> Iterator[nn.Module]:
    from torch import nn

    for width in widths:
        yield nn.Linear(inputs, width, bias=False)
        yield nn.BatchNorm1d(width)
        yield nn.ReLU()
        inputs = width
    yield nn.Linear(inputs, embedding_dim)


def _koch(shape: Shape, embedding_dim: int) -> nn.Module:
    """Koch, Zemel & Salakhutdinov 2015, "Siamese Neural Networks for One-shot Image Recognition", figure 4.

    105 x 105 pixels become 96, 48, 42, 21, 18, 9 and 6. The paper compares the 4,096 sigmoids by a weighted L1
    distance; here a linear layer takes them to the embedding, and the distance is the user's choice.
    """
    from torch import nn

    return nn.Sequential(
        *_scaled(shape, _KOCH_SIZE),
        *(nn.Conv2d(shape[0], 64, 10), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(64, 128, 7), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(128, 128, 4), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(128, 256, 4), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(256 * 6 * 6, 4096), nn.Sigmoid()),
        nn.Linear(4096, embedding_dim),
    )


def _lenet(shape: Shape, embedding_dim: int) -> nn.Module:
    """Hadsell, Chopra & LeCun 2006, "Dimensionality Reduction by Learning an Invariant Mapping", section 3.

    28 x 28 pixels with a frame of 2, as in LeNet-5, become 27, 9 and 1. The subsampling is a plain mean, and the second
    convolution sees every map of the first.
    """
    from torch import nn

    return nn.Sequential(
        *_scaled(shape, _LENET_SIZE),
        *(nn.Conv2d(shape[0], 15, 6, padding=2), nn.Tanh(), nn.AvgPool2d(3)),
        *(nn.Conv2d(15, 30, 9), nn.Tanh(), nn.Flatten()),
        nn.Linear(30, embedding_dim),
    )


def _resnet_small(shape: Shape, embedding_dim: int) -> nn.Module:
    """A patch convolution, residual blocks of stride 2 while the grid is over 8 x 8, two more, and their mean.

    He, Zhang, Ren & Sun 2016, "Deep Residual Learning for Image Recognition", with basic blocks and few channels.
    """
    from torch import nn

    channels, height, width = shape
    patch = 2 if min(height, width) < 16 else 4
    filters = _RESIDUAL_CHANNELS
    layers: list[nn.Module] = [*_normed(_patch_conv(channels, filters, patch))]
    grid = max(height, width) // patch
    while grid > _LARGEST_GRID:
        layers.append(_residual(filters, filters, stride=2))
        grid = (grid + 1) // 2
    layers += [_residual(filters, filters, stride=1), _residual(filters, 2 * filters, stride=2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2 * filters, embedding_dim))


def _resnet18(shape: Shape, embedding_dim: int) -> nn.Module:
    """He, Zhang, Ren & Sun 2016, as torchvision builds it, without its weights."""
    from torch import nn

    network = vision.models().resnet18(weights=None)
    network.fc = nn.Linear(network.fc.in_features, embedding_dim)
    return nn.Sequential(_weightless(_in_three_channels), network)


def _mobilenet_v3(shape: Shape, embedding_dim: int) -> nn.Module:
    """Howard et al. 2019, "Searching for MobileNetV3", small, as torchvision builds it, without its weights.

    Its classifier, which has a Dropout, gives way to one linear layer.
    """
    from torch import nn

    # The paper's BatchNorm remembers a hundred steps, made for days of training: a short run would be measured
    # by the statistics that it started from.
    network = vision.models().mobilenet_v3_small(weights=None, norm_layer=nn.BatchNorm2d)
    network.classifier = nn.Linear(network.classifier[0].in_features, embedding_dim)
    return nn.Sequential(_weightless(_in_three_channels), network)


def _in_three_channels(images: Tensor) -> Tensor:
    """Grey pixels three times, as these networks are fed; colours as they are."""
    return images.expand(-1, 3, -1, -1)


def _scaled(shape: Shape, size: int) -> Iterator[nn.Module]:
    """Bilinear interpolation to ``size`` x ``size`` pixels, where images are not of this size already."""
    from torch.nn import functional

    if shape[1:] != (size, size):
        # Without antialias a larger image would lose most of its pixels.
        yield _weightless(lambda images: functional.interpolate(images, (size, size), mode="bilinear", antialias=True))


def _residual(inputs: int, outputs: int, stride: int) -> nn.Module:
    from torch import nn

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            first = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
            second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
            self.change = nn.Sequential(*_normed(first), second, nn.BatchNorm2d(outputs))
            shortcut = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)
            same = stride == 1 and inputs == outputs
            self.shortcut = nn.Identity() if same else nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

        def forward(self, features: Tensor) -> Tensor:
            result: Tensor = (self.shortcut(features) + self.change(features)).relu()
            return result

    return Residual()


_UNTRAINED = "Starts untrained: torchvision publishes its weights only as pickles, which this app never opens."

ENCODERS: dict[str, Encoder] = {
    "conv": Encoder("Convolutional", "Looks at small patches first, then at the whole image: the default.", _conv),
    "mlp": Encoder(
        "Fully connected (MLP)",
        "Sees every pixel at once and knows nothing of their neighbours: the fastest on small images.",
        _mlp,
    ),
    "lenet": Encoder(
        "LeNet (DrLIM, 2006)",
        "Two convolutions, those of the paper that gave us the contrastive loss; made for 28 × 28 pixels, other "
        "images are scaled to it.",
        _lenet,
    ),
    "koch": Encoder(
        "Koch (one-shot, 2015)",
        "The network of the Omniglot paper, made for 105 × 105 pixels; other images are scaled to it. Slow on a "
        "CPU: a step with 120 images takes about 15 seconds. Learns better at a learning rate of 0.0003.",
        _koch,
    ),
    "resnet_small": Encoder(
        "Small residual network",
        "Layers that add to their input instead of replacing it; good for 28 to 160 pixels.",
        _resnet_small,
    ),
    "resnet18": Encoder(
        "ResNet-18",
        f"A classic of image recognition with 11 million weights; slow on a CPU. {_UNTRAINED}",
        _resnet18,
    ),
    "mobilenet_v3": Encoder(
        "MobileNetV3, small",
        f"Made for telephones: many thin layers, little arithmetic. {_UNTRAINED}",
        _mobilenet_v3,
    ),
}
