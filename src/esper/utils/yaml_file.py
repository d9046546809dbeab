"""Reading YAML strictly and within bounds: no key twice, errors with line and key.

Aliases may stand for what was said before; what they come to, written out, is bounded, so that a
few hundred bytes cannot become a billion values.
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any, Final

import yaml

from esper.contracts.errors import ConfigError
from esper.utils.plain_file import read_plain

MAX_BYTES: Final = 256 * 1024
"""Greatest length of a file."""
MAX_DEPTH: Final = 32
"""Greatest nesting of mappings and lists."""
MAX_VALUES: Final = 20_000
"""Most values of a file, with aliases written out."""

_MERGE: Final = "tag:yaml.org,2002:merge"


def read_yaml(path: Path, *, pipes: bool = True) -> dict[str, Any]:
    """Return the mapping in the file at `path`.

    Args:
        path: The file.
        pipes: Whether a pipe will do, as a shell gives for `<(...)`.

    Raises:
        ConfigError: The file cannot be read, or `parse_yaml` refuses it.
    """
    try:
        text = read_plain(path, MAX_BYTES, pipes=pipes).decode("utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} cannot be read: it is not UTF-8 text") from error
    return parse_yaml(text, origin=str(path))


def parse_yaml(text: str, *, origin: str) -> dict[str, Any]:
    """Return the mapping that `text` holds; an empty text is an empty mapping.

    Args:
        text: YAML.
        origin: What to call the text in error messages, usually its file's path.

    Raises:
        ConfigError: `parse_yaml_value` refuses it, or the top is not a mapping with strings as
            keys.
    """
    data = parse_yaml_value(text, origin=origin)
    if data is None:
        return {}
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise ConfigError(
            f"{origin} must hold a mapping from names to values at its top (`key: value` lines), "
            f"not a {type(data).__name__}."
        )
    return data


def parse_yaml_value(text: str, *, origin: str) -> Any:
    """Return the plain data that `text` holds.

    Raises:
        ConfigError: It is not valid YAML, a key stands twice, it refers to itself, or it is too
            long, too deep, or too large with its aliases written out.
    """
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        _Check(loader).values(root, (), ())
        return loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = "" if mark is None else f" line {mark.line + 1}:"
        raise ConfigError(f"{origin} is not valid YAML:{line} {error.problem}") from error
    except RecursionError as error:
        raise ConfigError(
            f"{origin} is not valid YAML: it is nested deeper than {MAX_DEPTH}"
        ) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{origin} is not valid YAML: {error}") from error
    finally:
        loader.dispose()


class _Check:
    """Walks what was composed, before anything is constructed from it."""

    def __init__(self, loader: yaml.SafeLoader) -> None:
        self._loader = loader
        self._known: dict[yaml.Node, int] = {}

    def values(self, node: yaml.Node, keys: tuple[str, ...], above: tuple[yaml.Node, ...]) -> int:
        """How many values a node comes to; what its aliases stand for counts each time."""
        if node in above:
            raise _refused(node, keys, "refers to itself")
        if len(above) > MAX_DEPTH:
            raise _refused(node, keys, f"is nested deeper than {MAX_DEPTH}")
        if node not in self._known:
            inside = (*above, node)
            total = 1 + sum(self.values(one, path, inside) for one, path in self._parts(node, keys))
            if total > MAX_VALUES:
                raise _refused(node, keys, f"holds more than {MAX_VALUES:,} values")
            self._known[node] = total
        return self._known[node]

    def _parts(
        self, node: yaml.Node, keys: tuple[str, ...]
    ) -> list[tuple[yaml.Node, tuple[str, ...]]]:
        if isinstance(node, yaml.SequenceNode):
            return [(one, (*keys, str(number))) for number, one in enumerate(node.value)]
        if not isinstance(node, yaml.MappingNode):
            self._scalar(node, keys)
            return []
        lines: dict[Hashable, int] = {}
        for name, _ in node.value:
            if not isinstance(name, yaml.ScalarNode):
                raise _refused(name, keys, "has a key that is no plain value")
            key = self._loader.construct_object(name) if name.tag != _MERGE else name
            if key in lines:
                problem = f"stands twice, first in line {lines[key]}"
                raise _refused(name, (*keys, str(key)), problem)
            lines[key] = name.start_mark.line + 1
        return [(value, (*keys, str(name.value))) for name, value in node.value]

    def _scalar(self, node: yaml.Node, keys: tuple[str, ...]) -> None:
        try:
            self._loader.construct_object(node)
        except ValueError as error:  # a date such as 2024-13-45, a number of a million digits
            raise _refused(node, keys, f"has a value that is none: {error}") from error


def _refused(node: yaml.Node, keys: tuple[str, ...], problem: str) -> yaml.MarkedYAMLError:
    what = f"the key {'.'.join(keys)!r}" if keys else "the text"
    return yaml.constructor.ConstructorError(None, None, f"{what} {problem}", node.start_mark)
