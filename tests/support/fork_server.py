"""The program of the fork server that :mod:`support.forked` tells of, and of what it forks."""

from __future__ import annotations

import atexit
import ctypes
import fcntl
import gc
import importlib
import io
import os
import pickle
import pkgutil
import platform
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import types
import warnings
from pathlib import Path
from typing import Any, NoReturn

import esper
from support import forked
from support.forked import HEADER, length, parsed, read

# Not imported beforehand: other people's loggers, programs, what only Alembic can import, and what
# starts a thread (pyarrow does), for a process with threads is not forked safely.
_LEFT_ALONE = {"integrations", "__main__", "migrations", "export_parquet"}
_BEFOREHAND = ("torch._dynamo", "torch._inductor.compile_fx", "mnist1d.data", "matplotlib.pyplot")
_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE_PARENT, _CLONE_CHILD_SETTID = 0x8000, 0x01000000


def main(descriptor: int) -> NoReturn:
    """Serve whoever is at the other end; in each process that is forked, run its program."""
    connection = socket.socket(fileno=descriptor)
    load(strict=True)
    threads = len(list(Path("/proc/self/task").iterdir()))
    assert threads == 1, "an import has started a thread: name it in _LEFT_ALONE"
    gc.collect()
    gc.freeze()  # pages of what is never collected stay shared
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever asks
    while True:
        order, fds = _forked(connection)
        connection.close()
        answers = socket.socket(fileno=fds.pop(0))
        try:
            own = _become(order, fds, answers)
        except BaseException as error:  # noqa: BLE001 whoever asked raises it
            _tell(answers, error)
            os._exit(1)
        if own is None:
            _live(order)
        connection = own


def load(*, strict: bool = False) -> None:
    """Import everything that processes of tests use; strictly, no import of ours may warn."""
    for name in _BEFOREHAND:
        importlib.import_module(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error" if strict else "default")
        for found in pkgutil.walk_packages(esper.__path__, "esper."):
            if not _LEFT_ALONE & set(found.name.split(".")):
                importlib.import_module(found.name)


def _forked(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Fork processes until nobody asks any more; returns in each of them, with its order."""
    while True:
        try:
            size = length(connection)
        except (EOFError, ConnectionError):
            os._exit(0)
        _, fds, _, _ = socket.recv_fds(connection, 1, 64)
        order = pickle.loads(read(connection, size))
        try:
            if _clone() == 0:
                return order, fds
        except OSError:
            _tell(socket.socket(fileno=os.dup(fds[0])), None)
        for fd in fds:
            os.close(fd)


def _clone() -> int:
    """`os.fork`, but the process is its caller's sibling."""
    python, system = ctypes.pythonapi, ctypes.PyDLL(None, use_errno=True)
    flags = _CLONE_PARENT | _CLONE_CHILD_SETTID | signal.SIGCHLD
    place = _thread_id_place()
    arguments = [flags, 0, 0, place, 0]
    if platform.machine() == "aarch64":
        arguments = [flags, 0, 0, 0, place]
    number = _CLONE[platform.machine()]
    python.PyOS_BeforeFork()
    pid: int = system.syscall(*(ctypes.c_long(value) for value in (number, *arguments)))
    if pid == 0:
        python.PyOS_AfterFork_Child()
        return 0
    python.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(ctypes.get_errno(), "clone")
    return pid


def _thread_id_place() -> int:
    """Where the C library keeps this thread's id: its own `fork` has the kernel write it there."""
    own, step = threading.get_native_id(), ctypes.sizeof(ctypes.c_int)
    start = threading.get_ident()
    for place in range(start, start + 2048, step):
        if ctypes.c_int.from_address(place).value == own:
            return place
    raise OSError("the C library keeps no thread id where it was looked for")


def _tell(connection: socket.socket, answer: object) -> None:
    data = pickle.dumps(answer)
    connection.sendall(HEADER.pack(len(data)) + data)


def _become(order: dict[str, Any], fds: list[int], answers: socket.socket) -> socket.socket | None:
    """Make a process out of a fork, up to where its program begins, and tell its pid.

    Returns None there; and in the server for what it will start itself, whom that one serves.
    """
    os.chdir(order["cwd"])
    if order["session"]:
        os.setsid()
    elif order["group"] != -1:
        os.setpgid(0, order["group"])
    os.umask(order["umask"])
    os.environ.clear()
    os.environ.update(order["environ"])
    ours, theirs = socket.socketpair()
    if os.fork() == 0:  # there is one thread
        for held in (*fds, answers.detach(), ours.detach()):
            os.close(held)
        return theirs
    theirs.close()
    answers, ours = _place(fds, order["targets"], answers, ours)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for one in order["ignored"]:
        signal.signal(one, signal.SIG_IGN)
    time.tzset()
    _title(" ".join(order["argv"]))
    failpoint = sys.modules["esper.utils.failpoint"]
    failpoint.arm(os.environ)
    prepare = pickle.loads(order["prepare"])
    if prepare is not None:
        prepare()
    forked.server.serve(ours)
    subprocess.Popen = forked.Popen  # type: ignore[misc]
    forked.install()
    _tell(answers, os.getpid())
    answers.close()
    return None


def _place(
    fds: list[int], targets: tuple[int, ...], *sockets: socket.socket
) -> list[socket.socket]:
    """Put descriptors where they belong; returns the sockets, out of their way."""
    above = max(*targets, *fds, *(one.fileno() for one in sockets)) + 1
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, above) for fd in fds]
    kept = [fcntl.fcntl(one.fileno(), fcntl.F_DUPFD_CLOEXEC, above) for one in sockets]
    for fd in (*fds, *(one.detach() for one in sockets)):
        os.close(fd)
    for fd, target in zip(moved, targets, strict=True):
        os.dup2(fd, target, inheritable=True)
        os.close(fd)
    return [socket.socket(fileno=fd) for fd in kept]


