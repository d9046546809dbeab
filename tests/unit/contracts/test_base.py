"""What comes from outside is bounded, and can be shown."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from esper.contracts import base


def read(kind: Any, value: object) -> Any:
    return TypeAdapter(kind).validate_python(value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;owned\x07\x1b[31mRED", r"\x1b]0;owned\x07\x1b[31mRED"),
        ("a\nb\tc", r"a\nb\tc"),
        ("abc\u202etxt", r"abc\u202etxt"),
        ("\udc80", r"\udc80"),
        ("mnist1d größer 网络 😀", "mnist1d größer 网络 😀"),
    ],
)
def test_a_name_shows_what_cannot_be_printed(text: str, shown: str) -> None:
    assert read(base.Name, text) == shown


def test_a_text_keeps_its_lines_and_tabs() -> None:
    assert read(base.Text, "one\n\ttwo\x00\x9b") == "one\n\ttwo\\x00\\x9b"


@given(st.text(st.characters(), max_size=base.LONGEST_NAME))
def test_a_name_that_was_read_reads_as_itself(text: str) -> None:
    once = base.as_name(text)
    assert once.isprintable()
    assert read(base.Name, once) == once


def test_a_name_that_is_too_long_is_refused_and_a_text_is_cut() -> None:
    assert read(base.Name, "n" * base.LONGEST_NAME)
    with pytest.raises(ValidationError, match="at most 500"):
        read(base.Name, "n" * (base.LONGEST_NAME + 1))
    cut = read(base.Text, "t" * (base.LONGEST_TEXT + 1))
    assert (len(cut), cut[-1]) == (base.LONGEST_TEXT, "…")


@pytest.mark.parametrize(
    "run_id", ["", "../../../etc/passwd", "a/b", ".hidden", "a b", "a\n", "x" * 129, "a\x1b[0m"]
)
def test_an_id_that_is_no_safe_file_name_is_refused(run_id: str) -> None:
    with pytest.raises(ValidationError, match="pattern"):
        read(base.RunId, run_id)


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ({"n": {"n" * 501: 1}}, "a key has more than 500"),
        ({"n": ["t" * 1_000_001]}, "a text has more than"),
        ({"n": 2**63}, "more than 64 bits"),
    ],
)
def test_json_is_bounded(value: dict[str, Any], match: str) -> None:
    with pytest.raises(ValidationError, match=match):
        read(base.JsonObject, value)


def test_json_is_bounded_in_depth() -> None:
    deep: dict[str, Any] = {"n": 1}
    for _ in range(30):
        deep = {"n": deep}
    assert read(base.JsonObject, deep) == deep
    with pytest.raises(ValidationError, match="nested more than 32 deep"):
        read(base.JsonObject, {"n": [deep]})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "-inf"])
def test_a_number_is_finite(value: object) -> None:
    class Measured(base.Contract):
        value: base.NonNegative

    with pytest.raises(ValidationError, match="finite"):
        Measured.model_validate({"value": value})


@pytest.mark.parametrize(("kind", "value"), [(base.Count, 2**63), (base.Step, 10**13)])
def test_a_whole_number_fits_into_a_database(kind: Any, value: int) -> None:
    with pytest.raises(ValidationError, match="less than or equal"):
        read(kind, value)


def test_a_moment_has_a_zone() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        read(base.Moment, "2026-01-01T00:00:00")
