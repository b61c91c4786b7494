"""The thumbnails of the embedding view: whose they are."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from pages.ui import asking, probes
from siamese_core.datasets import DATASETS
from siamese_core.engine.questions import Answer


def test_second_inputs_of_two_datasets_of_one_shape_are_not_mixed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor kept for the one that asks later, in the same tab."""

    def viewed(view: str, images: np.ndarray) -> Answer:
        answer = Answer()
        answer.set_result({"images": 255 - images})
        return answer

    monkeypatch.setattr(asking, "st", SimpleNamespace(session_state={}))
    monkeypatch.setattr(probes, "engine", lambda: SimpleNamespace(ask=SimpleNamespace(viewed=viewed)))
    for key in ("fashion_mnist", "mnist"):
        images = DATASETS[key].load().test_images[:5]
        np.testing.assert_array_equal(probes._viewed(DATASETS[key], "inverted", images), 255 - images)
