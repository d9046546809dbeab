"""What a library needs to know to run; secrets come from the environment or from files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from esper.contracts.errors import ConfigError
from esper.utils.environment import settings_from
from esper.utils.ranges import AT_LEAST_0, PORT, WHOLE, check_numbers, require

PREFIX: Final = "ESPER_URZA_"

# The client's own variables share the prefix.
_FOREIGN: Final = frozenset({"URL", "TOKEN", "ALLOW_PLAIN_HTTP"})


@dataclass(frozen=True, kw_only=True)
class S3Access:
    """How to reach an S3-compatible object store."""

    endpoint: str | None = None
    """URL of the server; None for the provider's own."""
    region: str = "us-east-1"
    """Region of the bucket."""
    access_key: str = field(default="", repr=False)
    """Key that identifies the account; empty leaves it to the provider's own environment."""
    secret_key: str = field(default="", repr=False)
    """Secret that proves it."""


@dataclass(frozen=True, kw_only=True)
class OidcConfig:
    """An OpenID Connect issuer whose tokens the library accepts."""

    issuer: str
    """Issuer that a token must name, exactly."""
    jwks: str
    """URL or path of the issuer's key set."""
    audience: str = "esper-urza"
    """Audience that a token must name."""
    roles_claim: str = "roles"
    """Claim that lists the bearer's roles."""


@dataclass(frozen=True, kw_only=True)
class UrzaConfig:
    """Where the library keeps things, where it answers, and whom it trusts.

    Raises:
        ConfigError: A value is out of range, or two do not go together.
    """

    database_url: str = field(repr=False)
    """`sqlite:///<absolute path>`, or `postgresql://user:password@host:port/name?sslmode=...`."""
    blobs: str
    """Where kernel files lie: `file:///<absolute folder>` or `s3://bucket/prefix`."""
    s3: S3Access | None = None
    """How to reach the bucket; needed where `blobs` is one."""
    host: str = "127.0.0.1"
    """Address to answer on. Others than loopback need `auth="token"`."""
    port: int = 8420
    """Port to answer on; 0 takes a free one."""
    auth: Literal["none", "token"] = "none"
    """`token`: every request needs one. `none`: reads are anonymous, writes still need a token;
    only for loopback."""
    oidc: OidcConfig | None = None
    """Issuer whose JWTs are accepted beside the library's own tokens; None accepts none."""
    max_body_bytes: int = 2**28
    """Largest body of a request, and so the largest kernel file."""
    rate_per_second: float = 500.0
    """Requests a second that one token or address may make on average; 0 for no limit."""
    rate_burst: int = 2000
    """Requests that it may make at once."""
    drain_seconds: float = 20.0
    """How long requests in flight may take to finish after SIGTERM."""
    max_attempts: int = 3
    """Tries at building a blueprint before it is set aside as INVALID."""
    gc_grace_seconds: float = 86400.0
    """How long a blob may lie unreferenced before a garbage collection removes it."""
    idempotency_seconds: float = 86400.0
    """How long an answer is kept for the repetition of its request."""
    require_signatures: bool = False
    """Whether a kernel is only taken with a signature of a trusted key."""
    trusted_keys: str | None = None
    """Folder of the trusted public keys: PEM files named `*.pem` or `*.pub`."""

    def __post_init__(self) -> None:
        _check_places(self)
        require(self.auth in {"none", "token"}, "urza.auth", self.auth, "'none' or 'token'")
        times = ("rate_per_second", "drain_seconds", "gc_grace_seconds", "idempotency_seconds")
        check_numbers(
            self,
            "urza.",
            **dict.fromkeys(("max_body_bytes", "max_attempts", "rate_burst"), WHOLE),
            **dict.fromkeys(times, AT_LEAST_0),
            port=PORT,
        )
        require(
            self.trusted_keys is not None or not self.require_signatures,
            "urza.trusted_keys",
            self.trusted_keys,
            "a folder of public keys, because require_signatures is on",
        )

    @staticmethod
    def default(folder: Path) -> UrzaConfig:
        """Return the embedded library in `folder`: SQLite and local files."""
        return UrzaConfig(**_embedded(folder))

    @staticmethod
    def from_environment(environ: Mapping[str, str], folder: Path) -> UrzaConfig:
        """Read `ESPER_URZA_<SETTING>`, or the file that `ESPER_URZA_<SETTING>_FILE` names.

        Args:
            environ: The variables.
            folder: Where an embedded library lies if no other place is set.

        Raises:
            ConfigError: An unknown setting, a wrong value, or a file that cannot be read. Values
                are not repeated in the message: they may be secrets.
        """
        groups: dict[str, type[Any]] = {"s3": S3Access, "oidc": OidcConfig}
        found = settings_from(environ, PREFIX, UrzaConfig, groups=groups, foreign=_FOREIGN)
        if "oidc" in found and not {"issuer", "jwks"} <= set(found["oidc"]):
            raise ConfigError(f"{PREFIX}OIDC_ISSUER and {PREFIX}OIDC_JWKS must be set together")
        made = {name: groups[name](**found[name]) for name in groups if name in found}
        return UrzaConfig(**{**_embedded(folder), **found, **made})


def _embedded(folder: Path) -> dict[str, Any]:
    root = folder.absolute()
    return {"database_url": f"sqlite:///{root / 'urza.db'}", "blobs": f"file://{root / 'blobs'}"}


def _check_places(config: UrzaConfig) -> None:
    database = urlsplit(config.database_url)
    if database.scheme not in {"sqlite", "postgresql"}:
        # Not the URL itself: it may hold a password.
        raise ConfigError(
            f"urza.database_url begins with {database.scheme!r}; expected sqlite:/// or postgresql://"
        )
    if database.scheme == "sqlite":
        absolute = config.database_url.startswith("sqlite:////") and len(database.path) > 2
        require(
            absolute, "urza.database_url", config.database_url, "sqlite:/// and an absolute path"
        )
    blobs = urlsplit(config.blobs)
    require(
        (blobs.scheme == "file" and not blobs.netloc and len(blobs.path) > 1)
        or (blobs.scheme == "s3" and bool(blobs.netloc)),
        "urza.blobs",
        config.blobs,
        "file:///folder or s3://bucket/prefix",
    )
