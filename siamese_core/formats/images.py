"""The one reader of untrusted images: bytes in, plain pixels or ImageRejected out.

Pillow sees only what makes an image. What else a PNG or a JPEG carries (texts, profiles, thumbnails, EXIF, frames of
an animation) is left out before: that is where small files grow large. Of EXIF we read the orientation ourselves.
"""

from __future__ import annotations

import io
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from siamese_core.errors import Rejected

MAX_BYTES = 10_000_000
MAX_PIXELS = 16_000_000
MAX_RATIO = 100

MAX_SCANS = 64
"""Of a progressive JPEG: each goes over the whole image, and a scan of zeros is a few bytes."""

MAX_MEMORY = 8 * MAX_PIXELS
"""Bytes: Pillow's four for each pixel of the largest image, once as it was read and once as it is given back."""

REASONS = {
    "empty": "This file is empty; choose it again or save it anew.",
    "too_big": f"This file is larger than {MAX_BYTES // 1_000_000} MB; make the image smaller and try again.",
    "not_an_image": "This file is no PNG, JPEG, GIF, BMP or WebP image, whatever its name; save it as one of these.",
    "too_many_pixels": f"This image has more than {MAX_PIXELS // 1_000_000} million pixels; make it smaller.",
    "too_narrow": f"This image is more than {MAX_RATIO} times as long as it is wide; crop it and try again.",
    "damaged": "This image is damaged, cut short or of an unusual kind; open it elsewhere and save it again as PNG.",
    "needs_too_much_memory": "This image takes too much memory to open; make it smaller or save it as PNG.",
    "too_slow": "This image takes too long to open; make it smaller or save it again as PNG.",
    "broke_the_decoder": "This file broke the program that opens images; leave it out or save it again as PNG.",
}
"""Every reason for which a file is refused, with the sentence that says what to do."""

BEGINNINGS = {"PNG": (b"\x89PNG\r\n\x1a\n",), "JPEG": (b"\xff\xd8\xff",), "GIF": (b"GIF87a", b"GIF89a")}
"""The first bytes of these kinds of file."""
BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
"""The sizes of a BMP's second header: its first two letters alone could begin any text."""

BAND = 2**20
"""Pixels that numpy works on at a time."""

CRITICAL_PNG = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}

APP0, EXIF, ADOBE, COMMENT, APP15, SCAN = 0xE0, 0xE1, 0xEE, 0xFE, 0xEF, 0xDA
"""Markers of a JPEG's segments; APP0 (JFIF) and Adobe's say how its colours are meant."""

WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}

TURNED = range(2, 9)
"""The orientations (EXIF 2.32, 2019, tag 0x0112) of an image that is not upright as it is stored."""

PILLOW_FAILS_WITH = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, ArithmeticError, AttributeError, AssertionError,
    SystemError, struct.error,
)  # fmt: skip
"""What Pillow raises for damaged files: its plugins and its C code have no error of their own."""


_ONE_AT_A_TIME = threading.Lock()


class ImageRejected(Rejected):
    """A file is no image that is let in. `reason` is a key of REASONS."""

    def __init__(self, reason: str) -> None:
        super().__init__(REASONS[reason])
        self.reason = reason


def decode(data: bytes) -> Image.Image:
    """Return the image in a PNG, JPEG, GIF, BMP or WebP file: mode "RGB" or "L", upright, on white, without metadata.

    Of 16 bits the upper 8 count. Of an animation only the first frame is read; then `info["first_frame_only"]` is
    True, otherwise `info` is empty. Raises ImageRejected for everything else, with its reason from REASONS.
    """
    check_length(data)
    kind = _kind(data)
    if kind is None:
        raise ImageRejected("not_an_image")
    with _pillow_with_our_limits():
        try:
            exif, frames = b"", 1
            if kind == "PNG":
                data, exif, frames = _bare_png(data)
            elif kind == "JPEG":
                data, exif = _bare_jpeg(data)
            file = io.BytesIO(data)
            # The stream alone holds the bytes now; whoever is done with it frees ten megabytes.
            del data
            return _image(kind, file, exif, frames)
        except Image.DecompressionBombError:
            raise ImageRejected("too_many_pixels") from None
        except MemoryError:
            raise ImageRejected("needs_too_much_memory") from None
        except PILLOW_FAILS_WITH as failure:
            raise ImageRejected("damaged") from failure


