"""Reading YAML files strictly: a mapping at the top, no key twice, errors with their place."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from esper.contracts.errors import ConfigError


class _StrictLoader(yaml.SafeLoader):
    """A safe loader that refuses a key which stands twice in one mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice in one mapping", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def parse_yaml(text: str, *, origin: str) -> dict[str, Any]:
    """Return the mapping that `text` holds; an empty text is an empty mapping.

    Args:
        text: YAML.
        origin: What to call the text in error messages, usually its file's path.

    Raises:
        ConfigError: It is not valid YAML, a key stands twice, or the top is not a mapping with
            strings as keys.
    """
    try:
        # _StrictLoader is a SafeLoader: it builds plain data only.
        data = yaml.load(text, Loader=_StrictLoader)  # noqa: S506
    except yaml.YAMLError as error:
        raise ConfigError(f"{origin} is not valid YAML: {error}") from error
    if data is None:
        return {}
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise ConfigError(
            f"{origin} must hold a mapping from names to values at its top, "
            f"not a {type(data).__name__}."
        )
    return data


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in the file at `path`.

    Raises:
        ConfigError: The file cannot be read, or `parse_yaml` refuses it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The configuration {path} cannot be read: {error}") from error
    return parse_yaml(text, origin=str(path))
