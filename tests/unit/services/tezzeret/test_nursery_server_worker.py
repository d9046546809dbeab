"""The worker of a nursery, for whoever traces."""

from __future__ import annotations

from esper.services.tezzeret.nursery_server import _Held
from esper.services.tezzeret.nursery_wire import Opening, Surroundings, pack_news, pack_opening
from esper.utils.spans import root_of
from support.kept_spans import KeptSpans
from support.races import course, host, small_race

ROOT = root_of("a" * 32)


def _held(traceparent: str | None) -> KeptSpans:
    kept, model = KeptSpans(), host()
    race, held = small_race(model), _Held(kept)
    news = [pack_news(1, one) for one in course(model, race)]
    held.take(pack_opening(1, Opening(race, Surroundings.here(), traceparent)))
    assert kept.spans == []
    for one in news:
        held.take(one)
    return kept


def test_a_race_that_was_held_is_a_span_of_its_adaptation() -> None:
    (span,) = _held(ROOT.header).spans
    assert (span.name, span.parent, span.error) == ("race held by a worker", ROOT, None)
    assert span.context.trace_id == ROOT.trace_id
    assert span.began <= span.ended


def test_a_race_that_nobody_traces_is_no_span() -> None:
    assert _held(None).spans == []
