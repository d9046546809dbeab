"""CIFAR-10 and CIFAR-100: 32x32 colour images (Krizhevsky 2009), from the official archives.

Of the published versions it is the binary one: rows of bytes, where the others are pickles, and a
pickle is a program.
"""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from esper.contracts.errors import DataError
from esper.data.bundle import DataBundle, Recipe
from esper.data.download import RemoteFile, fetch
from esper.data.models.cnn import residual_cnn
from esper.data.prepare import standardise_images
from esper.data.quick_start import DATA_SETS, MODELS
from esper.data.source import DataSource
from esper.data.task import Task


@dataclass(frozen=True, kw_only=True)
class CifarArchive:
    """How one of the two official archives is laid out."""

    name: str
    """Name of the data set."""
    remote: RemoteFile
    folder: str
    """Top folder inside the archive."""
    train: tuple[str, ...]
    test: str
    names: str
    """Member that names the classes, one a line."""
    labels: int
    """Bytes before an image's pixels; the last of them is its class."""
    classes: int


CIFAR10 = CifarArchive(
    name="cifar10",
    remote=RemoteFile(
        name="cifar-10-binary.tar.gz",
        url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        md5="c32a1d4ab5d03f1284b67883e8d87530",
    ),
    folder="cifar-10-batches-bin",
    train=tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
    test="test_batch.bin",
    names="batches.meta.txt",
    labels=1,
    classes=10,
)

CIFAR100 = CifarArchive(
    name="cifar100",
    remote=RemoteFile(
        name="cifar-100-binary.tar.gz",
        url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
        md5="03b5dce01913d631647c71ecec9e9cb8",
    ),
    folder="cifar-100-binary",
    train=("train.bin",),
    test="test.bin",
    names="fine_label_names.txt",
    labels=2,
    classes=100,
)


@MODELS.register("cifar10-cnn")
def cifar10_cnn(*, width: int = 16) -> nn.Module:
    """A small residual CNN; ``width`` is the number of channels of its stem."""
    return residual_cnn(3, 10, width=width)


@MODELS.register("cifar100-cnn")
def cifar100_cnn(*, width: int = 32) -> nn.Module:
    """A small residual CNN; ``width`` is the number of channels of its stem."""
    return residual_cnn(3, 100, width=width)


def cifar_bundle(archive: CifarArchive, source: DataSource) -> DataBundle:
    """The images of one archive, fetched where it is nowhere; of CIFAR-100 with its fine labels.

    Raises:
        DataUnavailableError: the archive is nowhere and cannot be fetched.
        ChecksumError: the archive is not the published one.
        DataError: the archive's content is not as documented.
    """
    folder = source.find(archive.name, (archive.remote.name,))
    path = fetch(archive.remote, folder or source.writable / archive.name)
    members = _members(path, archive)
    parts = [_images(archive, name, members[name]) for name in archive.train]
    x, y = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    x_test, y_test = _images(archive, archive.test, members[archive.test])
    x, x_test = standardise_images(x, x_test)
    return DataBundle(
        name=archive.name,
        train=TensorDataset(x, y),
        test=TensorDataset(x_test, y_test),
        task=Task.CLASSIFICATION,
        model=cifar10_cnn if archive.classes == 10 else cifar100_cnn,
        recipe=Recipe(epochs=20, batch_size=128, learning_rate=2e-3, weight_decay=0.05),
        description=f"32x32 colour images, {archive.classes} classes; {len(x)} to learn from, "
        f"{len(x_test)} for the test",
        source=str(path),
        classes=_class_names(archive, members[archive.names]),
    )


def _members(path: Path, archive: CifarArchive) -> dict[str, bytes]:
    """The wanted members; nothing is unpacked to disk."""
    wanted = (*archive.train, archive.test, archive.names)
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r:gz") as tar:
            for member in tar:
                folder, _, name = member.name.removeprefix("./").partition("/")
                file = tar.extractfile(member) if member.isfile() else None
                if file is not None and folder == archive.folder and name in wanted:
                    found[name] = file.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(f"{path} cannot be read ({error}): remove it and run again") from error
    missing = [name for name in wanted if name not in found]
    if missing:
        raise DataError(f"{path} lacks {', '.join(missing)} in {archive.folder}/: replace the file")
    return found


def _images(archive: CifarArchive, name: str, content: bytes) -> tuple[Tensor, Tensor]:
    """Images ``(N, 3, 32, 32)`` uint8 and labels ``(N,)`` int64 of one member."""
    row = archive.labels + 3 * 32 * 32
    if not content or len(content) % row:
        raise DataError(
            f"{archive.remote.name}: member {name} has {len(content)} bytes, which are no rows of "
            f"{row}: replace the file"
        )
    rows = torch.frombuffer(bytearray(content), dtype=torch.uint8).reshape(-1, row)
    labels = rows[:, archive.labels - 1].long()
    if labels.max() >= archive.classes:
        raise DataError(f"{archive.remote.name}: member {name} holds a label that is no class")
    return rows[:, archive.labels :].reshape(-1, 3, 32, 32), labels


def _class_names(archive: CifarArchive, content: bytes) -> tuple[str, ...]:
    names = tuple(content.decode("ascii", "replace").split())
    if len(names) != archive.classes:
        raise DataError(f"{archive.remote.name}: {archive.names} does not name the classes")
    return names


DATA_SETS.add("cifar10", partial(cifar_bundle, CIFAR10))
DATA_SETS.add("cifar100", partial(cifar_bundle, CIFAR100))
