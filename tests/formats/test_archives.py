"""Class folders become labels and bytes, out of a zip and out of a folder of the server; the rest is counted."""

from __future__ import annotations

import io
import os
import random
import shutil
import socket
import subprocess
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from siamese_core.formats import archives
from siamese_core.formats.archives import (
    MAX_FILE,
    MAX_IMAGES,
    REASONS,
    SKIPPED,
    ArchiveRejected,
    LabelledImage,
    folder_images,
    folders,
    left_out,
    members,
    zip_images,
)
from tests.support.hostile_zips import ANNA, BEN, empty_files, ordinary
from tests.support.zip_maker import MB, PIXELS, File, sparse, zipped


def read(data: bytes) -> tuple[list[LabelledImage], dict[str, int]]:
    skipped: Counter[str] = Counter()
    return list(zip_images(io.BytesIO(data), skipped)), dict(skipped)


def read_folder(root: Path, name: str = "set") -> tuple[list[LabelledImage], dict[str, int]]:
    skipped: Counter[str] = Counter()
    return list(folder_images(root, name, skipped)), dict(skipped)


def fill(root: Path, **files: bytes) -> Path:
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


# Messages


@pytest.mark.parametrize("reason", REASONS)
def test_a_refusal_is_one_message_that_says_what_to_do(reason: str) -> None:
    message = str(ArchiveRejected(reason))
    assert message.endswith(".") and message.count(".") - message.count(".zip") == 1
    assert ": " in message and "{" not in message and "\n" not in message


def test_a_limit_stands_in_the_message() -> None:
    assert str(ArchiveRejected("images")).startswith(f"There are more than {MAX_IMAGES:,} pictures here")


def test_what_was_left_out_is_counted_in_the_order_of_the_table() -> None:
    counted = left_out(Counter({"link": 1, "hidden": 3, "ending": 0, "big": 2}))
    assert counted == ["3 hidden or system files", "2 files over 10 MB", "1 link"]
    assert left_out(Counter()) == []
    assert len(left_out(Counter(SKIPPED.keys()))) == len(SKIPPED)


# A zip


def test_an_image_is_the_name_of_its_folder_and_the_bytes_of_its_file() -> None:
    assert read(zipped(File("train/Anna/1.png", b"one"), File("train/Ben/1.gif", b"two", 8))) == (
        [LabelledImage("Anna", b"one"), LabelledImage("Ben", b"two")],
        {},
    )


def test_a_folder_of_many_files_reads_as_zipfile_reads_it() -> None:
    noise = random.Random(0)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for n in range(300):
            data = noise.randbytes(noise.randrange(2_000)) + bytes(noise.randrange(300_000) if n % 10 == 0 else 0)
            method = noise.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
            archive.writestr(f"train/class {n % 7}/{n}.png", data, method, noise.randrange(10))
    with zipfile.ZipFile(packed) as archive:
        expected = [LabelledImage(name.split("/")[1], archive.read(name)) for name in archive.namelist()]
    assert read(packed.getvalue()) == (expected, {})


@pytest.mark.skipif(shutil.which("zip") is None, reason="needs Info-ZIP: apt install zip")
@pytest.mark.parametrize("options", [["-0"], ["-9"], ["-D"], ["-fz"], ["-fd"], ["-X"]])
def test_info_zips_archives_are_read(options: list[str], tmp_path: Path) -> None:
    fill(tmp_path, **{"Anna/1.png": b"a" * 999, "Zoë/2.png": b"b"})
    subprocess.run(["zip", "-qr", *options, "all.zip", "Anna", "Zoë"], cwd=tmp_path, check=True)
    data = (tmp_path / "all.zip").read_bytes()
    assert read(data) == ([LabelledImage("Anna", b"a" * 999), LabelledImage("Zoë", b"b")], {})


@pytest.mark.skipif(shutil.which("zip") is None, reason="needs Info-ZIP: apt install zip")
def test_a_zip_made_in_a_pipe_is_read(tmp_path: Path) -> None:
    fill(tmp_path, **{"Anna/1.png": b"a" * 999})
    done = subprocess.run(["zip", "-qr", "-", "Anna"], cwd=tmp_path, check=True, capture_output=True)
    assert read(done.stdout) == ([LabelledImage("Anna", b"a" * 999)], {})


