"""The cache that bootstrap builds; `tests/contract/test_kernel_delivery.py` runs it on real servers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from esper.bootstrap import kernel_cache
from esper.configs import RedisConfig
from esper.contracts.errors import ConfigError, KernelNotFoundError, UntrustedKernelError
from esper.execution.artifact_check import kernel_id_of
from esper.execution.cache_config import KernelCacheConfig
from esper.execution.kernel_store import LocalKernelStore
from esper.execution.signatures import sign, write_public_key
from kernels import kernel_file
from support.shelves import Shelf, SignedShelf

DATA = kernel_file()
ID = kernel_id_of(DATA)


def test_without_anything_it_is_memory_before_the_store_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESPER_HOME", str(tmp_path))
    cache = kernel_cache()
    with pytest.raises(KernelNotFoundError):
        cache.load_sync(ID)
    LocalKernelStore().put(DATA)  # and it is there at once
    assert cache.load_sync(ID).kernel_id == ID
    assert [tier.name for tier in cache.stats.tiers] == ["source"]


def test_with_redis_that_is_asked_before_the_source() -> None:
    cache = kernel_cache(Shelf({ID: DATA}), redis=RedisConfig(host="127.0.0.1", port=1))
    assert [tier.name for tier in cache.stats.tiers] == ["redis", "source"]
    assert cache.load_sync(ID).kernel_id == ID
    assert cache.stats.tiers[0].errors == 2


def test_what_a_library_does_not_have_is_not_asked_for_again_at_once() -> None:
    shelf = Shelf({})
    cache = kernel_cache(shelf)
    for _ in range(3):
        with pytest.raises(KernelNotFoundError):
            cache.load_sync(ID)
    assert shelf.fetched == [ID]


def test_trusted_keys_become_the_policy(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
    path = tmp_path / "key.pub"
    write_public_key(path, key.public_key())
    source = SignedShelf({ID: DATA}, {})
    strict = KernelCacheConfig(trusted_keys=(path,), require_signatures=True)
    with pytest.raises(UntrustedKernelError):
        kernel_cache(source, config=strict).load_sync(ID)
    assert kernel_cache(source, config=KernelCacheConfig(trusted_keys=(path,))).load_sync(ID)
    source.signed[ID] = [sign(ID, key)]
    assert kernel_cache(source, config=strict).load_sync(ID).kernel_id == ID
    path.write_text("nothing")
    with pytest.raises(ConfigError, match="no Ed25519 public key"):
        kernel_cache(source, config=strict)


WITHOUT_EXTRAS = """
import sys
for name in ("redis", "cryptography", "httpx", "sqlalchemy", "fastapi"):
    sys.modules[name] = None
import esper, esper.bootstrap, esper.cli.kernel_file
from esper.configs import RedisConfig
from esper.contracts.errors import ConfigError
from esper.core.model_wrapper import wrap
esper.bootstrap.kernel_cache()
try:
    esper.bootstrap.kernel_cache(redis=RedisConfig())
except ConfigError as error:
    assert "esper-morphogenetic[library]" in str(error), error
else:
    raise AssertionError("redis is not there and was not missed")
"""


def test_a_cache_without_redis_and_keys_needs_no_extra(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS],
        env={"ESPER_HOME": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
