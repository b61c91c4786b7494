"""The decoding process opens the next file after any file, in order, within its time and its memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from siamese_core.engine.uploads import decoder_client
from siamese_core.engine.uploads.decoder_client import BYTES_IN_FLIGHT, Decoder, Square
from siamese_core.formats.images import REASONS, ImageRejected, decode, square
from tests.fuzz.images import MOST_MEMORY, forget_the_peak, megabytes
from tests.support.hostile_images import GREY, animated_png, chunk, corpus, exif, png, sample_image, saved, scan_bomb
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[3]

# A grey image of one pixel: its value is its name.
DOTS = [png(np.array([[value]]), GREY) for value in range(256)]


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    """One process for all that any file might do to it."""
    shared = Decoder()
    yield shared
    shared.close()


@pytest.fixture
def make_decoder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[float], Decoder]]:
    """Decoders that a test may break."""
    made: list[Decoder] = []

    def make(seconds: float) -> Decoder:
        monkeypatch.setattr(decoder_client, "FILE_SECONDS", seconds)
        made.append(Decoder())
        return made[-1]

    yield make
    for each in made:
        each.close()


def value(outcome: Square | ImageRejected) -> int | str:
    """The value of a dot, or the reason of a refusal."""
    return outcome.reason if isinstance(outcome, ImageRejected) else int(outcome.pixels[0, 0, 0])


def reason(decoder: Decoder, data: bytes) -> str | None:
    (outcome,) = decoder.squares([data], 4)
    if isinstance(outcome, ImageRejected):
        assert str(outcome) == REASONS[outcome.reason]
        return outcome.reason
    return None


def test_one_square_is_given_or_its_refusal_raised(decoder: Decoder) -> None:
    assert decoder.square(DOTS[4], 3).pixels.tolist() == [[[4] * 3] * 3] * 3
    with pytest.raises(ImageRejected, match="is no PNG") as caught:
        decoder.square(b"<html></html>", 4)
    assert (caught.value.reason, str(caught.value)) == ("not_an_image", REASONS["not_an_image"])


@pytest.mark.parametrize("name", corpus())
def test_after_any_file_the_same_process_opens_the_next_one(decoder: Decoder, name: str) -> None:
    data, expected = corpus()[name]
    assert value(decoder.square(DOTS[7], 4)) == 7
    before = decoder.child.pid
    assert reason(decoder, data) == expected
    assert value(decoder.square(DOTS[8], 4)) == 8
    assert decoder.child.pid == before


def test_a_square_is_the_one_that_the_core_cuts_and_cannot_be_written_to(decoder: Decoder) -> None:
    data = saved(sample_image(width=90, height=70), "PNG")
    found = decoder.square(data, 32)
    np.testing.assert_array_equal(found.pixels, square(decode(data), 32))
    assert found.pixels.dtype == np.uint8 and not found.pixels.flags.writeable
    assert not found.first_frame_only


def test_the_first_frame_of_an_animation_is_named_as_the_first(decoder: Decoder) -> None:
    assert decoder.square(animated_png(3), 8).first_frame_only


def test_many_files_come_back_in_their_order_with_the_refused_ones_in_their_places(decoder: Decoder) -> None:
    files = [b"no image" if i % 5 == 3 else DOTS[i % 256] for i in range(600)]
    expected = ["not_an_image" if i % 5 == 3 else i % 256 for i in range(600)]
    assert [value(outcome) for outcome in decoder.squares(files, 2)] == expected


def test_files_are_read_only_as_they_are_needed(decoder: Decoder) -> None:
    """Eight small ones ahead; of large ones, no more than the bytes that may be on the way."""

    def count(file: bytes) -> int:
        taken = 0

        def files() -> Iterator[bytes]:
            nonlocal taken
            for _ in range(20):
                taken += 1
                yield file

        next(decoder.squares(files(), 2))
        return taken

    assert count(DOTS[0]) == 8
    assert count(DOTS[0].ljust(BYTES_IN_FLIGHT // 2, b"\0")) == 3


def test_a_stream_that_is_left_takes_nothing_from_the_others(decoder: Decoder) -> None:
    next(decoder.squares(DOTS[:20], 2))
    assert [value(outcome) for outcome in decoder.squares(DOTS[30:40], 2)] == list(range(30, 40))


def test_any_number_of_threads_may_ask_at_a_time(decoder: Decoder) -> None:
    with ThreadPoolExecutor(16) as pool:
        alone = pool.map(lambda dot: value(decoder.square(dot, 2)), DOTS)
        streams = pool.map(lambda start: list(decoder.squares(DOTS[start : start + 32], 2)), range(0, 256, 32))
        assert list(alone) == list(range(256))
        assert [value(outcome) for stream in streams for outcome in stream] == list(range(256))


def test_a_file_that_takes_too_long_is_refused_and_the_others_are_opened(
    make_decoder: Callable[[float], Decoder],
) -> None:
    """The bomb takes minutes, whatever the machine; the files behind it were already in the dead process's pipe."""
    decoder = make_decoder(4.0)
    files = [DOTS[1], DOTS[2], scan_bomb(), DOTS[3], DOTS[4]]
    assert [value(outcome) for outcome in decoder.squares(files, 2)] == [1, 2, "too_slow", 3, 4]


def test_a_file_under_which_the_process_dies_is_refused_and_the_others_are_opened(
    make_decoder: Callable[[float], Decoder],
) -> None:
    decoder = make_decoder(600.0)
    decoder.square(DOTS[0], 2)
    first = decoder.child.pid
    assert first is not None
    outcomes = decoder.squares([scan_bomb(), DOTS[5], DOTS[6]], 2)
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(lambda: [value(outcome) for outcome in outcomes])
        until(lambda: decoder._open, "the bomb to be sent")
        os.kill(first, signal.SIGKILL)
        assert found.result() == ["broke_the_decoder", 5, 6]
    assert decoder.child is not None and decoder.child.pid != first