def test_the_number_of_files_to_read_is_known_before_they_are_read() -> None:
    assert len(members(io.BytesIO(ordinary()), Counter())) == 3
    file, skipped = io.BytesIO(zipped(ANNA, File("Ben/1.png", crc=1), File("1.txt"))), Counter[str]()
    wanted = members(file, skipped)
    assert (len(wanted), dict(skipped)) == (2, {"ending": 1})
    assert list(zip_images(file, skipped, wanted)) == [LabelledImage("Anna", PIXELS)]
    assert dict(skipped) == {"ending": 1, "damaged": 1}, "what is skipped is counted once"


def test_images_come_one_by_one_and_a_broken_one_does_not_stop_them() -> None:
    skipped: Counter[str] = Counter()
    found = zip_images(io.BytesIO(zipped(ANNA, File("Anna/2.png", crc=1), BEN)), skipped)
    assert next(found) == LabelledImage("Anna", PIXELS) and not skipped
    assert next(found) == LabelledImage("Ben", PIXELS) and dict(skipped) == {"damaged": 1}


def test_the_position_of_the_file_before_does_not_matter() -> None:
    file = io.BytesIO(ordinary())
    file.seek(17)
    assert len(list(zip_images(file, Counter()))) == 3
    assert len(list(zip_images(file, Counter()))) == 3


def test_an_image_of_just_ten_megabytes_is_taken_one_byte_more_is_not() -> None:
    data = sparse(MAX_FILE)
    assert read(zipped(File("Anna/1.png", data, 8), File("Anna/2.png", data)))[0] == [LabelledImage("Anna", data)] * 2
    data += b"x"
    assert read(zipped(File("Anna/1.png", data, 8), File("Anna/2.png", data))) == ([], {"big": 2})


def test_a_blank_image_of_a_megabyte_is_no_bomb_one_byte_more_is() -> None:
    blank = bytes(MB)
    assert read(zipped(File("Anna/1.png", blank, 8)))[0] == [LabelledImage("Anna", blank)]
    with pytest.raises(ArchiveRejected, match="more than 100 times its size"):
        read(zipped(File("Anna/1.png", blank + b"\0", 8)))


def test_two_thousand_images_are_taken() -> None:
    assert len(read(zipped(*empty_files(MAX_IMAGES), File("a.txt")))[0]) == MAX_IMAGES


def test_only_what_is_an_image_counts_towards_the_number_and_the_size() -> None:
    files = [File(f"Anna/{n}.txt", b"") for n in range(MAX_IMAGES + 1)]
    assert read(zipped(ANNA, *files, File("bomb.bin", bytes(20 * MB), 8)))[0] == [LabelledImage("Anna", PIXELS)]


# A folder of the server


def test_a_folder_gives_its_images_sorted_each_with_its_nearest_folder(tmp_path: Path) -> None:
    fill(
        tmp_path / "set",
        **{"Ben/2.png": b"3", "Ben/1.JPEG": b"2", "Anna/1.png": b"1", "Ben/inner/Carl/1.bmp": b"4", "anna/1.png": b"5"},
    )
    expected = [("Anna", b"1"), ("Ben", b"2"), ("Ben", b"3"), ("Carl", b"4"), ("Anna", b"5")]
    assert read_folder(tmp_path) == ([LabelledImage(*pair) for pair in expected], {})


def test_a_folder_leaves_out_and_counts_what_a_zip_would(tmp_path: Path) -> None:
    fill(
        tmp_path / "set",
        **{"1.png": b"", "Anna/1.txt": b"", "Anna/.1.png": b"", ".git/1.png": b"", "__MACOSX/1.png": b""},
        **{"Anna/Thumbs.db": b"", "Anna/ok.png": b"ok", "Anna/big.png": bytes(MAX_FILE + 1), "\u202e/1.png": b""},
    )
    assert read_folder(tmp_path) == (
        [LabelledImage("Anna", b"ok")],
        {"no_folder": 2, "ending": 1, "hidden": 4, "big": 1},
    )