def square(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """Return the largest centred square of an "RGB" or "L" image as uint8 (3, size, size); grey is repeated."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    # Hamming's window is as sharp as bicubic where it shrinks, in half the time; it does not smooth where it enlarges.
    way = Image.Resampling.HAMMING if side > size else Image.Resampling.BICUBIC
    box = (left, top, left + side, top + side)
    pixels = np.asarray(image.resize((size, size), way, box, reducing_gap=3.0))
    channels = np.moveaxis(pixels, 2, 0) if image.mode == "RGB" else np.broadcast_to(pixels, (3, size, size))
    return np.ascontiguousarray(channels)


def check_length(data: bytes) -> None:
    """Raise ImageRejected for a file that needs no reading to be refused."""
    if not data:
        raise ImageRejected("empty")
    if len(data) > MAX_BYTES:
        raise ImageRejected("too_big")


def import_decoders() -> None:
    """Import only the plugins of our five kinds: `Image.open` would load all that Pillow has to find WebP's."""
    import PIL.WebPImagePlugin  # noqa: F401

    Image.preinit()


def _kind(data: bytes) -> str | None:
    """The format as Pillow names it, by the first bytes."""
    for kind, beginnings in BEGINNINGS.items():
        if data.startswith(beginnings):
            return kind
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    if data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in BMP_HEADERS:
        return "BMP"
    return None


@contextmanager
def _pillow_with_our_limits() -> Iterator[None]:
    """Pillow warns above its limit and refuses above twice that, also where a plugin allocates while it opens."""
    import_decoders()
    # The limit and the warnings are the whole process's: two threads would leave each other's behind.
    with _ONE_AT_A_TIME:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MAX_PIXELS // 2
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _image(kind: str, stream: io.BytesIO, exif: bytes, frames: int) -> Image.Image:
    file: Any = Image.open(stream, formats=[kind])
    _check_size(*file.size)
    if _memory(file, len(stream.getbuffer())) > MAX_MEMORY:
        raise ImageRejected("needs_too_much_memory")
    first_frame_only = frames > 1 or getattr(file, "is_animated", False)
    orientation = _orientation(exif or file.info.get("exif", b""))
    key = _colour_key(file)
    file.load()
    # From here on each thing is freed as soon as the next one is there: two of the largest images fit, three do not.
    stream.close()
    image = _plain(file, key)
    del file
    image.info = {"first_frame_only": True} if first_frame_only else {}
    if orientation in TURNED:
        # In an EXIF of nothing else: a whole one Pillow would take apart.
        image.getexif()[ExifTags.Base.Orientation] = orientation
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _check_size(width: int, height: int) -> None:
    if not width or not height:
        raise ImageRejected("damaged")
    if width * height > MAX_PIXELS:
        raise ImageRejected("too_many_pixels")
    if max(width, height) > MAX_RATIO * min(width, height):
        raise ImageRejected("too_narrow")


def _memory(file: Any, length: int) -> float:
    """Bytes that Pillow holds at its worst moment, with the file's own where that comes while it is read."""
    pixels: int = file.width * file.height
    if file.format == "WEBP":
        # libwebp keeps two canvases, for an animation, even of one frame; a copy of the frame goes through bytes.
        return 16 * pixels + 2 * length
    if file.format == "JPEG" and (file.info.get("progressive") or not _one_scan(file)):
        # libjpeg keeps the coefficients of all blocks, 2 bytes each, while the scans refine them.
        vertical, horizontal = np.array(file.layer)[:, 1:3].T
        sampled = float((vertical * horizontal).sum() / (vertical.max() * horizontal.max()))
        return (4 + 2 * sampled) * pixels + 2 * length
    return 8 * pixels


def _one_scan(jpeg: Any) -> bool:
    """Whether the first scan, which Pillow has read up to, holds all components."""
    length = 8 + 2 * jpeg.layers
    jpeg.fp.seek(-length, io.SEEK_CUR)
    return bool(jpeg.fp.read(length).startswith(bytes([0xFF, SCAN])))


def _bare_png(data: bytes) -> tuple[bytes, bytes, int]:
    """The chunks that make the image, the EXIF, and the number of frames; every checksum is verified."""
    parts, exif, frames, at = [data[:8]], b"", 1, 8
    name = b""
    while name != b"IEND":
        length, name = struct.unpack_from(">I4s", data, at)
        if (name == b"IHDR") != (at == 8):
            # Pillow would read what follows a second header by a mode, and what came before it by another.
            raise ImageRejected("damaged")
        end = at + 12 + length
        body = memoryview(data)[at + 8 : end - 4]
        if struct.unpack_from(">I", data, end - 4) != (zlib.crc32(body, zlib.crc32(name)),):
            raise ImageRejected("damaged")
        if name == b"IHDR":
            _check_size(*struct.unpack_from(">II", body))
        elif name == b"eXIf":
            exif = bytes(body)
        elif name == b"acTL":
            (frames,) = struct.unpack_from(">I", body)
        if name in CRITICAL_PNG:
            parts.append(data[at:end])
        at = end
    return b"".join(parts), exif, frames


def _bare_jpeg(data: bytes) -> tuple[bytes, bytes]:
    """The segments that make the image, and the EXIF."""
    parts, exif, at = [data[:2]], b"", 2
    while True:
        at = data.index(b"\xff", at)
        marker = data[at + 1]
        if marker == SCAN:
            if data.count(b"\xff\xda", at) > MAX_SCANS:
                raise ImageRejected("too_slow")
            return b"".join([*parts, data[at:]]), exif
        if marker in {0x00, 0xFF}:
            at += 1
            continue
        length = 0 if marker in WITHOUT_LENGTH else int.from_bytes(data[at + 2 : at + 4])
        segment = data[at : at + 2 + length]
        if marker == EXIF and segment[4:10] == b"Exif\0\0":
            exif = exif or segment[4:]
        if marker in {APP0, ADOBE} or not (APP0 <= marker <= APP15 or marker == COMMENT):
            parts.append(segment)
        at += 2 + length


def _orientation(exif: bytes) -> int:
    """1 to 8; 1, upright, where the EXIF does not say or cannot be read."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    with suppress(struct.error):
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for i in range(count):
            tag, value = struct.unpack_from(f"{order}H6xH", tiff, start + 2 + 12 * i)
            if tag == ExifTags.Base.Orientation:
                return int(value)
    return 1


def _colour_key(file: Any) -> int | tuple[int, ...] | None:
    """The one value that is transparent, in the units of the pixels that Pillow will give."""
    key = file.info.get("transparency")
    rawmode = file.tile[0].args if file.format == "PNG" else None
    if rawmode == "RGB;16B" and key is not None:
        return tuple(value >> 8 for value in key)
    if rawmode in ("L;2", "L;4") and key is not None:
        return int(key) * (85 if rawmode == "L;2" else 17)
    return key  # type: ignore[no-any-return]


def _plain(file: Image.Image, key: Any) -> Image.Image:
    """A new "RGB" or "L" image; what is transparent shows white."""
    if file.mode in ("RGBA", "LA"):
        image = Image.new(file.mode.removesuffix("A"), file.size, "white")
        image.paste(file, mask=file)
        return image
    if file.mode == "P":
        _palette_on_white(file, key)
    file.info.pop("transparency", None)
    if file.mode in ("P", "CMYK"):
        return file.convert("RGB")
    if file.mode == "I;16":
        image = Image.new("L", file.size)
        _copy_in_bands(file, image, key)
        return image
    image = file.convert("L") if file.mode == "1" else file.copy()
    if key is not None:
        _copy_in_bands(image, image, key)
    return image


def _palette_on_white(file: Any, transparent: bytes | int | None) -> None:
    """Colours are blended before they are spread over the pixels: 256 of them, not 16 million."""
    if file.palette is None:
        raise ImageRejected("damaged")
    colours = np.array(file.getpalette("RGB"), np.int32).reshape(-1, 3)
    alpha = np.full((len(colours), 1), 255, np.int32)
    if isinstance(transparent, bytes):
        given = np.frombuffer(transparent, np.uint8)[: len(alpha)]
        alpha[: len(given), 0] = given
    elif transparent is not None:
        alpha[transparent : transparent + 1] = 0
    blended = (colours * alpha + 255 * (255 - alpha) + 127) // 255
    file.putpalette(blended.astype(np.uint8).tobytes())


def _copy_in_bands(source: Image.Image, target: Image.Image, key: int | tuple[int, ...] | None) -> None:
    """8 bits of each value, and white where it was `key`; a band at a time, since numpy's copies are large."""
    rows = max(1, BAND // source.width)
    for top in range(0, source.height, rows):
        band = np.array(source.crop((0, top, source.width, min(top + rows, source.height))))
        transparent = False if key is None else (band == key) if band.ndim == 2 else (band == key).all(axis=2)
        if band.dtype != np.uint8:
            band = (band >> 8).astype(np.uint8)
        band[transparent] = 255
        target.paste(Image.fromarray(band), (0, top))
