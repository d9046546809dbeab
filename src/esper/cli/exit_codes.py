"""What the exit status of `esper` means."""

from __future__ import annotations

from enum import IntEnum

from esper.contracts.errors import (
    AlertNotFoundError,
    ArtifactError,
    BlueprintError,
    BusError,
    BusUnavailableError,
    CheckpointError,
    ConfigError,
    DataError,
    EsperError,
    IllegalTransitionError,
    KernelError,
    LayerNotFoundError,
    LibraryError,
    LibraryUnavailableError,
    RegistryError,
    RunFolderError,
    RunNotFoundError,
    RunStoreError,
    UnsupportedLayerError,
)
from esper.utils.registry import Registry


class ExitCode(IntEnum):
    """Exit statuses; those of signals are 128 plus the signal's number, as in every shell."""

    OK = 0
    FAILED = 1
    USAGE = 2
    DATA = 3
    FILE = 4
    REFUSED = 5
    UNAVAILABLE = 6
    BUG = 70
    HUNG_UP = 129
    INTERRUPTED = 130
    TERMINATED = 143


MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "done",
    ExitCode.FAILED: "the run failed, or a check that was asked for did",
    ExitCode.USAGE: "wrong usage or configuration",
    ExitCode.DATA: "a data set is not available, or not the one expected",
    ExitCode.FILE: "a file or folder is not what it should be (kernel, checkpoint, run)",
    ExitCode.REFUSED: "library, bus, run store or run refused (not found, no right, not valid)",
    ExitCode.UNAVAILABLE: "library, bus or run store cannot be reached now: try again later",
    ExitCode.BUG: "an error inside Esper: please report it",
    ExitCode.HUNG_UP: "the terminal was closed (SIGHUP); a checkpoint was left",
    ExitCode.INTERRUPTED: "interrupted (Ctrl-C); a checkpoint was left",
    ExitCode.TERMINATED: "terminated (SIGTERM); a checkpoint was left",
}

_CODES: Registry[type, ExitCode] = Registry("error with an exit code")
_CODES.add(EsperError, ExitCode.FAILED)
_CODES.add(ConfigError, ExitCode.USAGE)
_CODES.add(RegistryError, ExitCode.USAGE)
_CODES.add(LayerNotFoundError, ExitCode.USAGE)
_CODES.add(UnsupportedLayerError, ExitCode.USAGE)
_CODES.add(BlueprintError, ExitCode.USAGE)
_CODES.add(DataError, ExitCode.DATA)
_CODES.add(KernelError, ExitCode.FILE)
_CODES.add(ArtifactError, ExitCode.FILE)
_CODES.add(CheckpointError, ExitCode.FILE)
_CODES.add(RunFolderError, ExitCode.FILE)
_CODES.add(LibraryError, ExitCode.REFUSED)
_CODES.add(LibraryUnavailableError, ExitCode.UNAVAILABLE)
_CODES.add(BusError, ExitCode.REFUSED)
_CODES.add(BusUnavailableError, ExitCode.UNAVAILABLE)
_CODES.add(RunStoreError, ExitCode.UNAVAILABLE)
_CODES.add(RunNotFoundError, ExitCode.REFUSED)
_CODES.add(AlertNotFoundError, ExitCode.REFUSED)
_CODES.add(IllegalTransitionError, ExitCode.REFUSED)


def exit_code_of(error: EsperError) -> ExitCode:
    """The exit status for an error, by its class or the nearest ancestor that has one."""
    return _CODES.lookup_type(type(error))
