"""The whole corpora through the door that a user has: a message each, the next upload works, nothing stays."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from siamese_core.engine.uploads.uploads import Uploads
from siamese_core.formats.archives import REASONS, ArchiveRejected
from siamese_core.formats.images import REASONS as IMAGE_REASONS
from tests.support.engines import ANN, Clock
from tests.support.hostile_images import corpus
from tests.support.hostile_zips import CASES
from tests.support.uploads import a_zip, files, read, server, until_read
from tests.support.zip_maker import File

COUNTED = set(IMAGE_REASONS) - {"too_slow", "broke_the_decoder", "too_big"}
"""A file that is too big is left out before it is opened."""


@pytest.fixture(scope="module")
def uploads() -> Iterator[Uploads]:
    with server([], Clock()) as uploads:
        yield uploads


def message_of(uploads: Uploads, packed: bytes) -> str:
    uploads.read_zip(ANN, io.BytesIO(packed))
    upload = until_read(uploads)
    assert upload.status == "failed"
    assert upload.message[0].isupper() and upload.message[-1] == "." and "\n" not in upload.message
    return upload.message


def assert_the_next_upload_works(uploads: Uploads) -> None:
    assert len(read(uploads).labels) == 4
    uploads.cancel(ANN)
    assert files(uploads) == []


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_zip_is_a_message_and_nothing_stays(uploads: Uploads, name: str) -> None:
    """What is no image in it is refused by the decoder: none of these zips holds two classes of two real ones."""
    case = CASES[name]
    message = message_of(uploads, case.make())
    if case.reason is not None:
        assert message == str(ArchiveRejected(case.reason)), REASONS[case.reason]
    else:
        assert message.startswith("Pairs need at least 2 classes with 2 pictures each")
    assert files(uploads) == []
    assert_the_next_upload_works(uploads)


def test_hostile_images_are_counted_by_their_reason_beside_good_ones(uploads: Uploads) -> None:
    """All of them in one zip, as good images' neighbours; those that keep the decoder busy are tested elsewhere."""
    refused = {name: (data, reason) for name, (data, reason) in corpus().items() if reason in COUNTED}
    hostile = [File(f"Eva/{name}.png", data) for name, (data, _) in refused.items()]
    uploads.read_zip(ANN, a_zip(*hostile, Anna=2, Ben=2))
    upload = until_read(uploads)
    assert upload.status == "ready", upload.message
    assert upload.images is not None
    assert upload.images.classes == ("Anna", "Ben")
    reasons = [reason for _, reason in refused.values()]
    assert upload.refused == {reason: reasons.count(reason) for reason in set(reasons)}
    assert len(reasons) > 50
    uploads.cancel(ANN)
    assert files(uploads) == []
