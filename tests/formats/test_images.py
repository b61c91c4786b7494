"""A valid image comes out with the right pixels, upright, on white, with nothing else; a square of it is centred."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from siamese_core.formats import images
from siamese_core.formats.images import decode, square
from tests.support.hostile_images import (
    GREY,
    GREY_ALPHA,
    PALETTE,
    RGB,
    RGB_ALPHA,
    chunk,
    exif,
    png,
    sample_image,
    saved,
    segment,
    with_segments,
)

Made = tuple[bytes, np.ndarray]
"""A file, and the pixels that must come out: (H, W) for grey, (H, W, 3) for colour."""


def on_white(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Alpha compositing (Porter and Duff, 1984) over white, to the nearest of 256 values."""
    share = (alpha / 255)[..., None] if colours.ndim > alpha.ndim else alpha / 255
    return np.rint(colours * share + 255 * (1 - share)).astype(np.uint8)


def drawn(rng: np.random.Generator, channels: int, high: int = 256) -> np.ndarray:
    """Random samples of a random small size: (H, W) for one channel, otherwise (H, W, channels)."""
    height, width = rng.integers(1, 24, 2)
    samples = rng.integers(0, high, (height, width, channels))
    return samples[..., 0] if channels == 1 else samples


def ends(*values: int) -> bytes:
    return b"".join(value.to_bytes(2, "big") for value in values)


