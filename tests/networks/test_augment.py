"""An augmentation changes each image of a batch in another way, by the given generator alone."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import Generator, Tensor

from siamese_core.networks import vision
from siamese_core.networks.augment import AUGMENTATIONS, augmented, crops, mirrored, read_at, recoloured, turns

ALL = tuple(AUGMENTATIONS)
SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 40, 160)]

every_augmentation = pytest.mark.parametrize("key", AUGMENTATIONS)


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def images(shape: tuple[int, int, int] = (1, 28, 28), count: int = 24) -> Tensor:
    return torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=seeded(7))


def ones(count: int) -> Tensor:
    return torch.ones(count)


def test_there_are_four_known_by_their_keys_and_explained() -> None:
    assert ALL == ("crop", "flip", "rotate", "colour")
    for augmentation in AUGMENTATIONS.values():
        assert augmentation.title
        assert augmentation.help.endswith(".")


def test_nothing_chosen_is_the_very_same_tensor_and_draws_nothing() -> None:
    x, generator = images(), seeded()
    before = generator.get_state()
    assert augmented(x, (), generator) is x
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize("chosen", [*((key,) for key in ALL), ALL], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_images_stay_images_and_change(chosen: tuple[str, ...], shape: tuple[int, int, int]) -> None:
    x = images(shape)
    changed = augmented(x, chosen, seeded())
    assert torch.equal(x, images(shape))
    assert changed.shape == x.shape
    assert changed.dtype == torch.uint8
    assert not torch.equal(changed, x)


@pytest.mark.parametrize("chosen", [*((key,) for key in ALL), ALL], ids=str)
def test_the_same_generator_gives_the_same_images_and_the_global_one_is_left_alone(chosen: tuple[str, ...]) -> None:
    before = torch.random.get_rng_state()
    first, again, other = (augmented(images(), chosen, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), before)


@every_augmentation
def test_equal_images_of_a_batch_become_different_ones(key: str) -> None:
    x = images((3, 16, 16), 1).expand(24, -1, -1, -1)
    different = augmented(x, (key,), seeded()).flatten(1).unique(dim=0)
    assert len(different) == (2 if key == "flip" else 24)


def test_the_order_of_the_names_does_not_matter() -> None:
    assert torch.equal(augmented(images(), ALL, seeded()), augmented(images(), ALL[::-1], seeded()))


def test_an_empty_batch_stays_empty() -> None:
    assert augmented(images(count=0), ALL, seeded()).shape == (0, 1, 28, 28)


def test_an_unknown_name_is_refused_with_what_it_may_be() -> None:
    with pytest.raises(ValueError, match="augmentation is 'blur'; it may be crop, flip, rotate, colour"):
        augmented(images(), ("flip", "blur"), seeded())


# What each of them does


def test_a_flip_exchanges_left_and_right_where_it_is_asked_to() -> None:
    x = torch.tensor([[[[1.0, 2, 3]]]]).repeat(2, 1, 1, 1)
    assert mirrored(x, torch.tensor([True, False])).flatten(1).tolist() == [[3, 2, 1], [1, 2, 3]]


def test_half_of_the_images_are_flipped() -> None:
    x = torch.tensor([[[[1, 2]]]], dtype=torch.uint8).repeat(2_000, 1, 1, 1)
    flipped = augmented(x, ("flip",), seeded())[:, 0, 0, 0].eq(2)
    assert flipped.float().mean().item() == pytest.approx(0.5, abs=0.05)


def test_a_quarter_of_the_area_in_a_corner_fills_the_frame() -> None:
    """Of four quarters with a value each, one is left, but for the rim, where it is mixed with its neighbours."""
    x = torch.zeros(1, 1, 8, 8)
    x[..., :4, :4], x[..., :4, 4:], x[..., 4:, :4], x[..., 4:, 4:] = 10, 20, 30, 40
    corners = torch.tensor([[0.0, 0], [1, 0], [0, 1], [1, 1]])
    cropped = read_at(x.expand(4, -1, -1, -1), crops(torch.full((4,), 0.25), corners))[..., 1:-1, 1:-1]
    expected = torch.tensor([10.0, 20, 30, 40])[:, None, None, None].expand_as(cropped)
    torch.testing.assert_close(cropped, expected)


def test_the_whole_area_is_the_image() -> None:
    x = images((3, 9, 12)).float()
    torch.testing.assert_close(read_at(x, crops(ones(24), torch.rand(24, 2, generator=seeded()))), x, atol=1e-2, rtol=0)


def test_a_crop_agrees_with_torchvision_inside() -> None:
    """3 x 3 of 12 pixels from (6, 2), four times as large."""
    x = images((3, 12, 12), 1).float()
    area, place = torch.tensor([(3 / 12) ** 2]), torch.tensor([[6 / 9, 2 / 9]])
    expected = vision.transforms().functional.resized_crop(x, 2, 6, 3, 3, [12, 12], antialias=False)
    # At its rim torchvision repeats the crop's edge, where the image goes on.
    found = read_at(x, crops(area, place))
    torch.testing.assert_close(found[..., 2:-2, 2:-2], expected[..., 2:-2, 2:-2], atol=1e-2, rtol=0)


@pytest.mark.parametrize("degrees", [-15.0, 4.0, 15.0])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 20, 40)], ids=str)
def test_a_turn_agrees_with_torchvision_inside(degrees: float, shape: tuple[int, int, int]) -> None:
    functional = vision.transforms().functional
    x = functional.gaussian_blur(images(shape, 2).float(), [5, 5])
    # torchvision counts counter-clockwise and fills the corners with black.
    expected = functional.rotate(x, -degrees, interpolation=vision.transforms().InterpolationMode.BILINEAR)
    found = read_at(x, turns(torch.full((2,), degrees), *shape[1:]))
    inside = (..., slice(6, -6), slice(6, -6))
    torch.testing.assert_close(found[inside], expected[inside], atol=0.5, rtol=0)


def test_a_quarter_turn_is_clockwise() -> None:
    x = torch.tensor([[[[1.0, 2], [3, 4]]]])
    torch.testing.assert_close(read_at(x, turns(torch.tensor([90.0]), 2, 2)), torch.tensor([[[[3.0, 1], [4, 2]]]]))


def test_what_turns_in_from_outside_repeats_the_edge() -> None:
    white = torch.full((24, 1, 28, 28), 255, dtype=torch.uint8)
    assert torch.equal(augmented(white, ("crop", "rotate"), seeded()), white)


def test_a_crop_and_a_turn_together_are_read_once() -> None:
    """First the crop, then the turn of what it shows: by a quarter, which moves whole pixels."""
    x = torch.arange(64.0).view(1, 1, 8, 8)
    area, place, quarter = torch.tensor([0.5]), torch.tensor([[0.3, 0.9]]), torch.tensor([90.0])
    together = read_at(x, crops(area, place) @ turns(quarter, 8, 8))
    torch.testing.assert_close(together, read_at(x, crops(area, place)).rot90(-1, (2, 3)), atol=1e-3, rtol=0)


def test_the_turn_is_that_of_the_cropped_image() -> None:
    x, generator = images((3, 20, 40)), seeded()
    crop, turn = (AUGMENTATIONS[key].fn(x.float(), generator) for key in ("crop", "rotate"))
    assert torch.equal(augmented(x, ("crop", "rotate"), seeded()), read_at(x.float(), crop @ turn).round().byte())


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8)], ids=str)
def test_a_colour_factor_agrees_with_torchvision(name: str, shape: tuple[int, int, int]) -> None:
    x, factors = images(shape, 3).float(), torch.tensor([0.7, 1.0, 1.3])
    adjust = getattr(vision.transforms().functional, f"adjust_{name}")
    expected = torch.cat([255 * adjust(x[i : i + 1] / 255, float(factors[i])) for i in range(3)])
    chosen = {"brightness": ones(3), "contrast": ones(3), "saturation": ones(3)} | {name: factors}
    torch.testing.assert_close(recoloured(x, **chosen, hue=torch.zeros(3)), expected, atol=1e-2, rtol=0)


def test_a_third_of_the_colour_circle_makes_red_green_green_blue_and_blue_red() -> None:
    x = images((3, 8, 8), 2).float()
    turned = recoloured(x, ones(2), ones(2), ones(2), torch.tensor([1 / 3, -1 / 3]))
    torch.testing.assert_close(turned[0], x[0].roll(1, 0), atol=1e-2, rtol=0)
    torch.testing.assert_close(turned[1], x[1].roll(-1, 0), atol=1e-2, rtol=0)
    expected = vision.transforms().functional.adjust_hue(x[:1] / 255, 1 / 3) * 255
    torch.testing.assert_close(turned[:1], expected, atol=1e-2, rtol=0)


def test_grey_has_no_hue_and_no_saturation() -> None:
    x = images((1, 8, 8), 2).float()
    strong = torch.tensor([1.3, 0.7])
    assert torch.equal(recoloured(x, ones(2), ones(2), strong, strong), x)
    grey = x.repeat(1, 3, 1, 1)
    torch.testing.assert_close(recoloured(grey, ones(2), ones(2), strong, strong), grey, atol=0.1, rtol=0)


def test_listing_the_augmentations_imports_neither_torch_nor_torchvision() -> None:
    code = "import sys, siamese_core.networks.augment\nprint({'torch', 'torchvision'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
