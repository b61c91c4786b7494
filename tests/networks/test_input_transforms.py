"""An input transform changes an image in one way, always the same one."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import Tensor

from siamese_core.networks.input_transforms import INPUT_TRANSFORMS

SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (1, 15, 9), (3, 40, 160)]

every_input_transform = pytest.mark.parametrize("input_transform", INPUT_TRANSFORMS)


def images(shape: tuple[int, int, int] = (1, 28, 28), count: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=generator)


def image_of(*rows: list[int]) -> Tensor:
    return torch.tensor([[rows]], dtype=torch.uint8)


def test_there_are_five_input_transforms_known_by_their_keys_and_explained() -> None:
    assert list(INPUT_TRANSFORMS) == ["edges", "inverted", "low_resolution", "rotated", "noisy"]
    for transform in INPUT_TRANSFORMS.values():
        assert transform.title
        assert transform.help.endswith(".")


@every_input_transform
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_has_the_shape_of_the_image_and_differs_from_it(input_transform: str, shape: tuple[int, int, int]) -> None:
    seen = INPUT_TRANSFORMS[input_transform].fn(images(shape))
    assert seen.shape == (5, *shape)
    assert seen.dtype == torch.uint8
    assert seen.is_contiguous()
    assert not torch.equal(seen, images(shape))


@every_input_transform
def test_it_leaves_its_images_and_the_global_generator_alone_and_repeats_itself(
    input_transform: str,
) -> None:
    before, x = torch.random.get_rng_state(), images()
    first = INPUT_TRANSFORMS[input_transform].fn(x)
    assert torch.equal(x, images())
    assert torch.equal(first, INPUT_TRANSFORMS[input_transform].fn(x))
    assert torch.equal(torch.random.get_rng_state(), before)


@every_input_transform
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_an_image_looks_the_same_wherever_it_stands_in_a_batch(
    input_transform: str, shape: tuple[int, int, int]
) -> None:
    x = images(shape)
    assert torch.equal(INPUT_TRANSFORMS[input_transform].fn(x).flip(0), INPUT_TRANSFORMS[input_transform].fn(x.flip(0)))
    assert torch.equal(INPUT_TRANSFORMS[input_transform].fn(x)[2:3], INPUT_TRANSFORMS[input_transform].fn(x[2:3]))


def test_the_edge_of_a_step_is_white_on_both_sides_and_all_else_black() -> None:
    step = image_of(*[[10, 10, 10, 90, 90, 90]] * 4)
    assert torch.equal(INPUT_TRANSFORMS["edges"].fn(step), image_of(*[[0, 0, 255, 255, 0, 0]] * 4))
    assert torch.equal(INPUT_TRANSFORMS["edges"].fn(step.mT), image_of(*[[0, 0, 255, 255, 0, 0]] * 4).mT)


def test_a_weaker_edge_is_greyer_and_each_image_has_its_own_white() -> None:
    """Steps of 100 and 20: the second is a fifth of the first."""
    steps = image_of(*[[0, 0, 0, 100, 100, 100, 120, 120, 120]] * 3)
    row = [0, 0, 255, 255, 0, 51, 51, 0, 0]
    assert INPUT_TRANSFORMS["edges"].fn(torch.cat([steps, steps // 2]))[:, 0, 1].tolist() == [row, row]


def test_a_point_has_the_sobel_operators_gradient_around_it() -> None:
    """Beside it 2, at its corners the root of 1 + 1, in its middle nothing; 2 becomes 255."""
    point = torch.zeros(1, 1, 5, 5, dtype=torch.uint8)
    point[..., 2, 2] = 200
    corner = round(255 / 2**0.5)
    expected = [[corner, 255, corner], [255, 0, 255], [corner, 255, corner]]
    assert INPUT_TRANSFORMS["edges"].fn(point)[0, 0, 1:4, 1:4].tolist() == expected


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_of_one_colour_has_no_edges(channels: int) -> None:
    plain = torch.tensor([255, 37, 101], dtype=torch.uint8)[:channels, None, None].expand(2, channels, 9, 9)
    assert INPUT_TRANSFORMS["edges"].fn(plain).eq(0).all()


def test_the_edges_of_a_colour_image_are_grey() -> None:
    red, green, blue = INPUT_TRANSFORMS["edges"].fn(images((3, 8, 8))).unbind(1)
    assert torch.equal(red, green)
    assert torch.equal(red, blue)


def test_inverted_twice_is_the_image() -> None:
    assert INPUT_TRANSFORMS["inverted"].fn(image_of([0, 1, 255])).tolist() == [[[[255, 254, 0]]]]
    assert torch.equal(INPUT_TRANSFORMS["inverted"].fn(INPUT_TRANSFORMS["inverted"].fn(images())), images())


def test_low_resolution_puts_the_mean_of_each_tile_in_its_place() -> None:
    tiles = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    tiles[..., :4, :4] = 200
    tiles[..., 4:, 4:] = torch.arange(16, dtype=torch.uint8).view(4, 4)  # 7.5 in the mean
    seen = INPUT_TRANSFORMS["low_resolution"].fn(tiles)[0, 0]
    assert seen[:4, :4].unique().tolist() == [200]
    assert seen[4:, 4:].unique().tolist() == [8]
    assert seen[:4, 4:].unique().tolist() == seen[4:, :4].unique().tolist() == [0]


def test_rotated_turns_clockwise() -> None:
    assert INPUT_TRANSFORMS["rotated"].fn(image_of([1, 2], [3, 4])).tolist() == [[[[3, 1], [4, 2]]]]


def test_an_image_that_is_not_square_is_turned_into_its_own_frame() -> None:
    """The top row becomes the right half."""
    wide = torch.zeros(1, 1, 8, 16, dtype=torch.uint8)
    wide[..., :4, :] = 255
    seen = INPUT_TRANSFORMS["rotated"].fn(wide)[0, 0]
    assert seen[:, :6].eq(0).all()
    assert seen[:, 10:].eq(255).all()


def test_the_noise_has_a_fifth_of_white_as_its_standard_deviation() -> None:
    """On mid-grey, where little of it is cut off."""
    grey = torch.full((1, 3, 160, 160), 128, dtype=torch.uint8)
    noise = INPUT_TRANSFORMS["noisy"].fn(grey).double() - 128
    assert noise.mean().item() == pytest.approx(0, abs=1)
    assert noise.std().item() == pytest.approx(0.2 * 255, rel=0.05)


def test_different_images_get_different_noise() -> None:
    """Else it would be a constant, which a network can subtract: one pixel that differs is enough."""
    greys = torch.full((40, 1, 8, 8), 128, dtype=torch.uint8)
    greys[:, 0, 0, 0] = torch.arange(40)
    elsewhere = INPUT_TRANSFORMS["noisy"].fn(greys)[:, 0, 1:].flatten(1)
    assert len(elsewhere.unique(dim=0)) == 31


def test_listing_the_input_transforms_does_not_import_torch() -> None:
    code = (
        "import sys, siamese_core.networks.input_transforms as v; v.INPUT_TRANSFORMS; sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
