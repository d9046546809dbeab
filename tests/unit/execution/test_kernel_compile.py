from __future__ import annotations

import copy
import pickle
import sys
from pathlib import Path

import pytest
from torch import nn

from esper.execution.kernel_compile import (
    CACHE_VARIABLE,
    compile_kernel,
    default_compile_cache,
    prepare_to_compile,
    share_compile_cache,
)


def test_the_folder_lies_in_espers_home(tmp_path: Path) -> None:
    assert default_compile_cache({"ESPER_HOME": str(tmp_path)}) == tmp_path / "compiled"
    assert default_compile_cache({}).name == "compiled"


def test_a_folder_that_is_asked_for_comes_before_the_environments_and_that_before_the_default(
    tmp_path: Path,
) -> None:
    environ: dict[str, str] = {"ESPER_HOME": str(tmp_path)}
    assert share_compile_cache(None, environ) == tmp_path / "compiled"
    assert share_compile_cache(tmp_path / "a", environ) == tmp_path / "a"
    assert environ[CACHE_VARIABLE] == str(tmp_path / "a")
    assert share_compile_cache(None, environ) == tmp_path / "a"


# Importing the compiler, torch remarks on its own old ways.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_kernel_keeps_its_names_and_its_copies_are_plain() -> None:
    kernel = nn.Linear(3, 2)
    names = list(kernel.state_dict())
    assert compile_kernel(kernel) is kernel
    assert list(kernel.state_dict()) == names
    assert pickle.loads(pickle.dumps(kernel))._compiled_call_impl is None
    assert copy.deepcopy(kernel)._compiled_call_impl is None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_compiling_needs_is_imported_beforehand() -> None:
    prepare_to_compile()
    assert "torch._inductor.compile_fx" in sys.modules
