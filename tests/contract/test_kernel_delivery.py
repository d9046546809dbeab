"""A kernel's whole way, on real servers: memory, Valkey, the library over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from torch import nn

from esper.bootstrap import kernel_cache
from esper.configs import RedisConfig
from esper.contracts.enums import Role
from esper.contracts.errors import (
    KernelNotFoundError,
    LibraryUnavailableError,
    UntrustedKernelError,
)
from esper.contracts.library import KernelRegistration
from esper.contracts.ports import KernelLibrary, SignedSource
from esper.core.model_wrapper import wrap
from esper.execution.artifact_check import kernel_id_of
from esper.execution.cache_config import KernelCacheConfig
from esper.execution.kernel_cache import KernelCache
from esper.execution.kernel_tiers import TierStatistics
from esper.execution.signatures import sign, write_public_key
from esper.services.urza.client.urza_client import UrzaClient
from kernels import kernel_file
from support.servers.server import HOST
from support.servers.valkey import ValkeyServer
from support.urza_server import UrzaServer, urza_server

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
KERNELS = [kernel_file(seed=seed) for seed in range(3)]
SIGNED, UNSIGNED, _ = (kernel_id_of(data) for data in KERNELS)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UrzaServer]:
    with urza_server(tmp_path_factory.mktemp("urza") / "library") as server:
        with UrzaClient(server.url, server.tokens[Role.TRAINER]) as trainer:
            for data in KERNELS:
                trainer.deposit(data, KernelRegistration(kernel_id=kernel_id_of(data)))
        with UrzaClient(server.url, server.tokens[Role.PROMOTER]) as promoter:
            promoter.sign(SIGNED, sign(SIGNED, KEY))
        yield server


@pytest.fixture
def library(server: UrzaServer) -> Iterator[UrzaClient]:
    with UrzaClient(server.url, server.tokens[Role.READER], retries=0) as client:
        yield client


@pytest.fixture
def redis(valkey_server: ValkeyServer, valkey_place: str) -> RedisConfig:
    return RedisConfig(host=HOST, port=valkey_server.port)


def books(cache: KernelCache) -> dict[str, TierStatistics]:
    return {tier.name: tier for tier in cache.stats.tiers}


def test_the_library_fills_the_ports(library: UrzaClient) -> None:
    assert isinstance(library, KernelLibrary)
    assert isinstance(library, SignedSource)


def test_one_process_fetches_and_the_next_finds_it_in_redis(
    library: UrzaClient, redis: RedisConfig
) -> None:
    first, second = (kernel_cache(library, redis=redis) for _ in range(2))
    assert first.load_sync(SIGNED).kernel_id == SIGNED
    assert asyncio.run(second.load(SIGNED)).kernel_id == SIGNED
    assert (books(first)["redis"].misses, books(first)["source"].hits) == (1, 1)
    assert (books(second)["redis"].hits, books(second)["source"].hits) == (1, 0)


def test_sixteen_threads_make_one_request(library: UrzaClient, redis: RedisConfig) -> None:
    cache = kernel_cache(library, redis=redis)
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: cache.load_sync(SIGNED), range(16)))
    assert len({id(artifact) for artifact in found}) == 1
    assert (books(cache)["source"].hits, books(cache)["redis"].misses) == (1, 1)


def test_redis_that_was_tampered_with_is_mended_from_the_library(
    library: UrzaClient, redis: RedisConfig, valkey_server: ValkeyServer
) -> None:
    kernel_cache(library, redis=redis).load_sync(SIGNED)
    assert valkey_server.ask(f"SETRANGE esper:kernel:{SIGNED} 700 evil").startswith(":")
    cache = kernel_cache(library, redis=redis)
    assert cache.load_sync(SIGNED).kernel_id == SIGNED
    assert (books(cache)["redis"].damaged, books(cache)["source"].hits) == (1, 1)
    again = kernel_cache(library, redis=redis)
    again.load_sync(SIGNED)
    assert (books(again)["redis"].damaged, books(again)["redis"].hits) == (0, 1)


def test_a_kernel_that_the_library_lacks_costs_one_request(
    library: UrzaClient, redis: RedisConfig
) -> None:
    cache = kernel_cache(library, redis=redis)
    for _ in range(4):
        with pytest.raises(KernelNotFoundError):
            cache.load_sync("0" * 64)
    assert books(cache)["source"].misses == 1
    assert cache.stats.negative_hits == 3


def test_a_policy_takes_what_the_library_says_was_signed_and_nothing_else(
    library: UrzaClient, redis: RedisConfig, tmp_path: Path
) -> None:
    write_public_key(tmp_path / "key.pub", KEY.public_key())
    kernel_cache(library, redis=redis).load_sync(UNSIGNED)  # without a policy, so it lies in Redis
    config = KernelCacheConfig(trusted_keys=(tmp_path / "key.pub",), require_signatures=True)
    cache = kernel_cache(library, redis=redis, config=config)
    model = wrap(
        nn.Sequential(nn.Linear(4, 4)), example_input=torch.ones(2, 4), kernel_source=cache
    )
    assert model.load_kernel_sync("0", 0, SIGNED)
    with pytest.raises(UntrustedKernelError, match="signed by nobody"):
        model.load_kernel_sync("0", 1, UNSIGNED)


def test_redis_serves_while_the_library_is_away(tmp_path: Path, redis: RedisConfig) -> None:
    with (
        urza_server(tmp_path / "library") as server,
        UrzaClient(server.url, server.tokens[Role.TRAINER]) as trainer,
    ):
        trainer.deposit(KERNELS[0], KernelRegistration(kernel_id=SIGNED))
        kernel_cache(trainer, redis=redis).load_sync(SIGNED)
    with UrzaClient(server.url, retries=0) as gone:
        cache = kernel_cache(gone, redis=redis)
        assert cache.load_sync(SIGNED).kernel_id == SIGNED
        with pytest.raises(LibraryUnavailableError):
            cache.load_sync(UNSIGNED)
        assert books(cache)["source"].errors == 1
