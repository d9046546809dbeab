"""ClientConfig: which library, with which token, how patiently."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, urlsplit

from esper.contracts.errors import ConfigError
from esper.utils.environment import secret_from
from esper.utils.ranges import COUNT, POSITIVE, WHOLE, check_numbers
from esper.web.host_names import is_loopback

URL: Final = "ESPER_URZA_URL"
TOKEN: Final = "ESPER_URZA_TOKEN"  # noqa: S105 the variable's name, not a token
TOKEN_FILE: Final = "ESPER_URZA_TOKEN_FILE"  # noqa: S105 the variable's name, not a token
PLAIN_HTTP: Final = "ESPER_URZA_ALLOW_PLAIN_HTTP"

_VISIBLE = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, kw_only=True)
class ClientConfig:
    """How a client reaches a library.

    Raises:
        ConfigError: A value is out of range, or the token would travel in the clear.
    """

    url: str
    """Where the library is, for example `https://urza.example.org`; without `/api/v1`."""
    token: str | None = field(default=None, repr=False)
    """Secret that the library issued; None for what may be read without one."""
    timeout_seconds: float = 30.0
    """Longest wait for a connection, and between two pieces of an answer."""
    retries: int = 3
    """Further tries of a call that may safely be repeated."""
    max_bytes: int = 2**30
    """Largest answer that is read."""
    allow_plain_http: bool = False
    """Send the token over plain `http` to another machine: only where the network is trusted."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", self.url.rstrip("/"))
        parts = _split(self.url)
        if self.token is not None and not _VISIBLE.fullmatch(self.token):
            raise ConfigError(
                "the library's token holds characters that no token has; give it as "
                "`esper urza token issue` printed it, without quotes or line breaks"
            )
        check_numbers(self, "", timeout_seconds=POSITIVE, retries=COUNT, max_bytes=WHOLE)
        exposed = self.token is not None and parts.scheme == "http" and not self.is_loopback
        if exposed and not self.allow_plain_http:
            raise ConfigError(
                f"the token would go to {self.url} unencrypted, for everybody on the way to read; "
                f"use https, or set {PLAIN_HTTP}=1 (allow_plain_http) if the network is trusted"
            )

    @property
    def is_loopback(self) -> bool:
        """Whether the library is on this machine."""
        return is_loopback(urlsplit(self.url).hostname or "")

    @staticmethod
    def from_environment(
        environ: Mapping[str, str], *, url: str | None = None, token: str | None = None
    ) -> ClientConfig:
        """Return the configuration that the environment describes; what is given comes first.

        Raises:
            ConfigError: No URL is given, the token's file cannot be read, or a value is wrong.
        """
        url = url or environ.get(URL)
        if not url:
            raise ConfigError(f"no library is named: give --urza URL, or set {URL}")
        return ClientConfig(
            url=url,
            token=token or secret_from(environ, TOKEN),
            allow_plain_http=environ.get(PLAIN_HTTP, "") not in {"", "0", "false", "no"},
        )


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 reading it is the check: it raises for what is no port
    except ValueError as error:
        raise ConfigError(f"the library's address {url!r:.200} is no URL: {error}") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(
            f"the library's address {url!r:.200} is no URL; write it like http://127.0.0.1:8420"
        )
    if parts.username is not None or parts.query or parts.fragment:
        # Not shown: it may hold a password.
        raise ConfigError(
            "the library's address holds a user name, a query or a fragment; give scheme, host "
            f"and port only, and the token in {TOKEN} or {TOKEN_FILE}"
        )
    return parts
