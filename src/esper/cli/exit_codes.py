"""What the exit status of `esper` means."""

from __future__ import annotations

from enum import IntEnum

from esper.contracts import errors
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
for _code, _kinds in {
    ExitCode.FAILED: (errors.EsperError,),
    ExitCode.USAGE: (
        errors.ConfigError,
        errors.RegistryError,
        errors.LayerNotFoundError,
        errors.UnsupportedLayerError,
        errors.BlueprintError,
    ),
    ExitCode.DATA: (errors.DataError,),
    ExitCode.FILE: (
        errors.KernelError,
        errors.ArtifactError,
        errors.CheckpointError,
        errors.RunFolderError,
    ),
    ExitCode.REFUSED: (
        errors.LibraryError,
        errors.BusError,
        errors.RunNotFoundError,
        errors.AlertNotFoundError,
        errors.IllegalTransitionError,
    ),
    ExitCode.UNAVAILABLE: (
        errors.LibraryUnavailableError,
        errors.BusUnavailableError,
        errors.RunStoreError,
    ),
}.items():
    for _kind in _kinds:
        _CODES.add(_kind, _code)


def exit_code_of(error: errors.EsperError) -> ExitCode:
    """The exit status for an error, by its class or the nearest ancestor that has one."""
    return _CODES.lookup_type(type(error))