def test_a_process_that_dies_between_files_harms_none(make_decoder: Callable[[float], Decoder]) -> None:
    decoder = make_decoder(600.0)
    decoder.square(DOTS[0], 2)
    assert decoder.child is not None
    os.kill(decoder.child.pid, signal.SIGKILL)
    until(lambda: decoder.child is None, "the end of the process to be noticed")
    assert value(decoder.square(DOTS[9], 2)) == 9


def test_closing_refuses_what_is_waited_for_and_ends_the_process(make_decoder: Callable[[float], Decoder]) -> None:
    decoder = make_decoder(600.0)
    assert decoder.child is None, "it starts with the first file"
    decoder.square(DOTS[0], 2)
    with ThreadPoolExecutor(1) as pool:
        waited = pool.submit(reason, decoder, scan_bomb())
        until(lambda: decoder._open, "the bomb to be sent")
        decoder.close()
        assert waited.result() == "broke_the_decoder"
    assert decoder.child is None
    assert value(decoder.square(DOTS[3], 2)) == 3, "it starts again where it is requested again"


LARGEST: dict[str, Callable[[Image.Image], bytes]] = {
    "png colour and alpha": lambda image: saved(image, "PNG", compress_level=1),
    "png of texts": lambda image: png_with_texts(saved(image, "PNG", compress_level=1)),
    "png of ten megabytes": lambda image: saved(image, "PNG", compress_level=1).ljust(10_000_000, b"\0"),
    "png grey and alpha": lambda image: saved(image.convert("LA"), "PNG", compress_level=1),
    "png of 16 bits": lambda image: saved(Image.fromarray(np.asarray(image)[..., 0].astype(np.uint16) * 257), "PNG"),
    "png palette with alpha": lambda image: saved(colours(image).convert("P"), "PNG", transparency=bytes(range(200))),
    "jpeg of inks": lambda image: saved(colours(image).convert("CMYK"), "JPEG"),
    "jpeg progressive": lambda image: saved(colours(image), "JPEG", progressive=True),
    "jpeg to be turned": lambda image: saved(colours(image), "JPEG", exif=exif(6)),
    "gif": lambda image: saved(colours(image).convert("P", dither=Image.Dither.NONE), "GIF"),
    "webp of 8 megapixels": lambda image: saved(image.crop((0, 0, 2000, 3990)), "WEBP", lossless=True, quality=0),
}


def colours(image: Image.Image) -> Image.Image:
    return image.convert("RGB")


def png_with_texts(file: bytes) -> bytes:
    return file[:33] + chunk(b"zTXt", b"text\0\0" + zlib.compress(bytes(1_000_000))) * 200 + file[33:]


@pytest.fixture(scope="module")
def sixteen_megapixels() -> Image.Image:
    blocks = np.random.default_rng(0).integers(0, 256, (250, 250, 4), dtype=np.uint8)
    return Image.fromarray(blocks).resize((4000, 4000), Image.Resampling.NEAREST)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="measures memory as Linux tells it")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if n % 5 else []) for n, name in enumerate(LARGEST)]
)
def test_the_largest_images_are_let_in_and_take_less_than_150_megabytes(
    make_decoder: Callable[[float], Decoder], sixteen_megapixels: Image.Image, name: str
) -> None:
    data, decoder = LARGEST[name](sixteen_megapixels), make_decoder(600.0)
    decoder.square(DOTS[0], 2)
    assert decoder.child is not None
    idle = megabytes("VmRSS", decoder.child.pid)
    forget_the_peak(decoder.child.pid)
    assert reason(decoder, data) is None
    assert 40 < megabytes("VmHWM", decoder.child.pid) - idle < MOST_MEMORY


def test_a_process_whose_memory_is_spent_says_so_and_goes_on(make_decoder: Callable[[float], Decoder]) -> None:
    """The limit of its address space, taken away by hand once it runs."""
    resource = pytest.importorskip("resource")
    if not hasattr(resource, "prlimit"):
        pytest.skip("only Linux sets another process's limit")
    decoder = make_decoder(600.0)
    decoder.square(DOTS[0], 2)
    assert decoder.child is not None
    used = int(megabytes("VmSize", decoder.child.pid) * 1000) * 1024
    _, hard = resource.prlimit(decoder.child.pid, resource.RLIMIT_AS)
    resource.prlimit(decoder.child.pid, resource.RLIMIT_AS, (used + 30_000_000, hard))
    assert reason(decoder, saved(Image.new("RGB", (4000, 4000)), "PNG")) == "needs_too_much_memory"
    assert value(decoder.square(DOTS[6], 2)) == 6


@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="reads limits as Linux tells them")
def test_the_process_limits_its_own_memory(decoder: Decoder) -> None:
    decoder.square(DOTS[0], 2)
    limits = Path(f"/proc/{decoder.child.pid}/limits").read_text().splitlines()
    limit = next(int(line.split()[3]) for line in limits if line.startswith("Max address space"))
    assert limit / 1_000_000 < megabytes("VmSize", str(decoder.child.pid)) * 1.024 + 400


def test_the_server_itself_loads_no_decoder() -> None:
    code = (
        "import sys; from siamese_core.engine.uploads.decoder_client import Decoder; d = Decoder();"
        f"d.square({DOTS[0]!r}, 2); d.close();"
        "print(*(name for name in sys.modules if name.startswith('PIL.') and name.endswith('Plugin')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
