"""Where runs are stored, when one counts as lost, and how Nissa serves."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from esper.contracts.errors import ConfigError
from esper.utils.environment import settings_from
from esper.utils.home import data_home
from esper.utils.ranges import AT_LEAST_0, PORT, POSITIVE, Range, check_numbers
from esper.web.host_names import is_loopback

PREFIX: Final = "ESPER_NISSA_"
"""What the names of Nissa's variables begin with."""

_SHORTEST_TOKEN: Final = 16

LOST_AFTER_SECONDS: Final = 300.0
"""A run that is under way and says nothing for so long counts as lost."""


def default_url(environ: Mapping[str, str] | None = None) -> str:
    """Return the URL of the run store of this user: `$ESPER_HOME/runs.db`, or in the data folder.

    `ESPER_RUN_STORE` names another one.
    """
    environment = os.environ if environ is None else environ
    named = environment.get("ESPER_RUN_STORE")
    if named:
        return named
    return f"sqlite:///{data_home(environment).absolute() / 'runs.db'}"


@dataclass(frozen=True, kw_only=True)
class NissaConfig:
    """How Nissa serves. The alerts' thresholds are in `alerts/alert_config.py`."""

    host: str = "127.0.0.1"
    """Address to listen on; one that other machines can reach needs a token."""
    port: int = 8430
    """Port to listen on; 0 takes a free one."""
    store: str | None = None
    """URL of the run store, `sqlite:////<file>` or `postgresql://…`; None is the user's own."""
    token: str | None = field(default=None, repr=False)
    """What callers must show, at least 16 characters: as `Authorization: Bearer <token>`, or once
    at `/login`. None lets everyone on this machine in."""
    webhook: str | None = field(default=None, repr=False)
    """Address that alerts are posted to as JSON, http or https."""
    drain_seconds: float = 5.0
    """How long requests in flight may take to finish after SIGTERM."""
    reading_seconds: float = 10.0
    """Time between two readings of the metrics that are kept for `/api/v1/metrics/trends`."""
    readings: int = 360
    """Readings that are kept: an hour's, by default."""

    def __post_init__(self) -> None:
        check_numbers(
            self,
            "nissa.",
            port=PORT,
            drain_seconds=AT_LEAST_0,
            reading_seconds=POSITIVE,
            readings=Range(words="2 or more", low=2, high=10**6),
        )
        if self.token is not None and len(self.token) < _SHORTEST_TOKEN:
            # Not the token itself, however short it is.
            raise ConfigError(f"nissa.token is shorter than {_SHORTEST_TOKEN} characters")
        if self.webhook is not None and not self.webhook.startswith(("http://", "https://")):
            raise ConfigError("nissa.webhook does not begin with http:// or https://")
        if self.token is None and not is_loopback(self.host):
            raise ConfigError(
                f"nissa.host {self.host!r} can be reached from other machines, and there is no "
                f"token. Set {PREFIX}TOKEN or {PREFIX}TOKEN_FILE, or listen on 127.0.0.1."
            )

    @staticmethod
    def from_environment(environ: Mapping[str, str], **given: str | int | None) -> NissaConfig:
        """Read `ESPER_NISSA_<SETTING>`, or the file that `ESPER_NISSA_<SETTING>_FILE` names.

        Args:
            environ: The variables.
            given: Settings that take the place of the variables', unless they are None.

        Raises:
            ConfigError: A wrong value, or a file that cannot be read.
        """
        known = settings_from(environ, PREFIX, NissaConfig)
        chosen = {name: value for name, value in given.items() if value is not None}
        return NissaConfig(**(known | chosen))