def _title(text: str) -> None:
    """Show the command in `ps`: written over the server's own, as setproctitle(3) does."""
    fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])
    room = end - start
    data = text.encode()[: room - 1].ljust(room - 1, b"\0") + b"."
    ctypes.memmove(start, data, room)


def _streams() -> None:
    """Text streams as the interpreter makes them when it starts."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            raw = open(number, f"{mode}b", closefd=False)  # noqa: SIM115
            shown = os.isatty(number)
        except OSError:
            setattr(sys, name, None)
            continue
        stream = io.TextIOWrapper(
            raw,
            encoding=getattr(sys, name).encoding,
            errors=getattr(sys, name).errors,
            line_buffering=number == 2 or shown,
            write_through=bool(os.environ.get("PYTHONUNBUFFERED")),
        )
        stream.mode = mode  # type: ignore[misc]
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _run(order: dict[str, Any]) -> None:
    """Run a process's program; what it raises is the interpreter's."""
    found = parsed(order["argv"])
    assert found is not None
    how, what, arguments, warned = found
    sys.orig_argv[:] = order["argv"]
    named = filter(None, os.environ.get("PYTHONWARNINGS", "").split(","))
    sys.warnoptions[:] = [*named, *warned]
    warnings._processoptions(sys.warnoptions)  # type: ignore[attr-defined]
    sys.path[:0] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    _streams()
    sys.modules["__main__"] = main = types.ModuleType("__main__")
    main.__dict__["__builtins__"] = __builtins__
    if how == "-m":
        sys.argv[:] = ["-m", *arguments]
        sys.path.insert(0, str(Path.cwd()))
        runpy._run_module_as_main(what)
        return
    sys.argv[:] = [what if how == "file" else how, *arguments]
    sys.path.insert(0, str(Path(what).resolve().parent) if how == "file" else "")
    source = Path(what).read_bytes() if how == "file" else what
    if how == "file":
        main.__file__ = what
    exec(compile(source, what if how == "file" else "<string>", "exec"), main.__dict__)


def _live(order: dict[str, Any]) -> NoReturn:
    """Run a process's program and end as the interpreter does, but for taking modules apart."""
    status, interrupted = 0, False
    try:
        _run(order)
    except SystemExit as end:
        status = _status(end.code)
    except BaseException as error:  # noqa: BLE001 it is told as the interpreter tells it
        sys.excepthook(type(error), error.with_traceback(_own_frames(error)), error.__traceback__)
        status, interrupted = 1, isinstance(error, KeyboardInterrupt)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except OSError:
            status = 120
    if interrupted:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(status)


def _status(code: object) -> int:
    if code is None or isinstance(code, int):
        return (code or 0) & 0xFF
    sys.stderr.write(f"{code}\n")
    return 1


def _own_frames(error: BaseException) -> types.TracebackType | None:
    """The traceback of an error without the frames of this file."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return trace
