"""Every error that Esper raises on purpose, in one tree.

::

    EsperError
    ├── ConfigError (ValueError)                 a setting is missing, misspelt or out of range
    ├── UnsupportedLayerError (NotImplementedError)  this layer type cannot host a seed
    ├── LayerNotFoundError (ValueError)          no layer of that name in the model
    ├── SeedIndexError (IndexError)              the layer has no such seed slot
    ├── AlphaError (ValueError)                  blending coefficient outside [0, 1]
    ├── IllegalTransitionError                   the lifecycle table has no such move
    ├── BlueprintError (ValueError)              a graph IR is not valid
    │   └── GeometryError                        shapes do not fit the place they are meant for
    ├── KernelError
    │   ├── ArtifactError (ValueError)           the bytes of a kernel failed a check
    │   │   └── UntrustedKernelError             nobody who is trusted signed the kernel
    │   ├── KernelNotFoundError (LookupError)    no kernel under that id
    │   ├── KernelMismatchError (ValueError)     the kernel does not fit this layer
    │   └── KernelExecutionError (RuntimeError)  the kernel raised, or gave a wrong or non-finite value
    ├── OptimizerError (RuntimeError)            an optimizer could not follow a change of structure
    ├── CheckpointError                          a checkpoint could not be written or restored
    ├── DataError
    │   ├── DataUnavailableError                 a data set is not here and cannot be fetched
    │   └── ChecksumError                        a file is not the one that was expected
    ├── TrainingError
    │   ├── RunFolderError                       the output folder belongs to another run
    │   └── DivergenceError                      the loss is not finite and could not be rolled back
    ├── RegistryError (LookupError)              unknown or duplicate key in a registry
    ├── BusError                                 the message bus refused
    │   └── BusUnavailableError                  it cannot be reached, or does not answer
    ├── RunStoreError                            the store of runs could not be read or written
    │   ├── RunNotFoundError (LookupError)       it has no run of that name
    │   └── AlertNotFoundError (LookupError)     it has no alert of that id
    ├── PlatformError                            a service of the platform could not be started
    └── LibraryError                             the library of blueprints and kernels refused
        ├── LibraryNotFoundError (LookupError)   it has nothing under that name
        ├── RevisionConflictError                somebody else changed the record first
        ├── LeaseLostError                       the lease expired and may be another worker's
        ├── AccessDeniedError                    no valid token, or one without the right
        ├── SubmissionError (ValueError)         what was submitted fails a check
        └── LibraryUnavailableError              it cannot be reached, or cannot serve now

Where a built-in class stands in parentheses the error is also an instance of it, so that code
which knows nothing of Esper can catch it. A message says what failed, with which value, and
what to do about it.
"""

from __future__ import annotations


class EsperError(Exception):
    """Root of every error that Esper raises on purpose."""


class ConfigError(EsperError, ValueError):
    """A setting is missing, misspelt, of the wrong type or out of range."""


class UnsupportedLayerError(EsperError, NotImplementedError):
    """The layer's type cannot host a seed, or the place it stands in would skip the seed."""


class LayerNotFoundError(EsperError, ValueError):
    """No layer of that qualified name is in the model."""


class SeedIndexError(EsperError, IndexError):
    """The seed index lies outside the layer's slots."""


class AlphaError(EsperError, ValueError):
    """A blending coefficient lies outside [0, 1] or is not finite."""


class IllegalTransitionError(EsperError):
    """The lifecycle table has no move for this phase and event; nothing was changed."""


class BlueprintError(EsperError, ValueError):
    """A graph IR is not valid: unknown op, bad attribute, broken graph or limit exceeded."""


class GeometryError(BlueprintError):
    """Shapes or axes do not fit the place that they are meant for."""


class KernelError(EsperError):
    """Something is wrong with a kernel."""


class ArtifactError(KernelError, ValueError):
    """The bytes of a kernel file failed a check. The refusal is final: there is no fall-back."""


class UntrustedKernelError(ArtifactError):
    """The trust policy refuses the kernel: it is not signed, or not by a key that is trusted."""


class KernelNotFoundError(KernelError, LookupError):
    """No kernel is stored under that id."""


class KernelMismatchError(KernelError, ValueError):
    """The kernel is valid, but its shapes or dtype do not fit this layer."""


class KernelExecutionError(KernelError, RuntimeError):
    """The kernel raised, returned a wrong shape or returned a non-finite value."""


class OptimizerError(EsperError, RuntimeError):
    """The optimizer or scheduler could not follow a change of structure."""


class CheckpointError(EsperError):
    """A checkpoint could not be written or restored; the previous file is intact."""


class DataError(EsperError):
    """A data set could not be provided. Nothing was put in its place."""


class DataUnavailableError(DataError):
    """The data set is not on this machine and cannot be fetched from here."""


class ChecksumError(DataError):
    """A file's digest is not the expected one."""


class TrainingError(EsperError):
    """A training run could not start or go on."""


class RunFolderError(TrainingError):
    """The output folder holds another run, or no run where one was to be resumed."""


class DivergenceError(TrainingError):
    """The loss is not finite, and rolling back did not help."""


class RegistryError(EsperError, LookupError):
    """A registry has no such key, or has it already."""


class BusError(EsperError):
    """The message bus refused what was asked of it."""


class BusUnavailableError(BusError):
    """The bus's server cannot be reached, or does not answer in time."""


class RunStoreError(EsperError):
    """The store of runs could not be opened, read or written."""


class RunNotFoundError(RunStoreError, LookupError):
    """The store has no run of that id, or several that begin with it."""


class AlertNotFoundError(RunStoreError, LookupError):
    """The store has no alert of that id."""


class PlatformError(EsperError):
    """A service of the platform could not be started, found or stopped."""


class LibraryError(EsperError):
    """The library of blueprints and kernels refused a request."""


class LibraryNotFoundError(LibraryError, LookupError):
    """The library has nothing under that name."""


class RevisionConflictError(LibraryError):
    """The record is not at the expected revision: somebody else changed it first."""


class LeaseLostError(LibraryError):
    """The lease expired or was never held; another worker may have it."""


class AccessDeniedError(LibraryError):
    """The request had no valid token, or one whose roles do not allow it."""


class SubmissionError(LibraryError, ValueError):
    """What was submitted fails a check; sending it again does not help."""


class LibraryUnavailableError(LibraryError):
    """The library cannot be reached or cannot serve now; trying later may help."""

    retry_after: float = 0.0
    """Seconds that the library asks to be given; 0 where it asks for none."""
