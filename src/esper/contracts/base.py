r"""The base of every model that crosses a process edge, and the field types that they share.

Everything that comes from outside is bounded here, once: a field of a contract has one of these
types, or a closed set, or another contract. Texts are shown to people in terminals and on pages, so
that what cannot be printed is made visible where it comes in: ESC becomes `\x1b`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    WithJsonSchema,
)

Item = TypeVar("Item")

LONGEST_NAME: Final = 500
"""Characters of a name."""
LONGEST_TEXT: Final = 20_000
"""Characters of a free text; what is longer is cut."""
LONGEST_LINE: Final = 64 * 2**20
"""Bytes of one line of a run's log, and of a payload on the bus."""
_LONGEST_STRING: Final = 1_000_000
_DEEPEST: Final = 32
_MOST_VALUES: Final = 1_000_000
HIGHEST: Final = 2**63 - 1
"""Largest whole number: what databases hold."""
MOST_STEPS: Final = 10**12
"""Largest training step."""
MOST_SLOTS: Final = 10_000
"""Seed slots of one layer."""


class Contract(BaseModel):
    """A frozen, strict-shaped record: unknown fields are refused, NaN and infinity too."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True
    )


def visible(text: str, *, keep: str = "") -> str:
    """Return a text with what cannot be printed (control, direction, surrogates) as an escape.

    Args:
        text: Anything.
        keep: Characters that stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(c if c in keep or c.isprintable() else _escape(c) for c in text)


def shortened(text: str, longest: int = LONGEST_TEXT) -> str:
    """Return a text of at most so many characters; one that was cut ends in an ellipsis."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def as_name(text: str) -> str:
    """Return what a `Name` can hold of a text: for what is shown and was never checked."""
    return shortened(visible(text), LONGEST_NAME)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _shown_name(text: Any) -> Any:
    return visible(text) if isinstance(text, str) else text


def _shown_text(text: Any) -> Any:
    return shortened(visible(text, keep="\n\t")) if isinstance(text, str) else text


def bounded(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return a JSON object as it is.

    Raises:
        ValueError: It is nested too deep, has too many values, or one that is too large.
    """
    level: list[Any] = [value]
    values = 0
    for _ in range(_DEEPEST):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                if any(len(key) > LONGEST_NAME for key in item):
                    raise ValueError(f"a key has more than {LONGEST_NAME} characters")
                below += item.values()
            elif isinstance(item, list):
                below += item
            elif isinstance(item, str) and len(item) > _LONGEST_STRING:
                raise ValueError(f"a text has more than {_LONGEST_STRING} characters")
            elif isinstance(item, int) and not -HIGHEST <= item <= HIGHEST:
                raise ValueError("a whole number has more than 64 bits")
        values += len(below)
        if values > _MOST_VALUES:
            raise ValueError(f"it holds more than {_MOST_VALUES} values")
        if not below:
            return value
        level = below
    raise ValueError(f"it is nested more than {_DEEPEST} deep")


JsonObject = Annotated[
    dict[str, JsonValue],
    AfterValidator(bounded),
    WithJsonSchema({"type": "object", "maxProperties": _MOST_VALUES}),
]
"""Any JSON object, at most 32 deep, with a million values of a million characters each."""

Body = Annotated[dict[str, JsonValue], Field(max_length=1000)]
"""A JSON object that another contract reads, and bounds: looking through it twice would take time."""

Name = Annotated[str, BeforeValidator(_shown_name), Field(max_length=LONGEST_NAME)]
"""What something is called, in one line. What cannot be printed is made visible."""

Place = Annotated[str, BeforeValidator(_shown_name), Field(max_length=4096)]
"""Path of a file or folder, or an address. What cannot be printed is made visible."""

Text = Annotated[str, BeforeValidator(_shown_text), Field(max_length=LONGEST_TEXT)]
"""Free text for people, lines and tabs allowed. It often quotes an error of somebody else's: one that
is too long is cut, so that it never keeps what it tells from being told."""

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
"""Identity of a record, safe in a URL and as a file's name."""

RunId = Identifier
"""Identity of a training run."""

KernelId = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 of a kernel file's bytes, in lower-case hexadecimal."""

Whole = Annotated[int, Field(ge=-HIGHEST, le=HIGHEST)]
"""A whole number of 64 bits."""

Count = Annotated[int, Field(ge=0, le=HIGHEST)]
"""A whole number, 0 or more."""

Positive = Annotated[int, Field(ge=1, le=HIGHEST)]
"""A whole number, 1 or more."""

Step = Annotated[int, Field(ge=0, le=MOST_STEPS)]
"""A training step, from 0."""

SlotIndex = Annotated[int, Field(ge=0, lt=MOST_SLOTS)]
"""Index of a seed slot within its layer."""

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
"""A number in [0, 1]."""

NonNegative = Annotated[float, Field(ge=0.0)]
"""A finite number, 0 or more."""

Moment = AwareDatetime
"""A point in time, with its zone."""

Several = Annotated[tuple[Item, ...], Field(max_length=10_000)]
"""A list of what people look through: layers, candidates, decisions."""

Series = Annotated[tuple[Item, ...], Field(max_length=10_000_000)]
"""A list that grows with the steps of a run."""

ByName = Annotated[dict[Name, Item], Field(max_length=10_000)]
"""Something for each name."""

Shape = Annotated[tuple[Count | None, ...], Field(max_length=32)]
"""Axis sizes of one sample (no batch axis); None is an axis of any size."""


class Named(Contract):
    """A contract that says which one it is, so that a union of several can tell them apart."""

    kind: Name = ""
    """Name of the class."""

    def __init_subclass__(cls, **words: Any) -> None:
        super().__init_subclass__(**words)
        # Before pydantic looks at the fields: nothing but this one name is valid.
        cls.__annotations__ = {"kind": Literal[cls.__name__], **cls.__annotations__}
        cls.kind = cls.__name__


def utc_now() -> datetime:
    """Return the present time in UTC, for the time stamps of records (never for decisions)."""
    return datetime.now(tz=UTC)
