from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from esper.contracts.errors import ConfigError
from esper.utils.environment import substitute

ENVIRON = {"USER": "ada", "EMPTY": "", "PORT": "5432"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("${USER}", "ada"),
        ("to ${USER}:${PORT}!", "to ada:5432!"),
        ("${EMPTY}", ""),
        ("${EMPTY:-full}", "full"),
        ("${NONE:-default}", "default"),
        ("${NONE:-}", ""),
        ("${NONE:-a:-b}", "a:-b"),
        ("${USER:-other}", "ada"),
        ("$${USER}", "${USER}"),
        ("$USER and $", "$USER and $"),
        (5, 5),
        (None, None),
        (True, True),
        ({"a": ["${USER}", {"b": "${PORT}"}]}, {"a": ["ada", {"b": "5432"}]}),
    ],
)
def test_references_are_replaced_wherever_they_stand(value: JsonValue, expected: JsonValue) -> None:
    assert substitute(value, ENVIRON) == expected


def test_every_missing_variable_names_itself_and_its_key_path() -> None:
    value: JsonValue = {"database": {"password": "${DB_PASSWORD}"}, "hosts": ["a", "${HOST_B}"]}
    with pytest.raises(ConfigError) as caught:
        substitute(value, ENVIRON)
    first, second = str(caught.value).split("\n")
    assert first.startswith("database.password: the environment variable DB_PASSWORD is not set")
    assert "${DB_PASSWORD:-value}" in first
    assert second.startswith("hosts[1]: the environment variable HOST_B is not set")


@pytest.mark.parametrize("value", ["${", "${}", "${1A}", "${USER", "${A B}", "${USER:default}"])
def test_a_malformed_reference_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match=r"key: .* is not a reference"):
        substitute({"key": value}, ENVIRON)


def test_a_value_is_not_substituted_a_second_time() -> None:
    assert substitute("${A}", {"A": "${B}", "B": "no"}) == "${B}"


@given(st.text().filter(lambda text: "${" not in text))
def test_a_text_without_references_stays_as_it_is(text: str) -> None:
    assert substitute(text, {}) == text
