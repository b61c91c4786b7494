"""The benchmarks are no tests, but what they measure must still be there under its name."""

from __future__ import annotations

import importlib

import pytest

from tests.benchmarks.__main__ import PARTS


@pytest.mark.parametrize("part", PARTS)
def test_every_part_can_be_measured(part: str) -> None:
    assert callable(importlib.import_module(f"tests.benchmarks.{part}").measure)
