"""CIFAR-10 and CIFAR-100: 32x32 colour images (Krizhevsky 2009), from the official archives."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from esper.contracts.errors import DataError
from esper.data.bundle import DataBundle, Recipe
from esper.data.download import RemoteFile, fetch
from esper.data.models.cnn import residual_cnn
from esper.data.prepare import standardise_images, tensor
from esper.data.quick_start import DATA_SETS, MODELS
from esper.data.restricted_pickle import load_plain
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
    test: tuple[str, ...]
    meta: str
    """Member that names the classes."""
    label_key: bytes
    names_key: bytes
    classes: int


CIFAR10 = CifarArchive(
    name="cifar10",
    remote=RemoteFile(
        name="cifar-10-python.tar.gz",
        url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        md5="c58f30108f718f92721af3b95e74349a",
    ),
    folder="cifar-10-batches-py",
    train=tuple(f"data_batch_{i}" for i in range(1, 6)),
    test=("test_batch",),
    meta="batches.meta",
    label_key=b"labels",
    names_key=b"label_names",
    classes=10,
)

CIFAR100 = CifarArchive(
    name="cifar100",
    remote=RemoteFile(
        name="cifar-100-python.tar.gz",
        url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        md5="eb9058c3a382ffc7106e4002c42a8d85",
    ),
    folder="cifar-100-python",
    train=("train",),
    test=("test",),
    meta="meta",
    label_key=b"fine_labels",
    names_key=b"fine_label_names",
    classes=100,
)


@MODELS.register("cifar10-cnn")
def cifar10_cnn(bundle: DataBundle | None = None, *, width: int = 16) -> nn.Module:
    """A small residual CNN; ``width`` is the number of channels of its stem."""
    del bundle  # the data set has one shape
    return residual_cnn(3, 10, width=width)


@MODELS.register("cifar100-cnn")
def cifar100_cnn(bundle: DataBundle | None = None, *, width: int = 32) -> nn.Module:
    """A small residual CNN; ``width`` is the number of channels of its stem."""
    del bundle  # the data set has one shape
    return residual_cnn(3, 100, width=width)


@DATA_SETS.register("cifar10")
def cifar10(source: DataSource) -> DataBundle:
    """CIFAR-10 from its archive, fetched when it is nowhere.

    Raises:
        DataUnavailableError: the archive is nowhere and cannot be fetched.
        ChecksumError: the archive is not the published one.
    """
    return cifar_bundle(CIFAR10, source)


@DATA_SETS.register("cifar100")
def cifar100(source: DataSource) -> DataBundle:
    """CIFAR-100 (fine labels) from its archive, fetched when it is nowhere.

    Raises:
        DataUnavailableError: the archive is nowhere and cannot be fetched.
        ChecksumError: the archive is not the published one.
    """
    return cifar_bundle(CIFAR100, source)


def cifar_bundle(archive: CifarArchive, source: DataSource) -> DataBundle:
    """The bundle of one archive.

    Raises:
        DataUnavailableError: the archive is nowhere and cannot be fetched.
        ChecksumError: the archive is not the published one.
        DataError: the archive's content is not as documented.
    """
    folder = source.find(archive.name, (archive.remote.name,))
    path = fetch(archive.remote, folder or source.writable / archive.name)
    members = _members(path, archive)
    x, y = _images(archive, members, archive.train)
    x_test, y_test = _images(archive, members, archive.test)
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
        classes=_class_names(archive, members[archive.meta]),
    )


def _members(path: Path, archive: CifarArchive) -> dict[str, Any]:
    """The wanted members, parsed; nothing is unpacked to disk."""
    wanted = (*archive.train, *archive.test, archive.meta)
    found: dict[str, Any] = {}
    try:
        with tarfile.open(path, "r:gz") as tar:
            for member in tar:
                folder, _, name = member.name.removeprefix("./").partition("/")
                file = tar.extractfile(member) if member.isfile() else None
                if file is not None and folder == archive.folder and name in wanted:
                    found[name] = load_plain(file.read(), what=f"{path}:{member.name}")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(f"{path} cannot be read ({error}): remove it and run again") from error
    missing = [name for name in wanted if name not in found]
    if missing:
        raise DataError(f"{path} lacks {', '.join(missing)} in {archive.folder}/: replace the file")
    return found


def _images(
    archive: CifarArchive, members: dict[str, Any], names: Sequence[str]
) -> tuple[Tensor, Tensor]:
    """Images ``(N, 3, 32, 32)`` uint8 and labels ``(N,)`` int64 of several members."""
    images, labels = [], []
    for name in names:
        batch = members[name]
        pixels, marks = batch.get(b"data"), batch.get(archive.label_key)
        ok = isinstance(pixels, np.ndarray) and pixels.ndim == 2 and pixels.shape[1] == 3 * 32 * 32
        if not ok or not isinstance(marks, list) or len(marks) != len(pixels):
            raise DataError(
                f"{archive.remote.name}: member {name} does not hold images (N, 3072) and as many "
                f"{archive.label_key.decode()}: replace the file"
            )
        if not all(type(m) is int and 0 <= m < archive.classes for m in marks):
            raise DataError(f"{archive.remote.name}: member {name} holds a label that is no class")
        images.append(tensor(pixels).reshape(-1, 3, 32, 32))
        labels.append(torch.tensor(marks, dtype=torch.int64))
    return torch.cat(images), torch.cat(labels)


def _class_names(archive: CifarArchive, meta: Any) -> tuple[str, ...]:
    names = meta.get(archive.names_key) if isinstance(meta, dict) else None
    if not isinstance(names, list) or len(names) != archive.classes:
        raise DataError(f"{archive.remote.name}: {archive.meta} does not name the classes")
    return tuple(n.decode() if isinstance(n, bytes) else str(n) for n in names)
