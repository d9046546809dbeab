"""Compiling one kernel, in the one way that trainers and the forge share.

`torch.compile` keeps what it makes in a folder, under a key of the graph, its shapes and its
options. A forge that compiles a kernel in that folder saves every trainer on the machine the
minutes of a first compilation, provided that both compile alike: in regions of one kernel each,
with sizes left open. A whole model that is compiled in one piece is another graph, for which
nobody but its own trainer can prepare.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from esper.utils.home import cache_home

if TYPE_CHECKING:
    # Only named here: a forge's workers share the folder and never need torch themselves.
    from torch import nn

CACHE_VARIABLE: Final = "TORCHINDUCTOR_CACHE_DIR"
"""Where torch looks for the folder, whenever it compiles something."""


def default_compile_cache(environ: MutableMapping[str, str] | None = None) -> Path:
    """Return `$ESPER_HOME/compiled`, or `compiled` in the user's cache folder for Esper."""
    return cache_home(environ) / "compiled"


def share_compile_cache(
    folder: Path | None = None, environ: MutableMapping[str, str] | None = None
) -> Path:
    """Let this process and its children compile into `folder`; return the folder.

    Args:
        folder: Default: the one that the environment names, or else `default_compile_cache()`.
        environ: The variables; default this process's.
    """
    environ = os.environ if environ is None else environ
    if folder is not None:
        environ[CACHE_VARIABLE] = str(folder)
    return Path(environ.setdefault(CACHE_VARIABLE, str(default_compile_cache(environ))))


def prepare_to_compile() -> None:
    """Import the compiler and let it look at the machine, before training begins.

    Otherwise the first kernel that is compiled in a process pays for it, seconds in the midst of
    training.
    """
    importlib.import_module("torch._dynamo")
    importlib.import_module("torch._inductor.compile_fx")
    # Looks for the processor's vector instructions by compiling a few lines, once in a process.
    importlib.import_module("torch._inductor.cpu_vec_isa").pick_vec_isa()


def compile_kernel(kernel: nn.Module) -> nn.Module:
    """Compile `kernel` in place, at its next call, and return it.

    Names, parameters, pickles and copies stay those of the plain module. One graph serves every
    batch size and length of two or more, and every number of threads: a forge compiles with one,
    and its trainers have as many as they like.
    """
    kernel.compile(dynamic=True, options={"cpp.dynamic_threads": True})
    return kernel
