"""Whatever a zip says of itself, it is refused with a message or gives what is really in it; nothing is written."""

from __future__ import annotations

import builtins
import io
import os
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest

from siamese_core.formats.archives import MAX_FILE, REASONS, SKIPPED, ArchiveRejected, members, zip_images
from tests.fuzz.zips import check, mutations
from tests.support.hostile_zips import BOMBS, CASES, hundred_thousand
from tests.support.zip_maker import MB


@pytest.fixture
def nothing_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with one file in it and one beside it, and no way to open any."""
    inside = tmp_path / "here"
    inside.mkdir()
    (tmp_path / "beside").write_bytes(b"1")
    (inside / "within").write_bytes(b"2")
    monkeypatch.chdir(inside)

    def refuse(*arguments: object, **_: object) -> None:
        raise AssertionError(f"a file was opened: {arguments}")

    for module, name in ((builtins, "open"), (io, "open"), (os, "open"), (os, "mkdir"), (os, "symlink")):
        monkeypatch.setattr(module, name, refuse)
    return tmp_path


def everything_in(folder: Path) -> list[tuple[str, int]]:
    return sorted((str(path), path.stat().st_size) for path in folder.rglob("*"))


@pytest.mark.parametrize("name", CASES)
def test_a_zip_is_refused_or_gives_exactly_its_images(name: str, nothing_opens: Path) -> None:
    case = CASES[name]
    before = everything_in(nothing_opens)
    file, skipped = io.BytesIO(case.make()), Counter[str]()
    if case.reason is not None:
        with pytest.raises(ArchiveRejected) as caught:
            list(zip_images(file, skipped))
        assert caught.value.reason == case.reason
    else:
        assert [image.label for image in zip_images(file, skipped)] == list(case.labels)
        assert dict(skipped) == dict(case.skipped)
    assert everything_in(nothing_opens) == before


def test_the_corpus_meets_every_reason_that_a_zip_can_have() -> None:
    assert {case.reason for case in CASES.values() if case.reason} == set(REASONS) - {"folder"}
    assert {reason for case in CASES.values() for reason in case.skipped} == set(SKIPPED)


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_never_takes_more_memory_than_a_few_of_the_largest_images(name: str) -> None:
    file = io.BytesIO(BOMBS[name].make())
    tracemalloc.start()
    try:
        for image in zip_images(file, Counter()):
            assert len(image.data) <= MAX_FILE
    except ArchiveRejected:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 5 * MAX_FILE


class Recorded(io.BytesIO):
    taken = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.taken += len(data)
        return data


def test_too_many_files_are_refused_before_any_of_them_is_read() -> None:
    file = Recorded(hundred_thousand())
    with pytest.raises(ArchiveRejected, match=r"lists more than 20,000 files"):
        members(file, Counter())
    assert file.taken < 66_000 < 9 * MB < len(file.getvalue())


def test_two_thousand_mutations_are_refused_or_read() -> None:
    outcomes = Counter(check(data) for data in mutations(2_000, seed=0))
    assert set(outcomes) <= {*REASONS, "read"}
    assert outcomes["read"] > 200 and outcomes["damaged"] > 200
