"""Whatever a model file holds, it is a model or refused with one message; nothing in it runs, nothing is allocated."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamese_core.runs.model_file import ModelRejected, read_model
from tests.support.fuzzing import fuzzed
from tests.support.hostile_models import CANARY, CASES, DATA, METADATA, PICKLE, PICKLE_2, A, B, assembled, good

FEW = 20 * 2**20


def is_a_sentence(text: str) -> bool:
    return text.startswith("This file ") and text.endswith(".") and text.isprintable() and len(text) < 600


def read_or_refused(data: bytes) -> None:
    """Any other exception is a bug."""
    try:
        model = read_model(data)
    except ModelRejected as refused:
        message = str(refused)
    else:
        message = f"This file has {len(model.tensors)} tensors."
    assert is_a_sentence(message)


def test_the_file_that_the_corpus_changes_is_read() -> None:
    model = read_model(good())
    assert {name: (array.dtype, array.tolist()) for name, array in model.tensors.items()} == {
        "a": ("float32", [[1, 2, 3], [4, 5, 6]]),
        "b": ("int64", 7),
    }


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_file_is_refused_with_a_message_and_takes_no_memory(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    case = CASES[name]
    data = case.make()
    tracemalloc.start()
    try:
        with pytest.raises(ModelRejected) as refused:
            read_model(data)
        assert tracemalloc.get_traced_memory()[1] < FEW
    finally:
        tracemalloc.stop()
    assert case.message in str(refused.value)
    assert is_a_sentence(str(refused.value)), str(refused.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("code", [PICKLE, PICKLE_2], ids=["protocol 0", "protocol 2"])
def test_the_pickles_of_the_corpus_would_run_if_they_were_opened(code: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(code)
    subprocess.run([sys.executable, "-m", "pickle", "model.safetensors"], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / CANARY).exists()


@pytest.mark.parametrize("start", [b"\x80\x02", b"PK"])
def test_a_good_header_may_be_as_long_as_a_pickle_or_a_zip_starts(start: bytes) -> None:
    padded = assembled(good()[8 : -len(DATA)].ljust(int.from_bytes(start, "little")))
    assert padded.startswith(start)
    assert read_model(padded).steps == 2


@fuzzed(400, st.data())
def test_flipped_bytes_of_a_header_give_a_model_or_a_message(draw: st.DataObject) -> None:
    whole = good(
        threshold={
            "value": 0.5,
            "rule": "eer",
            "group": "seen",
            "false_accept": 0.1,
            "false_reject": 0.1,
            "different": 9,
            "same": 9,
        }
    )
    data = bytearray(whole)
    places = st.integers(0, len(whole) - len(DATA) - 1)
    for place, value in draw.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=6)):
        data[place] = value
    read_or_refused(bytes(data))


ANY_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@fuzzed(200, st.sampled_from(["dtype", "shape", "data_offsets"]), ANY_JSON)
def test_anything_in_the_place_of_anything_of_a_tensor(key: str, value: Any) -> None:
    read_or_refused(good({"a": A | {key: value}, "b": B}))


@fuzzed(200, st.sampled_from([*METADATA, "threshold"]), ANY_JSON.filter(lambda value: value is not None))
def test_anything_in_the_place_of_anything_that_a_file_says_of_itself(key: str, value: Any) -> None:
    read_or_refused(good(**{key: value}))


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_at_all(data: bytes) -> None:
    read_or_refused(data)
    read_or_refused(assembled(data))
