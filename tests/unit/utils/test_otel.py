"""Spans through OpenTelemetry's SDK: with the identities, times and services that they are given."""

from __future__ import annotations

import time

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from esper.contracts.errors import ConfigError
from esper.utils.otel import OtelSpans
from esper.utils.spans import Span, SpanEvent, child_of, open_spans, root_of
from support.otlp_receiver import otlp_receiver

TRACE = "0af7651916cd43dd8448eb211c80319c"
ROOT = Span(
    name="adaptation",
    context=root_of(TRACE),
    parent=None,
    began=100.0,
    ended=107.5,
    attributes={"esper.run_id": "r"},
    events=[SpanEvent(name="verdict", at=107.0, attributes={"esper.step": 5})],
)
CHILD = Span(
    name="race",
    context=child_of(TRACE, "race"),
    parent=ROOT.context,
    began=101.0,
    ended=102.0,
    kind="server",
    error="status 503",
)


def _sent(*spans: Span) -> list[ReadableSpan]:
    exporter = InMemorySpanExporter()
    otel = OtelSpans("esper-test", SimpleSpanProcessor(exporter))
    for span in spans:
        otel.record(span)
    sent = list(exporter.get_finished_spans())
    otel.close()
    return sent


def test_a_span_has_the_identity_and_the_times_that_it_was_given() -> None:
    child, root = _sent(CHILD, ROOT)
    assert root.context is not None
    assert child.context is not None
    assert format(root.context.trace_id, "032x") == TRACE
    assert format(root.context.span_id, "016x") == ROOT.context.span_id
    assert root.parent is None
    assert (root.start_time, root.end_time) == (100_000_000_000, 107_500_000_000)
    assert root.resource.attributes["service.name"] == "esper-test"
    assert [event.name for event in root.events] == ["verdict"]
    assert child.parent is not None
    assert child.parent.span_id == root.context.span_id
    assert child.context.trace_id == root.context.trace_id
    assert child.status.description == "status 503"


def test_processes_that_take_a_share_of_the_traces_take_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    high, low = "f" * 32, "0" * 31 + "1"
    for trace, count in ((high, 0), (low, 2)):
        root = Span(name="a", context=root_of(trace), parent=None, began=1.0, ended=2.0)
        child = Span(
            name="b", context=child_of(trace, "b"), parent=root.context, began=1.0, ended=2.0
        )
        assert len(_sent(root, child)) == count


def test_a_sampler_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "sometimes")
    with pytest.raises(ConfigError, match="'sometimes'"):
        _sent()


def test_spans_go_over_http_to_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    with otlp_receiver() as receiver:
        for name, value in receiver.environment().items():
            monkeypatch.setenv(name, value)
        spans = open_spans("esper-test")
        assert spans is not None
        spans.record(ROOT)
        spans.close()
        (received,) = receiver.wait_for("adaptation")
    assert (received.service, received.trace_id) == ("esper-test", TRACE)


def test_a_collector_that_is_away_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    spans = open_spans("esper-test")
    assert spans is not None
    spans.record(ROOT)
    began = time.monotonic()
    spans.close()
    assert time.monotonic() - began < 60.0, "it hangs"
