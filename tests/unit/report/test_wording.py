from __future__ import annotations

from pathlib import Path

import pytest

from esper.contracts.enums import SeedState
from esper.report import wording
from esper.report.wording import GLOSSARY, STATES


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, "0"),
        (950, "950"),
        (9_999, "9,999"),
        (12_345, "12.3\u202fk"),
        (4_560_000, "4.56\u202fM"),
        (74e9, "74.0\u202fG"),
        (1.2e12, "1.20\u202fT"),
        (-20_300, "−20.3\u202fk"),
    ],
)
def test_magnitudes_are_written_in_three_figures(value: float, written: str) -> None:
    assert wording.compact(value) == written


def test_changes_carry_their_sign_and_zero_has_none() -> None:
    assert wording.signed_percent(0.035) == "+3.5\u202f%"
    assert wording.signed_percent(-0.004) == "−0.4\u202f%"
    assert wording.signed_percent(0.0) == "0.0\u202f%"


def test_a_metric_that_nobody_measured_is_not_a_number() -> None:
    assert wording.score(None, is_percent=True) == wording.MISSING


def test_a_metric_is_written_in_its_own_form() -> None:
    assert wording.score(0.915, is_percent=True) == "91.5\u202f%"
    assert wording.score(0.915, is_percent=False) == "0.915"


def test_control_characters_are_shown_not_obeyed() -> None:
    said = wording.visible("\x1b[31mred\x9b\u202e é ✓")
    assert said == r"\x1b[31mred\x9b\u202e é ✓"
    assert wording.visible("two\nlines") == "two\nlines"


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(3.25, "3.2 s"), (71.4, "1 min 11 s"), (3_600.0, "1 h 0 min"), (119.9, "2 min 0 s")],
)
def test_durations_are_written_in_their_two_largest_units(seconds: float, written: str) -> None:
    assert wording.duration(seconds) == written


CONCEPTS = Path(__file__).parents[3] / "docs" / "concepts.md"


def test_every_state_has_a_name_a_meaning_and_a_shape_of_its_own() -> None:
    assert set(STATES) == set(SeedState)
    for told in zip(*STATES.values(), strict=True):
        assert len(set(told)) == len(SeedState)


@pytest.mark.parametrize(("word", "meaning"), GLOSSARY.items())
def test_the_concepts_explain_each_word_as_pages_do(word: str, meaning: str) -> None:
    assert f"| **{word}** | {meaning} |" in CONCEPTS.read_text(encoding="utf-8")
