from __future__ import annotations

from pathlib import Path

import pytest

from esper.contracts.errors import ConfigError
from esper.utils.yaml_file import parse_yaml, read_yaml


def test_a_mapping_is_read(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("name: x\nlist: [1, 2]\n", encoding="utf-8")
    assert read_yaml(file) == {"name": "x", "list": [1, 2]}


def test_an_empty_text_is_an_empty_mapping() -> None:
    assert parse_yaml("# nothing\n", origin="here") == {}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: 1\na: 2\n", "the key 'a' stands twice"),
        ("a:\n  b: 1\n  b: 2\n", "the key 'b' stands twice"),
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
