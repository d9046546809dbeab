"""The library's settings: checked, read from the environment, and silent about secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from esper.contracts.errors import ConfigError
from esper.services.urza.urza_config import OidcConfig, S3Access, UrzaConfig

SQLITE = "sqlite:////data/urza.db"


def _config(**changes: Any) -> UrzaConfig:
    return UrzaConfig(**{"database_url": SQLITE, "blobs": "file:///data/blobs", **changes})


def test_the_default_is_embedded_in_a_folder(tmp_path: Path) -> None:
    config = UrzaConfig.default(tmp_path)
    assert config.database_url == f"sqlite:///{tmp_path}/urza.db"
    assert config.blobs == f"file://{tmp_path}/blobs"
    assert config == UrzaConfig.from_environment({}, tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"database_url": "mysql://host/db"},
        {"database_url": "sqlite:///relative.db"},
        {"blobs": "/data/blobs"},
        {"blobs": "s3:///prefix"},
        {"auth": "basic"},
        {"port": 65536},
        {"max_attempts": 0},
        {"max_body_bytes": 0},
        {"drain_seconds": -1.0},
        {"gc_grace_seconds": -1.0},
        {"require_signatures": True},
    ],
    ids=str,
)
def test_a_wrong_setting_is_refused_by_name(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(changes)).removeprefix("require_")[:8]):
        _config(**changes)


def test_every_setting_can_come_from_the_environment(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hush\n")
    config = UrzaConfig.from_environment(
        {
            "PATH": "/bin",
            "ESPER_URZA_DATABASE_URL": "postgresql://esper:hush@db/esper",
            "ESPER_URZA_BLOBS": "s3://bucket/prefix",
            "ESPER_URZA_PORT": "0",
            "ESPER_URZA_DRAIN_SECONDS": "5.5",
            "ESPER_URZA_AUTH": "token",
            "ESPER_URZA_S3_ENDPOINT": "http://store",
            "ESPER_URZA_S3_SECRET_KEY_FILE": str(secret),
            "ESPER_URZA_OIDC_ISSUER": "https://issuer",
            "ESPER_URZA_OIDC_JWKS": "https://issuer/keys",
            "ESPER_URZA_REQUIRE_SIGNATURES": "no",
            "ESPER_URZA_URL": "the client's",
            "ESPER_URZA_TOKEN_FILE": "the client's",
        },
        tmp_path,
    )
    assert config == UrzaConfig(
        database_url="postgresql://esper:hush@db/esper",
        blobs="s3://bucket/prefix",
        port=0,
        drain_seconds=5.5,
        auth="token",
        s3=S3Access(endpoint="http://store", secret_key="hush"),
        oidc=OidcConfig(issuer="https://issuer", jwks="https://issuer/keys"),
    )


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"ESPER_URZA_PROT": "1"}, "'port'"),
        ({"ESPER_URZA_PORT": "hush"}, "number"),
        ({"ESPER_URZA_REQUIRE_SIGNATURES": "hush"}, "true or false"),
        ({"ESPER_URZA_S3_SECRET_KEY_FILE": "/no/such/file"}, "cannot be read"),
        ({"ESPER_URZA_OIDC_ISSUER": "hush"}, "together"),
    ],
)
def test_a_wrong_variable_is_named_without_its_value(
    tmp_path: Path, environ: dict[str, str], says: str
) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        UrzaConfig.from_environment(environ, tmp_path)
    assert "hush" not in str(caught.value)
    assert next(iter(environ)) in str(caught.value)


def test_no_secret_is_shown() -> None:
    config = _config(
        database_url="postgresql://esper:hush@db/esper",
        s3=S3Access(access_key="hush", secret_key="hush"),
    )
    assert "hush" not in repr(config)
    with pytest.raises(ConfigError) as caught:
        _config(database_url="postgres://esper:hush@db/esper")
    assert "hush" not in str(caught.value)
