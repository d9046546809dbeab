"""Attribute: the type, range and default of one attribute of an op."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from esper.contracts.errors import BlueprintError
from esper.utils.nearest import did_you_mean

Value = bool | int | float | str | tuple[int, ...] | None

LARGEST = 2**31 - 1
"""No integer attribute may exceed this: sizes stay well inside 64 bits when multiplied."""


class _Required:
    """The default of an attribute that has none."""

    def __repr__(self) -> str:
        return "required"


REQUIRED = _Required()


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """What values one attribute accepts.

    Args:
        kind: bool, int, float, str, or tuple (of integers). No value is converted, except that
            an integer is accepted for a float and a list for a tuple.
        default: Used where the attribute is left out; `REQUIRED` where it must be given.
        low: Least number accepted, for each element of a tuple as well.
        high: Greatest number accepted, likewise.
        choices: The strings accepted; empty means any.
        length: Number of elements of a tuple; None means any, from 1 to 8.
        optional: Whether None is accepted.
    """

    kind: type
    default: Value | _Required = REQUIRED
    low: float = 1
    high: float = LARGEST
    choices: tuple[str, ...] = ()
    length: int | None = None
    optional: bool = False

    def accept(self, value: Any) -> Value:
        """Return `value` in its canonical form.

        Raises:
            ValueError: It is not acceptable; the message says what is.
        """
        if value is None and self.optional:
            return None
        if self.kind is tuple:
            return self._accept_tuple(value)
        if self.kind is float and type(value) is int:
            value = float(value)
        if type(value) is not self.kind:
            raise ValueError(f"needs {self.expectation}")
        if self.kind in (int, float):
            self._check_range(value)
        if self.choices and value not in self.choices:
            raise ValueError(f"needs {self.expectation}")
        return cast("Value", value)

    def _accept_tuple(self, value: Any) -> tuple[int, ...]:
        if type(value) not in (list, tuple) or not 1 <= len(value) <= 8:
            raise ValueError(f"needs {self.expectation}")
        if self.length is not None and len(value) != self.length:
            raise ValueError(f"needs {self.expectation}")
        for element in value:
            if type(element) is not int:
                raise ValueError(f"needs {self.expectation}")
            self._check_range(element)
        return tuple(value)

    def _check_range(self, value: Any) -> None:
        if not math.isfinite(value) or not self.low <= value <= self.high:
            raise ValueError(f"needs {self.expectation}")

    @property
    def expectation(self) -> str:
        """What is accepted, in words."""
        if self.choices:
            return "one of " + ", ".join(map(repr, self.choices))
        high = f" and at most {self.high:g}" if self.high != LARGEST else ""
        words = {
            bool: "true or false",
            str: "a string",
            int: f"an integer of at least {self.low:g}{high}",
            float: f"a number of at least {self.low:g}{high}",
            tuple: f"{self.length or 'up to 8'} integers of at least {self.low:g}{high}",
        }[self.kind]
        return words + (" or null" if self.optional else "")


def schema(**attributes: Attribute) -> Mapping[str, Attribute]:
    """Return an op's attributes by name, in the order that they are written in."""
    return attributes


def accept_all(
    known: Mapping[str, Attribute], given: Mapping[str, Any], where: str
) -> dict[str, Value]:
    """Return every attribute of `known`, given or by default, in the schema's order.

    Raises:
        BlueprintError: An attribute is unknown, missing or unacceptable. `where` names the node.
    """
    for name in given:
        if name not in known:
            raise BlueprintError(
                f"{where} has no attribute {name!r}. {did_you_mean(str(name), list(known))}"
            )
    accepted: dict[str, Value] = {}
    for name, attribute in known.items():
        value = given.get(name, attribute.default)
        if isinstance(value, _Required):
            raise BlueprintError(
                f"{where} lacks its attribute {name!r}: add it; it needs {attribute.expectation}."
            )
        try:
            accepted[name] = attribute.accept(value)
        except ValueError as problem:
            raise BlueprintError(
                f"{where}: attribute {name!r} is {value!r}; it {problem}."
            ) from None
    return accepted
