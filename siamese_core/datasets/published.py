"""What can be downloaded: addresses, sizes and checksums of the files, as they are published.

Addresses and checksums are those of torchvision 0.28 (mnist.py, svhn.py, omniglot.py), of scikit-learn 1.9
(_olivetti_faces.py, _lfw.py) and of https://www.cs.toronto.edu/~kriz/cifar.html, with https in place of http. Sizes
are those that TensorFlow Datasets keeps for the same files; that of LFW was measured by others on this very file.
"""

from __future__ import annotations

from siamese_core.datasets.download import Download, RemoteFile

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"


def _download(key: str, title: str, bundle: str, folders: tuple[str, ...], *files: tuple[str, int, str]) -> Download:
    """Return a set whose files, by name, size and MD5, lie in each of some folders of the web."""
    remote = (RemoteFile(name, tuple(at + name for at in folders), size, f"md5:{md5}") for name, size, md5 in files)
    return Download(key, title, bundle, tuple(remote))


DOWNLOADS: dict[str, Download] = {
    download.key: download
    for download in (
        _download(
            "mnist_full",
            "The whole MNIST",
            "mnist",
            ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
            (TRAIN_IMAGES, 9_912_422, "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
            (TRAIN_LABELS, 28_881, "d53e105ee54ea40749a09fcbcd1e9432"),
            (TEST_IMAGES, 1_648_877, "9fb629c4189551a2d022fa330f9573f3"),
            (TEST_LABELS, 4_542, "ec29112dd5afa0611ce80d1b7f02629c"),
        ),
        _download(
            "fashion_mnist_full",
            "The whole Fashion-MNIST",
            "fashion_mnist",
            # torchvision's address has no https; its authors keep the same four files in their repository.
            ("https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",),
            (TRAIN_IMAGES, 26_421_880, "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
            (TRAIN_LABELS, 29_515, "25c81989df183df01b3e8a0aad5dffbe"),
            (TEST_IMAGES, 4_422_102, "bef4ecab320f06d8554ea6380940ec79"),
            (TEST_LABELS, 5_148, "bb300cfdad3c16e7a12a480ee83cd310"),
        ),
        _download(
            "kmnist",
            "Kuzushiji-MNIST",
            "mnist",
            ("https://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
            (TRAIN_IMAGES, 18_165_135, "bdb82020997e1d708af4cf47b453dcf7"),
            (TRAIN_LABELS, 29_497, "e144d726b3acfaa3e44228e80efcd344"),
            (TEST_IMAGES, 3_041_136, "5c965bf0a639b31b8f53240b1b52f4d7"),
            (TEST_LABELS, 5_120, "7320c461ea6c1c855c0b718fb2a4b134"),
        ),
        _download(
            "emnist_letters",
            "EMNIST letters",
            "mnist",
            ("https://biometrics.nist.gov/cs_links/EMNIST/",),
            ("gzip.zip", 561_753_746, "58c8d27c78d21e728a6bc7b3cc06412e"),
        ),
        _download(
            "cifar10",
            "CIFAR-10",
            "fashion_mnist",
            ("https://www.cs.toronto.edu/~kriz/",),
            ("cifar-10-binary.tar.gz", 170_052_171, "c32a1d4ab5d03f1284b67883e8d87530"),
        ),
        _download(
            "svhn",
            "SVHN",
            "digits",
            ("https://ufldl.stanford.edu/housenumbers/",),
            ("train_32x32.mat", 182_040_794, "e26dedcc434d2e4c54c9b2d4a06d8373"),
            ("test_32x32.mat", 64_275_384, "eb5a983be6a315427106f1b164d9cef3"),
        ),
        _download(
            "omniglot",
            "Omniglot",
            "mnist",
            ("https://raw.githubusercontent.com/brendenlake/omniglot/master/python/",),
            ("images_background.zip", 9_464_212, "68d2efa1b9178cc56df9314c21c6e718"),
        ),
        Download(
            "olivetti",
            "The Olivetti faces",
            "digits",
            (
                RemoteFile(
                    "olivettifaces.mat",
                    (
                        "https://ndownloader.figshare.com/files/5976027",
                        "https://cs.nyu.edu/~roweis/data/olivettifaces.mat",
                    ),
                    4_300_000,
                    "sha256:b612fb967f2dc77c9c62d3e1266e0c73d5fca46a4b8906c18e454d41af987794",
                    approximate=True,
                ),
            ),
        ),
        Download(
            "lfw",
            "Labeled Faces in the Wild",
            "digits",
            (
                RemoteFile(
                    "lfw-funneled.tgz",
                    ("https://ndownloader.figshare.com/files/5976015",),
                    243_346_528,
                    "sha256:b47c8422c8cded889dc5a13418c4bc2abbda121092b3533a83306f90d900100a",
                ),
            ),
        ),
    )
}
