"""Nissa's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from esper.contracts.errors import ConfigError
from esper.services.nissa.nissa_config import NissaConfig

TOKEN = "a-token-that-is-long-enough"


def test_settings_come_from_variables_files_and_what_was_typed(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    environ = {
        "ESPER_NISSA_TOKEN_FILE": str(file),
        "ESPER_NISSA_PORT": "9000",
        "ESPER_NISSA_READINGS": "10",
        "OTHER": "1",
    }
    config = NissaConfig.from_environment(environ, host="0.0.0.0", port=9001, store=None)
    assert config == NissaConfig(host="0.0.0.0", port=9001, token=TOKEN, readings=10)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"host": "0.0.0.0"}, "can be reached from other machines"),
        ({"token": "short"}, "shorter than 16"),
        ({"webhook": "ftp://host"}, "http:// or https://"),
        ({"port": 70000}, "0 to 65535"),
        ({"reading_seconds": 0.0}, "number above 0"),
        ({"readings": 1}, "2 or more"),
        ({"drain_seconds": -1.0}, "0 or more"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        NissaConfig(**settings)
    assert "short'" not in str(caught.value)


def test_secrets_are_not_shown() -> None:
    config = NissaConfig(token=TOKEN, webhook="https://host/secret-path")
    assert TOKEN not in repr(config)
    assert "secret-path" not in repr(config)
