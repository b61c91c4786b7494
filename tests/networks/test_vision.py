"""torchvision is imported late, and also where its build does not fit torch's."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

from siamese_core.networks import vision


def failing_once(error: Exception, calls: list[str]) -> object:
    def import_module(name: str) -> ModuleType:
        calls.append(name)
        if len(calls) == 1:
            raise error
        return ModuleType(name)

    return import_module


@pytest.fixture
def defined(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happened: one entry for each time that the operators are defined."""
    events: list[str] = []
    monkeypatch.setattr(vision, "_define_operators", lambda: events.append("defined"))
    return events


def test_importing_the_door_opens_nothing() -> None:
    code = "import sys, siamese_core.networks.vision; sys.exit(bool({'torch', 'torchvision'} & {*sys.modules}))"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_both_modules_are_the_real_ones_in_either_order() -> None:
    assert vision.models().__name__ == "torchvision.models"
    assert vision.transforms().__name__ == "torchvision.transforms.v2"
    assert vision.models().resnet18 is sys.modules["torchvision"].models.resnet18
    assert callable(vision.transforms().functional.horizontal_flip)


def test_in_a_new_process_the_first_call_succeeds_and_so_does_the_second() -> None:
    code = (
        "from siamese_core.networks import vision; assert vision.transforms() is vision.transforms(); vision.models()"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_a_torchvision_that_fits_is_imported_and_nothing_else_happens(
    monkeypatch: pytest.MonkeyPatch, defined: list[str]
) -> None:
    monkeypatch.setattr(vision, "import_module", ModuleType)
    assert vision.models().__name__ == "torchvision.models"
    assert defined == []


def test_a_missing_operator_is_defined_once_and_the_import_tried_again(
    monkeypatch: pytest.MonkeyPatch, defined: list[str]
) -> None:
    calls: list[str] = []
    error = RuntimeError("operator torchvision::nms does not exist")
    monkeypatch.setattr(vision, "import_module", failing_once(error, calls))
    assert vision.models().__name__ == "torchvision.models"
    assert calls == ["torchvision.models"] * 2
    assert defined == ["defined"]


@pytest.mark.parametrize("error", [RuntimeError("another one"), ImportError("No module named 'torchvision'")], ids=repr)
def test_any_other_failure_is_not_hidden(monkeypatch: pytest.MonkeyPatch, defined: list[str], error: Exception) -> None:
    monkeypatch.setattr(vision, "import_module", failing_once(error, []))
    with pytest.raises(type(error), match=str(error)):
        vision.transforms()
    assert defined == []
