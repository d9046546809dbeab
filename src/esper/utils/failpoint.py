"""Failpoints: named places where a test may kill the process, to see what survives.

`ESPER_FAILPOINTS` names them, separated by commas; `name=3` kills at the third pass, `name:stop`
and `name=3:stop` halt the process instead, until it is continued. Unset, which is always outside
of tests, a failpoint does nothing.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from typing import Final

VARIABLE: Final = "ESPER_FAILPOINTS"

_known: set[str] = set()
_passes_left: dict[str, int] = {}
_signals: dict[str, signal.Signals] = {}


def declare(name: str) -> str:
    """Make a failpoint known, so that tests can go through all there are; return its name."""
    _known.add(name)
    return name


def declared() -> tuple[str, ...]:
    """Return the names of every failpoint of the modules imported so far, sorted."""
    return tuple(sorted(_known))


def arm(environ: Mapping[str, str]) -> None:
    """Read from the environment which failpoints kill, and at which pass."""
    _passes_left.clear()
    for entry in filter(None, environ.get(VARIABLE, "").split(",")):
        place, _, how = entry.partition(":")
        name, _, passes = place.partition("=")
        _passes_left[name] = int(passes or 1)
        _signals[name] = signal.SIGSTOP if how == "stop" else signal.SIGKILL


def failpoint(name: str) -> None:
    """End this process as `kill -9` does, or halt it, if the environment asks for that here."""
    if name not in _passes_left:
        return
    _passes_left[name] -= 1
    if _passes_left[name] == 0:
        os.kill(os.getpid(), _signals[name])


arm(os.environ)
