"""The folder of one run: claimed by one process, never shared with another run.

==================  ==================================================================
`config.yaml`       the settings, complete
`identity.json`     the run's id, and how often it was resumed
`run.jsonl`         the log
`checkpoint.pt`     the newest checkpoint
`report.json`       the growth record
`model.pt`          the finished model, plain PyTorch
`result.json`       the closing figures; its presence means that the run has ended
`kernels/`          kernels of a library that may race (`exchange.py`), if there are any
`outbox/`           what the run has for a library (`outbox.py`), if there is anything
==================  ==================================================================
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Self
from uuid import uuid4

from filelock import FileLock, Timeout

from esper.contracts.errors import ConfigError, RunFolderError
from esper.core import checkpoint
from esper.core.durable_file import write_durably
from esper.services.tolaria.training_config import TolariaConfig, config_from_mapping
from esper.utils.home import private_folder
from esper.utils.run_identity import IDENTITY, RunIdentity, read_identity
from esper.utils.yaml_file import read_yaml

CONFIG = "config.yaml"
LOG = "run.jsonl"
CHECKPOINT = "checkpoint.pt"
REPORT = "report.json"
MODEL = "model.pt"
RESULT = "result.json"

_LOCK = ".lock"


def resume_command(folder: Path) -> str:
    """The command that goes on with the run in ``folder``."""
    return f"esper train --resume {shlex.quote(str(folder))}"


def saved_config(folder: Path) -> TolariaConfig:
    """The settings of the run in ``folder``; its ``output`` is ``folder``, wherever it was moved.

    Raises:
        RunFolderError: the folder holds no run, or its settings cannot be read.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise RunFolderError(
            f"{folder} holds no run to resume: there is no {CONFIG}. Give the --output folder of a "
            "run that was begun"
        )
    try:
        return config_from_mapping({**read_yaml(path, pipes=False), "output": str(folder)})
    except ConfigError as error:
        raise RunFolderError(f"{path} cannot be used: {error}") from error


def next_free(parent: Path, name: str) -> Path:
    """The first of ``parent/name-001``, ``-002``, … that does not exist."""
    number = 1
    while (folder := parent / f"{name}-{number:03d}").exists():
        number += 1
    return folder


class RunFolder:
    """The folder, held for as long as it is entered; the user's alone, like all records.

    What was made for a run that did not begin goes again.

    Args:
        path: the folder; made if needed.
        resume: whether it is to hold a run already.

    Raises:
        RunFolderError: on entering: the folder holds another run (or, with ``resume``, none), or
            another process is at work in it.
    """

    def __init__(self, path: Path, *, resume: bool) -> None:
        self.path = path
        self._resume = resume
        self._made: Sequence[Path] = ()
        self._is_new = False
        self._lock = FileLock(path / _LOCK, timeout=0, mode=0o600)

    def __enter__(self) -> Self:
        try:
            self._made = private_folder(self.path)
            self._is_new = not (self / _LOCK).exists()
            self._lock.acquire()
        except Timeout as error:
            raise RunFolderError(
                f"another process is at work in {self.path}: wait for it, stop it, or use another "
                "folder"
            ) from error
        except OSError as error:
            raise RunFolderError(
                f"{self.path} cannot be used as output folder: {error.strerror or error}"
            ) from error
        try:
            self._check()
        except RunFolderError:
            self._leave()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()

    def _leave(self) -> None:
        self._lock.release()
        if self._is_new and not (self / CONFIG).exists():
            with suppress(OSError):  # a folder that holds something by now stays
                (self / _LOCK).unlink()
                for folder in reversed(self._made):
                    folder.rmdir()

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def claim(self) -> RunIdentity:
        """Begin the next attempt at the run in the folder, the first if it has none.

        A run keeps one id for life. It is on the disk before anything is told of the attempt: two
        attempts never share a number.

        Raises:
            CheckpointError: it cannot be written.
        """
        known = read_identity(self.path)
        if known is None:
            identity = RunIdentity(run_id=uuid4().hex)
        else:
            identity = replace(known, attempt=known.attempt + 1)
        content = {"run_id": identity.run_id, "attempts": identity.attempt}
        write_durably(self / IDENTITY, json.dumps(content).encode())
        return identity

    def saved_state(self) -> checkpoint.Checkpoint | None:
        """The checkpoint, or ``None`` where the run was broken off before the first.

        Raises:
            CheckpointError: it is damaged.
        """
        path = self / CHECKPOINT
        return checkpoint.load(path) if path.exists() else None

    def _check(self) -> None:
        found = [n for n in (CONFIG, LOG, CHECKPOINT, REPORT, RESULT) if (self.path / n).exists()]
        if self._resume and CONFIG not in found:
            raise RunFolderError(f"{self.path} holds no run to resume: there is no {CONFIG}")
        if found and not self._resume:
            raise RunFolderError(
                f"{self.path} holds another run already ({', '.join(found)}): go on with it by "
                f"`{resume_command(self.path)}`, or choose a new --output folder"
            )
        for name in found:
            with suppress(OSError):  # another user's file stays as it is
                (self / name).chmod(0o600)
