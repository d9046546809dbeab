"""Settings of the bus."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from esper.contracts.enums import TopicNames
from esper.contracts.errors import ConfigError
from esper.utils.home import data_home
from esper.utils.ranges import POSITIVE, check_numbers

_ALONE: Final = 2
"""Tries that a message is given by itself before it is given up."""


def default_claims(environ: Mapping[str, str] | None = None) -> str:
    """Return the URL of `$ESPER_HOME/claims`, or of `claims` in the user's data folder.

    Not the cache folder: a payload that is gone is a message that is lost.
    """
    return (data_home(environ).resolve() / "claims").as_uri()


@dataclass(frozen=True, kw_only=True)
class OonaConfig:
    """How messages are carried, kept and given up. Where the server is, its URL says."""

    prefix: str = "esper:"
    """What the keys on the server begin with; the topic follows."""
    claim_bytes: int = 65_536
    """Payloads whose JSON is longer are laid down in the object store, and travel as a claim."""
    largest_bytes: int = 64 * 2**20
    """Largest JSON of a payload, in bytes; larger ones are refused."""
    claims: str = ""
    """Where such payloads lie: `file:///<absolute folder>`, or `s3://bucket/prefix` with the keys in
    the provider's environment variables; empty means `$ESPER_HOME/claims`. The same for everyone
    on the bus."""
    keep_messages: int = 100_000
    """Messages of a topic that trimming leaves for replay at least, unless they are too old."""
    keep_seconds: float = 86_400.0
    """Age beyond which a message is not kept for replay."""
    keep_dead: int = 10_000
    """Dead letters of a topic; where there are more, the oldest go."""
    held_messages: int = 5_000
    """Messages of a topic that the bus inside a process holds. What every group is done with makes
    room; where nothing does, it refuses more until a group catches up."""
    max_tries: int = 5
    """Deliveries and tries after which a message is given up to the dead letters."""
    idle_seconds: float = 30.0
    """How long a message may be pending with one consumer before another one takes it over. Longer
    than handling a batch takes."""
    group_idle_seconds: float = 86_400.0
    """How long nobody may have read for a group before trimming removes the group: what is dead must
    not hold up the rest."""
    connect_seconds: float = 2.0
    """Longest time for a connection to open."""
    answer_seconds: float = 5.0
    """Longest time for a whole answer of the server."""
    capacity: int = 10_000
    """Messages that wait in a process to be sent; further ones are dropped, and counted."""
    linger_seconds: float = 0.2
    """How long lines of a run are gathered before they are sent."""
    batch: int = 256
    """Messages sent or received at once."""
    backoff_seconds: float = 0.05
    """Pause after a first failure; doubles with each further one."""
    longest_backoff_seconds: float = 5.0
    """Longest such pause."""

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        numbers = [name for name, value in vars(self).items() if isinstance(value, int | float)]
        check_numbers(self, "OonaConfig.", **dict.fromkeys(numbers, POSITIVE))
        if self.claim_bytes > self.largest_bytes:
            raise ConfigError(
                f"OonaConfig.claim_bytes is {self.claim_bytes}; give at most largest_bytes, "
                f"{self.largest_bytes}"
            )

    def stream(self, topic: TopicNames) -> str:
        """Return the key of a topic's stream."""
        return f"{self.prefix}{topic.value}"

    def dead_stream(self, topic: TopicNames) -> str:
        """Return the key of the stream of a topic's dead letters."""
        return f"{self.prefix}dead:{topic.value}"

    def backoff(self, failures: int) -> float:
        """Return the pause after so many failures in a row, in seconds."""
        doubled = self.backoff_seconds * 2.0 ** min(failures - 1, 30)
        return min(doubled, self.longest_backoff_seconds)

    def together(self, tries: Iterable[int]) -> int:
        """Return how many of the first messages may come in one delivery.

        A message that has been delivered before and was never acknowledged may be what kills its
        consumers. The last two times it comes by itself, so that only its own count grows until it
        is given up, and not that of the messages around it. Not sooner: messages that come one by
        one take hundreds of times as long, and on a network that keeps breaking all have come before.

        Args:
            tries: How often each was delivered so far, in order.
        """
        in_company = max(1, self.max_tries - _ALONE)
        number = 0
        for count in tries:
            if count >= in_company:
                return max(number, 1)
            number += 1
        return number
