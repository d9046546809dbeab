"""Ranges: numbers of a configuration are finite and within their range, or refused in words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Final

from esper.contracts.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Range:
    """Which numbers a setting takes."""

    words: str
    """The range in words."""
    low: float = -math.inf
    """Least number."""
    high: float = 2**53
    """Greatest number; by default one that any larger count would be a slip of the hand."""
    above: bool = False
    """Whether ``low`` itself is left out."""
    below: bool = False
    """Whether ``high`` itself is left out."""

    def holds(self, value: float) -> bool:
        """Whether a number is in the range; what is not finite is in none."""
        over_low = value > self.low if self.above else value >= self.low
        under_high = value < self.high if self.below else value <= self.high
        return over_low and under_high and math.isfinite(value)


FINITE: Final = Range(words="a finite number", high=math.inf)
AT_LEAST_0: Final = Range(words="a finite number, 0 or more", low=0, high=math.inf)
POSITIVE: Final = Range(words="a finite number above 0", low=0, above=True, high=math.inf)
COUNT: Final = Range(words="a whole number, 0 or more", low=0)
WHOLE: Final = Range(words="a whole number, 1 or more", low=1)
SHARE: Final = Range(words="a share in [0, 1]", low=0, high=1)
POSITIVE_SHARE: Final = Range(words="a share in (0, 1]", low=0, above=True, high=1)
BELOW_1: Final = Range(words="a number in [0, 1)", low=0, high=1, below=True)
PORT: Final = Range(words="a port, 0 to 65535", low=0, high=65535)
SEED: Final = Range(words="a whole number in [0, 2^63)", low=0, high=2**63, below=True)
_YEARS: Final = Range(words="a time of 10 years at most", high=10 * 365 * 86_400)


def check_numbers(config: Any, prefix: str, **ranges: Range) -> None:
    """Refuse a configuration with a number out of its range; to be called where it is built.

    Args:
        config: A dataclass; numbers may stand in tuples, and None is no number.
        prefix: What its settings' names begin with.
        ranges: Of its settings by name. Every other number must be finite, and a time in seconds
            one that a clock can wait for.

    Raises:
        ConfigError: Naming the setting, its value, and what is expected.
    """
    names = [field.name for field in fields(config)]
    assert ranges.keys() <= set(names), "a range for a setting that does not exist"
    for name in names:
        value = getattr(config, name)
        wanted = [ranges.get(name, FINITE), *([_YEARS] if name.endswith("_seconds") else [])]
        for number in _numbers(value):
            for one in wanted:
                require(one.holds(number), f"{prefix}{name}", value, one.words)


def require(ok: bool, setting: str, value: object, expected: str) -> None:
    """Refuse a setting's value unless it is ``ok``.

    Raises:
        ConfigError: Naming the setting, its value, and what is expected.
    """
    if not ok:
        raise ConfigError(f"{setting} is {value!r}; expected {expected}")


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, tuple):
        for one in value:
            yield from _numbers(one)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value
