"""Tests of anything at all, a few of it each time and much of it among the slow ones."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis.strategies import SearchStrategy


def fuzzed(examples: int, *strategies: SearchStrategy[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Draw the test's arguments: a tenth of the examples among the quick tests, all of them among the slow ones."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @pytest.mark.parametrize("count", [examples // 10, pytest.param(examples, marks=pytest.mark.slow)])
        def run(count: int) -> None:
            settings(max_examples=count)(given(*strategies)(test))()

        functools.update_wrapper(run, test)
        del vars(run)["__wrapped__"]  # pytest would ask for its arguments
        return run

    return decorate
