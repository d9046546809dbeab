"""A file holds one concept and stays short, a function fits on a screen."""

from __future__ import annotations

import pytest

from structure import source

LONGEST_FILE = 400
LONGEST_FUNCTION = 40
EXPLANATION = "Long because"


def test_no_file_is_longer_than_a_reader_bears_unless_it_says_why(
    capsys: pytest.CaptureFixture[str],
) -> None:
    texts = {path: path.read_text(encoding="utf-8").splitlines() for path in source.modules()}
    worst = sorted(texts, key=lambda path: len(texts[path]), reverse=True)[:5]
    with capsys.disabled():
        print("\nLongest files:")
        for path in worst:
            print(f"  {len(texts[path]):4d}  {source.shown(path)}")
    too_long = [
        f"{source.shown(path)} has {len(lines)} lines"
        for path, lines in texts.items()
        if len(lines) > LONGEST_FILE and EXPLANATION not in "\n".join(lines[:12])
    ]
    assert not too_long, (
        f"Split these, or say in the first lines '{EXPLANATION} ...' (limit {LONGEST_FILE}): "
        f"{too_long}"
    )


def test_no_function_is_longer_than_a_screen(capsys: pytest.CaptureFixture[str]) -> None:
    every = [function for path in source.modules() for function in source.functions(path)]
    worst = sorted(every, key=lambda function: function.lines, reverse=True)[:5]
    with capsys.disabled():
        print("\nLongest functions, docstrings aside:")
        for function in worst:
            print(f"  {function.lines:4d}  {function}")
    too_long = [
        f"{function}: {function.lines} lines"
        for function in every
        if function.lines > LONGEST_FUNCTION
    ]
    assert not too_long, f"Split these (limit {LONGEST_FUNCTION}): {too_long}"
