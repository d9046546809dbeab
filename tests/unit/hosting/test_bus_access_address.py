from __future__ import annotations

from pathlib import Path

import pytest

from esper.contracts.errors import ConfigError
from esper.hosting.bus_access import bus_url


def test_the_address_stands_in_the_environment_or_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("redis://:secret@127.0.0.1:6379/0\n")
    assert bus_url({"ESPER_REDIS_URL": "redis://127.0.0.1"}) == "redis://127.0.0.1"
    assert bus_url({"ESPER_REDIS_URL_FILE": str(file)}) == "redis://:secret@127.0.0.1:6379/0"


def test_what_is_empty_counts_as_not_set(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("\n")
    assert bus_url({}) is None
    assert bus_url({"ESPER_REDIS_URL": "", "ESPER_REDIS_URL_FILE": ""}) is None
    assert bus_url({"ESPER_REDIS_URL_FILE": str(tmp_path / "url")}) is None


def test_two_addresses_are_one_too_many() -> None:
    with pytest.raises(ConfigError, match="keep one"):
        bus_url({"ESPER_REDIS_URL": "redis://a", "ESPER_REDIS_URL_FILE": "file"})


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        bus_url({"ESPER_REDIS_URL_FILE": str(tmp_path / "nowhere")})
