"""Settings out of environment variables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from esper.contracts.errors import ConfigError
from esper.utils.environment import settings_from


@dataclass(frozen=True, kw_only=True)
class Oven:
    """Has settings of each kind."""

    degrees: int = 180
    hours: float | None = None
    recipe: str = "bread"
    steam: bool = False


@dataclass(frozen=True, kw_only=True)
class Timer:
    """A group of settings."""

    minutes: int = 0


def test_values_have_their_fields_types() -> None:
    environ = {"OVEN_DEGREES": "200", "OVEN_HOURS": "1.5", "OVEN_RECIPE": "7", "DEGREES": "1"}
    assert settings_from(environ, "OVEN_", Oven) == {"degrees": 200, "hours": 1.5, "recipe": "7"}


def test_a_file_may_hold_the_value(tmp_path: Path) -> None:
    (tmp_path / "recipe").write_text("secret\n")
    environ = {"OVEN_RECIPE_FILE": str(tmp_path / "recipe")}
    assert settings_from(environ, "OVEN_", Oven) == {"recipe": "secret"}


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("OVEN_DEGRES", "secret", "degrees"),
        ("OVEN_DEGREES", "secret", "must be a number"),
        ("OVEN_STEAM", "secret", "must be true or false"),
        ("OVEN_RECIPE_FILE", "/nowhere/at/all", "cannot be read"),
        ("OVEN_RECIPE_FILE", "/dev/zero", "has more than 65,536 bytes"),
    ],
)
def test_what_cannot_be_is_refused_without_the_value(variable: str, value: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        settings_from({variable: value}, "OVEN_", Oven)
    assert "secret" not in str(caught.value)


def test_names_that_are_somebody_elses_are_left_alone() -> None:
    assert settings_from({"OVEN_URL": "x"}, "OVEN_", Oven, foreign=("URL",)) == {}


def test_a_group_is_a_dictionary_of_what_is_given_of_it() -> None:
    groups = {"timer": Timer}
    environ = {"OVEN_TIMER_MINUTES": "5", "OVEN_STEAM": "Yes"}
    found = settings_from(environ, "OVEN_", Oven, groups=groups)
    assert found == {"timer": {"minutes": 5}, "steam": True}
    assert settings_from({}, "OVEN_", Oven, groups=groups) == {}
    with pytest.raises(ConfigError, match="timer_minutes"):
        settings_from({"OVEN_TIMER_MINUTE": "5"}, "OVEN_", Oven, groups=groups)
