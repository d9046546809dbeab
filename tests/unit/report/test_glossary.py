from __future__ import annotations

from pathlib import Path

import pytest

from esper.contracts.enums import SeedState
from esper.report.glossary import GLOSSARY, STATE_GLYPHS, STATE_NAMES, STATE_WORDS

CONCEPTS = Path(__file__).parents[3] / "docs" / "concepts.md"


def test_every_state_has_a_name_a_meaning_and_a_shape_of_its_own() -> None:
    for table in (STATE_GLYPHS, STATE_NAMES, STATE_WORDS):
        assert set(table) == set(SeedState)
        assert len(set(table.values())) == len(SeedState)


@pytest.mark.parametrize(("word", "meaning"), GLOSSARY.items())
def test_the_concepts_explain_each_word_as_pages_do(word: str, meaning: str) -> None:
    assert f"| **{word}** | {meaning} |" in CONCEPTS.read_text(encoding="utf-8")
