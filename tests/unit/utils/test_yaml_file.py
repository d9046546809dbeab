from __future__ import annotations

import os
import threading
from itertools import pairwise
from pathlib import Path

import pytest

from esper.contracts.errors import ConfigError
from esper.utils.yaml_file import MAX_BYTES, parse_yaml, read_yaml


def test_a_mapping_is_read(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("name: x\nlist: [1, 2]\n", encoding="utf-8")
    assert read_yaml(file) == {"name": "x", "list": [1, 2]}


def test_an_empty_text_is_an_empty_mapping() -> None:
    assert parse_yaml("# nothing\n", origin="here") == {}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: 1\na: 2\n", "line 2: the key 'a' stands twice, first in line 1"),
        ("a:\n  b: 1\n  b: 2\n", "line 3: the key 'a.b' stands twice"),
        ("a: {b: 1, ? [c] : 2}\n", "line 1: the key 'a' has a key that is no plain value"),
        ("x: 1\na: &a\n  b: *a\n", "line 2: the key 'a.b' refers to itself"),
        ("x: 1\na: " + "[" * 40 + "]" * 40, "line 2: the key 'a.0.0"),
        ("a: " + "[" * 5000, "is nested deeper than 32"),
        ("a:\n  when: 2024-13-45\n", "line 2: the key 'a.when' has a value that is none"),
        ("a: " + "9" * 10_000, "line 1: the key 'a' has a value that is none"),
        ("- 1\n", "not a list"),
        ("word", "not a str"),
        ("1: a\n", "from names to values"),
        ("a: [", "not valid YAML"),
        ("a: !!python/object/apply:os.getcwd []\n", "not valid YAML"),
    ],
)
def test_anything_else_is_refused_with_its_origin(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match="here") as caught:
        parse_yaml(text, origin="here")
    assert complaint in str(caught.value)


def test_a_file_that_is_missing_or_not_text_names_itself(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml cannot be read"):
        read_yaml(tmp_path / "absent.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"binary\.yaml cannot be read"):
        read_yaml(tmp_path / "binary.yaml")


def test_merge_keys_still_work() -> None:
    text = "base: &base {a: 1, b: 2}\nderived:\n  <<: *base\n  b: 3\n"
    assert parse_yaml(text, origin="here")["derived"] == {"a": 1, "b": 3}


def test_aliases_that_would_become_a_billion_values_are_refused_at_once() -> None:
    text = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    for before, name in pairwise("abcdefghi"):
        text += f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    with pytest.raises(ConfigError, match=r"line 5: the key 'e.*' holds more than 20,000 values"):
        parse_yaml(text, origin="here")


def test_a_file_is_read_up_to_its_bound_and_no_further(tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    file.write_text("a: " + "x" * MAX_BYTES, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"large\.yaml cannot be read: has more than"):
        read_yaml(file)


def test_a_pipe_is_read_unless_a_regular_file_is_wanted(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    with pytest.raises(ConfigError, match="is no regular file"):
        read_yaml(pipe, pipes=False)
    writer = threading.Thread(target=pipe.write_text, args=("a: 1\n",))
    writer.start()
    assert read_yaml(pipe) == {"a": 1}
    writer.join()
