from __future__ import annotations

import os

import pytest

from esper.contracts.errors import ConfigError
from esper.hosting.forge_access import forge
from esper.services.tezzeret.forge_config import TezzeretConfig


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("ESPER_URZA", "ESPER_REDIS"))]:
        monkeypatch.delenv(name)


def test_a_forge_without_a_library_is_refused_before_a_worker_starts() -> None:
    with pytest.raises(ConfigError, match="ESPER_URZA_URL"), forge(TezzeretConfig()):
        pass


def test_a_forge_is_put_together_and_starts_nothing_by_itself() -> None:
    config = TezzeretConfig(workers=2)
    with forge(config, "http://127.0.0.1:1", "token") as supervisor:
        assert supervisor.details() == {"workers": 0, "wanted": 2, "starts": 0}
        assert not supervisor.is_ready()
