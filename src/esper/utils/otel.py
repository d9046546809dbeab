"""OtelSpans: sends spans with OpenTelemetry's SDK. Needs the extra `tracing`."""

from __future__ import annotations

import os
import threading
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.environment_variables import OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler, TraceIdRatioBased
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace import SpanContext as OtelContext

from esper.contracts.errors import ConfigError
from esper.contracts.version import VERSION
from esper.utils.spans import Span, SpanContext

_KINDS: Final = {"internal": SpanKind.INTERNAL, "server": SpanKind.SERVER}
_SEND_MILLISECONDS: Final = 1000.0
"""How long spans are gathered, unless `OTEL_BSP_SCHEDULE_DELAY` says otherwise."""
_CLOSE_SECONDS: Final = 3.0
_DELAY: Final = "OTEL_BSP_SCHEDULE_DELAY"


class OtelSpans:
    """Implements the port `Spans`."""

    def __init__(self, service: str, processor: SpanProcessor) -> None:
        """Send with `processor`, in the name of `service` unless `OTEL_SERVICE_NAME` is set."""
        self._ids = _GivenIds()
        name = os.environ.get("OTEL_SERVICE_NAME") or service
        self._provider = TracerProvider(
            sampler=_sampler(),
            resource=Resource.create({SERVICE_NAME: name, SERVICE_VERSION: VERSION}),
            id_generator=self._ids,
            # Whoever opens it closes it.
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("esper", VERSION)
        self._lock = threading.Lock()

    @classmethod
    def over_http(cls, service: str) -> OtelSpans:
        """Send over OTLP/HTTP to where OpenTelemetry's variables say."""
        delay = None if _DELAY in os.environ else _SEND_MILLISECONDS
        return cls(service, BatchSpanProcessor(OTLPSpanExporter(), schedule_delay_millis=delay))

    def record(self, span: Span) -> None:
        """Take a span; sent in the background, or dropped where that does not keep up."""
        parent = None if span.parent is None else NonRecordingSpan(_otel(span.parent))
        with self._lock:
            self._ids.given = span.context
            made = self._tracer.start_span(
                span.name,
                context=set_span_in_context(parent) if parent is not None else None,
                kind=_KINDS[span.kind],
                attributes=dict(span.attributes),
                start_time=_nanoseconds(span.began),
            )
        for event in span.events:
            made.add_event(event.name, dict(event.attributes), _nanoseconds(event.at))
        if span.error is not None:
            made.set_status(Status(StatusCode.ERROR, span.error))
        made.end(_nanoseconds(span.ended))

    def close(self) -> None:
        """Send what is left, for a moment: a collector that is away holds nobody up."""
        ending = threading.Thread(target=self._provider.shutdown, name="esper-spans", daemon=True)
        ending.start()
        ending.join(_CLOSE_SECONDS)


class _GivenIds(IdGenerator):
    """Hands out the identity of the span that is being made."""

    def __init__(self) -> None:
        self.given = SpanContext("0" * 32, "0" * 16)

    def generate_span_id(self) -> int:
        """Return the span's id."""
        return int(self.given.span_id, 16)

    def generate_trace_id(self) -> int:
        """Return the trace's id; asked for by roots only."""
        return int(self.given.trace_id, 16)


def _sampler() -> Sampler:
    """Return the sampler that `OTEL_TRACES_SAMPLER` names, whatever a parent decided.

    All of them go by the trace's id alone, so that every process takes the same traces.

    Raises:
        ConfigError: The name is unknown, or its ratio is no number from 0 to 1.
    """
    name = os.environ.get(OTEL_TRACES_SAMPLER, "always_on").removeprefix("parentbased_")
    if name in {"always_on", "always_off"}:
        return ALWAYS_ON if name == "always_on" else ALWAYS_OFF
    argument = os.environ.get(OTEL_TRACES_SAMPLER_ARG, "1.0")
    try:
        if name == "traceidratio":
            return TraceIdRatioBased(float(argument))
    except ValueError:
        pass
    raise ConfigError(
        f"{OTEL_TRACES_SAMPLER} is {name!r} with {argument!r}; use always_on, always_off, or "
        "traceidratio with a number from 0 to 1"
    )


def _otel(context: SpanContext) -> OtelContext:
    return OtelContext(
        int(context.trace_id, 16),
        int(context.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
