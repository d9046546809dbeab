from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from esper.contracts.errors import ChecksumError, DataError, DataUnavailableError
from esper.data.cifar import CIFAR10, CIFAR100, CifarArchive, cifar_bundle
from esper.data.source import DataSource
from unit.data.http_source import FileServer, serving

PIXELS = 3 * 32 * 32


def members(archive: CifarArchive, images: int = 4) -> dict[str, bytearray]:
    """The members of a small archive in the official format."""
    generator = np.random.default_rng(0)
    files: dict[str, bytearray] = {}
    for name in (*archive.train, archive.test):
        rows = generator.integers(0, 256, (images, archive.labels + PIXELS), dtype=np.uint8)
        # With two labels the first is the class's group.
        rows[:, : archive.labels] = generator.integers(
            0, archive.classes, (images, archive.labels), dtype=np.uint8
        )
        files[name] = bytearray(rows.tobytes())
    names = "".join(f"c{i}\n" for i in range(archive.classes))
    files[archive.names] = bytearray(f"{names}\n".encode())
    return files


def pack(archive: CifarArchive, files: dict[str, bytearray]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"{archive.folder}/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def at(server: FileServer, archive: CifarArchive, content: bytes) -> CifarArchive:
    """``archive``, as if the loopback server were the official one."""
    remote = dataclasses.replace(
        archive.remote,
        url=server.address + archive.remote.name,
        md5=hashlib.md5(content).hexdigest(),
    )
    return dataclasses.replace(archive, remote=remote)


@pytest.mark.parametrize("archive", [CIFAR10, CIFAR100])
def test_archive_is_fetched_checked_and_read(archive: CifarArchive, source: DataSource) -> None:
    files = members(archive)
    content = pack(archive, files)
    with serving({archive.remote.name: content}, breaks=1, break_after=10_000) as server:
        bundle = cifar_bundle(at(server, archive, content), source)
        assert len(server.ranges) == 2
        cifar_bundle(at(server, archive, content), source)  # from the cache
        assert len(server.ranges) == 2
    x, y = bundle.train.tensors
    assert x.shape == (4 * len(archive.train), 3, 32, 32)
    assert len(bundle.test) == 4
    first = np.frombuffer(files[archive.train[0]], dtype=np.uint8).reshape(4, -1)
    assert y[:4].tolist() == first[:, archive.labels - 1].tolist()
    assert bundle.classes == tuple(f"c{i}" for i in range(archive.classes))
    raw = torch.tensor(first[0, archive.labels :]).reshape(3, 32, 32).float()
    order = raw.flatten(1).argsort(dim=1, stable=True)
    assert torch.equal(x[0].flatten(1).argsort(dim=1, stable=True), order)  # same pixels in place
    assert bundle.model()(bundle.example).shape == (2, archive.classes)


def test_archive_in_the_named_folder_is_used_first(source: DataSource, tmp_path: Path) -> None:
    content = pack(CIFAR10, members(CIFAR10))
    named = dataclasses.replace(source, root=tmp_path / "mine")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / CIFAR10.remote.name).write_bytes(content)
    with serving({}) as server:
        bundle = cifar_bundle(at(server, CIFAR10, content), named)
        assert server.ranges == []
    assert bundle.source == str(tmp_path / "mine" / CIFAR10.remote.name)


def test_missing_archive_is_an_error_and_nothing_takes_its_place(source: DataSource) -> None:
    with (
        serving({}) as server,
        pytest.raises(DataUnavailableError, match=r"cifar-10-binary\.tar\.gz"),
    ):
        cifar_bundle(at(server, CIFAR10, b""), source)


def test_archive_with_the_wrong_checksum_is_refused(source: DataSource) -> None:
    with (
        serving({CIFAR10.remote.name: pack(CIFAR10, members(CIFAR10))}) as server,
        pytest.raises(ChecksumError),
    ):
        cifar_bundle(at(server, CIFAR10, b"the official one"), source)


def damage_label(files: dict[str, bytearray]) -> None:
    files["data_batch_2.bin"][0] = 10


def damage_shape(files: dict[str, bytearray]) -> None:
    files["test_batch.bin"].pop()


def damage_count(files: dict[str, bytearray]) -> None:
    files["test_batch.bin"].clear()


def damage_member(files: dict[str, bytearray]) -> None:
    del files["data_batch_3.bin"]


def damage_names(files: dict[str, bytearray]) -> None:
    files["batches.meta.txt"] += b"another\n"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_label, "label that is no class"),
        (damage_shape, "no rows of 3073"),
        (damage_count, "has 0 bytes"),
        (damage_member, "lacks data_batch_3.bin"),
        (damage_names, "does not name the classes"),
    ],
)
def test_archive_of_the_wrong_content_is_refused(
    damage: Any, message: str, source: DataSource
) -> None:
    files = members(CIFAR10)
    damage(files)
    content = pack(CIFAR10, files)
    with serving({CIFAR10.remote.name: content}) as server, pytest.raises(DataError, match=message):
        cifar_bundle(at(server, CIFAR10, content), source)


def test_truncated_archive_is_refused(source: DataSource) -> None:
    content = gzip.compress(gzip.decompress(pack(CIFAR10, members(CIFAR10)))[:5000])
    with (
        serving({CIFAR10.remote.name: content}) as server,
        pytest.raises(DataError, match=r"remove it and run again|lacks"),
    ):
        cifar_bundle(at(server, CIFAR10, content), source)