def png_grey(rng: np.random.Generator, depth: int) -> Made:
    """Values are spread over the whole range; of 16 bits the upper byte stays. One value is transparent."""
    samples = drawn(rng, 1, 2**depth)
    key = int(samples[0, 0])
    grey = samples >> 8 if depth == 16 else samples * (255 // (2**depth - 1))
    pixels = np.where(samples == key, 255, grey)
    return png(samples, GREY, depth, chunk(b"tRNS", ends(key)), interlaced=bool(rng.integers(2))), pixels


def png_opaque(rng: np.random.Generator, depth: int, colour: int) -> Made:
    samples = drawn(rng, 3 if colour == RGB else 1, 2**depth)
    return png(samples, colour, depth, interlaced=bool(rng.integers(2))), samples >> depth - 8


def png_keyed(rng: np.random.Generator) -> Made:
    samples = drawn(rng, 3)
    key = samples[-1, -1]
    pixels = np.where((samples == key).all(axis=2, keepdims=True), 255, samples)
    return png(samples, RGB, 8, chunk(b"tRNS", ends(*map(int, key)))), pixels


def png_alpha(rng: np.random.Generator, depth: int, colour: int) -> Made:
    samples = drawn(rng, 4 if colour == RGB_ALPHA else 2, 2**depth)
    bytes_ = samples >> depth - 8
    pixels = on_white(bytes_[..., :3] if colour == RGB_ALPHA else bytes_[..., 0], bytes_[..., -1])
    if (colour, depth) == (GREY_ALPHA, 16):
        # Pillow reads these as colours.
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    return png(samples, colour, depth, interlaced=bool(rng.integers(2))), pixels


def png_palette(rng: np.random.Generator, depth: int) -> Made:
    """Fewer alpha values than colours: the others are opaque."""
    count = 2**depth
    colours, alpha = rng.integers(0, 256, (count, 3)), rng.integers(0, 256, count)
    alpha[count // 2 :] = 255
    samples = drawn(rng, 1, count)
    palette = chunk(b"PLTE", colours.astype(np.uint8).tobytes())
    transparency = chunk(b"tRNS", alpha[: count // 2].astype(np.uint8).tobytes())
    return png(samples, PALETTE, depth, palette, transparency), on_white(colours, alpha)[samples]


def indexed(rng: np.random.Generator) -> tuple[Image.Image, np.ndarray, np.ndarray]:
    """A palette image of Pillow's, its indices and its colours."""
    indices, colours = drawn(rng, 1), rng.permutation(256 * 3).reshape(256, 3) % 256
    image = Image.fromarray(indices.astype(np.uint8)).convert("L")
    image.putpalette(colours.astype(np.uint8).tobytes())
    return image, indices, colours


def gif(rng: np.random.Generator) -> Made:
    image, indices, colours = indexed(rng)
    return saved(image, "GIF", optimize=False), colours[indices]


def gif_transparent(rng: np.random.Generator) -> Made:
    image, indices, colours = indexed(rng)
    key = int(indices[0, 0])
    pixels = np.where(indices[..., None] == key, 255, colours[indices])
    return saved(image, "GIF", optimize=False, transparency=key), pixels


def bmp_palette(rng: np.random.Generator) -> Made:
    image, indices, colours = indexed(rng)
    return saved(image, "BMP"), colours[indices]


def bmp_1_bit(rng: np.random.Generator) -> Made:
    black_or_white = drawn(rng, 1, 2) * 255
    return saved(Image.fromarray(black_or_white.astype(np.uint8)).convert("1"), "BMP"), black_or_white


def bmp(rng: np.random.Generator, channels: int) -> Made:
    samples = drawn(rng, channels).astype(np.uint8)
    return saved(Image.fromarray(samples), "BMP"), samples


def bmp_alpha(rng: np.random.Generator) -> Made:
    """Only a header that says where alpha lies gives it a meaning (BITMAPV4HEADER): here in the upper byte."""
    samples = drawn(rng, 4)
    height, width = samples.shape[:2]
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    head = struct.pack("<IIIIiiHHIIiiII", 0, 0, 122, 108, width, height, 1, 32, 3, 0, 0, 0, 0, 0)
    body = samples[::-1, :, [2, 1, 0, 3]].astype(np.uint8).tobytes()
    return b"BM" + head + masks + bytes(52) + body, on_white(samples[..., :3], samples[..., 3])


def webp(rng: np.random.Generator, channels: int) -> Made:
    samples = drawn(rng, channels).astype(np.uint8)
    pixels = on_white(samples[..., :3], samples[..., 3]) if channels == 4 else samples
    return saved(Image.fromarray(samples), "WEBP", lossless=True, exact=True), pixels


EXACT: dict[str, Callable[[np.random.Generator], Made]] = {
    "png 1 bit": lambda rng: png_grey(rng, 1),
    "png 2 bits": lambda rng: png_grey(rng, 2),
    "png 4 bits": lambda rng: png_grey(rng, 4),
    "png 8 bits, one value transparent": lambda rng: png_grey(rng, 8),
    "png 16 bits, one value transparent": lambda rng: png_grey(rng, 16),
    "png grey": lambda rng: png_opaque(rng, 8, GREY),
    "png grey of 16 bits": lambda rng: png_opaque(rng, 16, GREY),
    "png colour": lambda rng: png_opaque(rng, 8, RGB),
    "png colour of 16 bits": lambda rng: png_opaque(rng, 16, RGB),
    "png colour, one transparent": png_keyed,
    "png grey and alpha": lambda rng: png_alpha(rng, 8, GREY_ALPHA),
    "png grey and alpha of 16 bits": lambda rng: png_alpha(rng, 16, GREY_ALPHA),
    "png colour and alpha": lambda rng: png_alpha(rng, 8, RGB_ALPHA),
    "png colour and alpha of 16 bits": lambda rng: png_alpha(rng, 16, RGB_ALPHA),
    "png palette of 4": lambda rng: png_palette(rng, 2),
    "png palette of 256": lambda rng: png_palette(rng, 8),
    "gif": gif,
    "gif, one colour transparent": gif_transparent,
    "bmp 1 bit": bmp_1_bit,
    "bmp grey": lambda rng: bmp(rng, 1),
    "bmp palette": bmp_palette,
    "bmp colour": lambda rng: bmp(rng, 3),
    "bmp colour and alpha": bmp_alpha,
    "webp colour": lambda rng: webp(rng, 3),
    "webp colour and alpha": lambda rng: webp(rng, 4),
}

IMAGES_OF_EACH = 20


def pixels_of(data: bytes) -> np.ndarray:
    return np.asarray(decode(data))


def test_these_are_five_hundred_images() -> None:
    assert len(EXACT) * IMAGES_OF_EACH == 500


@pytest.mark.parametrize("name", EXACT)
def test_a_lossless_image_comes_out_with_exactly_its_pixels(name: str) -> None:
    for seed in range(IMAGES_OF_EACH):
        data, expected = EXACT[name](np.random.default_rng(seed))
        np.testing.assert_array_equal(pixels_of(data), expected, f"{name}, seed {seed}")


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(
    ("mode", "kind", "how"),
    [
        ("L", "JPEG", {"quality": 95}),
        ("RGB", "JPEG", {"quality": 95}),
        ("RGB", "JPEG", {"quality": 95, "progressive": True, "subsampling": 0}),
        ("CMYK", "JPEG", {"quality": 95}),
        ("RGB", "WEBP", {"quality": 95}),
    ],
)
def test_a_lossy_image_comes_out_nearly_with_its_pixels(mode: str, kind: str, how: dict[str, Any], seed: int) -> None:
    width, height = np.random.default_rng(seed).integers(16, 60, 2)
    image = sample_image(mode, int(width), int(height))
    expected = np.asarray(image).astype(int)
    if mode == "CMYK":
        # Ink takes light away: cyan red, magenta green, yellow blue, and black all three.
        expected = np.clip(255 - expected[..., :3] - expected[..., 3:], 0, 255)
    off = np.abs(pixels_of(saved(image, kind, **how)) - expected)
    assert off.mean() < 2 and off.max() < 16


def test_every_value_of_16_bits_becomes_its_upper_byte() -> None:
    values = np.arange(65_536).reshape(256, 256)
    grey = pixels_of(png(values, GREY, 16))
    assert grey.tolist() == [[i] * 256 for i in range(256)]


UPRIGHT = np.array([[10, 90, 170], [250, 50, 130]])
STORED = {
    1: [[10, 90, 170], [250, 50, 130]],
    2: [[170, 90, 10], [130, 50, 250]],
    3: [[130, 50, 250], [170, 90, 10]],
    4: [[250, 50, 130], [10, 90, 170]],
    5: [[10, 250], [90, 50], [170, 130]],
    6: [[170, 130], [90, 50], [10, 250]],
    7: [[130, 170], [50, 90], [250, 10]],
    8: [[250, 10], [50, 90], [130, 170]],
}
"""EXIF 2.32, tag 0x0112: which side of the image the stored first row and first column are; 6 is row right,
column top, and so on."""


@pytest.mark.parametrize("orientation", STORED)
def test_an_image_is_turned_upright_whatever_its_format(orientation: int) -> None:
    stored = np.array(STORED[orientation], np.uint8)
    note = exif(orientation)
    assert pixels_of(png(stored, GREY, 8, chunk(b"eXIf", note[6:]))).tolist() == UPRIGHT.tolist()
    colours = Image.fromarray(stored).convert("RGB")
    assert pixels_of(saved(colours, "WEBP", lossless=True, exif=note))[..., 0].tolist() == UPRIGHT.tolist()
    # Squares of 16 pixels, so that a JPEG keeps each of them.
    large = Image.fromarray(np.kron(stored, np.ones((16, 16), np.uint8)))
    jpeg = pixels_of(with_segments(saved(large, "JPEG", quality=95), segment(0xE1, note)))
    np.testing.assert_allclose(jpeg[8::16, 8::16].astype(int), UPRIGHT, atol=3)


@pytest.mark.parametrize("order", ["little", "big"])
def test_an_exif_of_either_byte_order_is_read(order: str) -> None:
    def number(value: int, size: int) -> bytes:
        return value.to_bytes(size, "little" if order == "little" else "big")

    entries = number(0x010F, 2) + number(2, 2) + number(1, 4) + bytes(4)
    entries += number(0x0112, 2) + number(3, 2) + number(1, 4) + number(3, 2) + bytes(2)
    tiff = (b"II" if order == "little" else b"MM") + number(42, 2) + number(8, 4) + number(2, 2) + entries
    assert pixels_of(png(np.array([[1, 2]]), GREY, 8, chunk(b"eXIf", tiff))).tolist() == [[2, 1]]


def test_nothing_but_pixels_stays() -> None:
    info = {"dpi": (72, 72), "comment": b"secret", "icc_profile": b"profile", "exif": exif(1)}
    for kind in ("PNG", "JPEG", "GIF", "WEBP"):
        image = decode(saved(sample_image(), kind, **info))
        assert type(image) is Image.Image
        assert image.info == {} and not image.getexif()


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP"])
def test_of_an_animation_the_first_frame_is_read_and_named_as_the_first(kind: str) -> None:
    first, second = (Image.new("RGB", (6, 5), colour) for colour in ((250, 10, 20), (0, 90, 0)))
    how = {"lossless": True} if kind == "WEBP" else {}
    image = decode(saved(first, kind, save_all=True, append_images=[second], **how))
    assert image.info == {"first_frame_only": True}
    assert np.unique(np.asarray(image).reshape(-1, 3), axis=0).tolist() == [[250, 10, 20]]


def test_a_square_is_cut_from_the_centre() -> None:
    """6 × 2 pixels: the middle two columns are left, and each pixel stays as it is."""
    wide = np.array([[1, 2, 3, 4, 5, 6], [11, 12, 13, 14, 15, 16]], np.uint8)
    assert square(Image.fromarray(wide), 2).tolist() == [[[3, 4], [13, 14]]] * 3
    assert square(Image.fromarray(wide.T.copy()), 2).tolist() == [[[3, 13], [4, 14]]] * 3


def test_a_square_has_its_channels_first() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    pixels = square(Image.fromarray(colours), 4)
    assert pixels.dtype == np.uint8 and pixels.flags.c_contiguous
    np.testing.assert_array_equal(pixels, np.stack([colours[:, :, channel] for channel in range(3)]))


@pytest.mark.parametrize(("side", "size"), [(1, 32), (31, 32), (33, 32), (300, 160), (1600, 16)])
def test_one_colour_stays_one_colour_at_any_size(side: int, size: int) -> None:
    pixels = square(Image.new("RGB", (side, side + 7), (12, 200, 77)), size)
    assert pixels.shape == (3, size, size)
    assert [np.unique(channel).tolist() for channel in pixels] == [[12], [200], [77]]


def test_a_fine_pattern_becomes_its_mean_and_not_a_coarse_one() -> None:
    """Stripes of one pixel, shrunk 10 times: a filter that only picks pixels would show black and white."""
    stripes = np.tile(np.array([0, 255], np.uint8), (640, 320))
    small = square(Image.fromarray(stripes), 64).astype(int)
    np.testing.assert_allclose(small, 127.5, atol=10)


def test_a_steep_edge_stays_in_its_place() -> None:
    half = np.zeros((640, 640), np.uint8)
    half[:, 320:] = 255
    small = square(Image.open(io.BytesIO(saved(Image.fromarray(half), "PNG"))), 64)
    assert small[:, :, :31].max() < 8 and small[:, :, 33:].min() > 247


def test_pixels_are_copied_in_bands_so_that_numpy_never_holds_an_image_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "BAND", 64)
    areas: list[int] = []
    crop = Image.Image.crop

    def measured(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
        areas.append((box[2] - box[0]) * (box[3] - box[1]))
        return crop(image, box)

    monkeypatch.setattr(Image.Image, "crop", measured)
    pixels = np.arange(22 * 16).reshape(22, 16).astype(np.uint8)
    target = Image.new("L", (16, 22))
    images._copy_in_bands(Image.fromarray(pixels), target, 7)
    assert areas == [64, 64, 64, 64, 64, 32]
    np.testing.assert_array_equal(np.array(target), np.where(pixels == 7, 255, pixels))
