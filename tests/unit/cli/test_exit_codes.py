from __future__ import annotations

import inspect

import pytest

from esper.cli.exit_codes import MEANINGS, ExitCode, exit_code_of
from esper.contracts import errors

ERRORS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.EsperError)
]


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_has_a_documented_status_that_is_not_success(
    kind: type[errors.EsperError],
) -> None:
    code = exit_code_of(kind("it failed"))
    assert code is not ExitCode.OK
    assert code in MEANINGS


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError("x"), ExitCode.USAGE),
        (errors.DataUnavailableError("x"), ExitCode.DATA),
        (errors.ChecksumError("x"), ExitCode.DATA),
        (errors.ArtifactError("x"), ExitCode.FILE),
        (errors.RunFolderError("x"), ExitCode.FILE),
        (errors.DivergenceError("x"), ExitCode.FAILED),
        (errors.UntrustedKernelError("x"), ExitCode.FILE),
        (errors.AccessDeniedError("x"), ExitCode.REFUSED),
        (errors.RevisionConflictError("x"), ExitCode.REFUSED),
        (errors.IllegalTransitionError("x"), ExitCode.REFUSED),
        (errors.LibraryUnavailableError("x"), ExitCode.UNAVAILABLE),
    ],
)
def test_the_status_says_what_kind_of_thing_went_wrong(
    error: errors.EsperError, code: ExitCode
) -> None:
    assert exit_code_of(error) is code


def test_every_status_has_a_meaning() -> None:
    assert set(MEANINGS) == set(ExitCode)
