"""Nursery: where races can be held away from the training loop.

A race is a function of what it is when it opens and of what it is given: a part of each batch, and
every few steps and at each mark the live model's tensors. These come at steps that are known in
advance, so the loop can send all that without waiting for an answer, and whoever holds the race comes to the same result,
bit for bit, as the loop itself would (`answer`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from esper.contracts.growth import RungRecord
from esper.orchestration.jury import Outcome
from esper.orchestration.race import Race


@dataclass(frozen=True)
class Batch:
    """What entrants train on at one host step."""

    x: Any
    y: Any
    pace: float
    """See `Race.train`."""


@dataclass(frozen=True)
class Follow:
    """What the shadow is brought up to date with."""

    live: Mapping[str, Tensor]
    """The live model's parameters and buffers."""


@dataclass(frozen=True)
class Mark:
    """The end of a rung."""

    step: int
    """Of the host."""
    live: Mapping[str, Tensor]
    """The live model's parameters and buffers at that step."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A mark was reached."""

    rung: RungRecord
    flops: float
    """Training FLOPs that the race has used so far."""
    evaluated: float
    """FLOPs spent at marks so far."""
    outcome: Outcome | None
    """How the race ended, if it did."""


@dataclass(frozen=True)
class Trouble:
    """The race cannot go on."""

    reason: str


News = Batch | Follow | Mark
"""What a race is sent."""


class Ward(Protocol):
    """A race that is held elsewhere."""

    def send(self, news: News) -> None:
        """Hand over what is due, as it is now. Never waits, never raises."""

    def news(self) -> Sequence[Progress | Trouble]:
        """What has come back since the last time; at once. After a `Trouble` comes nothing."""

    def abandon(self) -> None:
        """The race is called off: let go of everything that it holds."""


class Nursery(Protocol):
    """Holds races, one at a time."""

    def check(self, parts: Mapping[str, object]) -> None:
        """Refuse what could not be handed over, before a run begins.

        Args:
            parts: what every race takes along, each under what a person calls it.

        Raises:
            ConfigError: names the part.
        """

    def take(self, race: Race) -> Ward:
        """Take a race that has just been opened.

        Raises:
            TrainingError: it cannot be handed over.
        """


def answer(race: Race, news: News) -> Progress | None:
    """Give a race what it was sent. Returns what is to go back, at marks."""
    if isinstance(news, Follow):
        race.shadow.refresh(news.live)
        return None
    if isinstance(news, Batch):
        race.train_share(news.x, news.y, news.pace)
        return None
    outcome = race.mark(news.step, news.live)
    return Progress(
        rung=race.rungs[-1], flops=race.flops, evaluated=race.evaluated, outcome=outcome
    )
