"""An exported run: what is imported is what was exported, and nothing else gets in."""

from __future__ import annotations

import io
import zipfile
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from siamese_core.__main__ import main
from siamese_core.formats.safetensors import packed, unpacked
from siamese_core.runs.archive import NO_WEIGHTS, info_of, of_files, of_zip, zipped_run
from siamese_core.runs.disk_format import FolderRejected, files_of, load, run_history_of
from siamese_core.runs.model import model_of
from tests.support.zip_maker import File, zipped


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("run")
    assert main(["train", "dataset=digits&encoder=mlp&steps=6", "--out", str(made), "--frames", "3"]) == 0
    return made


def test_what_is_imported_is_what_was_downloaded(folder: Path) -> None:
    files = files_of(folder)
    assert of_zip(io.BytesIO(zipped_run(files))) == files
    record = info_of(files)
    assert (record.status, record.step, record.total, record.message) == ("finished", 6, 6, "")
    assert record.score("map_at_r") == run_history_of(files, "").scores[-1][1]["map_at_r"]["seen"]


def test_the_same_run_is_the_same_zip(folder: Path) -> None:
    files = files_of(folder)
    assert zipped_run(files) == zipped_run(dict(reversed(files.items())))


def test_files_of_a_folder_are_found_by_their_names_and_others_left_out(folder: Path) -> None:
    files = files_of(folder)
    given = [(f"my run/{name}", content) for name, content in files.items()]
    others = [("my run/model.safetensors", b"x"), ("my run/run.json", b"{}"), ("lock", b""), ("", b"")]
    assert of_files([*others, *given]) == files
    assert of_files([(name.replace("/", "\\"), content) for name, content in files.items()]) == files


def test_a_large_network_stays_behind(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = files_of(folder)
    with monkeypatch.context() as patch:
        patch.setattr("siamese_core.runs.archive.MAX_FILE", 1000)
        light = zipped_run(files)
    imported = of_zip(io.BytesIO(light))
    meta, arrays = unpacked(imported["run.safetensors"])
    assert not [name for name in arrays if name.startswith("state/network")]
    assert run_history_of(imported, "").seconds == run_history_of(files, "").seconds > 0
    assert meta == unpacked(files["run.safetensors"])[0]
    assert info_of(imported).message == NO_WEIGHTS


def test_a_run_that_ended_before_its_last_step_is_not_resumed(folder: Path) -> None:
    files = files_of(folder)
    meta, arrays = unpacked(files["run.safetensors"])
    history = {name: arrays[name][:4] for name in ("loss", "active")}
    shorter = packed(meta | {"step": 4}, {**arrays, **history})
    assert info_of(files | {"run.safetensors": shorter}).status == "halted"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is no zip archive"),
        (b"nothing of the kind", "it is no zip archive"),
        (zipped(File("a/notes.txt", b"hello")), "run.safetensors is missing"),
        (zipped(File("run.safetensors", b"hello")), "probe.safetensors is missing"),
        (zipped(File("run.safetensors", b"hello"), File("probe.safetensors", b"hello")), "is damaged"),
    ],
)
def test_what_is_no_run_is_refused_with_one_message(content: bytes, message: str) -> None:
    with pytest.raises(FolderRejected, match=message) as refused:
        info_of(of_zip(io.BytesIO(content)))
    assert "\n" not in str(refused.value)


def test_every_cut_of_a_zip_is_refused(folder: Path) -> None:
    whole = zipped_run(files_of(folder))
    for cut in range(0, len(whole), max(1, len(whole) // 60)):
        with pytest.raises(FolderRejected):
            info_of(of_zip(io.BytesIO(whole[:cut])))


def test_a_zip_bomb_is_refused(folder: Path) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("run.safetensors", bytes(9_000_000))
    with pytest.raises(FolderRejected, match="zip bomb"):
        of_zip(io.BytesIO(archive.getvalue()))


def test_the_weights_come_along(folder: Path) -> None:
    imported = of_zip(io.BytesIO(zipped_run(files_of(folder))))
    _, arrays = unpacked(imported["run.safetensors"])
    checkpoint = load(folder)
    for name, array in islice(model_of(checkpoint.experiment, checkpoint.state).tensors.items(), 3):
        np.testing.assert_array_equal(arrays[f"state/network.{name}"], array)


def test_files_that_are_too_much_in_all_are_refused_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("siamese_core.runs.archive.MAX_BYTES", 1000)
    with pytest.raises(FolderRejected, match="bring a smaller one"):
        of_files((f"frames/{number:09d}.safetensors", bytes(300)) for number in range(4))
