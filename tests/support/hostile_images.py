"""Files that somebody may send as an image: hostile, damaged, odd, and harmless ones that only look so.

All are made in memory, from their formats' descriptions or by Pillow, and are the same each time.
"""

from __future__ import annotations

import functools
import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

Case = tuple[bytes, str | None]
"""A file, and the reason for which it must be refused; None for one that must be let in."""

GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
"""The colour types of a PNG (PNG specification, 2003, section 11.2.2)."""

WHOLE = ((0, 0, 1, 1),)
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""x, y of the first pixel and steps in x and y of each pass of an interlaced PNG."""


def chunk(name: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def header(width: int, height: int, colour: int = RGB, depth: int = 8, interlaced: bool = False) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))


def png(samples: np.ndarray, colour: int, depth: int = 8, *extra: bytes, interlaced: bool = False) -> bytes:
    """A PNG of (H, W) or (H, W, C) samples of `depth` bits, no row filtered; `extra` chunks before the pixels."""
    height, width = samples.shape[:2]
    lines = []
    for x, y, step_x, step_y in ADAM7 if interlaced else WHOLE:
        for row in samples[y::step_y, x::step_x]:
            bits = row.reshape(-1, 1).astype(np.int64) >> np.arange(depth - 1, -1, -1) & 1
            # A pass without pixels has no rows either.
            lines.append(b"\0" + np.packbits(bits.astype(np.uint8)).tobytes() if row.size else b"")
    pixels = chunk(b"IDAT", zlib.compress(b"".join(lines)))
    return b"\x89PNG\r\n\x1a\n" + header(width, height, colour, depth, interlaced) + b"".join(extra) + pixels + END


END = chunk(b"IEND")


def saved(image: Image.Image, kind: str, **how: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def sample_image(mode: str = "RGB", width: int = 24, height: int = 16) -> Image.Image:
    """A smooth slope, different in each channel: a lossy format keeps it nearly."""
    y, x = np.mgrid[0:height, 0:width]
    channels = [x * 200 // width + 20, y * 200 // height + 20, (x + y) * 120 // (width + height) + 40]
    return Image.fromarray(np.stack(channels, axis=2).astype(np.uint8)).convert(mode)


def exif(orientation: int) -> bytes:
    """The smallest EXIF there is: one entry, the orientation."""
    return b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def exif_bomb(tags: int, size: int) -> bytes:
    """Many entries whose values are all the same `size` bytes: a reader that copies them needs tags × size."""
    entries = b"".join(struct.pack(">HHII", tag, 7, size, 8) for tag in range(1000, 1000 + tags))
    return b"Exif\0\0MM\0*" + struct.pack(">I", 8 + size) + bytes(size) + struct.pack(">H", tags) + entries + bytes(4)


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def split_scan(jpeg: bytes) -> tuple[bytes, bytes]:
    """What comes before the last scan, and that scan without the end mark."""
    at = jpeg.rindex(b"\xff\xda")
    return jpeg[:at], jpeg[at:-2]


def resized(jpeg: bytes, width: int, height: int) -> bytes:
    """The JPEG with another size in its frame header."""
    at = next(at for marker in (b"\xff\xc0", b"\xff\xc2") if (at := jpeg.find(marker)) > 0)
    return jpeg[: at + 5] + struct.pack(">HH", height, width) + jpeg[at + 9 :]


def scan_bomb(scans: int = 60_000) -> bytes:
    """A progressive JPEG of 12 megapixels whose last, tiny scan comes again and again: minutes of work."""
    before, scan = split_scan(saved(Image.new("L", (4000, 3000), 100), "JPEG", progressive=True))
    return before + scan * scans + b"\xff\xd9"


def gif(width: int, height: int, frame: tuple[int, int]) -> bytes:
    """A GIF whose screen and first frame say these sizes; its pixels are one code that ends at once."""
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(3) + b"\xff" * 3
    return screen + b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\x02\x02\x4c\x01\x00;"


def animated_png(frames: int) -> bytes:
    square = np.full((8, 8), 7, np.uint8)
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in square))

    def frame(number: int) -> bytes:
        return chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, 8, 8, 0, 0, 1, 10, 0, 0))

    later = b"".join(frame(2 * i - 1) + chunk(b"fdAT", struct.pack(">I", 2 * i) + pixels) for i in range(1, frames))
    still = png(square, GREY, 8, chunk(b"acTL", struct.pack(">II", frames, 0)), frame(0))
    return still.removesuffix(END) + later + END


def zipped(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), content)
    return file.getvalue()


def webp_header(width: int, height: int) -> bytes:
    body = b"WEBPVP8X" + struct.pack("<IB3x", 10, 0) + (width - 1).to_bytes(3, "little")
    body += (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", len(body)) + body


def bmp_header(width: int, height: int, bits: int = 24) -> bytes:
    return b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, width, height, 1, bits, 0, 0, 0, 0, 0, 0)


def large_black_png(side: int = 13_000) -> bytes:
    """A real one: half a gigabyte of zeros in 500 kB, the same megabyte of them again and again (RFC 1950, 1951)."""
    size, squeeze = side * (1 + 3 * side), zlib.compressobj(9, wbits=-15)
    megabyte = squeeze.compress(bytes(2**20)) + squeeze.flush(zlib.Z_FULL_FLUSH)
    rest = squeeze.compress(bytes(size % 2**20)) + squeeze.flush()
    checksum = struct.pack(">I", size % 65521 << 16 | 1)
    pixels = chunk(b"IDAT", b"\x78\xda" + megabyte * (size // 2**20) + rest + checksum)
    return b"\x89PNG\r\n\x1a\n" + header(side, side) + pixels + END


def no_images() -> Iterator[tuple[str, bytes]]:
    image = sample_image()
    yield "one_byte", b"\x89"
    yield "html", b"<!DOCTYPE html><html><body><script>alert(1)</script></body></html>"
    yield "svg", b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'
    yield "svg_bomb", b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><svg>&b;</svg>'
    yield "pdf", b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"
    yield "eps", saved(image, "EPS")
    yield "tiff", saved(image, "TIFF")
    yield "ico", saved(image, "ICO")
    yield "ppm", saved(image, "PPM")
    yield "jpeg_2000", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40)
    yield "heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)
    yield "wave", b"RIFF\x24\0\0\0WAVEfmt " + bytes(30)
    yield "zip_of_an_image", zipped("cat.png", saved(image, "PNG"))
    yield "gzip_of_an_image", gzip.compress(saved(image, "PNG"), mtime=0)
    yield "image_after_a_page", b"<html></html>" + saved(image, "PNG")
    yield "text_that_begins_like_a_bmp", b"BMW is a maker of cars, and this is a text about it."
    yield "pickle", b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x07builtin\x94."


def damaged() -> Iterator[tuple[str, bytes]]:
    image, magic = sample_image(), b"\x89PNG\r\n\x1a\n"
    good = saved(image, "PNG")
    at = good.index(b"IDAT")
    jpeg, still, webp = saved(image, "JPEG"), saved(image, "GIF"), saved(image, "WEBP")
    yield "png_signature_only", magic
    yield "png_cut_in_half", good[: len(good) // 2]
    yield "png_without_end", good[:-12]
    yield "png_cut_in_its_end", good[:-1]
    yield "png_wrong_checksum_of_header", good[:29] + bytes(4) + good[33:]
    yield "png_one_bit_of_the_pixels_turned", good[: at + 40] + bytes([good[at + 40] ^ 1]) + good[at + 41 :]
    yield "png_without_header", magic + good[at - 4 :]
    two_kinds = chunk(b"PLTE", bytes(range(48))), chunk(b"tRNS", b"\0\x80\xff"), header(1, 1, GREY)
    yield "png_of_two_headers", png(np.zeros((16, 24), np.uint8), PALETTE, 4, *two_kinds)
    yield "png_without_pixels", magic + header(8, 8) + END
    yield "png_chunk_longer_than_the_file", magic + header(8, 8) + struct.pack(">I", 2**32 - 1) + b"IDAT" + bytes(99)
    yield "png_garbage_for_pixels", magic + header(8, 8) + chunk(b"IDAT", b"no deflate at all") + END
    yield "png_without_width", magic + header(0, 8) + chunk(b"IDAT", zlib.compress(bytes(9))) + END
    yield "png_of_an_unknown_colour_type", magic + header(8, 8, 5) + chunk(b"IDAT", zlib.compress(bytes(99))) + END
    yield "png_without_its_palette", png(np.zeros((8, 8), np.uint8), PALETTE)
    yield "png_short_header_chunk", magic + chunk(b"IHDR", bytes(9)) + END
    yield "jpeg_marker_only", b"\xff\xd8\xff"
    yield "jpeg_cut_in_half", jpeg[: len(jpeg) // 2]
    yield "jpeg_cut_in_its_pixels", jpeg[:-80]
    yield "jpeg_without_its_end_mark", jpeg[:-2]
    yield "jpeg_without_scan", split_scan(jpeg)[0]
    yield "jpeg_segment_longer_than_the_file", with_segments(jpeg[:300], b"\xff\xdb\xff\xff")
    yield "jpeg_without_height", resized(jpeg, 24, 0)
    yield "gif_header_only", still[:13]
    yield "gif_cut_in_half", still[: len(still) // 2]
    yield "gif_without_frame", still[: still.index(b",")] + b";"
    yield "bmp_cut_in_half", saved(image, "BMP")[:600]
    yield "bmp_of_7_bits", bmp_header(8, 8, bits=7) + bytes(256)
    yield "bmp_header_only", bmp_header(8, 8)
    yield "webp_cut_in_half", webp[: len(webp) // 2]
    yield "webp_without_chunks", b"RIFF\x04\0\0\0WEBP"


def too_large() -> Iterator[tuple[str, bytes, str]]:
    magic, jpeg = b"\x89PNG\r\n\x1a\n", saved(sample_image(), "JPEG")
    pixels = chunk(b"IDAT", zlib.compress(bytes(99)))
    yield "png_50000_square", magic + header(50_000, 50_000) + pixels + END, "too_many_pixels"
    yield "png_50000_square_header_only", magic + header(50_000, 50_000), "too_many_pixels"
    yield "png_one_row_too_many", magic + header(4000, 4001) + pixels + END, "too_many_pixels"
    yield "png_of_the_largest_numbers", magic + header(2**32 - 1, 2**32 - 1) + pixels + END, "too_many_pixels"
    yield "png_13000_square", large_black_png(), "too_many_pixels"
    yield "jpeg_65500_square", resized(jpeg, 65_500, 65_500), "too_many_pixels"
    yield "gif_65535_square", gif(65_535, 65_535, (1, 1)), "too_many_pixels"
    yield "gif_frame_beyond_its_screen", gif(8, 8, (20_000, 20_000)), "too_many_pixels"
    yield "bmp_30000_square", bmp_header(30_000, 30_000), "too_many_pixels"
    yield "webp_16384_square", webp_header(16_384, 16_384), "too_many_pixels"
    yield "png_1_by_20000", png(np.zeros((20_000, 1), np.uint8), GREY), "too_narrow"
    yield "png_20000_by_1", png(np.zeros((1, 20_000), np.uint8), GREY), "too_narrow"
    yield "jpeg_5_by_505", saved(sample_image(width=5, height=505), "JPEG"), "too_narrow"
    yield "ten_megabytes_and_one_byte", saved(sample_image(), "PNG").ljust(10_000_001, b"\0"), "too_big"
    flat, four = Image.new("RGB", (4000, 3000)), saved(Image.new("CMYK", (16, 16)), "JPEG")
    yield "webp_12_megapixels", saved(flat, "WEBP", method=0), "needs_too_much_memory"
    progressive = saved(sample_image(), "JPEG", progressive=True, subsampling=0)
    yield "jpeg_progressive_16_megapixels", resized(progressive, 4000, 4000), "needs_too_much_memory"
    before, scan = split_scan(resized(four, 4000, 4000))
    alone = before + segment(0xDA, b"\x01" + scan[5:7] + b"\0\x3f\0") + bytes(500)
    yield "jpeg_a_scan_for_each_ink", alone, "needs_too_much_memory"


def harmless() -> Iterator[tuple[str, bytes]]:
    image, grey = sample_image(), np.full((8, 8), 7, np.uint8)
    jpeg, still = saved(image, "JPEG"), saved(image, "GIF")
    zeros = zlib.compress(bytes(1_000_000), 9)
    frames = [sample_image().rotate(turn) for turn in range(5, 100, 5)]
    yield "png_1_by_1", png(grey[:1, :1], GREY)
    yield "png_1_by_100", png(np.zeros((100, 1), np.uint8), GREY)
    yield "png_text_bomb", png(grey, GREY, 8, *[chunk(b"zTXt", b"k%d\0\0" % i + zeros) for i in range(500)])
    yield "png_international_text_bomb", png(grey, GREY, 8, *[chunk(b"iTXt", b"k\0\1\0\0\0" + zeros)] * 500)
    yield "png_profile_bomb", png(grey, GREY, 8, chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(50_000_000))))
    yield "png_exif_bomb", png(grey, GREY, 8, chunk(b"eXIf", exif_bomb(20_000, 1_000_000)[6:]))
    yield "jpeg_exif_bomb", with_segments(jpeg, segment(0xE1, exif_bomb(3000, 20_000)))
    yield "png_chunk_of_no_known_name", png(grey, GREY, 8, chunk(b"miNE", b"what?"))
    yield "png_of_empty_pieces", png(grey, GREY, 8, *[chunk(b"IDAT")] * 10_000)
    yield "png_interlaced", png(np.arange(15 * 13).reshape(15, 13), GREY, interlaced=True)
    yield "png_then_a_page", saved(image, "PNG") + b"<html><script>alert(1)</script></html>"
    yield "apng_10000_frames", animated_png(10_000)
    yield "jpeg_then_a_zip", jpeg + zipped("run.sh", b"echo hello")
    yield "jpeg_of_comments", with_segments(jpeg, *[segment(0xFE, b"x" * 60_000)] * 100)
    yield "jpeg_of_a_broken_exif", with_segments(jpeg, segment(0xE1, b"Exif\0\0MM\0*\xff\xff\xff\xff"))
    yield "jpeg_of_an_unknown_orientation", with_segments(jpeg, segment(0xE1, exif(99)))
    yield "jpeg_of_two_pictures", saved(image, "MPO", save_all=True, append_images=frames[:1])
    yield "gif_then_a_script", still + b"alert(1)"
    yield "gif_20_frames", saved(image, "GIF", save_all=True, append_images=frames)
    yield "webp_20_frames", saved(image, "WEBP", save_all=True, append_images=frames)


@functools.cache
def corpus() -> dict[str, Case]:
    """Every file by name."""
    cases: dict[str, Case] = {"nothing": (b"", "empty")}
    cases |= {name: (file, "not_an_image") for name, file in no_images()}
    cases |= {name: (file, "damaged") for name, file in damaged()}
    cases |= {name: (file, reason) for name, file, reason in too_large()}
    cases |= {name: (file, None) for name, file in harmless()}
    return cases
