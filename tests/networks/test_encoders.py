"""Every encoder takes every image, learns with all its weights, and draws them from the run's generator alone."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from siamese_core.networks.build import build
from siamese_core.networks.encoders import ENCODERS, Shape

SHAPES: list[Shape] = [
    (1, 8, 8),
    (1, 15, 9),
    (1, 28, 28),
    (3, 32, 32),
    (1, 105, 105),
    (3, 40, 160),
    (3, 160, 160),
]

every_encoder = pytest.mark.parametrize("encoder", ENCODERS)

LARGEST = "koch"
"""Takes seconds for what takes the others a blink."""
largest_slow = pytest.mark.parametrize(
    "encoder", [pytest.param(key, marks=pytest.mark.slow) if key == LARGEST else key for key in ENCODERS]
)


def built(encoder: str, shape: Shape = (1, 28, 28), dim: int = 2, seed: int = 0) -> nn.Module:
    return build(encoder, "linear", shape, dim, torch.Generator().manual_seed(seed))


def images(shape: Shape = (1, 28, 28), count: int = 4) -> torch.Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(1))


def weights_of(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize(
    ("encoder", "shape"),
    [
        pytest.param(key, shape, marks=[pytest.mark.slow] if key == LARGEST and shape not in SHAPES[::5] else [])
        for key in ENCODERS
        for shape in SHAPES
    ],
)
def test_any_image_becomes_a_point_that_depends_on_every_weight(encoder: str, shape: Shape) -> None:
    network = built(encoder, shape)
    embeddings = network(images(shape))
    assert embeddings.shape == (4, 2)
    assert embeddings.dtype == torch.float32
    embeddings.square().sum().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert weight.grad.any(), name
    assert network.eval()(images(shape)).isfinite().all()


@every_encoder
def test_a_point_may_have_many_coordinates(encoder: str) -> None:
    assert built(encoder, dim=256)(images()).shape == (4, 256)


def test_the_default_encoder_is_the_first_one() -> None:
    assert next(iter(ENCODERS)) == "conv"


def test_the_encoders_are_named_and_explained() -> None:
    for encoder in ENCODERS.values():
        assert encoder.title
        assert encoder.help.endswith(".")
    assert len({encoder.title for encoder in ENCODERS.values()}) == len(ENCODERS)


@pytest.mark.parametrize("encoder", ["resnet18", "mobilenet_v3"])
def test_a_network_of_torchvision_says_that_it_starts_untrained(encoder: str) -> None:
    assert "untrained" in ENCODERS[encoder].help
    assert "pickles" in ENCODERS[encoder].help


@every_encoder
def test_the_same_seed_gives_the_same_bits_and_another_seed_gives_others(encoder: str) -> None:
    one, two, other = (built(encoder, seed=seed) for seed in (0, 0, 1))
    assert one.state_dict().keys() == two.state_dict().keys()
    assert all(torch.equal(tensor, two.state_dict()[name]) for name, tensor in one.state_dict().items())
    assert not torch.equal(one(images()), other(images()))


@largest_slow
def test_building_neither_reads_nor_moves_the_global_generator(encoder: str) -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first = built(encoder).state_dict()
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(4)
    second = built(encoder).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@largest_slow
def test_training_and_using_the_network_draws_no_random_number(encoder: str) -> None:
    network = built(encoder)
    before = torch.random.get_rng_state()
    network.train()(images()).sum().backward()
    network.eval()(images())
    assert torch.equal(torch.random.get_rng_state(), before)


@every_encoder
def test_in_use_an_image_has_one_point_whatever_lies_beside_it(encoder: str) -> None:
    network = built(encoder).eval()
    together = network(images())
    assert torch.equal(together, network(images()))
    torch.testing.assert_close(network(images()[:1]), together[:1])


@every_encoder
def test_weights_have_the_spread_of_torchs_own_initialisation(encoder: str) -> None:
    """Uniform within 1 / sqrt(fan in), biases too; only the last layer, D = 4 here, is scaled by 1 / sqrt(D)."""
    layers = [m for m in built(encoder, dim=4).modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    for layer in layers:
        bound = layer.weight[0].numel() ** -0.5 * (0.5 if layer is layers[-1] else 1)
        assert 0.8 * bound < layer.weight.abs().max() <= bound
        assert layer.bias is None or 0.5 * bound < layer.bias.abs().max() <= bound


@largest_slow
def test_distances_start_equally_long_in_every_dimension(encoder: str) -> None:
    """Else the margin means one thing in 2 dimensions and another in 256."""
    batch = images(count=16)

    def mean_distance(dim: int, seed: int) -> float:
        return float(nn.functional.pdist(built(encoder, dim=dim, seed=seed)(batch)).mean())

    with torch.no_grad():
        means = [sum(mean_distance(dim, seed) for seed in range(3)) / 3 for dim in (2, 32, 256)]
    assert max(means) < 1.5 * min(means)


@every_encoder
def test_a_network_without_its_code_is_only_tensors(encoder: str) -> None:
    saved, copy = built(encoder, seed=0), built(encoder, seed=1)
    saved(images())  # the statistics of a step are part of it
    copy.load_state_dict(saved.state_dict())
    assert torch.equal(saved.eval()(images()), copy.eval()(images()))


@every_encoder
def test_normalisation_follows_a_short_run(encoder: str) -> None:
    """A tenth of each step, torch's default: slower ones are still near their start after a hundred steps."""
    layers = [m for m in built(encoder).modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert all(layer.momentum == 0.1 for layer in layers)


def test_koch_has_the_weights_of_the_paper() -> None:
    convolutions = 64 * (10 * 10 + 1) + 128 * (64 * 7 * 7 + 1) + 128 * (128 * 4 * 4 + 1) + 256 * (128 * 4 * 4 + 1)
    # 105 pixels: 96 after the first convolution, 48, 42, 21, 18, 9, 6 after the last one.
    assert weights_of(built("koch", (1, 105, 105))) == convolutions + 4096 * (256 * 6 * 6 + 1) + 2 * (4096 + 1)
    # A colour image has two more channels under the first convolution.
    assert weights_of(built("koch", (3, 105, 105))) == weights_of(built("koch")) + 64 * 2 * 10 * 10


def test_lenet_has_the_weights_of_the_paper() -> None:
    # 15 · 37 + 30 · (15 · 81 + 1) + 2 · 31
    assert weights_of(built("lenet")) == 555 + 36_480 + 62


@pytest.mark.parametrize(("encoder", "size", "shape"), [("lenet", 28, (1, 14, 14)), ("koch", 105, (1, 35, 35))])
def test_a_small_image_is_enlarged_to_the_size_that_a_network_is_made_for(
    encoder: str, size: int, shape: Shape
) -> None:
    small = images(shape)
    large = nn.functional.interpolate(small, size=(size, size), mode="bilinear")
    torch.testing.assert_close(built(encoder, shape)(small), built(encoder, (1, size, size))(large))


def test_a_large_image_is_reduced_by_means_and_not_by_leaving_pixels_out() -> None:
    """From afar, one bright pixel in each tile of 4 x 4 is an even grey."""
    grid = torch.zeros(1, 1, 112, 112)
    grid[..., ::4, ::4] = 16.0
    network = built("lenet", (1, 112, 112)).eval()
    torch.testing.assert_close(network(grid), network(torch.ones(1, 1, 112, 112)), atol=0.02, rtol=0)


@pytest.mark.parametrize("encoder", ["resnet18", "mobilenet_v3"])
def test_a_grey_image_is_seen_as_a_colour_image_with_three_equal_channels(encoder: str) -> None:
    grey = images((1, 32, 32))
    torch.testing.assert_close(built(encoder, (1, 32, 32))(grey), built(encoder, (3, 32, 32))(grey.repeat(1, 3, 1, 1)))


def test_listing_the_encoders_imports_neither_torch_nor_torchvision() -> None:
    code = "import sys, siamese_core.networks.encoders\nsys.exit(bool({'torch', 'torchvision'} & {*sys.modules}))"
    subprocess.run([sys.executable, "-c", code], check=True)
