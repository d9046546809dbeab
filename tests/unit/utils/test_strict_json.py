from __future__ import annotations

import pytest

from esper.utils import strict_json


def loads(text: bytes) -> object:
    return strict_json.loads(text, max_bytes=1000, max_depth=3)


def test_plain_json_is_parsed() -> None:
    assert loads(b'{"a": [1, {"b": "}{[\\"["}]}') == {"a": [1, {"b": '}{["['}]}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'"' + b"a" * 1000 + b'"', "limit of 1000"),
        (b"[[[[]]]]", "nested 4 deep"),
        (b'["\\"[[[[", [[[[]]]]]', "nested 5 deep"),
        (b'["' + b"[" * 500, "not valid"),
        (b'{"a": 1, "a": 1}', "'a' twice"),
        (b'[{"a": {"b": 1, "b": 2}}]', "'b' twice"),
        (b"[NaN]", "NaN"),
        (b"[-Infinity]", "Infinity"),
        (b'"\xff"', "UTF-8"),
        (b"{", "JSON"),
        (b"", "JSON"),
    ],
)
def test_everything_else_is_refused_with_its_reason(text: bytes, reason: str) -> None:
    with pytest.raises(strict_json.StrictJsonError, match=reason):
        loads(text)