def test_no_link_is_followed_and_nothing_that_is_no_file_is_opened(tmp_path: Path) -> None:
    fill(tmp_path, **{"secret/1.png": b"secret", "set/Anna/1.png": b"ok"})
    anna = tmp_path / "set" / "Anna"
    (anna / "2.png").symlink_to(tmp_path / "secret" / "1.png")
    (anna / "inner").symlink_to(tmp_path / "secret")
    (anna / "loop").symlink_to(anna)
    (anna / "nowhere.png").symlink_to(tmp_path / "nowhere")
    os.mkfifo(anna / "3.png")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(anna / "4.png"))
        assert read_folder(tmp_path) == ([LabelledImage("Anna", b"ok")], {"link": 4, "special": 2})


@pytest.mark.parametrize("kind", ["link", "pipe", "nothing"])
def test_a_file_that_is_exchanged_after_it_was_listed_is_not_read(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fill(tmp_path, **{"secret": b"secret", "set/Anna/1.png": b"ok"}) / "set" / "Anna" / "1.png"
    listed = archives._files(tmp_path / "set", Counter())
    monkeypatch.setattr(archives, "_files", lambda *_: listed)
    path.unlink()
    if kind == "link":
        path.symlink_to(tmp_path / "secret")
    elif kind == "pipe":
        os.mkfifo(path)
    assert read_folder(tmp_path) == ([], {"damaged": 1})


def test_what_may_not_be_read_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "set", **{"Anna/1.png": b"1", "Anna/2.png": b"2", "Ben/1.png": b"3"})

    def refuse(real: object, what: str) -> object:
        def refusing(path: Path, *arguments: object) -> object:
            if str(path).endswith(what):
                raise PermissionError(13, "Permission denied", str(path))
            return real(path, *arguments)  # type: ignore[operator]

        return refusing

    monkeypatch.setattr(os, "open", refuse(os.open, "1.png"))
    monkeypatch.setattr(os, "scandir", refuse(os.scandir, "Ben"))
    assert read_folder(tmp_path) == ([LabelledImage("Anna", b"2")], {"damaged": 2})


def test_a_folder_with_more_images_than_the_limit_is_refused_before_one_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "set", **{f"Anna/{n}.png": b"" for n in range(4)})
    monkeypatch.setattr(archives, "MAX_IMAGES", 4)
    assert len(read_folder(tmp_path)[0]) == 4
    monkeypatch.setattr(archives, "MAX_IMAGES", 3)
    with pytest.raises(ArchiveRejected, match="more than 3 pictures") as caught:
        next(folder_images(tmp_path, "set", Counter()))
    assert caught.value.reason == "images"


def test_folders_deeper_than_pythons_stack_are_read(tmp_path: Path) -> None:
    deep = tmp_path / "set"
    deep.mkdir()
    for _ in range(1_100):
        deep /= "a"
        deep.mkdir()
    (deep / "1.png").write_bytes(b"deep")
    assert read_folder(tmp_path) == ([LabelledImage("a", b"deep")], {})
    # pytest could not remove it: that takes Python's stack, too.
    (deep / "1.png").unlink()
    for folder in [deep, *deep.parents][:1_100]:
        folder.rmdir()


def test_the_folders_are_real_visible_and_sorted(tmp_path: Path) -> None:
    for name in ("b", "a", "Ω", ".hidden", "__MACOSX", "turned\u202e"):
        (tmp_path / name).mkdir()
    os.mkdir(os.fsencode(tmp_path) + b"/not \xff utf-8")
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert folders(tmp_path) == ["a", "b", "Ω"]
    assert folders(tmp_path / "file") == folders(tmp_path / "nowhere") == []


@pytest.mark.parametrize("name", ["", ".", "..", "../secret", "a/b", "/", "link", ".hidden", "A", "a\0", "file"])
def test_only_a_name_of_the_list_is_a_folder(name: str, tmp_path: Path) -> None:
    root = fill(tmp_path, **{"secret/b/1.png": b"", "root/a/b/1.png": b"", "root/.hidden/b/1.png": b""}) / "root"
    fill(root, file=b"")
    (root / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(ArchiveRejected) as caught:
        list(folder_images(root, name, Counter()))
    assert caught.value.reason == "folder"
