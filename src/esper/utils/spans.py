"""Spans: stretches of time that belong to a trace, for any collector that speaks OpenTelemetry.

A trace is one adaptation of one run (`trace_id_of`), and the identity of its root span follows from
its own. So every process that takes part can put its spans under that root without asking anybody,
and Nissa, which sees the whole adaptation, sends the root when the adaptation is over. What a
process passes on is the W3C header `traceparent`: over the bus in a message's field of that name,
over HTTP as a header, within a process in a context variable.

OpenTelemetry's own API draws the identity of a span when it begins, so spans that follow from the
run and are told of afterwards cannot be made with it; its SDK sends ours (`otel.py`). What stands
here is what the API would do besides, a header and a context variable, and every trainer needs it.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from esper.contracts.errors import ConfigError
from esper.utils import extras
from esper.utils.logging import get_logger

Attributes = Mapping[str, str | int | float | bool]
"""What is known of a span; names with dots, as OpenTelemetry has them."""

_HEADER: Final = re.compile(r"00-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-[0-9a-f]{2}")
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

_current: ContextVar[str | None] = ContextVar("esper_traceparent", default=None)
_log = get_logger("tracing")


@dataclass(frozen=True, slots=True)
class SpanContext:
    """Which span of which trace."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 hexadecimal digits."""

    @property
    def header(self) -> str:
        """As the value of `traceparent`."""
        return f"00-{self.trace_id}-{self.span_id}-01"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanEvent:
    """A moment within a span."""

    name: str
    """What happened."""
    at: float
    """When, in seconds since the epoch."""
    attributes: Attributes = field(default_factory=dict)
    """What is known of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of time that is over."""

    name: str
    """What went on: a few words, the same for all of its kind."""
    context: SpanContext
    """Its identity."""
    parent: SpanContext | None
    """The span that it is a part of; None for a root."""
    began: float
    """When it began, in seconds since the epoch."""
    ended: float
    """When it ended, in seconds since the epoch."""
    kind: Literal["internal", "server"] = "internal"
    """Whether it answers another process."""
    attributes: Attributes = field(default_factory=dict)
    """What is known of it."""
    events: Sequence[SpanEvent] = ()
    """What happened meanwhile."""
    error: str | None = None
    """What went wrong, if something did."""


class Spans(Protocol):
    """Takes spans; never blocks."""

    def record(self, span: Span) -> None:
        """Take a span; sent in the background, or dropped where that does not keep up."""

    def close(self) -> None:
        """Send what is left, for a moment: a collector that is away holds nobody up."""


def trace_id_of(run_id: str, adaptation: int) -> str:
    """Return the W3C trace id of an adaptation: 32 hexadecimal digits, the same for the same words.

    From the health signals that led to it to its verdict, and the field report, an adaptation is
    one trace, whichever process takes part, and however often the run was resumed.

    Args:
        run_id: Which run.
        adaptation: How many adaptations of the run were over before this one.
    """
    return hashlib.sha256(f"{run_id}/{adaptation}".encode()).hexdigest()[:32]


def root_of(trace_id: str) -> SpanContext:
    """Return the root span of an adaptation's trace, the same wherever it is asked for."""
    return child_of(trace_id, "adaptation")


def child_of(trace_id: str, *words: str) -> SpanContext:
    """Return the span of a trace that these words name, the same wherever it is asked for."""
    text = "\n".join((trace_id, *words))
    return SpanContext(trace_id, hashlib.sha256(text.encode()).hexdigest()[:16])


def parse_traceparent(header: str | None) -> SpanContext | None:
    """Return what a `traceparent` says; None if there is none, or it is malformed."""
    found = _HEADER.fullmatch(header or "")
    if found is None or not (int(found["trace"], 16) and int(found["span"], 16)):
        return None
    return SpanContext(found["trace"], found["span"])


def current_traceparent() -> str | None:
    """Return the `traceparent` that goes with what this thread or task does now, if any."""
    return _current.get()


@contextmanager
def within(context: SpanContext | None) -> Iterator[None]:
    """Let what is done in the block belong to a span; None lets it belong to none."""
    token = _current.set(None if context is None else context.header)
    try:
        yield
    finally:
        _current.reset(token)


def belong_to(context: SpanContext | None) -> None:
    """Let what this thread or task does from now on belong to a span, or to none."""
    _current.set(None if context is None else context.header)


def open_spans(service: str, environ: Mapping[str, str] | None = None) -> Spans | None:
    """Return where a service's spans go, as OpenTelemetry's own variables say.

    `OTEL_EXPORTER_OTLP_ENDPOINT` (or `…_TRACES_ENDPOINT`) turns tracing on; everything else about
    the exporter is read from the environment by OpenTelemetry itself.

    Args:
        service: Name of the service, unless `OTEL_SERVICE_NAME` says another.
        environ: The variables; None means the process's own.

    Returns:
        None where no endpoint is set, tracing is switched off, or the extra `tracing` is missing,
        which is logged.
    """
    environ = os.environ if environ is None else environ
    switched_off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    exporter = environ.get("OTEL_TRACES_EXPORTER", "otlp")
    if switched_off or exporter == "none" or not any(environ.get(name) for name in _ENDPOINTS):
        return None
    try:
        spans: Spans = extras.load("esper.utils.otel", extra="tracing").OtelSpans.over_http(service)
    except ConfigError as error:
        _log.warning(
            "there is an endpoint for traces, and nothing to send them with", why=str(error)
        )
        return None
    return spans
