from __future__ import annotations

import pytest

from esper.utils.nearest import did_you_mean, nearest


@pytest.mark.parametrize(
    ("word", "expected"),
    [("prot", "port"), ("HOST", "host"), ("hosts", "host"), ("zzz", None), ("", None)],
)
def test_the_nearest_word_is_found_if_any_is_similar(word: str, expected: str | None) -> None:
    assert nearest(word, ["host", "port", "database"]) == expected


def test_the_sentence_names_the_guess_and_everything_known() -> None:
    assert did_you_mean("prot", ["port", "host"]) == "Did you mean 'port'? Known: host, port."
    assert did_you_mean("zzz", ["port"]) == "Known: port."
    assert did_you_mean("zzz", []) == "Known: none."
