"""Identity: a run keeps one id for life, and counts its attempts."""

from __future__ import annotations

import json
from dataclasses import replace
from uuid import uuid4

from esper.core.durable_file import write_durably
from esper.services.tolaria.run_folder import RunFolder
from esper.utils.run_identity import IDENTITY, RunIdentity, read_identity


def claim(folder: RunFolder) -> RunIdentity:
    """Begin the next attempt at the run in a folder, the first if the folder has none.

    It is on the disk before anything is told of the attempt: two attempts never share a number.

    Raises:
        CheckpointError: it cannot be written.
    """
    known = read_identity(folder.path)
    if known is None:
        identity = RunIdentity(run_id=uuid4().hex)
    else:
        identity = replace(known, attempt=known.attempt + 1)
    content = {"run_id": identity.run_id, "attempts": identity.attempt}
    write_durably(folder / IDENTITY, json.dumps(content).encode())
    return identity
