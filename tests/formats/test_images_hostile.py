"""A file is let in or refused with exactly one reason, whatever is in it, and neither takes much memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from siamese_core.formats.images import MAX_BYTES, MAX_PIXELS, REASONS, ImageRejected, decode
from tests.support.hostile_images import GREY, corpus, png, sample_image, saved

ROOT = Path(__file__).resolve().parents[2]

FROM_OUTSIDE = {"too_slow", "broke_the_decoder"}
"""What only the server can say of the process that decodes."""


def reason(data: bytes) -> str | None:
    try:
        decode(data)
    except ImageRejected as refused:
        return refused.reason
    return None


@pytest.mark.parametrize("name", corpus())
def test_a_file_has_exactly_its_outcome(name: str) -> None:
    data, expected = corpus()[name]
    assert reason(data) == expected


def test_the_corpus_is_large_and_has_every_reason() -> None:
    reasons = [expected for _, expected in corpus().values()]
    assert len(reasons) - reasons.count(None) >= 40 and reasons.count(None) >= 15
    assert set(reasons) == {*REASONS, None} - FROM_OUTSIDE


@pytest.mark.parametrize("key", REASONS)
def test_a_refusal_is_one_plain_message_that_says_what_to_do(key: str) -> None:
    message = REASONS[key]
    assert message.startswith(("This file", "This image")) and message.endswith(".")
    assert message.count(". ") == 0 and "; " in message and len(message) < 120


def test_a_refusal_carries_its_reason_and_its_message() -> None:
    with pytest.raises(ImageRejected) as caught:
        decode(b"")
    assert (caught.value.reason, str(caught.value)) == ("empty", REASONS["empty"])
    assert str(caught.value) == REASONS["empty"]


def test_the_limits_themselves_are_let_in() -> None:
    largest = png(np.zeros((4, 4), np.uint8), GREY).ljust(MAX_BYTES, b"\0")
    assert reason(largest) is None and reason(largest + b"\0") == "too_big"
    assert MAX_PIXELS == 4000 * 4000
    assert reason(saved(Image.new("1", (4000, 4000)), "PNG")) is None
    assert reason(saved(Image.new("1", (4000, 4001)), "PNG")) == "too_many_pixels"
    assert reason(saved(Image.new("L", (300, 3)), "PNG")) is None
    assert reason(saved(Image.new("L", (301, 3)), "PNG")) == "too_narrow"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_a_file_cut_anywhere_is_refused(kind: str) -> None:
    whole = saved(sample_image(), kind)
    lengths = range(0, len(whole) - 2, 7)
    assert {reason(whole[:length]) for length in lengths} <= {"empty", "not_an_image", "damaged"}


def test_a_png_with_any_one_bit_turned_is_refused() -> None:
    """Every byte is under a checksum, or is the signature, or the length of a chunk."""
    whole = png(np.arange(12).reshape(3, 4), GREY)
    for at in range(len(whole)):
        assert reason(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :]) in ("not_an_image", "damaged"), at


def test_an_image_is_let_in_where_warnings_are_errors_and_pillow_keeps_its_limit() -> None:
    """More pixels than half of ours, where Pillow under our limit begins to warn."""
    before = Image.MAX_IMAGE_PIXELS
    assert decode(saved(Image.new("L", (3500, 3500)), "PNG")).size == (3500, 3500)
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_mutated_images_are_each_let_in_or_refused_and_take_little_memory(count: int) -> None:
    """The program ends with 1 for any other outcome, and for more than 150 MB above its start."""
    command = [sys.executable, "-W", "error", "-m", "tests.fuzz.images", "--count", str(count), "--seed", "7"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = {words[1]: int(words[0].replace(",", "")) for words in map(str.split, done.stdout.splitlines()[:-1])}
    assert sum(counts.values()) == count and min(counts["accepted"], counts["damaged"]) > count / 20
    assert set(counts) <= {"accepted", *REASONS} - FROM_OUTSIDE
