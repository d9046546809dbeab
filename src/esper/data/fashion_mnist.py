"""Fashion-MNIST: 28x28 grey images of clothes in ten classes (Xiao, Rasul, Vollgraf 2017)."""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from esper.contracts.errors import ChecksumError, DataError
from esper.data.bundle import DataBundle, Recipe
from esper.data.download import RemoteFile, fetch
from esper.data.models.cnn import plain_cnn
from esper.data.models.mlp import mlp
from esper.data.prepare import standardise_images
from esper.data.quick_start import DATA_SETS, MODELS
from esper.data.source import DataSource
from esper.data.task import Task

_ADDRESS = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
# name: (MD5 of the official gzip file, SHA-256 of its content)
_DIGESTS = {
    "train-images-idx3-ubyte.gz": (
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ),
    "train-labels-idx1-ubyte.gz": (
        "25c81989df183df01b3e8a0aad5dffbe",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    "t10k-images-idx3-ubyte.gz": (
        "bef4ecab320f06d8554ea6380940ec79",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "bb300cfdad3c16e7a12a480ee83cd310",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
}
FILES = tuple(
    RemoteFile(name=name, url=_ADDRESS + name, md5=md5) for name, (md5, _) in _DIGESTS.items()
)
CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


@MODELS.register("fashion-mnist-mlp")
def fashion_mnist_mlp(*, hidden: Sequence[int] = (128, 128)) -> nn.Module:
    """Flatten, then MLP 784-128-128-10; ``hidden`` sets other widths."""
    return mlp(28 * 28, hidden, 10, flatten=True)


@MODELS.register("fashion-mnist-cnn")
def fashion_mnist_cnn(*, width: int = 16) -> nn.Module:
    """A small CNN; ``width`` is the number of channels after the first convolution."""
    return plain_cnn(1, 10, width=width)


@DATA_SETS.register("fashion-mnist")
def fashion_mnist(source: DataSource) -> DataBundle:
    """Read the four official files, from a folder, the system's package, or the network.

    Raises:
        DataUnavailableError: a file is nowhere and cannot be fetched.
        ChecksumError: a file is not the published one.
    """
    folder = source.find("fashion-mnist", tuple(file.name for file in FILES))
    if folder is None:
        folder = source.writable / "fashion-mnist"
        for file in FILES:
            fetch(file, folder)
    x, y = _read(folder, "train")
    x_test, y_test = _read(folder, "t10k")
    x, x_test = standardise_images(x, x_test)
    return DataBundle(
        name="fashion-mnist",
        train=TensorDataset(x, y),
        test=TensorDataset(x_test, y_test),
        task=Task.CLASSIFICATION,
        model=fashion_mnist_mlp,
        recipe=Recipe(epochs=10, batch_size=128, learning_rate=1e-3),
        description="28x28 grey images of clothes, ten classes; 60,000 to learn from, 10,000 for "
        "the test",
        source=str(folder),
        classes=CLASSES,
    )


def _read(folder: Path, split: str) -> tuple[Tensor, Tensor]:
    """Images ``(N, 1, 28, 28)`` uint8 and labels ``(N,)`` int64."""
    names = f"{split}-images-idx3-ubyte.gz", f"{split}-labels-idx1-ubyte.gz"
    images, labels = (read_idx(folder / n, sha256=_DIGESTS[n][1]) for n in names)
    if images.shape != (len(labels), 28, 28):
        raise DataError(
            f"{folder / names[0]} holds images of shape {tuple(images.shape)} for {len(labels)} "
            "labels: replace both files"
        )
    return images.unsqueeze(1), labels.long()


_UNSIGNED_BYTE = 0x08


def read_idx(path: Path, *, sha256: str | None = None) -> Tensor:
    """Read a gzip-compressed IDX file of unsigned bytes: a big-endian header, then bytes.

    Args:
        path: the ``.gz`` file.
        sha256: expected digest of the *uncompressed* content; compression may differ between
            distributors, the content may not. ``None`` checks nothing.

    Returns:
        A ``uint8`` tensor of the shape in the header.

    Raises:
        DataError: the file cannot be read or is not such a file.
        ChecksumError: the content is not the expected one.
    """
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read as gzip ({error}): replace the file") from error
    if sha256 is not None and (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise ChecksumError(
            f"{path} holds other content than the published data set (SHA-256 {found}, expected "
            f"{sha256}): replace the file"
        )
    return parse_idx(content, what=str(path))


def parse_idx(content: bytes, *, what: str) -> Tensor:
    """Parse uncompressed IDX content; ``what`` names it in errors.

    Raises:
        DataError: the header or the length is wrong.
    """
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != _UNSIGNED_BYTE:
        raise DataError(f"{what} does not begin with an IDX header of unsigned bytes")
    axes = content[3]
    start = 4 + 4 * axes
    sizes = [int.from_bytes(content[4 + 4 * i : 8 + 4 * i], "big") for i in range(axes)]
    if axes == 0 or len(content) != start + math.prod(sizes):
        raise DataError(
            f"{what} declares shape {tuple(sizes)}, that is {math.prod(sizes)} bytes, but holds "
            f"{max(len(content) - start, 0)}"
        )
    return torch.frombuffer(bytearray(content[start:]), dtype=torch.uint8).reshape(sizes)
