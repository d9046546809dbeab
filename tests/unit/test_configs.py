from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from esper.configs import ComponentConfig, DatabaseConfig, EsperConfig, RedisConfig, StorageConfig
from esper.contracts.enums import ComponentName
from esper.contracts.errors import ConfigError

# The example of document 001, as it stands there.
DOCUMENTED = """
name: "esper-training"
version: "0.2.0"
environment: "development"

database:
  host: "localhost"
  port: 5432
  database: "esper_db"
  username: "${POSTGRES_USER}"
  password: "${POSTGRES_PASSWORD}"

redis:
  host: "localhost"
  port: 6379

storage:
  endpoint_url: "http://localhost:9000"
  access_key: "${MINIO_ACCESS_KEY}"
  secret_key: "${MINIO_SECRET_KEY}"
  bucket_name: "esper-artifacts"

components:
  tamiyo:
    enabled: true
    replicas: 1
    config:
      policy_model_path: "/models/tamiyo_policy.pt"

training:
  batch_size: 32
  learning_rate: 0.001
  max_epochs: 100
"""
SECRETS = {
    "POSTGRES_USER": "ada",
    "POSTGRES_PASSWORD": "p@ss/word",
    "MINIO_ACCESS_KEY": "access",
    "MINIO_SECRET_KEY": "secret",
}


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(DOCUMENTED, encoding="utf-8")
    return path


def _edited(file: Path, old: str, new: str) -> Path:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    return file


def _complaint(file: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        EsperConfig.from_yaml(file)
    return str(caught.value)


def test_the_documented_example_loads(file: Path) -> None:
    config = EsperConfig.from_yaml(file)
    assert config.database is not None
    assert config.redis is not None
    assert config.storage is not None
    assert config.database.username == "ada"
    assert config.database.password == "p@ss/word"
    assert config.redis.database == 0
    assert config.storage.region == "us-east-1"
    assert config.components[ComponentName.TAMIYO].replicas == 1
    assert config.training.max_epochs == 100
    assert config.logging.level == "INFO"


def test_the_documented_way_through_a_dictionary_gives_the_same(file: Path) -> None:
    data = yaml.safe_load(DOCUMENTED)
    assert EsperConfig(**data) == EsperConfig.from_yaml(file)


def test_sections_documented_as_dictionaries_can_be_read_as_such(file: Path) -> None:
    config = EsperConfig.from_yaml(str(file))
    assert config.training["batch_size"] == 32
    assert config.logging["format"] == "structured"
    assert config.components["tamiyo"]["config"]["policy_model_path"].endswith(".pt")  # type: ignore[index]
    with pytest.raises(KeyError):
        config.training["absent"]


def test_a_missing_variable_names_itself_and_its_key(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("POSTGRES_PASSWORD")
    monkeypatch.delenv("MINIO_SECRET_KEY")
    complaint = _complaint(file)
    assert str(file) in complaint
    assert "database.password: the environment variable POSTGRES_PASSWORD is not set" in complaint
    assert "storage.secret_key: the environment variable MINIO_SECRET_KEY" in complaint


def test_a_number_may_come_from_the_environment(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_PORT", "7000")
    _edited(file, "port: 6379", 'port: "${REDIS_PORT}"\n  database: ${REDIS_DB:-3}')
    config = EsperConfig.from_yaml(file)
    assert config.redis is not None
    assert (config.redis.port, config.redis.database) == (7000, 3)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("port: 6379", "prot: 6379", "redis: Unknown key 'prot'. Did you mean 'port'?"),
        ("training:", "trainign:", "Unknown key 'trainign'. Did you mean 'training'?"),
        ("tamiyo:", "tamyio:", "components: Unknown component 'tamyio'. Did you mean 'tamiyo'?"),
        ("replicas: 1", "replica: 1", "components.tamiyo: Unknown key 'replica'"),
        ("batch_size: 32", "batch_size: 0", "training.batch_size: "),
        ("port: 5432", "port: 70000", "database.port: "),
        ("port: 5432", "port: many", "database.port: "),
        ('name: "esper-training"', 'environment: "x"', "the key 'environment' stands twice"),
        ("redis:", "redis: 5 #", "is not valid YAML"),
    ],
)
def test_a_mistake_is_named_with_the_path_of_its_key(
    file: Path, old: str, new: str, expected: str
) -> None:
    assert expected in _complaint(_edited(file, old, new))


def test_every_mistake_is_told_at_once(file: Path) -> None:
    _edited(file, "port: 6379", "port: 0")
    _edited(file, "port: 5432", "port: -1")
    complaint = _complaint(file)
    assert "redis.port" in complaint
    assert "database.port" in complaint


def test_a_section_that_is_left_out_is_the_platform_s_own_and_one_that_is_not_is_whole(
    tmp_path: Path,
) -> None:
    path = tmp_path / "short.yaml"
    path.write_text("name: x\n", encoding="utf-8")
    config = EsperConfig.from_yaml(path)
    assert (config.database, config.redis, config.storage) == (None, None, None)
    path.write_text("database: {host: db}\nstorage: {}\n", encoding="utf-8")
    complaint = _complaint(path)
    for key in ("name", "database.username", "storage.access_key"):
        assert f"{key}: Field required" in complaint


def test_errors_do_not_show_rejected_values(file: Path) -> None:
    _edited(file, 'password: "${POSTGRES_PASSWORD}"', "password: [hunter2]")
    complaint = _complaint(file)
    assert "database.password" in complaint
    assert "hunter2" not in complaint


def test_secrets_are_not_shown_when_a_configuration_is_printed(file: Path) -> None:
    shown = repr(EsperConfig.from_yaml(file))
    assert "p@ss/word" not in shown
    assert "'secret'" not in shown


def test_a_loaded_configuration_cannot_be_changed(file: Path) -> None:
    config = EsperConfig.from_yaml(file)
    with pytest.raises(ValidationError, match="frozen"):
        config.name = "other"  # type: ignore[misc]


def test_urls_encode_what_must_be_encoded() -> None:
    database = DatabaseConfig(username="a b", password="p@ss/word")
    assert database.url == "postgresql://a%20b:p%40ss%2Fword@localhost:5432/urza_db?sslmode=prefer"
    assert RedisConfig().url == "redis://localhost:6379/0"
    assert RedisConfig(password="x:y", database=2).url == "redis://:x%3Ay@localhost:6379/2"


def test_the_documented_defaults_hold() -> None:
    assert StorageConfig(access_key="a", secret_key="b").model_dump() == {
        "endpoint_url": "http://localhost:9000",
        "access_key": "a",
        "secret_key": "b",
        "bucket_name": "esper-artifacts",
        "region": "us-east-1",
    }
    component = ComponentConfig()
    assert (component.enabled, component.replicas) == (True, 1)
    assert component.resources == {}


def test_a_part_built_alone_refuses_unknown_keys_too() -> None:
    values: dict[str, Any] = {"hosst": "x"}
    with pytest.raises(ValidationError, match="Did you mean 'host'"):
        RedisConfig(**values)
