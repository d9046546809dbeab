"""Spans: identities that follow from the trace, and the header that is passed on."""

from __future__ import annotations

import asyncio
import re

import pytest

from esper.utils.spans import (
    SpanContext,
    belong_to,
    child_of,
    current_traceparent,
    open_spans,
    parse_traceparent,
    root_of,
    trace_id_of,
    within,
)

TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_the_root_follows_from_the_trace_and_each_span_from_its_words() -> None:
    assert root_of(TRACE) == root_of(TRACE)
    contexts = {root_of(TRACE), child_of(TRACE, "race", "0"), child_of(TRACE, "race", "1")}
    assert len({context.span_id for context in contexts}) == 3
    assert root_of("b" * 32).span_id != root_of(TRACE).span_id


def test_a_header_comes_back_as_it_was() -> None:
    context = root_of(TRACE)
    assert context.header == f"00-{TRACE}-{context.span_id}-01"
    assert parse_traceparent(context.header) == context


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "00-abc-def-01",
        f"00-{TRACE.upper()}-b7ad6b7169203331-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-{TRACE}-b7ad6b7169203331-01\n",
    ],
)
def test_what_is_no_header_says_nothing(header: str | None) -> None:
    assert parse_traceparent(header) is None


def test_what_is_done_in_a_block_belongs_to_its_span() -> None:
    inner = SpanContext(TRACE, "b" * 16)
    assert current_traceparent() is None
    with within(root_of(TRACE)):
        with within(inner):
            assert current_traceparent() == inner.header
        with within(None):
            assert current_traceparent() is None
        assert current_traceparent() == root_of(TRACE).header
        assert asyncio.run(asyncio.to_thread(current_traceparent)) == root_of(TRACE).header
    assert current_traceparent() is None


def test_a_thread_may_belong_to_a_span_until_it_is_told_otherwise() -> None:
    belong_to(root_of(TRACE))
    assert current_traceparent() == root_of(TRACE).header
    belong_to(None)
    assert current_traceparent() is None


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_nothing_is_traced_unless_it_is_asked_for(environ: dict[str, str]) -> None:
    assert open_spans("esper-test", environ) is None


def test_each_adaptation_of_each_run_has_a_trace_id_of_its_own_that_does_not_change() -> None:
    ids = [trace_id_of(run, number) for run in ("a", "b") for number in range(3)]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)
    assert ids[0] == trace_id_of("a", 0)
