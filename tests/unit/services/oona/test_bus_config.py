from __future__ import annotations

from pathlib import Path

import pytest

from esper.contracts.enums import TopicNames
from esper.contracts.errors import ConfigError
from esper.services.oona.bus_config import OonaConfig, default_claims


@pytest.mark.parametrize("name", ["capacity", "idle_seconds", "max_tries", "linger_seconds"])
def test_a_value_that_is_not_positive_is_refused_by_name(name: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"OonaConfig\.{name} is 0; expected a finite number above 0"
    ):
        OonaConfig(**{name: 0})


def test_payloads_are_laid_down_before_they_are_refused() -> None:
    with pytest.raises(ConfigError, match="claim_bytes is 11; give at most largest_bytes, 10"):
        OonaConfig(claim_bytes=11, largest_bytes=10)


def test_pauses_double_up_to_the_longest() -> None:
    config = OonaConfig(backoff_seconds=0.1, longest_backoff_seconds=0.5)
    assert [config.backoff(failures) for failures in (1, 2, 3, 4, 10_000)] == [
        0.1,
        0.2,
        0.4,
        0.5,
        0.5,
    ]


def test_claims_lie_in_the_home_folder_of_esper(tmp_path: Path) -> None:
    assert default_claims({"ESPER_HOME": str(tmp_path)}) == (tmp_path / "claims").as_uri()
    assert default_claims({}).startswith("file:///")


def test_a_topic_and_its_dead_letters_have_keys_of_their_own() -> None:
    config = OonaConfig(prefix="p:")
    assert config.stream(TopicNames.EVENTS_RACE) == "p:events.race"
    assert config.dead_stream(TopicNames.EVENTS_RACE) == "p:dead:events.race"


@pytest.mark.parametrize(
    ("tries", "number"),
    [
        ([], 0),
        ([1], 1),
        ([1, 2, 1], 3),
        ([3], 1),
        ([3, 1, 1], 1),
        ([1, 2, 3, 1], 2),
        ([5, 5], 1),
    ],
)
def test_what_came_too_often_comes_by_itself(tries: list[int], number: int) -> None:
    assert OonaConfig(max_tries=5).together(tries) == number


def test_with_a_single_try_all_come_together() -> None:
    assert OonaConfig(max_tries=1).together([0, 0]) == 2
