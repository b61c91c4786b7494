"""The Siamese: one encoder for both inputs of a pair, its output, and weights from the run's generator.

torch is imported inside the functions, so that a page can list the outputs without paying for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from siamese_core.networks.encoders import ENCODERS, Shape

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn


@dataclass(frozen=True)
class Output:
    """What is done to the encoder's last layer: ``fn`` maps (B, D) to (B, D)."""

    title: str
    help: str
    fn: Callable[[Tensor], Tensor]


def build(encoder: str, output: str, shape: Shape, embedding_dim: int, generator: Generator) -> nn.Module:
    """Return one network for both inputs of a pair: float32 (B, C, H, W) to embeddings (B, D), on the CPU.

    The two images of a pair go through it in one batch; there is nothing to share because there is only one.
    All weights come from ``generator`` (a CPU generator), none from torch's global one, so the same seed
    gives the same bits whatever else runs in the process.

    Args:
        encoder: a key of ``ENCODERS``.
        output: a key of ``OUTPUTS``.
        shape: (C, H, W) of an image, at least 8 x 8 pixels.
        embedding_dim: D.
        generator: a CPU ``torch.Generator``.

    Raises:
        ValueError: an unknown key, an image under 8 x 8 pixels or an embedding dimension below 1.

    References:
        Bromley et al. 1993, "Signature Verification using a 'Siamese' Time Delay Neural Network".
    """
    if encoder not in ENCODERS:
        raise ValueError(f"encoder is {encoder!r}; it may be {', '.join(ENCODERS)}")
    if output not in OUTPUTS:
        raise ValueError(f"output is {output!r}; it may be {', '.join(OUTPUTS)}")
    if shape[0] < 1 or min(shape[1:]) < 8:
        raise ValueError(f"shape is {shape}; images need a channel and at least 8 x 8 pixels")
    if embedding_dim < 1:
        raise ValueError(f"embedding_dim is {embedding_dim}; it may be 1 or more")
    network = drawn(lambda: _siamese(ENCODERS[encoder].build(shape, embedding_dim), OUTPUTS[output]), generator)
    _shorten(network)
    return network


def pseudo_siamese(first: nn.Module, second: nn.Module) -> nn.Module:
    """Return two networks, one for each input of a pair, that share nothing but the space that they map to.

    References:
        Zagoruyko & Komodakis 2015, "Learning to Compare Image Patches via Convolutional Neural Networks", section 3.1.
    """
    from torch import nn

    return nn.ModuleDict({"first": first, "second": second})


def _siamese(encoder: nn.Module, output: Output) -> nn.Module:
    from torch import nn

    class Siamese(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder

        def forward(self, images: Tensor) -> Tensor:
            embeddings: Tensor = output.fn(self.encoder(images))
            return embeddings

    return Siamese()


def drawn(make: Callable[[], nn.Module], generator: Generator) -> nn.Module:
    """Return the module that ``make`` gives, on the CPU, with weights drawn from ``generator`` alone."""
    import torch

    # On the meta device a module has shapes but no numbers, so building it draws no random ones.
    with torch.device("meta"):
        module = make()
    module = module.to_empty(device="cpu")
    _initialise(module, generator)
    return module


def _initialise(module: nn.Module, generator: Generator) -> None:
    """torch's defaults for linear, convolutional and embedding layers, drawn from ``generator`` alone."""
    from torch import nn

    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.kaiming_uniform_(layer.weight, a=5**0.5, generator=generator)
            if layer.bias is not None:
                bound = layer.weight[0].numel() ** -0.5
                nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
        elif isinstance(layer, nn.Embedding):
            nn.init.normal_(layer.weight, generator=generator)
        elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.reset_parameters()  # ones and zeros: nothing is drawn
        elif any(True for _ in layer.parameters(recurse=False)):
            raise TypeError(f"no rule to initialise {type(layer).__name__}")


def _shorten(network: nn.Module) -> None:
    """Scales the last layer by 1 / √D, so that the distances start equally long in every dimension.

    Unscaled, they grow with √D: at D = 32 most different pairs start beyond a margin of 1, where the contrastive loss
    leaves them alone, and only the pull is left (300 steps of the MLP on Fashion-MNIST: MAP@R 0.59 unscaled, 0.65
    scaled).
    """
    import torch
    from torch import nn

    *_, last = (module for module in network.modules() if isinstance(module, nn.Linear))
    with torch.no_grad():
        for tensor in (last.weight, last.bias):
            tensor.mul_(last.out_features**-0.5)


def _linear(embeddings: Tensor) -> Tensor:
    return embeddings


def _l2(embeddings: Tensor) -> Tensor:
    """Each row divided by its length; the zero vector stays where it is, with a finite gradient."""
    # The clamp is inside the root: the root of zero has an infinite slope.
    return embeddings / embeddings.square().sum(1, keepdim=True).clamp_min(1e-12).sqrt()


def _sigmoid(embeddings: Tensor) -> Tensor:
    return embeddings.sigmoid()


OUTPUTS: dict[str, Output] = {
    "linear": Output("Linear", "The last layer as it is: points may lie anywhere.", _linear),
    "l2": Output(
        "L2-normalised",
        "Every point is moved to distance 1 from the origin, so no two are further than 2 apart.",
        _l2,
    ),
    "sigmoid": Output(
        "Sigmoid",
        "Every coordinate is squeezed into 0 to 1, so no two points are further than √D apart.",
        _sigmoid,
    ),
}
