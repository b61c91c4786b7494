"""run.json: what a list shows of a run, or `Damaged`; a server that starts reads many of them, whoever wrote them."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import strategies as st

from siamese_core.experiment.machine import Machine
from siamese_core.formats.safetensors import Damaged
from siamese_core.runs.info import MAX_NAME, SCHEMA, STATUSES, RunInfo, packed_info, read_info
from tests.support.fuzzing import fuzzed

INFO = RunInfo(
    "dataset=digits&loss=triplet&held_out=", Machine("cuda", 2, "bf16"), 1e9, 1e9 + 5, "stopped", 7, 300, 1.25,
    "Why it ended – in one sentence.", {"map_at_r": {"seen": 0.5, "held_out": None}}, "an-id", "a hash", "A name", True,
    False, "a sweep",
)  # fmt: skip


def changed(**changes: Any) -> bytes:
    return json.dumps({**json.loads(packed_info(INFO)), **changes}).encode()


def test_what_is_read_is_what_was_written() -> None:
    assert read_info(packed_info(INFO)) == INFO
    for status in STATUSES:
        assert read_info(packed_info(replace(INFO, status=status))).status == status


def test_it_knows_its_settings_and_scores() -> None:
    assert INFO.settings["loss"] == "triplet"
    assert INFO.score("map_at_r") == 0.5
    assert INFO.score("map_at_r", "held_out") is INFO.score("auc") is None


LARGE = 10**400
"""JSON knows it, no float does."""

HOSTILE: dict[str, dict[str, Any]] = {
    "the next version": {"schema": SCHEMA + 1},
    "no version": {"schema": None},
    "a field more": {"code": "x"},
    "a status of its own": {"status": "deleted"},
    "a status that is a list": {"status": ["running"]},
    "a step below 0": {"step": -1},
    "a step in floats": {"step": 1.5},
    "a true step": {"step": True},
    "endless steps": {"total": LARGE},
    "an endless time": {"created": LARGE},
    "a time before time": {"updated": -1},
    "a time in words": {"created": "now"},
    "endless seconds": {"seconds": LARGE},
    "a machine of text": {"machine": "cpu"},
    "half a machine": {"machine": {"device": "cpu"}},
    "more than a machine": {"machine": {"device": "cpu", "threads": 1, "precision": "fp32", "code": 1}},
    "threads in words": {"machine": {"device": "cpu", "threads": "1", "precision": "fp32"}},
    "endless threads": {"machine": {"device": "cpu", "threads": LARGE, "precision": "fp32"}},
    "scores in a list": {"scores": [1]},
    "scores of nobody": {"scores": {"auc": 0.5}},
    "scores in words": {"scores": {"auc": {"seen": "good"}}},
    "a score too large for a float": {"scores": {"auc": {"seen": LARGE}}},
    "true scores": {"scores": {"auc": {"seen": True}}},
    "a name too long": {"name": "a" * (MAX_NAME + 1)},
    "a name of numbers": {"name": 3},
    "a pin in words": {"pinned": "yes"},
    "published in numbers": {"published": 1},
    "no owner": {"owner": None},
    "an endless link": {"query": "a" * 10_001},
    "a link with a line": {"query": "dataset=digits\n"},
    "a link with half a pair": {"query": "\ud800"},
    "an endless sentence": {"sentence": "a" * 10_001},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_record_is_damaged(name: str) -> None:
    with pytest.raises(Damaged):
        read_info(changed(**HOSTILE[name]))


def test_the_record_that_is_changed_above_is_read() -> None:
    assert read_info(changed(step=8)).step == 8


WHOLE = packed_info(INFO)
STEP = b'"step": 7'


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"null",
        b"\xff\xfe",
        WHOLE.decode().encode("utf-16"),
        b"[" * 1_000_000,
        b'{"schema":' * 100_000,
        WHOLE.replace(b"1.25", b"NaN"),
        WHOLE.replace(b"1.25", b"1e999"),
        WHOLE.replace(b"0.5", b"-1e999"),
        WHOLE.replace(STEP, STEP + b", " + STEP),
        WHOLE.replace(STEP, STEP + b"7" * 5_000),
    ],
    ids=range(14),
)
def test_what_is_no_record_is_damaged(content: bytes) -> None:
    with pytest.raises(Damaged):
        read_info(content)


def test_every_beginning_of_a_record_is_damaged() -> None:
    whole = packed_info(INFO)
    for length in range(len(whole)):
        with pytest.raises(Damaged):
            read_info(whole[:length])


def test_a_field_that_is_missing_is_damage() -> None:
    table = json.loads(packed_info(INFO))
    for name in table:
        with pytest.raises(Damaged):
            read_info(json.dumps({key: value for key, value in table.items() if key != name}).encode())


def read_and_written_again(content: bytes) -> None:
    """Whatever is read can be shown and written; any other exception than Damaged is a bug."""
    try:
        info = read_info(content)
    except Damaged:
        return
    assert read_info(packed_info(info)) == info
    assert f"{info.step}/{info.total} {info.seconds:.1f} {info.created:.0f}"
    assert all(f"{score:.3f}" for groups in info.scores.values() for score in groups.values() if score is not None)


def test_a_few_thousand_changes_by_chance() -> None:
    whole, chance = packed_info(INFO), random.Random(0)
    for _ in range(3_000):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            content[chance.randrange(len(content))] = chance.choice(b'0123456789eE.-+"{}[],:\\ntf\xff')
        read_and_written_again(bytes(content))


ANY_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(LARGE),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@fuzzed(300, st.sampled_from([*json.loads(packed_info(INFO))]), ANY_JSON)
def test_anything_in_the_place_of_anything(key: str, value: Any) -> None:
    read_and_written_again(changed(**{key: value}))
