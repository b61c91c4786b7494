"""Small valid zips with random damage: `python -m tests.fuzz.zips --count 100000 --seed 1`.

Only ArchiveRejected or images may come out, and an image that comes out is one of those that went in.
"""

from __future__ import annotations

import argparse
import io
import random
from collections import Counter
from collections.abc import Iterator

from siamese_core.formats.archives import MAX_IMAGES, MAX_LABEL, SKIPPED, ArchiveRejected, zip_images
from tests.support.zip_maker import File, zipped, zipped64

CONTENTS = (b"", b"stored", b"deflated, deflated, deflated", bytes(2_000))
EXTREMES = [number.to_bytes(size, "little") for size in (1, 2, 4, 8) for number in (0, 1, 2 ** (8 * size) - 1)]
MARKS = [b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\7\x08"]


def seeds() -> list[bytes]:
    files = [
        File("Anna/1.png", CONTENTS[0]),
        File("Anna/2.png", CONTENTS[1]),
        File("Zoë/1.jpg", CONTENTS[2], method=8),
        File("train/Ben/1.webp", CONTENTS[3], method=8),
        File("__MACOSX/Ben/1.webp"),
    ]
    return [zipped(*files, comment=b"a comment"), zipped64(*files)]


def mutated(data: bytes, random_: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(random_.choice((1, 1, 1, 2, 4, 16))):
        at = random_.randrange(len(changed) + 1)
        length = random_.choice((1, 2, 4, 8, random_.randrange(200)))
        match random_.randrange(7):
            case 0 if at < len(changed):
                changed[at] ^= 1 << random_.randrange(8)
            case 1:
                changed[at : at + length] = random_.randbytes(length)
            case 2:
                extreme = random_.choice(EXTREMES)
                changed[at : at + len(extreme)] = extreme
            case 3:
                changed[at : at + 4] = random_.choice(MARKS)
            case 4:
                del changed[at : at + length]
            case 5:
                start = random_.randrange(len(changed) + 1)
                changed[at:at] = changed[start : start + length]
            case 6 if random_.random() < 0.2:
                del changed[at:]
    return bytes(changed)


def mutations(count: int, seed: int) -> Iterator[bytes]:
    random_, whole = random.Random(seed), seeds()
    return (mutated(random_.choice(whole), random_) for _ in range(count))


def check(data: bytes) -> str:
    """ "read", or the reason of the refusal; any other exception, and any image that was never put in, is a bug."""
    skipped: Counter[str] = Counter()
    try:
        found = list(zip_images(io.BytesIO(data), skipped))
    except ArchiveRejected as rejected:
        return rejected.reason
    assert len(found) <= MAX_IMAGES and set(skipped) <= set(SKIPPED)
    for image in found:
        assert image.data in CONTENTS
        assert 1 <= len(image.label) <= MAX_LABEL and image.label.isprintable()
    return "read"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    outcomes: Counter[str] = Counter()
    for number, data in enumerate(mutations(arguments.count, arguments.seed)):
        try:
            outcomes[check(data)] += 1
        except Exception:
            print(f"mutation {number} of seed {arguments.seed}: {data!r}")
            raise
    print(*(f"{outcome}: {times}" for outcome, times in outcomes.most_common()), sep="\n")


if __name__ == "__main__":
    main()
