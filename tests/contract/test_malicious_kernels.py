"""Every malicious kernel file meets every gate: loader, store, cache, model, command, library."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
import torch
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from torch import nn
from typer.testing import CliRunner

from esper.cli.app import app
from esper.contracts.errors import (
    ArtifactError,
    KernelNotFoundError,
    SubmissionError,
    UntrustedKernelError,
)
from esper.contracts.library import KernelQuery, KernelRegistration, Signature
from esper.core.model_wrapper import wrap
from esper.core.morphable_model import MorphableModel
from esper.execution.artifact import read_kernel_file, unpack
from esper.execution.artifact_check import kernel_id_of
from esper.execution.kernel_cache import KernelCache
from esper.execution.kernel_store import LocalKernelStore
from esper.execution.signature_file import add_signature, signature_path
from esper.execution.signatures import new_key, sign, write_public_key
from esper.execution.trust import TrustPolicy
from esper.services.urza.kernel_library import SCHEMA, Library, open_database
from esper.services.urza.urza_config import UrzaConfig
from samples.malicious import GOOD, Malicious, corpus
from support.clocks import StillClock
from support.shelves import Drawer, Shelf, SignedShelf
from support.stored import ACTOR, chunks, upload

CANARY = Path(tempfile.gettempdir()) / "esper-malicious-kernel-ran-code"
CORPUS = corpus(CANARY)
GOOD_ID = kernel_id_of(GOOD)
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
POLICY = TrustPolicy.of([KEY.public_key()])

every_file = pytest.mark.parametrize("bad", CORPUS, ids=str)


@pytest.fixture(autouse=True)
def no_code_runs() -> Iterator[None]:
    CANARY.unlink(missing_ok=True)
    yield
    assert not CANARY.exists(), "the file ran its code"


@pytest.fixture
def model() -> MorphableModel:
    return wrap(nn.Sequential(nn.Linear(4, 4)), example_input=torch.randn(2, 4))


def as_file(folder: Path, data: bytes) -> Path:
    path = folder / "kernel.safetensors"
    path.write_bytes(data)
    return path


def test_the_corpus_is_large_and_its_names_are_its_own() -> None:
    assert len(CORPUS) == len({bad.name for bad in CORPUS}) > 60
    assert unpack(GOOD).kernel_id == GOOD_ID


@every_file
def test_the_loader_refuses_it_and_says_why(bad: Malicious, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=bad.says):
        unpack(bad.data)
    with pytest.raises(ArtifactError, match=bad.says):
        read_kernel_file(as_file(tmp_path, bad.data))


@every_file
def test_the_kernel_store_does_not_take_it(bad: Malicious, tmp_path: Path) -> None:
    store = LocalKernelStore(tmp_path / "store")
    with pytest.raises(ArtifactError):
        store.resolve(as_file(tmp_path, bad.data))
    assert store.list() == []


@every_file
def test_the_cache_keeps_nothing_of_it(bad: Malicious) -> None:
    kernel_id, tier = kernel_id_of(bad.data), Drawer()
    cache = KernelCache(Shelf({kernel_id: bad.data}), tiers=(tier,))
    with pytest.raises(ArtifactError):
        cache.load_sync(kernel_id)
    with pytest.raises(ArtifactError):
        asyncio.run(cache.load(kernel_id))
    with pytest.raises(ArtifactError):
        cache.add(bad.data)
    assert len(cache) == 0
    assert tier.files == {}


@every_file
def test_a_tier_that_holds_it_under_a_good_name_or_its_own_is_not_believed(bad: Malicious) -> None:
    own = kernel_id_of(bad.data)
    tier = Drawer(files={GOOD_ID: bad.data, own: bad.data})
    cache = KernelCache(Shelf({GOOD_ID: GOOD}), tiers=(tier,))
    assert cache.load_sync(GOOD_ID).kernel_id == GOOD_ID
    with pytest.raises(KernelNotFoundError):
        cache.load_sync(own)
    assert tier.files == {GOOD_ID: GOOD}


@every_file
def test_a_model_that_is_given_it_stays_as_it_is(
    bad: Malicious, tmp_path: Path, model: MorphableModel
) -> None:
    path = as_file(tmp_path, bad.data)
    with pytest.raises(ArtifactError):
        model.load_kernel_sync("0", 0, path)
    with pytest.raises(ArtifactError):
        asyncio.run(model.load_kernel("0", 0, path))
    assert not model.morphogenetic_active


def test_the_command_refuses_every_one(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.safetensors" for number in range(len(CORPUS))]
    for path, bad in zip(paths, CORPUS, strict=True):
        path.write_bytes(bad.data)
        result = CliRunner().invoke(app, ["kernel", "verify", str(path)])
        assert result.exit_code == 4, bad
        assert "is not a kernel that can be used" in " ".join(result.output.split()), bad
    good = as_file(tmp_path, GOOD)
    result = CliRunner().invoke(app, ["kernel", "verify", *map(str, paths), str(good)])
    assert result.exit_code == 4
    assert result.output.count(": good") == 1


def test_no_other_command_works_on_it_either(tmp_path: Path) -> None:
    key = tmp_path / "me.pem"
    new_key(key)
    commands = [
        ["show"],
        ["sign", "--key", str(key)],
        ["push", "--urza", "http://127.0.0.1:1"],  # where nobody listens, if it got that far
    ]
    for bad in CORPUS[::7]:
        path = as_file(tmp_path, bad.data)
        for name, *options in commands:
            result = CliRunner().invoke(app, ["kernel", name, str(path), *options])
            assert result.exit_code == 4, (name, bad, result.output)
    assert not signature_path(path).exists()


# The wrong bytes, and nobody's signature ----------------------------------------------------------


def test_bytes_of_another_digest_are_refused_by_loader_cache_and_store(tmp_path: Path) -> None:
    wrong = "0" * 64
    with pytest.raises(ArtifactError, match="SHA-256"):
        unpack(GOOD, expected_id=wrong)
    with pytest.raises(ArtifactError, match="SHA-256"):
        KernelCache(Shelf({wrong: GOOD})).load_sync(wrong)
    store = LocalKernelStore(tmp_path)
    store.put(GOOD)
    (path,) = tmp_path.rglob("*.safetensors")
    path.rename(path.with_name(f"{GOOD_ID[:2]}{wrong[2:]}.safetensors"))
    with pytest.raises(ArtifactError, match="damaged"):
        store.get(GOOD_ID[:2] + wrong[2:])


FALSE = Signature(key_id=sign(GOOD_ID, KEY).key_id, value="00" * 64)
FOREIGN = sign(GOOD_ID, Ed25519PrivateKey.from_private_bytes(b"f" * 32))
UNSIGNED = pytest.mark.parametrize(
    "signatures", [(), (FALSE,), (FOREIGN,), (sign("1" * 64, KEY),)], ids=range(4)
)


@UNSIGNED
def test_a_kernel_without_a_trusted_signature_passes_no_gate(
    signatures: tuple[Signature, ...], tmp_path: Path
) -> None:
    path = as_file(tmp_path, GOOD)
    for signature in signatures:
        add_signature(path, signature)
    cache = KernelCache(SignedShelf({GOOD_ID: GOOD}, {GOOD_ID: signatures}), trust=POLICY)
    model = wrap(nn.Sequential(nn.Linear(4, 4)), kernel_source=cache)
    for reference in (GOOD_ID, path):
        with pytest.raises(UntrustedKernelError):
            model.load_kernel_sync("0", 0, reference)
    with pytest.raises(UntrustedKernelError):
        cache.add(GOOD, signatures=signatures)
    key = tmp_path / "key.pub"
    write_public_key(key, KEY.public_key())
    verify = ["kernel", "verify", str(path), "--trust", str(key)]
    assert CliRunner().invoke(app, verify).exit_code == 4
    add_signature(path, sign(GOOD_ID, KEY))
    assert CliRunner().invoke(app, verify).exit_code == 0
    assert model.load_kernel_sync("0", 0, path)


def test_a_damaged_signature_file_is_no_signature(tmp_path: Path) -> None:
    path = as_file(tmp_path, GOOD)
    signature_path(path).write_bytes(b'{"signatures": "all of them"}')
    model = wrap(nn.Sequential(nn.Linear(4, 4)), kernel_source=KernelCache(trust=POLICY))
    with pytest.raises(ArtifactError, match="no signature file"):
        model.load_kernel_sync("0", 0, path)


# The library --------------------------------------------------------------------------------------


@pytest_asyncio.fixture
async def library(tmp_path: Path) -> AsyncIterator[Library]:
    config = _strict(tmp_path)
    database = open_database(config)
    await SCHEMA.upgrade(database)
    await database.close()
    opened = await Library.open(config, StillClock())
    yield opened
    await opened.close()


def _strict(folder: Path) -> UrzaConfig:
    """A library that takes signed kernels only."""
    keys = folder / "keys"
    keys.mkdir()
    write_public_key(keys / "ours.pem.pub", KEY.public_key())
    default = UrzaConfig.default(folder / "urza")
    return replace(default, require_signatures=True, trusted_keys=str(keys))


@pytest.mark.asyncio
async def test_the_library_registers_none_of_them_signed_or_not(library: Library) -> None:
    for bad in CORPUS:
        if not bad.data:
            continue  # an empty body is no upload
        kernel_id = await upload(library, bad.data)
        for signatures in ((), (sign(kernel_id, KEY),)):
            registration = KernelRegistration(kernel_id=kernel_id, signatures=signatures)
            with pytest.raises(ArtifactError):
                await library.kernels.register(ACTOR, registration)
    assert (await library.kernels.search(KernelQuery())).items == ()


@pytest.mark.asyncio
@UNSIGNED
async def test_the_library_takes_no_kernel_without_a_trusted_signature(
    library: Library, signatures: tuple[Signature, ...]
) -> None:
    await upload(library, GOOD)
    with pytest.raises(UntrustedKernelError):
        await library.kernels.register(
            ACTOR, KernelRegistration(kernel_id=GOOD_ID, signatures=signatures)
        )
    good = KernelRegistration(kernel_id=GOOD_ID, signatures=(*signatures, sign(GOOD_ID, KEY)))
    record, _ = await library.kernels.register(ACTOR, good)
    assert record.metadata.kernel_id == GOOD_ID


@pytest.mark.asyncio
async def test_the_library_stores_no_bytes_under_another_digest(library: Library) -> None:
    with pytest.raises(SubmissionError):
        await library.blobs.put(ACTOR, "0" * 64, chunks(GOOD), len(GOOD))
    assert await library.blobs.size("0" * 64) is None
