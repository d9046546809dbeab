"""When Python's garbage collector looks: not while thousands of objects are made, and not at modules.

Reference counts free nearly everything; the collector finds cycles, and pays for that by looking
through all objects again and again, the more often the more are made.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collecting_later() -> Iterator[None]:
    """Keep the collector from looking within a short `with` block; afterwards it does as before."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def settle() -> None:
    """Take everything that exists now out of the collector's sight, for good.

    For the process of a service, once it is up: a consumer of many messages makes the collector
    look at hundreds of thousands of modules, functions and classes several times a second, which
    stay as long as the process, and meanwhile messages wait. Not for a process that is somebody
    else's, such as a training run: what becomes garbage there later would stay, too.
    """
    gc.collect()
    gc.freeze()
