from __future__ import annotations

import inspect
import re

import pytest

from esper.contracts import errors
from esper.contracts.errors import EsperError

TREE = [
    member
    for _, member in inspect.getmembers(errors, inspect.isclass)
    if member.__module__ == errors.__name__
]


@pytest.mark.parametrize("error", TREE)
def test_every_error_hangs_on_the_one_tree(error: type[Exception]) -> None:
    assert issubclass(error, EsperError)
    assert error.__doc__


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.ConfigError, ValueError),
        (errors.UnsupportedLayerError, NotImplementedError),
        (errors.LayerNotFoundError, ValueError),
        (errors.SeedIndexError, IndexError),
        (errors.AlphaError, ValueError),
        (errors.GeometryError, ValueError),
        (errors.GeometryError, errors.BlueprintError),
        (errors.ArtifactError, ValueError),
        (errors.UntrustedKernelError, errors.ArtifactError),
        (errors.KernelNotFoundError, LookupError),
        (errors.KernelMismatchError, errors.KernelError),
        (errors.KernelExecutionError, RuntimeError),
        (errors.OptimizerError, RuntimeError),
        (errors.ChecksumError, errors.DataError),
        (errors.RunFolderError, errors.TrainingError),
        (errors.RegistryError, LookupError),
    ],
)
def test_an_error_can_be_caught_as_what_it_also_is(
    error: type[EsperError], builtin: type[Exception]
) -> None:
    with pytest.raises(builtin, match="why"):
        raise error("why")


def test_the_tree_in_the_docstring_is_complete() -> None:
    drawn = set(re.findall(r"\b(\w+Error)\b(?= |\n)", errors.__doc__ or ""))
    assert {error.__name__ for error in TREE} <= drawn
