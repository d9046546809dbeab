"""Structured logging: `setup_logging` once in a process, `get_logger` anywhere.

On a terminal a line is for reading, elsewhere it is one JSON object. Records of the standard
library's loggers take the same way out. Everything goes to standard error, so that standard
output stays the program's own.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Final, TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor

from esper.contracts.errors import ConfigError

LEVEL: Final = "ESPER_LOG_LEVEL"
"""Names the least severe level that is written, where the program does not."""
FORMAT: Final = "ESPER_LOG_FORMAT"
"""`json` or `console`; anything else: console on a terminal, JSON elsewhere."""


class RunContext:
    """What every line that is logged during a run says of the run.

    It counts for the whole process, threads included, as long as one run is under way in it. Of
    several, each counts for the thread or task that bound it, and for those that this one starts
    with its context.
    """

    def __init__(self, run_id: str, rank: int) -> None:
        """Describe a run; `bind_run` makes it count."""
        self.run_id = run_id
        """Which run."""
        self.rank = rank
        """Which of the processes that train it together."""
        self.generation = 0
        """How many adaptations of the run are over: which structure the model has."""

    def fields(self) -> dict[str, str | int]:
        """Return what goes into a line."""
        return {"run_id": self.run_id, "rank": self.rank, "generation": self.generation}

    def unbind(self) -> None:
        """Say that the run is over; doing it twice does no harm."""
        _bound.pop(id(self), None)
        if _own.get() is self:
            _own.set(None)


_bound: dict[int, RunContext] = {}
_own: ContextVar[RunContext | None] = ContextVar("esper_run", default=None)


def bind_run(run_id: str, *, rank: int = 0) -> RunContext:
    """Let every line that is logged from now on name the run, until it is unbound.

    Args:
        run_id: Which run.
        rank: Which of the processes that train it together.
    """
    context = RunContext(run_id, rank)
    _bound[id(context)] = context
    _own.set(context)
    return context


def _name_run(_logger: object, _method: str, event: EventDict) -> EventDict:
    context = _own.get()
    if context is None:
        # One look: another thread may end its run meanwhile.
        runs = list(_bound.values())
        context = runs[0] if len(runs) == 1 else None
    if context is not None:
        for name, value in context.fields().items():
            event.setdefault(name, value)
    return event


_SHARED: Sequence[Processor] = (
    structlog.contextvars.merge_contextvars,
    _name_run,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
)


class _EsperHandler(logging.StreamHandler[TextIO]):
    """Marks the handler as ours, so that setting up twice replaces it and adds none."""


def _stamp(service_name: str) -> Processor:
    # Not a context variable: threads do not inherit those.
    def add_service(_logger: object, _method: str, event: EventDict) -> EventDict:
        event.setdefault("service", service_name)
        return event

    return add_service


def _formatter(shared: Sequence[Processor], *, json: bool, colors: bool) -> logging.Formatter:
    ends: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if json:
        ends += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        ends += [structlog.dev.ConsoleRenderer(colors=colors)]
    return structlog.stdlib.ProcessorFormatter(processors=ends, foreign_pre_chain=shared)


def setup_logging(
    service_name: str,
    level: int | str | None = None,
    *,
    json: bool | None = None,
    stream: TextIO | None = None,
) -> FilteringBoundLogger:
    """Set up logging for this process and return the service's logger.

    Calling it again replaces the earlier set-up; lines never come out twice.

    Args:
        service_name: Stands in every line as `service`.
        level: The least severe level that is written; default `ESPER_LOG_LEVEL`, or INFO.
        json: One JSON object a line; default as `ESPER_LOG_FORMAT` says (`json` or `console`), or
            else: unless `stream` is a terminal.
        stream: Where lines go; None means standard error.

    Raises:
        ConfigError: `ESPER_LOG_LEVEL` names no level.
    """
    out = sys.stderr if stream is None else stream
    terminal = out.isatty()
    if json is None:
        json = {"json": True, "console": False}.get(os.environ.get(FORMAT, ""), not terminal)
    shared = [_stamp(service_name), *_SHARED]
    handler = _EsperHandler(out)
    handler.setFormatter(_formatter(shared, json=json, colors=terminal))
    root = logging.getLogger()
    for old in [entry for entry in root.handlers if isinstance(entry, _EsperHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    try:
        root.setLevel(level or os.environ.get(LEVEL) or logging.INFO)
    except ValueError as error:
        raise ConfigError(f"{LEVEL} is no level of logging ({error}); give INFO, say") from None
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    return get_logger(service_name)


def get_logger(name: str) -> FilteringBoundLogger:
    """Return the logger called `name`; events are a sentence and keyword arguments."""
    return cast("FilteringBoundLogger", structlog.stdlib.get_logger(name))
