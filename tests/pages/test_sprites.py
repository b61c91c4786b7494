"""The thumbnails of the embedding view: whose they are."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from pages.ui.components.embedding import sprites
from pages.ui.shims import widgets
from siamese_core.datasets import DATASETS
from siamese_core.engine.rpc.client import PendingReply, Reply


def test_second_inputs_of_two_datasets_of_one_shape_are_not_mixed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor cached for the one that asks later, in the same tab."""

    def transformed(input_transform: str, images: np.ndarray) -> PendingReply:
        reply = PendingReply()
        reply.set_result(Reply({"images": 255 - images}))
        return reply

    monkeypatch.setattr(widgets, "st", SimpleNamespace(session_state={}))
    trainer = SimpleNamespace(transformed=transformed)
    monkeypatch.setattr(sprites, "engine", lambda: SimpleNamespace(trainer=trainer))
    for key in ("fashion_mnist", "mnist"):
        images = DATASETS[key].load().test_images[:5]
        np.testing.assert_array_equal(sprites._transformed(DATASETS[key], "inverted", images), 255 - images)
