"""Ways to spoil a kernel file: by bytes, by the header's text, and by the header's meaning.

Random bytes alone are refused by the outermost check, so most ways repair the outside after
spoiling the inside (lengths, padding, JSON), and thus reach the checks further in.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

from esper.execution.artifact_check import ENTRY
from kernels import join, split

Mutation = Callable[[bytes, Random, list[bytes]], bytes]

VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3, 4, 7, 128, 2**31 - 1, 2**31, 2**53, 2**63, -(2**63), 10**30,
    0.0, 0.5, -0.5, 1e308, float("inf"), float("nan"), "", "x", "y", "up", "conv", "F32", "I64",
    "float32", "int64", "linear", "gru", "embedding", "batch_norm1d", "__class__", "é", "\ud800",
    "a" * 300, "import os", [], {}, [0], [1], [4], [2, None], [[]], [-1], [2**62] * 8, {"x": 1},
]  # fmt: skip
"""Things that are plausible somewhere, and wrong nearly everywhere."""

KEYS = ["op", "attrs", "inputs", "name", "shape", "dtype", "schema", "mode", "x", "y", "extra", ""]


def _places(tree: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Every (container, key) in a tree of JSON values."""
    items = list(tree.items()) if isinstance(tree, dict) else list(enumerate(tree))
    for key, value in items:
        found.append((tree, key))
        if isinstance(value, dict | list):
            _places(value, found)
    return found


def _spoil(tree: Any, random: Random) -> None:
    """Change one to three places of a tree of JSON values."""
    for _ in range(random.randint(1, 3)):
        places = _places(tree, [])
        if not places:
            return
        container, key = random.choice(places)
        way = random.randrange(6)
        if way == 0:
            del container[key]
        elif way == 1 and isinstance(container, dict):
            container[random.choice(KEYS)] = container.pop(key)
        elif way == 2 and isinstance(container, list):
            container.append(container[key])
        elif way == 3 and type(container[key]) is int:
            container[key] += random.choice([-1, 1, 8, -container[key], container[key]])
        elif way == 4:
            other, from_ = random.choice(places)
            container[key] = json.loads(json.dumps(other[from_])) if from_ in other else None
        else:
            container[key] = random.choice(VALUES)


def flip_bits(data: bytes, random: Random, corpus: list[bytes]) -> bytes:
    spoilt = bytearray(data)
    for _ in range(random.choice([1, 1, 2, 8, 64])):
        spoilt[random.randrange(len(spoilt))] ^= 1 << random.randrange(8)
    return bytes(spoilt)


def cut_or_extend(data: bytes, random: Random, corpus: list[bytes]) -> bytes:
    at = random.randrange(len(data))
    return random.choice(
        [data[:at], data[at:], data + random.randbytes(8), data[:at] + data[at + 8 :], data * 2]
    )


def splice(data: bytes, random: Random, corpus: list[bytes]) -> bytes:
    other = random.choice(corpus)
    at, other_at = random.randrange(len(data)), random.randrange(len(other))
    return data[:at] + other[other_at : other_at + random.randrange(1, 256)] + data[at:]


def swap_body(data: bytes, random: Random, corpus: list[bytes]) -> bytes:
    return join(split(data)[0], split(random.choice(corpus))[1])


def set_length(data: bytes, random: Random, corpus: list[bytes]) -> bytes:
    length = random.choice([0, 1, 8, len(data), len(data) - 8, 2**21, 2**32, 2**63, 2**64 - 1])
    return length.to_bytes(8, "little") + data[8:]


def spoil_header_text(data: bytes, random: Random, corpus: list[bytes]) -> bytes:
    end = 8 + int.from_bytes(data[:8], "little")
    text = bytearray(data[8:end])
    for _ in range(random.choice([1, 1, 2, 4])):
        at = random.randrange(len(text))
        piece = random.choice([b'"', b"{", b"}", b"[", b"]", b",", b":", b"0", b"9", b"\\", b"e9"])
        text[at : at + random.randrange(3)] = piece
    return join(bytes(text), data[end:])


def repeat_key(data: bytes, random: Random, corpus: list[bytes]) -> bytes:
    header, body = split(data)
    text = json.dumps(header)
    key = random.choice(["shape", "dtype", "__metadata__", ENTRY])
    return join(text.replace(f'"{key}":', f'"{key}": "F32", "{key}":', 1), body)


def nest(data: bytes, random: Random, corpus: list[bytes]) -> bytes:
    depth = random.choice([4, 10, 1000, 100_000])
    return join('{"a":' + "[" * depth + "]" * depth + "}", split(data)[1])


def spoil_header(data: bytes, random: Random, corpus: list[bytes]) -> bytes:
    header, body = split(data)
    _spoil(header, random)
    return join(header, body)


def spoil_document(data: bytes, random: Random, corpus: list[bytes]) -> bytes:
    header, body = split(data)
    document = json.loads(header["__metadata__"][ENTRY])
    _spoil(document, random)
    header["__metadata__"][ENTRY] = json.dumps(document)
    return join(header, body)


def spoil_graph(data: bytes, random: Random, corpus: list[bytes]) -> bytes:
    header, body = split(data)
    document = json.loads(header["__metadata__"][ENTRY])
    _spoil(document["ir"], random)
    header["__metadata__"][ENTRY] = json.dumps(document)
    return join(header, body)


def spoil_attributes(data: bytes, random: Random, corpus: list[bytes]) -> bytes:
    header, body = split(data)
    document = json.loads(header["__metadata__"][ENTRY])
    _spoil([node["attrs"] for node in document["ir"]["nodes"]], random)
    header["__metadata__"][ENTRY] = json.dumps(document)
    return join(header, body)


def spoil_weights(data: bytes, random: Random, corpus: list[bytes]) -> bytes:
    header, body = split(data)
    spoilt = bytearray(body)
    for _ in range(random.choice([1, 4])):
        at = random.randrange(0, len(spoilt), 2)
        spoilt[at : at + 2] = random.choice([b"\xc0\x7f", b"\x80\xff", random.randbytes(2)])
    return join(header, bytes(spoilt))


MUTATIONS: list[Mutation] = [
    flip_bits,
    cut_or_extend,
    splice,
    swap_body,
    set_length,
    spoil_header_text,
    repeat_key,
    nest,
    spoil_header,
    spoil_header,
    spoil_document,
    spoil_document,
    spoil_graph,
    spoil_graph,
    spoil_attributes,
    spoil_attributes,
    spoil_weights,
]
"""The ways, those twice that reach furthest in."""
