"""Configuration of the platform: one YAML file, checked as a whole when it is loaded.

`EsperConfig.from_yaml(path)` is the way in. `${NAME}` in a string stands for the environment
variable NAME, `${NAME:-default}` gives a default, and `$${` is a literal `${`. A key that is not
known is refused, naming the nearest that is. The models are frozen: a configuration does not
change while a program runs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    field_validator,
    model_validator,
)

from esper.contracts.enums import ComponentName
from esper.contracts.errors import ConfigError
from esper.utils.environment import substitute
from esper.utils.nearest import did_you_mean
from esper.utils.yaml_file import read_yaml

Port = Annotated[int, Field(ge=1, le=65535)]
"""A TCP port."""


class Settings(BaseModel):
    """Base of the configuration models: frozen, unknown keys refused, values kept out of errors.

    Fields can be read by subscript too (`config.training["batch_size"]`), as the platform's
    documents show for the sections that they describe as dictionaries.
    """

    # A rejected value may be a password: errors name the key only.
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )

    def __getitem__(self, key: str) -> Any:
        if key not in type(self).model_fields:
            raise KeyError(key)
        return getattr(self, key)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            _refuse(data, cls.model_fields, what="key")
        return data


def _refuse(data: Mapping[str, Any], known: Mapping[str, Any], *, what: str) -> None:
    unknown = [str(key) for key in data if key not in known]
    if unknown:
        raise ValueError(
            " ".join(f"Unknown {what} {key!r}. {did_you_mean(key, known)}" for key in unknown)
        )


class DatabaseConfig(Settings):
    """Connection to PostgreSQL."""

    host: str = "localhost"
    """Name or address of the server."""
    port: Port = 5432
    """TCP port of the server."""
    database: str = "urza_db"
    """Name of the database."""
    username: str
    """Who connects."""
    password: str = Field(repr=False)
    """That user's password; best given as `${VARIABLE}`."""
    ssl_mode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = (
        "prefer"
    )
    """How the connection is encrypted, in libpq's words."""

    @property
    def url(self) -> str:
        """The connection as a URL, user and password percent-encoded. Holds the password."""
        login = f"{quote(self.username, safe='')}:{quote(self.password, safe='')}"
        place = f"{self.host}:{self.port}/{quote(self.database, safe='')}"
        return f"postgresql://{login}@{place}?sslmode={self.ssl_mode}"


class RedisConfig(Settings):
    """Connection to Redis or Valkey, which carries the message bus."""

    host: str = "localhost"
    """Name or address of the server."""
    port: Port = 6379
    """TCP port of the server."""
    database: int = Field(default=0, ge=0)
    """Number of the logical database."""
    password: str | None = Field(default=None, repr=False)
    """Password, if the server asks for one; best given as `${VARIABLE}`."""

    @property
    def url(self) -> str:
        """The connection as a URL, password percent-encoded. Holds the password."""
        login = "" if self.password is None else f":{quote(self.password, safe='')}@"
        return f"redis://{login}{self.host}:{self.port}/{self.database}"


class StorageConfig(Settings):
    """Connection to the object store (S3, MinIO or another with the same interface)."""

    endpoint_url: str = "http://localhost:9000"
    """Where the store answers."""
    access_key: str = Field(repr=False)
    """Key that identifies the account; best given as `${VARIABLE}`."""
    secret_key: str = Field(repr=False)
    """Secret that proves it; best given as `${VARIABLE}`."""
    bucket_name: str = Field(default="esper-artifacts", min_length=3, max_length=63)
    """Bucket that holds kernels and other artifacts."""
    region: str = "us-east-1"
    """Region of the bucket."""


class ComponentConfig(Settings):
    """One service of the platform."""

    enabled: bool = True
    """Whether the service runs."""
    replicas: int = Field(default=1, ge=0)
    """How many processes of it run."""
    resources: dict[str, JsonValue] = Field(default_factory=dict)
    """What each process is given (`cpu`, `memory`, `gpu`), in the deployment's own units."""
    config: dict[str, JsonValue] = Field(default_factory=dict)
    """The service's own settings; the service checks them."""


class TrainingConfig(Settings):
    """Training parameters that hold for every run which does not say otherwise."""

    batch_size: int | None = Field(default=None, ge=1)
    """Samples in one batch; None leaves it to the trainer."""
    learning_rate: float | None = Field(default=None, gt=0)
    """Peak learning rate; None leaves it to the trainer."""
    max_epochs: int | None = Field(default=None, ge=1)
    """Passes over the training data; None leaves it to the trainer."""
    overrides: dict[str, JsonValue] = Field(default_factory=dict)
    """Further settings of the trainer by name; the trainer checks them."""


class LoggingConfig(Settings):
    """What is logged, and how it looks."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    """The least severe level that is written."""
    format: Literal["structured", "json", "console"] = "structured"
    """`json` is one object a line, `console` is for reading, `structured` picks between them:
    console on a terminal, JSON elsewhere."""


class EsperConfig(Settings):
    """The master configuration: everything that the platform's parts share."""

    name: str = Field(min_length=1)
    """Name of the deployment or experiment."""
    version: str = "0.1.0"
    """Version of this configuration, for its authors."""
    environment: str = Field(default="development", min_length=1)
    """Where it is used: development, staging, production, ..."""
    database: DatabaseConfig | None = None
    """The registry's database; None: a file of the platform's own."""
    redis: RedisConfig | None = None
    """The server that carries the message bus; None: one that the platform starts."""
    storage: StorageConfig | None = None
    """The object store; None: a folder of the platform's own."""
    components: dict[ComponentName, ComponentConfig] = Field(default_factory=dict)
    """The services by name; one that is not named runs with its defaults."""
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    """Training parameters."""
    logging: LoggingConfig = Field(default_factory=LoggingConfig)
    """Logging."""

    @model_validator(mode="before")
    @classmethod
    def _substitute_environment(cls, data: Any) -> Any:
        # Also where the caller reads the YAML and passes `**data`, as the documents show.
        return substitute(data, os.environ) if isinstance(data, dict) else data

    @field_validator("components", mode="before")
    @classmethod
    def _refuse_unknown_components(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            _refuse(data, {name.value: name for name in ComponentName}, what="component")
        return data

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str]) -> Self:
        """Load and check the configuration in the file at `path`.

        Raises:
            ConfigError: The file cannot be read, is not valid YAML, refers to an environment
                variable that is not set, or a key is unknown, missing or has a wrong value. The
                message has one line for each problem, with the path of its key.
        """
        data = read_yaml(Path(path))
        try:
            return cls(**data)
        except ValidationError as error:
            raise ConfigError(f"{path}:\n{explain(error)}") from error


def explain(error: ValidationError) -> str:
    """Return one indented line for each problem of `error`: the key's path, and what is wrong."""
    lines: list[str] = []
    for problem in error.errors(include_url=False, include_input=False):
        place = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        lines.extend(f"  {place}: {line}" if place else f"  {line}" for line in message.split("\n"))
    return "\n".join(lines)
