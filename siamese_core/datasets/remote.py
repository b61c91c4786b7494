"""The sets that are downloaded when somebody asks for them, or read from a folder that was filled by hand."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache, partial
from io import BufferedReader
from pathlib import Path

from siamese_core.datasets import formats
from siamese_core.datasets.bundled import DIGIT_NAMES
from siamese_core.datasets.download import Download, matches
from siamese_core.datasets.full import cache_root
from siamese_core.datasets.prepared import cached
from siamese_core.datasets.published import DOWNLOADS
from siamese_core.datasets.record import Dataset, DatasetMissing, Images
from siamese_core.errors import reason
from siamese_core.formats.files import size_of

Parse = Callable[..., Images]
"""Takes the files of a set as streams, in the order of its record."""

NOMINAL_MEAN = NOMINAL_STD = 0.5
"""Not measured: whoever wrote these records had none of the sets at hand. They bring pixels to -1 … 1."""

KMNIST_NAMES = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
CIFAR10_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
LETTER_NAMES = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")

LFW_PEOPLE: tuple[tuple[str, int], ...] = (
    ("Alejandro_Toledo", 39), ("Alvaro_Uribe", 35), ("Amelie_Mauresmo", 21), ("Andre_Agassi", 36),
    ("Angelina_Jolie", 20), ("Ariel_Sharon", 77), ("Arnold_Schwarzenegger", 42), ("Atal_Bihari_Vajpayee", 24),
    ("Bill_Clinton", 29), ("Carlos_Menem", 21), ("Colin_Powell", 236), ("David_Beckham", 31),
    ("Donald_Rumsfeld", 121), ("George_Robertson", 22), ("George_W_Bush", 530), ("Gerhard_Schroeder", 109),
    ("Gloria_Macapagal_Arroyo", 44), ("Gray_Davis", 26), ("Guillermo_Coria", 30), ("Hamid_Karzai", 22),
    ("Hans_Blix", 39), ("Hugo_Chavez", 71), ("Igor_Ivanov", 20), ("Jack_Straw", 28), ("Jacques_Chirac", 52),
    ("Jean_Chretien", 55), ("Jennifer_Aniston", 21), ("Jennifer_Capriati", 42), ("Jennifer_Lopez", 21),
    ("Jeremy_Greenstock", 24), ("Jiang_Zemin", 20), ("John_Ashcroft", 53), ("John_Negroponte", 31),
    ("Jose_Maria_Aznar", 23), ("Juan_Carlos_Ferrero", 28), ("Junichiro_Koizumi", 60), ("Kofi_Annan", 32),
    ("Laura_Bush", 41), ("Lindsay_Davenport", 22), ("Lleyton_Hewitt", 41), ("Luiz_Inacio_Lula_da_Silva", 48),
    ("Mahmoud_Abbas", 29), ("Megawati_Sukarnoputri", 33), ("Michael_Bloomberg", 20), ("Naomi_Watts", 22),
    ("Nestor_Kirchner", 37), ("Paul_Bremer", 20), ("Pete_Sampras", 22), ("Recep_Tayyip_Erdogan", 30),
    ("Ricardo_Lagos", 27), ("Roh_Moo-hyun", 32), ("Rudolph_Giuliani", 26), ("Saddam_Hussein", 23),
    ("Serena_Williams", 52), ("Silvio_Berlusconi", 33), ("Tiger_Woods", 23), ("Tom_Daschle", 25), ("Tom_Ridge", 33),
    ("Tony_Blair", 144), ("Vicente_Fox", 32), ("Vladimir_Putin", 49), ("Winona_Ryder", 24),
)  # fmt: skip
"""Everybody of whom Labeled Faces in the Wild has at least 20 images, by the alphabet: folder of the archive, number of
images. 62 people, 3,023 images."""


def find_remote(download: Download) -> bool:
    """Return whether all files of the set are there."""
    return not _lacking(download, cache_root() / download.key)


def load_remote(download: Download, parse: Parse) -> Images:
    """Read the set from its folder in the cache. Raises DatasetMissing where files lack or are others."""
    folder = cache_root() / download.key
    lacking = _lacking(download, folder)
    if lacking:
        raise DatasetMissing(
            f"{download.title}: not on this machine yet, so press Download on the Data page, "
            f"or put {' and '.join(lacking)} into {folder}; until then there is the bundled {download.bundle}."
        )
    return _read(download, parse, folder)


@cache
def _read(download: Download, parse: Parse, folder: Path) -> Images:
    remedy = f"delete it and press Download on the Data page, or use the bundled {download.bundle} meanwhile"
    with ExitStack() as opened:
        streams = []
        for file in download.files:
            path = folder / file.name
            try:
                stream = opened.enter_context(path.open("rb"))
                whole = matches(stream, file.checksum)
            except OSError as error:
                raise DatasetMissing(f"{path} cannot be read ({reason(error)}): {remedy}.") from None
            if not whole:
                raise DatasetMissing(f"{path} is not the published file (its checksum differs): {remedy}.")
            stream.seek(0)
            streams.append(stream)
        try:
            return parse(*streams)
        except (ValueError, KeyError, EOFError, OSError, zlib.error, zipfile.BadZipFile, tarfile.TarError) as error:
            raise DatasetMissing(f"{download.title} in {folder} cannot be understood ({error}): {remedy}.") from None


def _lacking(download: Download, folder: Path) -> tuple[str, ...]:
    return tuple(file.name for file in download.files if not size_of(folder / file.name))


def _lfw(archive: BufferedReader) -> Images:
    """Reading 243 MB and 3,023 JPEGs takes seconds, so what comes of it is cached beside the archive."""
    _, digits = DOWNLOADS["lfw"].files[0].checksum.split(":")
    path = Path(archive.name).with_name(f"prepared-{formats.LFW_SIDE}-{digits[:16]}.bin")
    return cached(path, partial(formats.lfw, archive, LFW_PEOPLE))


def _record(
    key: str, title: str, source: str, licence: str, classes: tuple[str, ...], shape: tuple[int, int, int], parse: Parse
) -> Dataset:
    load, find = partial(load_remote, DOWNLOADS[key], parse), partial(find_remote, DOWNLOADS[key])
    return Dataset(key, title, source, licence, classes, shape, NOMINAL_MEAN, NOMINAL_STD, load, find)


KMNIST = _record(
    "kmnist",
    "Kuzushiji-MNIST, all 70,000",
    "Clanuwat, Bober-Irizar, Kitamoto, Lamb, Yamamoto & Ha (2018). Deep Learning for Classical Japanese "
    "Literature. arXiv:1812.01718. KMNIST Dataset (created by CODH), adapted from Kuzushiji Dataset (created by "
    "NIJL and others), doi:10.20676/00000341.",
    "CC BY-SA 4.0",
    KMNIST_NAMES,
    (1, 28, 28),
    formats.idx_images,
)

EMNIST_LETTERS = _record(
    "emnist_letters",
    "EMNIST letters",
    "Cohen, Afshar, Tapson & van Schaik (2017). EMNIST: an extension of MNIST to handwritten letters. "
    "arXiv:1702.05373. The letters of the archive, capital and small ones as one class.",
    "None stated; made from NIST Special Database 19",
    LETTER_NAMES,
    (1, 28, 28),
    formats.emnist_letters,
)

CIFAR10 = _record(
    "cifar10",
    "CIFAR-10",
    "Krizhevsky (2009). Learning Multiple Layers of Features from Tiny Images. Technical report, University of "
    "Toronto. The binary version.",
    "None stated; its authors ask for the citation",
    CIFAR10_NAMES,
    (3, 32, 32),
    formats.cifar10,
)

SVHN = _record(
    "svhn",
    "Street View House Numbers",
    "Netzer, Wang, Coates, Bissacco, Wu & Ng (2011). Reading Digits in Natural Images with Unsupervised Feature "
    "Learning. NIPS Workshop on Deep Learning and Unsupervised Feature Learning. The cropped digits.",
    "For non-commercial use only",
    DIGIT_NAMES,
    (3, 32, 32),
    formats.svhn,
)

OMNIGLOT = _record(
    "omniglot",
    "Omniglot: Latin, Greek, Hebrew",
    "Lake, Salakhutdinov & Tenenbaum (2015). Human-level concept learning through probabilistic program "
    "induction. Science 350(6266), 1332-1338. 72 characters, 20 drawings each, the last 6 for testing.",
    "MIT",
    formats.OMNIGLOT_NAMES,
    (1, formats.OMNIGLOT_SIDE, formats.OMNIGLOT_SIDE),
    formats.omniglot,
)

OLIVETTI = _record(
    "olivetti",
    "Olivetti faces, 40 people",
    "Samaria & Harter (1994). Parameterisation of a stochastic model for human face identification. IEEE Workshop "
    "on Applications of Computer Vision. The AT&T faces of Chopra, Hadsell & LeCun (2005), as Sam Roweis made "
    "them 64 × 64; the last 3 of each person's 10 for testing.",
    "None stated; give credit to AT&T Laboratories Cambridge",
    tuple(f"Person {i}" for i in range(1, formats.OLIVETTI_PEOPLE + 1)),
    (1, formats.OLIVETTI_SIDE, formats.OLIVETTI_SIDE),
    formats.olivetti,
)

LFW = _record(
    "lfw",
    "Labeled Faces in the Wild, 62 people",
    "Huang, Ramesh, Berg & Learned-Miller (2007). Labeled Faces in the Wild: A Database for Studying Face "
    "Recognition in Unconstrained Environments. University of Massachusetts, Amherst, Technical Report 07-49. "
    "The funneled images of everybody who has at least 20; the last fifth of each for testing.",
    "None stated; news photographs of real people, gathered for research",
    tuple(name.replace("_", " ") for name, _ in LFW_PEOPLE),
    (1, formats.LFW_SIDE, formats.LFW_SIDE),
    _lfw,
)

REMOTE: tuple[Dataset, ...] = (KMNIST, EMNIST_LETTERS, CIFAR10, SVHN, OMNIGLOT, OLIVETTI, LFW)
