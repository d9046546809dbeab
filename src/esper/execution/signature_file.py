"""Signature files: what stands beside a kernel file and says who signed it.

`kernel.safetensors` has its signatures in `kernel.safetensors.sig`, as JSON:
``{"signatures": [{"key_id": ..., "value": ...}]}``. Anyone may write there: what a signature is
worth, the trust policy finds out.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Final

from filelock import FileLock
from pydantic import ValidationError

from esper.contracts.errors import ArtifactError
from esper.contracts.library import Signature
from esper.utils import strict_json

SUFFIX: Final = ".sig"
MOST_BYTES: Final = 2**16
"""Longest signature file; some three hundred signatures."""


def signature_path(kernel: Path) -> Path:
    """Return where the signatures of a kernel file stand."""
    return kernel.with_name(kernel.name + SUFFIX)


def read_signatures(kernel: Path) -> tuple[Signature, ...]:
    """Return the signatures beside a kernel file, unchecked; empty if there is no such file.

    Raises:
        ArtifactError: The signature file cannot be read or is not what it should be.
    """
    path = signature_path(kernel)
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise ArtifactError(f"'{path}' cannot be read: {error.strerror}") from error
    try:
        document = strict_json.loads(text, max_bytes=MOST_BYTES, max_depth=4)
        if type(document) is not dict or set(document) != {"signatures"}:
            raise _refused(path, "it must have the one field 'signatures'")
        if type(document["signatures"]) is not list:
            raise _refused(path, "its field 'signatures' is no list")
        return tuple(Signature.model_validate(entry) for entry in document["signatures"])
    except strict_json.StrictJsonError as problem:
        raise _refused(path, str(problem)) from None
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False)[0]
        raise _refused(path, first["msg"]) from None


def add_signature(kernel: Path, signature: Signature) -> None:
    """Put a signature beside a kernel file; one that is there already changes nothing.

    Processes that sign at the same time do not lose each other's signatures.

    Raises:
        ArtifactError: What is there is not a signature file.
        OSError: The folder cannot be written.
    """
    path = signature_path(kernel)
    with FileLock(f"{path}.lock", timeout=10):
        present = read_signatures(kernel)
        if signature not in present:
            entries = [one.model_dump(mode="json") for one in (*present, signature)]
            _replace(path, json.dumps({"signatures": entries}, indent=1).encode())


def _replace(path: Path, text: bytes) -> None:
    """Write the file whole: a reader sees the old one or the new one."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _refused(path: Path, why: str) -> ArtifactError:
    return ArtifactError(
        f"'{path}' is no signature file: {why:.300}. Remove it, and sign the kernel again"
    )
