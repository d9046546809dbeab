"""Files that only their owner may read: passwords, tokens, addresses with passwords in them."""

from __future__ import annotations

import os
from pathlib import Path

from esper.contracts.errors import PlatformError
from esper.utils.home import private_folder


def write_private(path: Path, text: str) -> None:
    """Put `text` at `path`, whole or not at all; at no moment may others read it.

    Raises:
        PlatformError: It could not be written.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        private_folder(path.parent)
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.replace(path)
    except OSError as error:
        raise PlatformError(
            f"'{path}' cannot be written: {error.strerror}; choose another --folder"
        ) from error
