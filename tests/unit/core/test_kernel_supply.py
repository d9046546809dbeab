from __future__ import annotations

import asyncio
import copy
import pickle
from pathlib import Path

import pytest
import torch
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from torch import nn

from esper.contracts.errors import KernelMismatchError, UntrustedKernelError
from esper.core.kernel_supply import KernelSupply
from esper.core.model_wrapper import wrap
from esper.core.morphable_model import MorphableModel
from esper.execution.artifact_check import kernel_id_of
from esper.execution.kernel_cache import KernelCache
from esper.execution.kernel_store import LocalKernelStore
from esper.execution.signature_file import add_signature
from esper.execution.signatures import sign
from esper.execution.trust import TrustPolicy
from kernels import kernel_file
from support.shelves import Drawer, Shelf

DATA = kernel_file()  # (4) to (4)
ID = kernel_id_of(DATA)
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
POLICY = TrustPolicy.of([KEY.public_key()])


def model(source: Shelf | LocalKernelStore | KernelCache) -> MorphableModel:
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    return wrap(net, example_input=torch.randn(2, 4), kernel_source=source)


@pytest.fixture
def store(tmp_path: Path) -> LocalKernelStore:
    return LocalKernelStore(tmp_path / "kernels")


def test_a_cache_that_is_given_is_used_as_it_is_by_several_models() -> None:
    tier = Drawer(files={ID: DATA})
    cache = KernelCache(tiers=(tier,))
    for _ in range(2):
        assert model(cache).load_kernel_sync("0", 0, ID)
    assert tier.asked == [("get", ID)]
    assert (cache.stats.hits, cache.stats.misses) == (1, 1)


def test_a_source_that_is_given_gets_a_cache_of_its_own() -> None:
    shelf = Shelf({ID: DATA})
    for _ in range(2):
        wrapped = model(shelf)
        assert wrapped.load_kernel_sync("0", 0, ID)
        assert wrapped.load_kernel_sync("0", 1, ID)
    assert shelf.fetched == [ID, ID]


def test_a_kernel_that_cannot_stand_in_its_layer_is_refused_before_it_is_built() -> None:
    wrapped = model(Shelf({ID: DATA}))
    with pytest.raises(KernelMismatchError, match=rf"{ID}.*layer '1'.*returns samples"):
        wrapped.load_kernel_sync("1", 0, ID)
    with pytest.raises(KernelMismatchError, match="layer '1'"):
        asyncio.run(wrapped.load_kernel("1", 0, ID))
    assert not wrapped.morphogenetic_active


@pytest.mark.parametrize("way", ["id", "file"])
def test_a_model_under_a_policy_loads_signed_kernels_only(
    store: LocalKernelStore, tmp_path: Path, way: str
) -> None:
    wrapped = model(KernelCache(store, trust=POLICY))
    path = tmp_path / "mine.safetensors"
    path.write_bytes(DATA)
    reference = store.put(DATA) if way == "id" else path
    with pytest.raises(UntrustedKernelError, match=ID):
        wrapped.load_kernel_sync("0", 0, reference)
    with pytest.raises(UntrustedKernelError, match=ID):
        asyncio.run(wrapped.load_kernel("0", 0, reference))
    assert not wrapped.morphogenetic_active
    store.sign(ID, sign(ID, KEY)) if way == "id" else add_signature(path, sign(ID, KEY))
    assert wrapped.load_kernel_sync("0", 0, reference)
    assert asyncio.run(wrapped.load_kernel("0", 1, reference))


def test_copies_share_the_cache_and_a_pickle_keeps_the_policy(
    store: LocalKernelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESPER_HOME", str(tmp_path))
    wrapped = model(KernelCache(store, trust=POLICY))
    assert copy.deepcopy(wrapped)._supply is wrapped._supply
    again = pickle.loads(pickle.dumps(wrapped))
    store.put(DATA)  # which is the store that the unpickled model finds by itself
    with pytest.raises(UntrustedKernelError):
        again.load_kernel_sync("0", 0, ID)
    store.sign(ID, sign(ID, KEY))
    assert again.load_kernel_sync("0", 0, ID)


def test_a_supply_opens_no_store_before_it_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESPER_HOME", str(tmp_path))
    supply = KernelSupply(None, 2**20)
    assert list(tmp_path.iterdir()) == []
    assert len(supply.cache) == 0
    assert list(tmp_path.iterdir()) == [tmp_path / "kernels"]
