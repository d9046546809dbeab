from __future__ import annotations

from pathlib import Path

import pytest

from esper.contracts.errors import ArtifactError, KernelNotFoundError
from esper.contracts.library import Signature
from esper.contracts.ports import SignedSource
from esper.execution.artifact_check import kernel_id_of
from esper.execution.kernel_store import LocalKernelStore, default_root
from esper.execution.signature_file import add_signature
from kernels import kernel_file


@pytest.fixture
def store(tmp_path: Path) -> LocalKernelStore:
    return LocalKernelStore(tmp_path / "kernels")


def test_store_implements_both_ports(store: LocalKernelStore) -> None:
    assert isinstance(store, SignedSource)


def test_kernel_is_kept_under_its_digest(store: LocalKernelStore) -> None:
    data = kernel_file()
    kernel_id = store.put(data)
    assert kernel_id == kernel_id_of(data) == store.put(data)
    assert store.exists(kernel_id)
    assert store.list() == [kernel_id]
    assert store.get(kernel_id) == store.fetch(kernel_id) == data
    assert LocalKernelStore(store.root).get(kernel_id) == data


def test_absent_kernel_is_an_error_that_names_it(store: LocalKernelStore) -> None:
    assert not store.exists("0" * 64)
    with pytest.raises(KernelNotFoundError, match="0" * 64):
        store.get("0" * 64)


@pytest.mark.parametrize("text", ["../../etc/passwd", "", "ABCD" * 16, "0" * 63])
def test_what_is_no_id_is_not_looked_up(store: LocalKernelStore, text: str) -> None:
    assert not store.exists(text)
    with pytest.raises(KernelNotFoundError, match="no kernel id"):
        store.get(text)


def test_damaged_kernel_is_refused_and_mended_by_storing_again(store: LocalKernelStore) -> None:
    data = kernel_file()
    kernel_id = store.put(data)
    (path,) = store.root.rglob("*.safetensors")
    path.write_bytes(data[:-1])
    with pytest.raises(ArtifactError, match="damaged"):
        store.get(kernel_id)
    store.put(data)
    assert store.get(kernel_id) == data


def test_resolve_takes_id_beginning_and_path(store: LocalKernelStore, tmp_path: Path) -> None:
    data = kernel_file()
    path = tmp_path / "mine.safetensors"
    path.write_bytes(data)
    kernel_id = store.resolve(path)
    assert store.resolve(str(path)) == store.resolve(kernel_id) == store.resolve(kernel_id[:4])
    assert store.get(kernel_id) == data


def test_resolve_refuses_what_fits_nothing_or_too_much(
    store: LocalKernelStore, tmp_path: Path
) -> None:
    with pytest.raises(KernelNotFoundError, match="no kernel in"):
        store.resolve("abcd")
    with pytest.raises(KernelNotFoundError, match="neither"):
        store.resolve("my kernel")
    for last in "01":
        (store.root / "ab").mkdir(exist_ok=True)
        (store.root / "ab" / f"{'ab' * 31}a{last}.safetensors").write_bytes(b"")
    with pytest.raises(KernelNotFoundError, match="2 kernels"):
        store.resolve("abab")


def test_file_that_is_no_kernel_is_not_stored(store: LocalKernelStore, tmp_path: Path) -> None:
    path = tmp_path / "bad"
    path.write_bytes(b"not a kernel")
    with pytest.raises(ArtifactError, match="bad"):
        store.resolve(path)
    assert store.list() == []


def test_signatures_stand_beside_their_kernel_and_are_no_kernels(store: LocalKernelStore) -> None:
    kernel_id = store.put(kernel_file())
    assert store.signatures(kernel_id) == ()
    signature = Signature(key_id="a" * 16, value="0" * 128)
    store.sign(kernel_id, signature)
    assert store.signatures(kernel_id) == (signature,)
    assert store.list() == [kernel_id]
    assert store.resolve(kernel_id[:4]) == kernel_id
    store.put(kernel_file())
    assert store.signatures(kernel_id) == (signature,)


@pytest.mark.parametrize("kernel_id", ["0" * 64, "../../etc/passwd"])
def test_a_kernel_that_is_not_here_can_not_be_signed(
    store: LocalKernelStore, kernel_id: str
) -> None:
    for use in (store.signatures, lambda known: store.sign(known, Signature.model_construct())):
        with pytest.raises(KernelNotFoundError, match=kernel_id):
            use(kernel_id)
    assert not any(store.root.iterdir())


def test_a_file_brings_its_signatures_into_the_store(
    store: LocalKernelStore, tmp_path: Path
) -> None:
    path = tmp_path / "mine.safetensors"
    path.write_bytes(kernel_file())
    signature = Signature(key_id="a" * 16, value="0" * 128)
    add_signature(path, signature)
    assert store.signatures(store.resolve(path)) == (signature,)


def test_default_root_follows_esper_home(tmp_path: Path) -> None:
    assert default_root({"ESPER_HOME": str(tmp_path)}) == tmp_path / "kernels"
    assert default_root({}).name == "kernels"
